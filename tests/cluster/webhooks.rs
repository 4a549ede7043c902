//! The webhooks as API servers meet them: trusted without anybody pasting anything, and while their authority changes.

use crate::world::{IMAGE, NAMESPACE, World, eventually, pods, ready_managers, text, world};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast::sizing::api::FlexDaemonsetTemplate;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What each webhook of one configuration trusts: certificates in PEM form.
pub(crate) type Trusted = Vec<BTreeSet<String>>;

/// What the webhooks of an installation trust, in both configurations.
pub(crate) async fn trusted(client: &Client, installation: &str) -> Trusted {
    let mut trusted = Trusted::new();
    for kind in ["Mutating", "Validating"] {
        let kind = format!("{kind}WebhookConfiguration");
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
        let found = api.get(installation).await.unwrap();
        for webhook in found.data["webhooks"].as_array().unwrap() {
            let bundle = webhook["clientConfig"]["caBundle"].as_str();
            let pem = STANDARD.decode(bundle.unwrap_or_default()).unwrap();
            trusted.push(certificates(&text(&pem)));
        }
    }
    trusted
}

pub(crate) fn certificates(pem: &str) -> BTreeSet<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    pem.split_inclusive(END).map(str::to_owned).collect()
}

/// A key of the Secret with the authorities.
async fn kept(client: &Client, key: &str) -> Option<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let secret = secrets.get("holdfast-webhook-ca").await.unwrap();
    Some(text(&secret.data?.get(key)?.0))
}

pub(crate) fn template(world: &World, percentage: u32) -> Output {
    world.apply(&format!(
        "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {{name: asked}}\nspec: {{cpuPercentage: {percentage}}}\n"
    ))
}

/// How often the API server asked about templates, by the code that it was answered with. What is no answer at all has another code.
pub(crate) fn asked(world: &World) -> BTreeMap<String, u64> {
    let metrics = world.kubectl("get --raw /metrics");
    let mut codes = BTreeMap::new();
    for line in metrics.lines().filter(|line| {
        line.starts_with("apiserver_admission_webhook_request_total")
            && line.contains("templates.sizing.holdfast.dev")
    }) {
        let code = line
            .split("code=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let count = count as u64;
        *codes.entry(code.unwrap().to_owned()).or_default() += count;
    }
    codes
}

/// How often it was answered; a connection that fails, and a path that nobody serves, have other codes.
pub(crate) fn count(codes: &BTreeMap<String, u64>, answered: bool) -> u64 {
    let chosen = codes
        .iter()
        .filter(|(code, _)| (*code == "200") == answered);
    chosen.map(|(_, count)| count).sum()
}

#[tokio::test]
async fn api_servers_trust_the_webhooks_though_nobody_pasted_anything() {
    let world = world().await;
    let client = world.install().await;
    let authority = kept(&client, "ca.crt").await.unwrap();
    let told = || async {
        let trusted = trusted(&client, "holdfast").await;
        assert_eq!(
            trusted.len(),
            4,
            "two about pods, one each about templates and DaemonSets"
        );
        trusted
            .iter()
            .all(|one| one.contains(&authority))
            .then_some(())
    };
    eventually("every webhook trusts our authority", 30, told).await;
    let before = asked(&world);
    let mut percentage = 0;
    eventually("the API server is answered", 60, || {
        percentage = percentage % 90 + 1;
        assert!(template(&world, percentage).status.success());
        let answered = count(&asked(&world), true) > count(&before, true);
        std::future::ready(answered.then_some(()))
    })
    .await;
    let emptied = r#"[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":"Cg=="}]"#;
    world.kubectl(&format!(
        "patch mutatingwebhookconfiguration holdfast --type=json -p {emptied}"
    ));
    eventually("what somebody emptied is put right", 30, told).await;
    world.kubectl("delete secret holdfast-webhook-ca -n holdfast-system");
    eventually(
        "the authority that somebody deleted is back",
        30,
        || async {
            let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
            let found = secrets.get_opt("holdfast-webhook-ca").await.unwrap()?;
            (found.data?.get("ca.crt")?.0 == authority.as_bytes()).then_some(())
        },
    )
    .await;
    world.kubectl("delete fdt asked");
}

/// Two replicas whose certificates live for seconds, and an API server that has asked one of them.
async fn short_lived(world: &World, client: &Client) {
    let flags = "ARGS=--reuse-values --set extraArgs[0]=--leaf-lifetime=6s --set extraArgs[1]=--ca-grace=5s --wait --timeout 120s";
    world.make(&["deploy", &format!("IMG={IMAGE}"), flags]);
    eventually(
        "both replicas are ready, and the former ones gone",
        90,
        || async {
            let all = pods(client).list(&ListParams::default()).await.ok()?;
            let are_ready = ready_managers(client).await.len() == 2;
            (are_ready && all.items.len() == 2).then_some(())
        },
    )
    .await;
    eventually("the API server is answered", 60, || {
        let before = count(&asked(world), true);
        assert!(template(world, 50).status.success());
        assert!(template(world, 51).status.success());
        std::future::ready((count(&asked(world), true) > before).then_some(()))
    })
    .await;
}

/// From one authority to the next, at somebody's wish.
async fn roll_over(world: &World, client: &Client) {
    let first = kept(client, "ca.crt").await.unwrap();
    // What another test served from files may still stand beside them.
    let all_trust = |authority: String| async move {
        let trusted = trusted(client, "holdfast").await;
        trusted.iter().all(|one| one.contains(&authority))
    };
    world.kubectl(
        "annotate secret holdfast-webhook-ca -n holdfast-system holdfast.dev/roll-over=now",
    );
    eventually("both are trusted, the first one signs", 60, || async {
        let next = kept(client, "next.crt").await?;
        let both = all_trust(next).await && all_trust(first.clone()).await;
        (both && kept(client, "ca.crt").await? == first).then_some(())
    })
    .await;
    let second = eventually("the second one signs", 60, || async {
        kept(client, "ca.crt")
            .await
            .filter(|current| *current != first)
    })
    .await;
    assert!(all_trust(first.clone()).await && all_trust(second.clone()).await);
    eventually("the first one is trusted no more", 90, || async {
        let trusted = trusted(client, "holdfast").await;
        let is_gone = trusted.iter().all(|one| !one.contains(&first));
        (is_gone && all_trust(second.clone()).await).then_some(())
    })
    .await;
}

/// Asks about the template `asked` for as long as something goes on. Every question has to be answered; how many there were.
pub(crate) async fn answered_during(
    world: &World,
    client: &Client,
    going_on: impl Future<Output = ()>,
) -> u64 {
    let before = asked(world);
    let is_done = Arc::new(AtomicBool::new(false));
    let templates: Api<FlexDaemonsetTemplate> = Api::all(client.clone());
    // Beside it, on another thread where the test has one: what waits for a command asks nothing.
    let asking = tokio::spawn({
        let is_done = is_done.clone();
        async move {
            let mut questions = 0;
            while !is_done.load(Ordering::Relaxed) {
                let change =
                    Patch::Merge(json!({ "spec": { "cpuPercentage": questions % 90 + 1 } }));
                let params = PatchParams::default();
                templates.patch("asked", &params, &change).await.unwrap();
                questions += 1;
            }
            questions
        }
    });
    going_on.await;
    is_done.store(true, Ordering::Relaxed);
    let questions: u64 = asking.await.unwrap();
    let after = asked(world);
    assert_eq!(
        count(&after, false),
        count(&before, false),
        "{before:?} {after:?}"
    );
    let answered = count(&after, true) - count(&before, true);
    assert!(
        questions > 100 && answered >= questions,
        "{answered} of {questions}"
    );
    questions
}

#[tokio::test]
async fn an_authority_rolls_over_and_every_question_is_answered_meanwhile() {
    let world = world().await;
    let client = world.install().await;
    short_lived(&world, &client).await;
    let questions = answered_during(&world, &client, roll_over(&world, &client)).await;
    println!("RESULT rollover_questions={questions} rollover_unanswered=0");
    world.kubectl("delete fdt asked");
    world.install().await;
}

#[tokio::test]
async fn f01_f03_the_overlay_with_the_names_of_flexdaemonsets_works_with_its_users_commands() {
    let world = world().await;
    let client = world.install().await;
    world.make(&["generate-certs", "OVERLAY=flexdaemonsets"]);
    world.kubectl("create namespace flexdaemonsets-system");
    world.kubectl("create secret tls flexdaemonsets-webhook-tls --cert=./_certs/tls.crt --key=./_certs/tls.key -n flexdaemonsets-system");
    world.make(&[
        "deploy-manifests",
        "OVERLAY=flexdaemonsets",
        &format!("IMG={IMAGE}"),
    ]);
    world.kubectl(
        "rollout status deployment/flexdaemonsets -n flexdaemonsets-system --timeout=120s",
    );
    let served =
        std::fs::read_to_string(crate::world::root().join("certs/_certs/tls.crt")).unwrap();
    eventually("the certificate itself is trusted", 60, || async {
        let trusted = trusted(&client, "flexdaemonsets").await;
        trusted
            .iter()
            .all(|one| one.contains(&served))
            .then_some(())
    })
    .await;
    // Two installations in one cluster, and `undeploy` takes the one that it is told.
    world.make(&["undeploy", "OVERLAY=flexdaemonsets"]);
    let left = world.kubectl("get clusterrole,mutatingwebhookconfiguration -l app.kubernetes.io/part-of=holdfast -o name");
    assert!(
        left.contains("/holdfast") && !left.contains("/flexdaemonsets"),
        "{left}"
    );
    // A name that nobody has takes nothing, and neither does another release of Helm that has the same names.
    let said = world.make(&["undeploy", "RELEASE=misspelt"]);
    assert!(said.contains("There is no release misspelt"), "{said}");
    let secrets = "secret -n holdfast-system -l owner=helm";
    let kept = world.kubectl(&format!("get {secrets} -o yaml"));
    let is_its_own = |line: &&str| {
        ["resourceVersion:", "uid:"]
            .iter()
            .all(|key| !line.contains(key))
    };
    let kept: Vec<_> = kept.lines().filter(is_its_own).collect();
    world.kubectl(&format!("delete {secrets}"));
    let refused = crate::world::make_command(&["undeploy"])
        .env("KUBECONFIG", &world.kubeconfig)
        .output()
        .unwrap();
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("a release of Helm by another name"),
        "{said}"
    );
    assert!(world.apply(&kept.join("\n")).status.success());
    assert!(!ready_managers(&client).await.is_empty());
    world.make(&["undeploy-manifests", "OVERLAY=flexdaemonsets"]);
    let namespace = world.kubectl("get namespace flexdaemonsets-system --ignore-not-found -o name");
    assert_eq!(namespace, "");
    world.make(&["clean-certs"]);
    world.install().await;
}
