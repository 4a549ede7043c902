//! Nodes as most are: systemd, cgroup v2, and a kernel of their own, in emulated machines. A pod is kept, goes from one to the other with its
//! memory and back, and is what it was; others are passed on to the real runtime as they are. Slow: nothing here is timed.

use crate::migrating::{count, ended_within, get, is_ready, migrate, name, node, pods, why};
use crate::protecting::{load, protect, restarts};
use crate::world::{World, eventually, text};
use serde_json::{Value, json};
use std::future::ready;

/// It takes ten times as long there.
const PATIENCE: u64 = 600;

/// Counts in memory and in a file of its own; a second container looks on. A third pod is none of ours.
const PODS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: counter}
spec:
  replicas: 1
  progressDeadlineSeconds: 3600
  selector: {matchLabels: {app: counter}}
  template:
    metadata: {labels: {app: counter}}
    spec:
      runtimeClassName: holdfast
      terminationGracePeriodSeconds: 1
      nodeSelector: {emulated: "yes"}
      containers:
        - name: c
          image: localhost/busybox:1
          imagePullPolicy: Never
          command: [sh, -c, 'id=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo "$id $i" > /new; mv /new /own; echo "$id $i"; sleep 0.5; done']
          resources: {limits: {memory: 64Mi, cpu: 500m}}
        - name: side
          image: localhost/busybox:1
          imagePullPolicy: Never
          command: [sh, -c, 'trap exit TERM; while :; do sleep 1; done']
---
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  runtimeClassName: holdfast
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  nodeSelector: {emulated: "yes"}
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'echo it runs; sleep 2; exit 7']
"#;

#[tokio::test]
async fn a_pod_is_kept_and_moved_between_nodes_with_systemd_and_cgroup_v2() {
    let world = World::apart("vm", &["--nodes", "1"]);
    // They take it with them when they boot.
    load(&world);
    for number in ["2", "3"] {
        world.command(&["node", "add", number, "--machine", "vm"]);
        world.kubectl(&format!("label node node{number} emulated=yes"));
        let cgroups = world.on_node(&format!("node{number}"), "stat -fc %T /sys/fs/cgroup");
        assert_eq!(text(&cgroups.stdout).trim(), "cgroup2fs");
    }
    protect(&world, PATIENCE);
    for number in ["2", "3"] {
        is_fit(&world, &format!("node{number}"));
    }
    assert!(world.apply(PODS).status.success());
    ends_with_its_own_code(&world).await;
    let before = the_pod(&world).await;
    is_kept(&world, &before).await;
    let there = goes(&world, "there", &before).await;
    let back = goes(&world, "back", &there).await;
    assert_eq!(node(&back), node(&before));
    nothing_is_left(&world).await;
    world.end();
}

fn is_fit(world: &World, name: &str) {
    let node = get(world, &format!("get node {name}"));
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let fit = conditions.iter().find(|one| one["type"] == "HoldfastReady");
    assert_eq!(fit.unwrap()["status"], "True", "{fit:?}");
    let cgroup = &node["metadata"]["annotations"]["node.holdfast.dev/cgroup"];
    assert!(cgroup.to_string().contains("v2"), "{cgroup}");
}

/// What is neither frozen nor brought is as under the real runtime.
async fn ends_with_its_own_code(world: &World) {
    eventually("a pod ends", PATIENCE, || {
        let status = get(world, "get pod plain")["status"].clone();
        let code = &status["containerStatuses"][0]["state"]["terminated"]["exitCode"];
        ready((*code == 7).then_some(()))
    })
    .await;
    assert_eq!(world.kubectl("logs plain").trim(), "it runs");
}

async fn the_pod(world: &World) -> Value {
    let pod = eventually("there is one pod, and it is ready", PATIENCE, || {
        let all = pods(world);
        ready((all.len() == 1 && is_ready(&all[0])).then(|| all[0].clone()))
    })
    .await;
    eventually("it counts", PATIENCE, || {
        ready((count(world, name(&pod)).1 > 3).then_some(()))
    })
    .await;
    pod
}

async fn counts_on(world: &World, pod: &str, from: u64) {
    eventually("it counts on", PATIENCE, || {
        ready((count(world, pod).1 > from + 3).then_some(()))
    })
    .await;
}

async fn is_kept(world: &World, pod: &Value) {
    let (id, counted) = count(world, name(pod));
    let object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint", "metadata": { "name": "kept" },
        "spec": { "podName": name(pod) },
    });
    let applied = world.apply(&object.to_string());
    assert!(applied.status.success(), "{applied:?}");
    let status = eventually("the Checkpoint ends", PATIENCE, || {
        let status = get(world, "get checkpoint kept")["status"].clone();
        let is_over = ["Succeeded", "Failed"]
            .map(Value::from)
            .contains(&status["phase"]);
        ready(is_over.then_some(status))
    })
    .await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    println!("RESULT vm_checkpoint_frozen_ms={}", status["frozenMillis"]);
    counts_on(world, name(pod), counted).await;
    assert_eq!(count(world, name(pod)).0, id);
    let now = get(world, &format!("get pod {}", name(pod)))["status"].clone();
    assert_eq!(restarts(&now), 0, "{now:#}");
}

/// It goes to the other emulated node, is what it was, and its limits hold.
async fn goes(world: &World, called: &str, before: &Value) -> Value {
    let (id, counted) = count(world, name(before));
    migrate(world, called, &json!({ "podName": name(before) }));
    let status = ended_within(world, called, PATIENCE).await;
    assert_eq!(status["phase"], "Succeeded", "{}: {status:#}", why(&status));
    let after = the_pod(world).await;
    assert_ne!(node(&after), node(before));
    let (same, more) = count(world, name(&after));
    assert_eq!(same, id, "it is the same process");
    assert!(more >= counted, "{more} after {counted}");
    counts_on(world, name(&after), more).await;
    let limit = world.kubectl(&format!(
        "exec {} -c c -- cat /sys/fs/cgroup/memory.max",
        name(&after)
    ));
    assert_eq!(limit.trim(), (64_u64 << 20).to_string());
    // It sees itself, and nobody else's.
    let seen = world.kubectl(&format!("exec {} -c c -- cat /proc/1/cgroup", name(&after)));
    assert_eq!(seen.trim(), "0::/");
    // The source is killed by its cgroup, and nobody is left of it.
    // Who searches does not find itself by these brackets.
    let left = "grep -l 'mv /new [/]own' /proc/[0-9]*/cmdline 2>/dev/null; echo that is all";
    let left = world.on_node(node(before), left);
    assert_eq!(text(&left.stdout).trim(), "that is all", "{left:?}");
    after
}

async fn nothing_is_left(world: &World) {
    world.kubectl("delete deployment/counter pod/plain --wait=true");
    for node in ["node2", "node3"] {
        eventually("no container is remembered", PATIENCE, || {
            let left = world.on_node(node, "ls /run/holdfast/containers && echo that is all");
            ready((text(&left.stdout).trim() == "that is all").then_some(()))
        })
        .await;
    }
}
