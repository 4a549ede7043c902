//! With a certificate in a Secret, the webhooks are served with it, and /metrics over TLS and no longer without it.

use crate::webhooks::{asked, trusted};
use crate::world::{IMAGE, eventually, ready_managers, text, world};

#[tokio::test]
async fn metrics_are_served_with_the_certificate_of_a_secret() {
    let world = world().await;
    let client = world.install().await;
    let issued =
        rcgen::generate_simple_self_signed(vec!["holdfast.holdfast-system.svc".into()]).unwrap();
    let folder = std::env::temp_dir().join(format!("holdfast-certificate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tls.crt"), issued.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), issued.signing_key.serialize_pem()).unwrap();
    world.kubectl("delete secret ours -n holdfast-system --ignore-not-found");
    let files = format!("--cert={0}/tls.crt --key={0}/tls.key", folder.display());
    world.kubectl(&format!(
        "create secret tls ours -n holdfast-system {files}"
    ));
    let values = "ARGS=--set certificates.mode=secret --set certificates.secretName=ours --wait --timeout 90s";
    world.make(&["deploy", &format!("IMG={IMAGE}"), values]);
    eventually("both replicas are ready", 60, || async {
        (ready_managers(&client).await.len() == 2).then_some(())
    })
    .await;
    let metrics =
        "/api/v1/namespaces/holdfast-system/services/SCHEMEholdfast:metrics/proxy/metrics";
    let over_tls = world.kubectl(&format!(
        "get --raw {}",
        metrics.replace("SCHEME", "https:")
    ));
    assert!(over_tls.contains("holdfast_build_info"), "{over_tls}");
    let plain = world
        .kubectl_command(&format!("get --raw {}", metrics.replace("SCHEME", "")))
        .output()
        .unwrap();
    assert!(
        !text(&plain.stdout).contains("holdfast_build_info"),
        "plain requests are not answered"
    );
    // There is no ca.crt: what is trusted is the certificate itself, which is no authority.
    let served = issued.cert.pem();
    eventually("the API server is told to trust it", 30, || async {
        let trusted = trusted(&client, "holdfast").await;
        trusted
            .iter()
            .all(|one| one.contains(&served))
            .then_some(())
    })
    .await;
    let before = asked(&world);
    eventually("and does", 60, || {
        let template = "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {generateName: asked-}\nspec: {cpuPercentage: 1}\n";
        assert!(world.create(template).status.success());
        let is_answered = asked(&world).get("200") > before.get("200");
        std::future::ready(is_answered.then_some(()))
    })
    .await;
    world.kubectl("delete fdt --all");
    world.install().await;
    world.kubectl("delete secret ours -n holdfast-system");
    std::fs::remove_dir_all(folder).unwrap();
}
