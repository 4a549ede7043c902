//! Pods that slipped through and shares that change, on real kubelets: resized where they run, made anew where that cannot be done, and
//! what keeps them from it is said.

use crate::world::{World, eventually, world};
use serde_json::Value;
use std::future::ready;

const SPACE: &str = "resizing";
pub(crate) const EXACT: &str =
    "{requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 50m, memory: 64Mi}}";

/// A DaemonSet on all nodes, or on those with this label, that names the template of its own name.
pub(crate) fn daemonset(name: &str, resources: &str, selector: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {name}, namespace: {SPACE}, annotations: {{flexdaemonsets.xai/resource-template: {name}}}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {{{selector}}}
      containers: [{{name: main, image: "localhost/busybox:1", command: [sleep, infinity], resources: {resources}}}]
"#
    )
}

pub(crate) fn template(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

pub(crate) fn apply(world: &World, yaml: &str) {
    let output = world.apply(yaml);
    assert!(output.status.success(), "{yaml}{output:?}");
}

/// An empty namespace, and no templates of a former test.
pub(crate) fn begin(world: &World) {
    world.kubectl("delete fdt --all --timeout=60s");
    world.kubectl(&format!(
        "delete namespace {SPACE} --ignore-not-found --timeout=90s"
    ));
    world.kubectl(&format!("create namespace {SPACE}"));
}

fn items(world: &World, line: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&world.kubectl(&format!("{line} -o json"))).unwrap();
    list["items"].as_array().unwrap().clone()
}

pub(crate) fn pods(world: &World, app: &str) -> Vec<Value> {
    let mut pods = items(world, &format!("get pods -n {SPACE} -l app={app}"));
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    pods
}

pub(crate) fn uids(pods: &[Value]) -> Vec<String> {
    let mut uids: Vec<_> = pods
        .iter()
        .map(|pod| pod["metadata"]["uid"].to_string())
        .collect();
    uids.sort();
    uids
}

/// All pods run, as many as there are nodes for them.
pub(crate) async fn running(world: &World, app: &str) -> Vec<Value> {
    eventually(&format!("the pods of {app} run"), 60, || {
        let desired = world.kubectl(&format!(
            "get daemonset {app} -n {SPACE} -o jsonpath={{.status.desiredNumberScheduled}}"
        ));
        let pods = pods(world, app);
        let all_run = pods.iter().all(|pod| pod["status"]["phase"] == "Running");
        let is_whole = all_run && desired != "0" && desired == pods.len().to_string();
        ready(is_whole.then_some(pods))
    })
    .await
}

fn status(world: &World, name: &str) -> Value {
    let text = world.kubectl(&format!("get fdt {name} -o jsonpath={{.status}}"));
    serde_json::from_str(&text).unwrap_or_default()
}

/// Waits until the template's status is as wanted.
pub(crate) async fn says(
    world: &World,
    name: &str,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    eventually(&format!("{name}: {what}"), 60, || {
        let status = status(world, name);
        ready(is_so(&status).then_some(status))
    })
    .await
}

fn reason(status: &Value, word: &str) -> Option<Value> {
    let reasons = status["reasons"].as_array()?;
    reasons.iter().find(|one| one["reason"] == word).cloned()
}

pub(crate) fn are_all_sized(status: &Value) -> bool {
    status["pods"]["total"] != 0 && status["pods"]["sized"] == status["pods"]["total"]
}

fn events(world: &World, name: &str) -> Vec<String> {
    let all = items(world, &format!("get events.events.k8s.io -n {SPACE}"));
    let ours = all
        .iter()
        .filter(|event| event["regarding"]["name"] == name);
    ours.map(|event| event["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// What the kubelet gives each pod's container, in millicores.
fn given(pods: &[Value]) -> Vec<String> {
    let cpu = |pod: &Value| {
        let status = &pod["status"]["containerStatuses"][0];
        assert_eq!(status["restartCount"], 0, "{pod}");
        status["resources"]["requests"]["cpu"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    pods.iter().map(cpu).collect()
}

fn allocatable_millicores(world: &World) -> i64 {
    let node = &items(world, "get nodes -l kubernetes.io/hostname=node1")[0];
    let text = node["status"]["allocatable"]["cpu"].as_str().unwrap();
    match text.strip_suffix('m') {
        Some(millicores) => millicores.parse().unwrap(),
        None => text.parse::<i64>().unwrap() * 1000,
    }
}

#[tokio::test]
async fn fx_15_f04_f11_pods_are_resized_where_they_run_and_never_restarted() {
    let world = world().await;
    world.install().await;
    begin(&world);
    // The DaemonSet comes first: its pods have slipped through.
    apply(&world, &daemonset("exact", EXACT, ""));
    let before = running(&world, "exact").await;
    eventually(
        "the DaemonSet hears that its template is missing",
        30,
        || {
            ready(
                events(&world, "exact")
                    .contains(&"TemplateMissing".to_owned())
                    .then_some(()),
            )
        },
    )
    .await;
    let all = allocatable_millicores(&world);
    for percent in [10, 11, 5] {
        apply(
            &world,
            &template(
                "exact",
                &format!("{{cpuPercentage: {percent}, memoryPercentage: 1}}"),
            ),
        );
        let share = format!("{}m", all * percent / 100);
        eventually(&format!("the kubelet gives {percent} %"), 60, || {
            let pods = pods(&world, "exact");
            ready(given(&pods).iter().all(|cpu| *cpu == share).then_some(()))
        })
        .await;
        says(&world, "exact", "all are sized", are_all_sized).await;
    }
    assert_eq!(
        uids(&before),
        uids(&pods(&world, "exact")),
        "they are the same pods"
    );
    let told = events(&world, "exact");
    for event in ["Unsized", "Resizing"] {
        assert!(told.iter().any(|one| one == event), "{told:?}");
    }
}

/// A node on paper: nobody runs its pods, but what it can give is ours to change.
const PAPER: &str = "
apiVersion: v1
kind: Node
metadata: {name: paper, labels: {paper: \"yes\"}}
";

#[tokio::test]
async fn fx_15_a_share_follows_what_its_node_can_give() {
    let world = world().await;
    world.install().await;
    begin(&world);
    apply(&world, PAPER);
    let give = |cpu: u32| {
        world.kubectl(&format!(
            r#"patch node paper --subresource=status --type=merge -p {{"status":{{"allocatable":{{"cpu":"{cpu}","memory":"10Gi","pods":"10"}},"capacity":{{"cpu":"{cpu}","memory":"10Gi","pods":"10"}}}}}}"#
        ))
    };
    give(10);
    apply(&world, &daemonset("paper", EXACT, r#"paper: "yes""#));
    apply(
        &world,
        &template("paper", "{cpuPercentage: 10, memoryPercentage: 10}"),
    );
    for (cpu, share) in [(10, "1"), (20, "2"), (8, "800m")] {
        give(cpu);
        eventually(&format!("a tenth of {cpu}"), 30, || {
            let pods = pods(&world, "paper");
            let request =
                |pod: &Value| pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == share;
            ready((pods.len() == 1 && pods.iter().all(request)).then_some(()))
        })
        .await;
    }
    world.kubectl("delete node paper");
}

#[tokio::test]
async fn f04_a_pod_without_resources_is_made_anew_only_where_that_is_allowed() {
    let world = world().await;
    world.install().await;
    begin(&world);
    apply(&world, &daemonset("best", "{}", ""));
    let before = running(&world, "best").await;
    apply(
        &world,
        &template("best", "{cpuPercentage: 5, memoryPercentage: 1}"),
    );
    let status = says(&world, "best", "they need new pods", |status| {
        status["pods"]["needsRecreate"] == before.len()
    })
    .await;
    let why = reason(&status, "QosClass").unwrap();
    assert!(
        why["message"].as_str().unwrap().contains("BestEffort"),
        "{why}"
    );
    assert_eq!(uids(&before), uids(&pods(&world, "best")));
    apply(
        &world,
        &template(
            "best",
            "{cpuPercentage: 5, memoryPercentage: 1, repair: Recreate}",
        ),
    );
    if world
        .kubectl("get mutatingwebhookconfigurations -o name")
        .contains("holdfast")
    {
        says(&world, "best", "all are sized", are_all_sized).await;
        assert_eq!(running(&world, "best").await.len(), before.len());
        return;
    }
    // Nobody gives new pods their share: one is tried, and the others are left alone.
    says(&world, "best", "the others wait", |status| {
        reason(status, "WaitsToBeRecreated").is_some_and(|why| {
            why["count"] == before.len() && why["message"].as_str().unwrap().contains("webhook")
        })
    })
    .await;
    let after = uids(&running(&world, "best").await);
    let kept = uids(&before)
        .into_iter()
        .filter(|uid| after.contains(uid))
        .count();
    assert_eq!(kept, before.len() - 1, "one was replaced");
}

#[tokio::test]
async fn a_share_that_the_node_has_no_room_for_now_is_deferred_and_said() {
    let world = world().await;
    world.install().await;
    begin(&world);
    let here = "kubernetes.io/hostname: node1";
    let all = allocatable_millicores(&world);
    apply(&world, &daemonset("late", EXACT, here));
    running(&world, "late").await;
    // Another pod has 60 % of the node.
    let most = format!("{{requests: {{cpu: {}m}}}}", all * 60 / 100);
    apply(&world, &daemonset("blocker", &most, here));
    running(&world, "blocker").await;
    apply(
        &world,
        &template("late", "{cpuPercentage: 60, memoryPercentage: 1}"),
    );
    let status = says(&world, "late", "the resize is deferred", |status| {
        reason(status, "Deferred").is_some()
    })
    .await;
    let why = reason(&status, "Deferred").unwrap();
    assert!(!why["message"].as_str().unwrap().is_empty(), "{why}");
    assert_eq!(status["pods"]["resizing"], 1, "{status}");
    world.kubectl(&format!("delete daemonset blocker -n {SPACE}"));
    says(
        &world,
        "late",
        "it is done when there is room",
        are_all_sized,
    )
    .await;
}

#[tokio::test]
async fn a_quota_that_keeps_pods_away_or_small_is_named() {
    let world = world().await;
    world.install().await;
    begin(&world);
    apply(
        &world,
        &format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: tight, namespace: {SPACE}}}\nspec: {{hard: {{limits.cpu: 60m}}}}\n"
        ),
    );
    apply(&world, &daemonset("many", EXACT, ""));
    eventually("one pod runs", 60, || {
        let pods = pods(&world, "many");
        ready((pods.len() == 1 && pods[0]["status"]["phase"] == "Running").then_some(()))
    })
    .await;
    apply(
        &world,
        &template("many", "{cpuPercentage: 10, memoryPercentage: 1}"),
    );
    let status = says(&world, "many", "the quota is named", |status| {
        reason(status, "QuotaExceeded").is_some() && reason(status, "ResizeRefused").is_some()
    })
    .await;
    let why = reason(&status, "QuotaExceeded").unwrap();
    assert!(
        why["message"]
            .as_str()
            .unwrap()
            .contains("ResourceQuota tight"),
        "{why}"
    );
    let refused = reason(&status, "ResizeRefused").unwrap();
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("exceeded quota"),
        "{refused}"
    );
    eventually("the DaemonSet hears of it", 20, || {
        ready(
            events(&world, "many")
                .contains(&"QuotaExceeded".to_owned())
                .then_some(()),
        )
    })
    .await;
    begin(&world);
}
