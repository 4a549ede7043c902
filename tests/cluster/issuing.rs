//! With cert-manager, the real one: it issues the certificate and renews it, its injector tells API servers whom to trust, and the
//! manager serves what is issued and writes nothing.

use crate::leading::refused;
use crate::shares::{ONE, allocatable, applied, removed, request, running, share};
use crate::webhooks::{answered_during, asked, certificates, template, trusted};
use crate::world::{IMAGE, NAMESPACE, World, eventually, leader, pods, ready_managers};
use crate::world::{succeed, text, world};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

const OVERLAY: &str = "OVERLAY=cert-manager";
/// What cert-manager's own chart installs, but its webhook, and what waits for that.
const PARTS: [&str; 7] = [
    "crd-*",
    "serviceaccount",
    "rbac",
    "deployment",
    "cainjector-serviceaccount",
    "cainjector-rbac",
    "cainjector-deployment",
];
/// The world's image has both components, and is asked nothing about its health.
const VALUES: [&str; 7] = [
    "crds.enabled=true",
    "crds.keep=false",
    "image.repository=localhost/cert-manager",
    "extraArgs={controller}",
    "livenessProbe.enabled=false",
    "cainjector.image.repository=localhost/cert-manager",
    "cainjector.extraArgs={cainjector}",
];

/// cert-manager on the world, by its own chart and with its own rights, until this is dropped.
struct CertManager<'a> {
    world: &'a World,
    manifests: String,
}

impl<'a> CertManager<'a> {
    fn install(world: &'a World) -> Self {
        let archive = world.command(&["images", "--cert-manager"]);
        world.command(&["load", archive.trim()]);
        let built = world.command(&["build", "cert-manager"]);
        let folder = PathBuf::from(built.trim().rsplit_once(": ").unwrap().1);
        let mut helm = Command::new(world.command(&["tool", "helm"]).trim());
        helm.args(["template", "cert-manager", "--namespace", "cert-manager"])
            .arg(folder.join("usr/local/share/cert-manager/cert-manager"));
        for part in PARTS {
            helm.arg("--show-only")
                .arg(format!("templates/{part}.yaml"));
        }
        for value in VALUES {
            helm.arg("--set").arg(value);
        }
        // A helm that is built from its modules believes in a Kubernetes of long ago.
        let version: Value = serde_json::from_str(&world.kubectl("get --raw /version")).unwrap();
        let version = version["gitVersion"].as_str().unwrap();
        helm.args(["--set-string", "image.tag=1,cainjector.image.tag=1"])
            .args(["--kube-version", version]);
        let manifests = succeed(&mut helm);
        let installed = Self { world, manifests };
        world.kubectl("create namespace cert-manager");
        // Some of its CRDs are too large for the annotation that an apply by the client leaves.
        let output = world.send("apply --server-side -f -", &installed.manifests);
        assert!(output.status.success(), "{}", text(&output.stderr));
        for component in ["cert-manager", "cert-manager-cainjector"] {
            world.kubectl(&format!(
                "rollout status deployment/{component} -n cert-manager --timeout=120s"
            ));
        }
        installed
    }
}

impl Drop for CertManager<'_> {
    fn drop(&mut self) {
        let delete = "delete --ignore-not-found";
        let mut lines = vec![format!("{delete} namespace cert-manager")];
        if std::thread::panicking() {
            // The next installation is not to find that somebody else says whom to trust.
            let kinds = "mutatingwebhookconfiguration,validatingwebhookconfiguration";
            lines.push(format!("{delete} {kinds} holdfast"));
        }
        let _may_fail = self.world.send(&format!("{delete} -f -"), &self.manifests);
        for line in lines {
            let _may_fail = self.world.kubectl_command(&line).output();
        }
    }
}

/// What cert-manager has written last into a Secret.
async fn issued(client: &Client, secret: &str, key: &str) -> Option<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let found = secrets.get_opt(secret).await.unwrap()?;
    Some(text(&found.data?.get(key)?.0))
}

/// Asks for another certificate, as `cmctl renew` does, and waits for it.
async fn renew(world: &World, client: &Client, certificate: &str, secret: &str) {
    let former = issued(client, secret, "tls.crt").await;
    let renew = json!([{ "op": "add", "path": "/status/conditions/-", "value": {
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "renewed",
        "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }}]);
    world.kubectl(&format!(
        "patch certificate {certificate} -n {NAMESPACE} --subresource=status --type=json -p {renew}"
    ));
    eventually("another one is issued", 60, || async {
        let issued = issued(client, secret, "tls.crt").await;
        (issued.is_some() && issued != former).then_some(())
    })
    .await;
}

/// What a replica shows to whoever connects now, if it is the Service's, and one of these authorities has signed it.
fn served(world: &World, replica: &Pod, authorities: &str) -> Option<String> {
    let known = std::env::temp_dir().join(format!("holdfast-issued-{}.pem", std::process::id()));
    std::fs::write(&known, authorities).unwrap();
    let address = replica.status.as_ref()?.pod_ip.as_ref()?;
    let service = format!("holdfast.{NAMESPACE}.svc");
    let shown = world.beside_the_api_server(&[
        "openssl",
        "s_client",
        "-connect",
        &format!("{address}:9443"),
        "-servername",
        &service,
        "-verify_hostname",
        &service,
        "-verify_return_error",
        "-CAfile",
        known.to_str().unwrap(),
    ]);
    std::fs::remove_file(known).unwrap();
    let shown = text(&shown.stdout);
    let begins = shown.find("-----BEGIN CERTIFICATE-----")?;
    certificates(&shown[begins..]).pop_first()
}

/// Waits until both replicas serve what is in the Secret, and whoever trusts what stands beside it there can verify it.
async fn is_served(world: &World, client: &Client) {
    let mut looked = 0;
    eventually("both replicas serve what was issued", 150, || {
        // A kubelet looks after the Secrets of a pod every minute or so, and when the pod changes.
        looked += 1;
        world.kubectl(&format!("annotate pods -n {NAMESPACE} -l app.kubernetes.io/component=manager looked={looked} --overwrite"));
        async {
            let authority = issued(client, "holdfast-tls", "ca.crt").await?;
            let chain = issued(client, "holdfast-tls", "tls.crt").await?;
            let replicas = ready_managers(client).await;
            let show = |replica| {
                let shown = served(world, replica, &authority);
                shown.is_some_and(|shown| chain.starts_with(&shown))
            };
            (replicas.len() == 2 && replicas.iter().all(show)).then_some(())
        }
    })
    .await;
}

/// Whether every webhook of ours trusts these, and nobody else.
async fn are_trusted(client: &Client, authorities: &BTreeSet<String>) -> Option<()> {
    let trusted = trusted(client, "holdfast").await;
    assert_eq!(trusted.len(), 4, "all webhooks are there");
    trusted.iter().all(|one| one == authorities).then_some(())
}

/// Which processes serve: names of pods, with their uids, and how often they were started.
async fn replicas(client: &Client) -> BTreeMap<String, (Option<String>, i32)> {
    let ready = ready_managers(client).await;
    let process = |pod: &Pod| {
        let containers = pod.status.as_ref().unwrap().container_statuses.as_ref();
        (pod.uid(), containers.unwrap()[0].restart_count)
    };
    ready
        .iter()
        .map(|pod| (pod.name_any(), process(pod)))
        .collect()
}

/// Who has written our webhook configurations since they were there, by the API server's audit log: verbs of the manager.
fn written_by_the_manager(world: &World) -> Vec<String> {
    let is_a_write = |verb: &str| ["create", "update", "patch", "delete"].contains(&verb);
    world
        .audited()
        .iter()
        .filter(|call| {
            let resource = call["objectRef"]["resource"].as_str().unwrap_or_default();
            resource.ends_with("webhookconfigurations")
                && call["user"]["username"] == "system:serviceaccount:holdfast-system:holdfast"
                && is_a_write(call["verb"].as_str().unwrap_or_default())
        })
        .map(|call| format!("{} {}", call["verb"], call["requestURI"]))
        .collect()
}

/// A DaemonSet's pods have their share from the webhook: nobody has resized them afterwards.
async fn pods_get_their_share(world: &World, client: &Client) {
    applied(world, &share("issued", "{cpuPercentage: 10}", ONE));
    let nodes = allocatable(client).await;
    for (node, pod) in running(client, "issued", nodes.len()).await {
        assert_eq!(request(&pod, 0, "cpu"), Some(nodes[&node]["cpu"] / 10));
        let writers = pod.metadata.managed_fields.unwrap();
        let is_resized = |one: &str| one == "resize";
        assert!(
            !writers
                .iter()
                .any(|one| one.subresource.as_deref().is_some_and(is_resized)),
            "{writers:?}"
        );
    }
    removed(client, "issued").await;
    world.kubectl("delete fdt issued");
}

/// From one authority to the next: the certificate that the former one has signed is lost, and its successor is signed by the new one.
async fn another_authority(world: &World, client: &Client) {
    let former = issued(client, "holdfast-tls", "ca.crt").await.unwrap();
    renew(world, client, "holdfast-ca", "holdfast-ca").await;
    let next = issued(client, "holdfast-ca", "tls.crt").await.unwrap();
    assert_ne!(former, next);
    eventually("it signs", 60, || async {
        let signed = issued(client, "holdfast-tls", "ca.crt").await;
        if signed.as_ref() == Some(&former) {
            world.kubectl(&format!("delete secret holdfast-tls -n {NAMESPACE}"));
        }
        (signed? == next).then_some(())
    })
    .await;
    let both = BTreeSet::from([former, next]);
    eventually("both are trusted", 30, || are_trusted(client, &both)).await;
    is_served(world, client).await;
}

async fn somebody_empties_a_bundle(world: &World, client: &Client) {
    let emptied = r#"[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":"Cg=="}]"#;
    world.kubectl(&format!(
        "patch mutatingwebhookconfiguration holdfast --type=json -p {emptied}"
    ));
    let current = issued(client, "holdfast-tls", "ca.crt").await.unwrap();
    eventually("it is put right", 30, || async {
        let trusted = trusted(client, "holdfast").await;
        let knows = |one: &BTreeSet<String>| one.contains(&current);
        trusted.iter().all(knows).then_some(())
    })
    .await;
}

/// The overlay, installed, with its certificate issued, and the API server told and answered.
async fn installed(world: &World) -> Client {
    world.make(&["deploy-manifests", OVERLAY, &format!("IMG={IMAGE}")]);
    let client = world.client().await;
    eventually("both replicas are ready and one leads", 180, || async {
        let leads = !leader(&client).await.is_empty();
        (leads && ready_managers(&client).await.len() == 2).then_some(())
    })
    .await;
    is_answered(world).await;
    client
}

async fn is_answered(world: &World) {
    let before = asked(world);
    eventually("the API server is answered", 60, || {
        assert!(template(world, 50).status.success());
        assert!(template(world, 51).status.success());
        std::future::ready((asked(world).get("200") > before.get("200")).then_some(()))
    })
    .await;
}

/// The chart with certificates from elsewhere, when nobody serves the former ones any more.
async fn change_over(world: &World, client: &Client, mode: &str) {
    let former: Vec<_> = replicas(client).await.into_keys().collect();
    let values = format!("ARGS=--set certificates.mode={mode} --wait --timeout 180s");
    world.make(&["deploy", &format!("IMG={IMAGE}"), &values]);
    eventually("the former replicas are gone", 90, || async {
        let all = pods(client).list(&ListParams::default()).await.ok()?;
        let is_gone = |name: &String| all.iter().all(|pod| pod.name_any() != *name);
        former.iter().all(is_gone).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cert_manager_issues_what_is_served_and_every_question_is_answered_while_it_renews_it() {
    let world = world().await;
    crate::going::remove(&world);
    let (writes, refusals) = (written_by_the_manager(&world).len(), refused(&world).len());
    let cert_manager = CertManager::install(&world);
    let client = installed(&world).await;
    let authority = issued(&client, "holdfast-tls", "ca.crt").await.unwrap();
    let authority = BTreeSet::from([authority]);
    eventually("it alone is trusted", 30, || {
        are_trusted(&client, &authority)
    })
    .await;
    is_served(&world, &client).await;
    let metrics = "get --raw /api/v1/namespaces/holdfast-system/services/https:holdfast:metrics/proxy/metrics";
    assert!(world.kubectl(metrics).contains("holdfast_build_info"));
    pods_get_their_share(&world, &client).await;

    let serving = replicas(&client).await;
    let renewing = async {
        renew(&world, &client, "holdfast", "holdfast-tls").await;
        is_served(&world, &client).await;
        assert_eq!(
            are_trusted(&client, &authority).await,
            Some(()),
            "as before"
        );
        another_authority(&world, &client).await;
    };
    let questions = answered_during(&world, &client, renewing).await;
    println!("RESULT issuing_questions={questions} issuing_unanswered=0");
    assert_eq!(replicas(&client).await, serving, "nobody was started anew");

    somebody_empties_a_bundle(&world, &client).await;
    pods_get_their_share(&world, &client).await;
    let written = written_by_the_manager(&world).split_off(writes);
    assert_eq!(written, Vec::<String>::new(), "the injector's alone");
    let refused = refused(&world).split_off(refusals);
    assert_eq!(refused, Vec::<String>::new(), "it may do what it asks for");

    world.kubectl("delete fdt asked");
    world.make(&["undeploy-manifests", OVERLAY]);
    drop(cert_manager);
    world.install().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_changes_over_to_cert_manager_and_back_and_every_question_is_answered() {
    let world = world().await;
    let cert_manager = CertManager::install(&world);
    let client = world.install().await;
    is_answered(&world).await;
    let own = issued(&client, "holdfast-webhook-ca", "ca.crt").await;
    let own = own.unwrap();
    let changing = async {
        change_over(&world, &client, "cert-manager").await;
        is_served(&world, &client).await;
        let theirs = issued(&client, "holdfast-tls", "ca.crt").await.unwrap();
        let both = BTreeSet::from([own.clone(), theirs]);
        assert_eq!(are_trusted(&client, &both).await, Some(()), "both");
        change_over(&world, &client, "self").await;
    };
    let questions = answered_during(&world, &client, changing).await;
    println!("RESULT changing_over_questions={questions} changing_over_unanswered=0");
    // The other one stays for ten minutes: a replica that was about to go may still serve what it has signed.
    let trusted = trusted(&client, "holdfast").await;
    assert!(trusted.iter().all(|one| one.contains(&own)));
    world.kubectl("delete fdt asked");
    drop(cert_manager);
    world.install().await;
}
