//! Migrations on real nodes: a pod of a Deployment goes to the other node with all that it has in memory, and comes back.

mod asking;
mod bare;
mod coming_back;
mod dying;
mod held;
mod many;
mod owning;
mod resolving;

use crate::protecting::protected;
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// Counts ten times a second under a name that it gave itself: in memory, in a file of its own, in a volume, and in /dev/shm.
const COUNTER: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: counter}
spec:
  replicas: 1
  selector: {matchLabels: {app: counter}}
  template:
    metadata: {labels: {app: counter}}
    spec:
      runtimeClassName: holdfast
      terminationGracePeriodSeconds: 1
      initContainers:
        - name: wipe
          image: localhost/busybox:1
          imagePullPolicy: Never
          command: [sh, -c, 'rm -f /shared/*; echo wiped']
          volumeMounts: [{name: shared, mountPath: /shared}]
      containers:
        - name: c
          image: localhost/busybox:1
          imagePullPolicy: Never
          command: [sh, -c, 'id=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo "$id $i" > /new; mv /new /own; echo $i > /shared/count; echo $i > /dev/shm/count; echo "$id $i"; sleep 0.1; done']
          volumeMounts: [{name: shared, mountPath: /shared}]
      volumes: [{name: shared, emptyDir: {}}]
"#;

pub(crate) fn get(world: &World, line: &str) -> Value {
    serde_json::from_str(&world.kubectl(&format!("{line} -o json"))).unwrap()
}

/// The Deployment's pods that are not being deleted.
pub(crate) fn pods(world: &World) -> Vec<Value> {
    let listed = get(world, "get pods -l app=counter");
    let all = listed["items"].as_array().unwrap().iter();
    all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .cloned()
        .collect()
}

pub(crate) fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

/// The other one of both nodes.
pub(crate) fn other(node: &str) -> &'static str {
    if node == "node1" { "node2" } else { "node1" }
}

pub(crate) fn node(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The one pod there is, once it is ready.
async fn the_pod(world: &World) -> Value {
    eventually("there is one pod, and it is ready", 90, || {
        let pods = pods(world);
        let one = (pods.len() == 1 && is_ready(&pods[0])).then(|| pods[0].clone());
        ready(one)
    })
    .await
}

/// Its name for itself, and how far it has counted.
pub(crate) fn count(world: &World, pod: &str) -> (String, u64) {
    let said = world.kubectl(&format!("exec {pod} -c c -- cat /own"));
    let (id, count) = said.trim().split_once(' ').unwrap_or_default();
    (id.to_owned(), count.parse().unwrap_or_default())
}

pub(crate) fn migrate(world: &World, called: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": called }, "spec": spec,
    });
    let applied = world.apply(&object.to_string());
    assert!(applied.status.success(), "{applied:?}");
}

/// The status of a Migration that came to an end.
pub(crate) async fn ended(world: &World, called: &str) -> Value {
    ended_within(world, called, 120).await
}

/// The same of one that may take so long.
pub(crate) async fn ended_within(world: &World, called: &str, seconds: u64) -> Value {
    eventually(&format!("migration {called} ends"), seconds, || {
        let status = get(world, &format!("get migration {called}"))["status"].clone();
        ready((status["stage"] == "Closed").then_some(status.clone()))
    })
    .await
}

/// What its status says under this name.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.find(|one| one["type"] == kind)
}

pub(crate) fn why(status: &Value) -> String {
    condition(status, "Succeeded").map_or_else(String::new, |one| one["message"].to_string())
}

#[tokio::test]
async fn a_pod_of_a_deployment_goes_to_another_node_with_its_memory() {
    let world = protected("migrate");
    assert!(world.apply(COUNTER).status.success());
    let before = the_pod(&world).await;
    eventually("it counts", 30, || {
        ready((count(&world, name(&before)).1 > 3).then_some(()))
    })
    .await;
    refuses_with_a_sentence(&world, &before).await;
    let there = goes(&world, "there", &before).await;
    let back = goes(&world, "back", &there).await;
    assert_eq!(node(&back), node(&before));
    bare::goes_under_its_own_name(&world).await;
    many::go_one_after_the_other(&world).await;
    held::waits_and_goes_on(&world).await;
    coming_back::comes_back(&world).await;
    dying::dies_at_every_point(&world).await;
    world.end();
}

/// It goes to the other node, and counts on.
async fn goes(world: &World, called: &str, before: &Value) -> Value {
    let (id, counted) = count(world, name(before));
    migrate(world, called, &json!({ "podName": name(before) }));
    let status = ended(world, called).await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    let after = the_pod(world).await;
    assert_ne!(node(&after), node(before));
    assert_ne!(name(&after), name(before));
    let (same, more) = count(world, name(&after));
    assert_eq!(same, id, "it is the same process");
    assert!(more >= counted, "{more} after {counted}");
    // Its log begins where the other's ended, and no line is missing.
    let log = world.kubectl(&format!("logs {} -c c", name(&after)));
    let numbers: Vec<u64> = log
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(numbers[0] > counted, "it did not start again: {numbers:?}");
    assert!(
        numbers.windows(2).all(|two| two[1] == two[0] + 1),
        "{numbers:?}"
    );
    let init = &after["status"]["initContainerStatuses"][0];
    assert_eq!(init["state"]["terminated"]["exitCode"], 0, "{init:#}");
    eventually("it counts on", 30, || {
        ready((count(world, name(&after)).1 > more + 5).then_some(()))
    })
    .await;
    after
}

async fn refuses_with_a_sentence(world: &World, pod: &Value) {
    for (called, spec, because) in [
        (
            "nobody",
            json!({ "podName": "nobody" }),
            "there is no pod nobody",
        ),
        (
            "nowhere",
            json!({ "podName": name(pod), "destinationNode": "nowhere" }),
            "there is no node nowhere",
        ),
        (
            "here",
            json!({ "podName": name(pod), "destinationNode": node(pod) }),
            "is where it is",
        ),
    ] {
        migrate(world, called, &spec);
        let status = ended(world, called).await;
        assert_eq!(status["phase"], "Failed", "{status:#}");
        assert!(why(&status).contains(because), "{status:#}");
    }
    assert_eq!(pods(world).len(), 1);
}
