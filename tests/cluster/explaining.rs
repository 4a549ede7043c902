//! `holdfast explain` says of a running cluster what really happens there: what a pod was given is what it explains.

use crate::world::{World, eventually, succeed, text, world};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::process::Output;

const OBJECTS: &str = "apiVersion: flexdaemonsets.xai/v1alpha1
kind: FlexDaemonsetTemplate
metadata: {name: explained}
spec:
  cpuPercentage: 5
  memoryPercentage: 3
  limits: {cpu: None}
  containers: [{name: side, fixed: {cpu: 10m}}, {name: a, weight: 3}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: explained, annotations: {flexdaemonsets.xai/resource-template: explained}}
spec:
  selector: {matchLabels: {app: explained}}
  template:
    metadata: {labels: {app: explained}}
    spec:
      terminationGracePeriodSeconds: 0
      initContainers:
      - {name: side, image: 'registry.k8s.io/pause:3.10', restartPolicy: Always}
      containers:
      - {name: a, image: 'registry.k8s.io/pause:3.10'}
      - {name: b, image: 'registry.k8s.io/pause:3.10', resources: {limits: {cpu: 1m}}}
";

fn holdfast(world: &World, arguments: &[&str]) -> Output {
    world.holdfast(arguments).output().unwrap()
}

fn explained(world: &World, node: &str) -> Value {
    let mut command =
        world.holdfast(&["explain", "daemonset", "default/explained", "--node", node]);
    serde_json::from_str(&succeed(command.args(["-o", "json"]))).unwrap()
}

/// What a pod's containers have, as an explanation tells it: by container and resource, request and limit.
fn has(pod: &Pod, container: &str, resource: &str) -> (Value, Value) {
    let spec = pod.spec.as_ref().unwrap();
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let resources = all
        .clone()
        .find(|one| one.name == container)
        .and_then(|one| one.resources.clone())
        .unwrap_or_default();
    let amount = |list: Option<std::collections::BTreeMap<String, _>>| {
        let list: serde_json::Map<String, Value> =
            serde_json::from_value(json!(list.unwrap_or_default())).unwrap();
        list.get(resource).cloned().unwrap_or_default()
    };
    (amount(resources.requests), amount(resources.limits))
}

#[tokio::test]
async fn what_is_explained_is_what_the_pod_was_given() {
    let world = world().await;
    let client = world.install().await;
    let applied = world.apply(OBJECTS);
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let running = eventually("a pod runs on each node", 90, || async {
        let list = ListParams::default().labels("app=explained");
        let found = pods.list(&list).await.ok()?.items;
        let is_running = |pod: &&Pod| {
            let status = pod.status.as_ref();
            status.and_then(|status| status.phase.as_deref()) == Some("Running")
        };
        (found.iter().filter(is_running).count() == 2).then_some(found)
    })
    .await;
    for pod in &running {
        let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();
        let told = explained(&world, &node);
        assert_eq!(
            (&told["verdict"], &told["lands"]),
            (&json!("sized"), &json!(true))
        );
        assert_eq!(
            told["share"],
            pod.annotations()["holdfast.dev/share"],
            "the annotation"
        );
        assert_eq!(told["pod"]["name"], pod.name_any());
        assert_eq!(told["pod"]["isAsItShouldBe"], true, "{told}");
        let mut compared = 0;
        for container in told["containers"].as_array().unwrap() {
            for amount in container["amounts"].as_array().unwrap() {
                let name = container["name"].as_str().unwrap();
                let resource = amount["resource"].as_str().unwrap();
                let explained = (amount["request"].clone(), amount["limit"].clone());
                assert_eq!(
                    has(pod, name, resource),
                    explained,
                    "{name} {resource} on {node}"
                );
                compared += 1;
            }
        }
        assert_eq!(compared, 6, "three containers, two resources");
    }
    let mistaken = holdfast(
        &world,
        &["explain", "ds", "default/explaned", "--node", "x"],
    );
    assert!(text(&mistaken.stderr).contains("did you mean default/explained?"));
    let daemonsets: Api<DaemonSet> = Api::default_namespaced(client.clone());
    daemonsets
        .delete("explained", &DeleteParams::foreground())
        .await
        .unwrap();
    world.kubectl("delete fdt explained");
}

#[tokio::test]
async fn what_if_asks_the_cluster_and_changes_nothing() {
    let world = world().await;
    world.install().await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tried.yaml");
    std::fs::write(&file, OBJECTS.replace("explained", "only-tried")).unwrap();
    let tried = holdfast(
        &world,
        &["what-if", "-f", file.to_str().unwrap(), "-o", "json"],
    );
    assert!(tried.status.success(), "{}", text(&tried.stderr));
    let told: Value = serde_json::from_slice(&tried.stdout).unwrap();
    assert_eq!(
        told["rows"].as_array().unwrap().len(),
        2,
        "a row for each node: {told}"
    );
    let found = world.kubectl("get daemonsets,fdt -A -o name");
    assert!(!found.contains("only-tried"), "{found}");
}
