//! Checkpoints on real nodes: the state of a pod is kept, and the pod runs on as if nothing had been.

mod copying;
mod dying;
mod keeping;
mod probed;

use crate::protecting::{protected, restarts};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// The pod that counts.
const COUNTED: &str = "counter";

/// Counts ten times a second: in memory, in a file of its own, and in a volume. A second container looks on.
const COUNTER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  runtimeClassName: holdfast
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'i=0; while :; do i=$((i+1)); echo $i > /new; mv /new /own; echo $i > /shared/new; mv /shared/new /shared/count; echo $i; sleep 0.1; done']
      volumeMounts: [{name: shared, mountPath: /shared}]
    - name: side
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'while :; do cp /shared/count /dev/shm/new && mv /dev/shm/new /dev/shm/seen; sleep 0.1; done']
      volumeMounts: [{name: shared, mountPath: /shared}]
  volumes: [{name: shared, emptyDir: {}}]
";

fn get(world: &World, line: &str) -> Value {
    serde_json::from_str(&world.kubectl(&format!("{line} -o json"))).unwrap()
}

fn checkpoint(world: &World, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint", "metadata": { "name": name }, "spec": spec,
    });
    let applied = world.apply(&object.to_string());
    assert!(applied.status.success(), "{applied:?}");
}

/// The status of a Checkpoint that came to an end.
async fn ended(world: &World, name: &str) -> Value {
    eventually(&format!("checkpoint {name} ends"), 90, || {
        let status = get(world, &format!("get checkpoint {name}"))["status"].clone();
        let phase = status["phase"].as_str().unwrap_or_default();
        ready(matches!(phase, "Succeeded" | "Failed").then_some(status.clone()))
    })
    .await
}

fn why(status: &Value) -> String {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == "Succeeded");
    found.map_or_else(String::new, |condition| condition["message"].to_string())
}

fn count(world: &World) -> u64 {
    let said = world.kubectl("exec counter -c c -- cat /own");
    said.trim().parse().unwrap()
}

#[tokio::test]
async fn a_pods_state_is_kept_and_the_pod_runs_on() {
    let world = protected("checkpoint");
    assert!(world.apply(COUNTER).status.success());
    world.kubectl("wait pod/counter --for=condition=Ready --timeout=90s");
    eventually("it counts", 30, || ready((count(&world) > 3).then_some(()))).await;
    let location = is_kept(&world).await;
    copying::is_copied(&world).await;
    refuses_with_a_sentence(&world).await;
    probed::is_not_killed_by_its_probe(&world).await;
    outlives_its_agent(&world).await;
    dying::dies_at_every_point(&world).await;
    keeping::keeps_no_more_than_it_may(&world).await;
    goes_with_its_object(&world, &location);
    world.end();
}

async fn is_kept(world: &World) -> Value {
    let before = count(world);
    checkpoint(world, "first", &json!({ "podName": "counter" }));
    let status = ended(world, "first").await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    assert!(status["frozenMillis"].as_i64().unwrap() > 0, "{status:#}");
    let names: Vec<_> = status["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| {
            assert!(
                container["memoryBytes"].as_i64().unwrap() > 10_000,
                "{container}"
            );
            assert!(container["layerBytes"].as_i64().unwrap() > 0, "{container}");
            container["name"].as_str().unwrap()
        })
        .collect();
    assert_eq!(names, ["c", "side"]);
    // It runs on, and was never anything else.
    eventually("it counts on", 30, || {
        ready((count(world) > before + 5).then_some(()))
    })
    .await;
    assert_eq!(restarts(&get(world, "get pod counter")["status"]), 0);
    let location = status["locations"][0].clone();
    let (node, path) = (
        location["node"].as_str().unwrap(),
        location["path"].as_str().unwrap(),
    );
    is_whole_and_private(world, node, path, &location);
    is_one_cut(world, node, path, before);
    location
}

/// Every file is named with its digest, and root alone reads them.
fn is_whole_and_private(world: &World, node: &str, path: &str, location: &Value) {
    let on_node = |command: &str| {
        let output = world.on_node(node, command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let digest = on_node(&format!("sha256sum < {path}/manifest.json"));
    let digest = digest.split_whitespace().next().unwrap();
    assert_eq!(location["digest"], format!("sha256:{digest}"));
    let manifest: Value =
        serde_json::from_str(&on_node(&format!("cat {path}/manifest.json"))).unwrap();
    let files = manifest["files"].as_array().unwrap();
    assert!(files.len() > 20, "{manifest:#}");
    for file in files {
        let name = file["path"].as_str().unwrap();
        let blocks = format!("split -b 1048576 --filter=sha256sum {path}/{name}");
        let sum = match file["bytes"].as_u64().unwrap() {
            0..=1_048_576 => on_node(&format!("sha256sum < {path}/{name}")),
            _ => over(&on_node(&blocks)),
        };
        assert!(sum.starts_with(file["sha256"].as_str().unwrap()), "{name}");
    }
    let open = on_node("find /var/lib/holdfast/checkpoints -perm /077");
    assert_eq!(open, "", "others may read it");
}

/// The digest over digests, of which each is in a line.
fn over(lines: &str) -> String {
    let digits = lines
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let bytes = |digits: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    let all: Vec<u8> = digits.flat_map(bytes).collect();
    let made = ring::digest::digest(&ring::digest::SHA256, &all);
    let digits = made.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// What was counted in memory's log, in the container's own file and in the volume is of one moment.
fn is_one_cut(world: &World, node: &str, path: &str, before: u64) {
    let read = |archive: &str, file: &str| -> u64 {
        let command = format!("tar -xOf {path}/{archive} {file}");
        let output = world.on_node(node, &command);
        assert!(output.status.success(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse().unwrap()
    };
    let own = read("containers/c/layer.tar", "own");
    let manifest = world.on_node(node, &format!("cat {path}/manifest.json"));
    let manifest: Value = serde_json::from_slice(&manifest.stdout).unwrap();
    let volume = |name: &str| {
        let volumes = manifest["volumes"].as_array().unwrap();
        let found = volumes.iter().find(|volume| volume["name"] == name);
        found.unwrap()["file"].as_str().unwrap().to_owned()
    };
    let shared = read(&volume("shared"), "count");
    assert!(own >= before && own - shared <= 1, "{own} {shared}");
    let seen = read(&volume("/dev/shm"), "seen");
    assert!(shared - seen <= 10, "{shared} {seen}");
}

async fn refuses_with_a_sentence(world: &World) {
    let plain = "{apiVersion: v1, kind: Pod, metadata: {name: plain}, spec: {containers: [{name: c, image: \"localhost/busybox:1\", imagePullPolicy: Never, command: [sleep, '1000']}]}}";
    assert!(world.apply(plain).status.success());
    world.kubectl("wait pod/plain --for=condition=Ready --timeout=60s");
    for (name, spec, says) in [
        ("nobody", json!({ "podName": "nobody" }), "nobody"),
        ("plain", json!({ "podName": "plain" }), "runtimeClassName"),
        (
            "no-container",
            json!({ "podName": "counter", "containers": ["x"] }),
            "x",
        ),
        (
            "another-uid",
            json!({ "podName": "counter", "podUid": "0-0" }),
            "uid",
        ),
    ] {
        checkpoint(world, name, &spec);
        let status = ended(world, name).await;
        assert_eq!(status["phase"], "Failed", "{status:#}");
        assert!(why(&status).contains(says), "{name}: {status:#}");
    }
}

/// Several at once, and the agent is killed over them again and again: each comes to an end, and the pod runs on.
async fn outlives_its_agent(world: &World) {
    let names: Vec<_> = (1..=4).map(|number| format!("many-{number}")).collect();
    for name in &names {
        checkpoint(world, name, &json!({ "podName": "counter" }));
    }
    for _ in 0..3 {
        world.kubectl("delete pods -n holdfast-system -l app.kubernetes.io/component=agent --force --grace-period=0");
        world.kubectl("rollout status daemonset/holdfast-agent -n holdfast-system --timeout=120s");
    }
    for name in &names {
        let status = ended(world, name).await;
        assert!(
            status["phase"] == "Succeeded" || why(&status).contains("given up"),
            "{status:#}"
        );
    }
    let before = count(world);
    eventually("it counts on", 30, || {
        ready((count(world) > before + 5).then_some(()))
    })
    .await;
    assert_eq!(restarts(&get(world, "get pod counter")["status"]), 0);
}

/// Its data goes with it, and nothing of ours stays behind.
fn goes_with_its_object(world: &World, location: &Value) {
    let node = location["node"].as_str().unwrap();
    world.kubectl("delete checkpoints --all --wait=true --timeout=60s");
    let left = world.on_node(node, "ls -A /var/lib/holdfast/checkpoints");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    let tasks = get(world, "get statetasks");
    assert_eq!(tasks["items"].as_array().unwrap().len(), 0, "{tasks:#}");
    let ours = world.on_node(node, "cat /sys/fs/cgroup/*/holdfast/cgroup.procs /sys/fs/cgroup/holdfast/cgroup.procs 2>/dev/null | sort -u | wc -l");
    let guards = String::from_utf8_lossy(&ours.stdout).trim().to_owned();
    assert_eq!(guards, "0", "a guard outlives its freeze");
}
