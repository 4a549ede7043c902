//! Protected pods on real nodes: the chart installs agents and the runtime, and nothing of a protected pod starts without their word.

mod fitness;

use crate::world::{IMAGE, World, eventually, root};
use serde_json::Value;
use std::future::ready;

pub(crate) const AGENTS: &str = "-n holdfast-system -l app.kubernetes.io/component=agent";

fn pod(name: &str, command: &str, more: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  runtimeClassName: holdfast
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, '{command}']
{more}"
    )
}

/// A protected world: both nodes have an agent that answers.
pub(crate) fn protected(name: &str) -> World {
    protected_on(name, &[])
}

/// The same, of what these words for the world's command say.
pub(crate) fn protected_on(name: &str, words: &[&str]) -> World {
    let world = World::apart(name, &[&["--nodes", "2"], words].concat());
    load(&world);
    protect(&world, 180);
    world
}

/// The program comes to every node, and to those that come later.
pub(crate) fn load(world: &World) {
    world.command(&["load", root().join("dist/holdfast.tar").to_str().unwrap()]);
}

/// Installs what protects pods, on every node that there is.
pub(crate) fn protect(world: &World, seconds: u64) {
    world.make(&[
        "deploy",
        &format!("IMG={IMAGE}"),
        // Its nodes share the disk of this machine, which may be as full as it likes.
        "ARGS=--set agent.enabled=true --set agent.peers.diskReserve=1",
    ]);
    world.kubectl(&format!(
        "rollout status daemonset/holdfast-agent -n holdfast-system --timeout={seconds}s"
    ));
}

fn json(world: &World, line: &str) -> Value {
    serde_json::from_str(&world.kubectl(&format!("{line} -o json"))).unwrap()
}

async fn status(world: &World, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{name} {what}"), 90, || {
        let status = json(world, &format!("get pod {name}"))["status"].clone();
        ready(is_so(&status).then_some(status))
    })
    .await
}

fn is_running(status: &Value) -> bool {
    status
        .pointer("/containerStatuses/0/state/running")
        .is_some()
}

pub(crate) fn restarts(status: &Value) -> i64 {
    status
        .pointer("/containerStatuses/0/restartCount")
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn node_of(world: &World, name: &str) -> String {
    json(world, &format!("get pod {name}"))["spec"]["nodeName"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Files of the node that our runtime and agent keep.
fn kept(world: &World, node: &str) -> String {
    let listed = world.on_node(node, "ls /run/holdfast/containers /var/lib/holdfast/records; cat /var/lib/holdfast/records/*.json");
    String::from_utf8(listed.stdout).unwrap()
}

#[tokio::test]
async fn a_protected_pod_starts_waits_and_restarts_as_it_should() {
    let world = protected("protect");
    let nodes = json(&world, "get nodes");
    for node in nodes["items"].as_array().unwrap() {
        assert_eq!(
            node["metadata"]["labels"]["holdfast.dev/runtime"], "installed",
            "{node}"
        );
    }
    starts_as_any_pod(&world).await;
    goes_on_without_an_agent(&world).await;
    waits_for_an_agent_that_comes(&world).await;
    leaves_nothing(&world).await;
    fitness::takes_nothing_away(&world).await;
    world.end();
}

async fn starts_as_any_pod(world: &World) {
    let two = "    - {name: side, image: \"localhost/busybox:1\", imagePullPolicy: Never, command: [sh, -c, 'sleep 100000']}
  initContainers:
    - {name: first, image: \"localhost/busybox:1\", imagePullPolicy: Never, command: [sh, -c, 'echo first']}
";
    assert!(
        world
            .apply(&pod(
                "plain",
                "trap exit TERM; echo it runs; while :; do sleep 0.2; done",
                two
            ))
            .status
            .success()
    );
    let status = status(world, "plain", "runs", is_running).await;
    assert_eq!(restarts(&status), 0);
    assert_eq!(world.kubectl("logs plain -c c").trim(), "it runs");
    assert_eq!(
        world.kubectl("exec plain -c c -- echo it answers").trim(),
        "it answers"
    );
    let kept = kept(world, &node_of(world, "plain"));
    assert!(kept.contains(r#""started":["c","first","side"]"#), "{kept}");
}

/// The DaemonSet is sent where no node is: the agents go, and the runtime stays.
async fn goes_on_without_an_agent(world: &World) {
    world.kubectl("patch daemonset holdfast-agent -n holdfast-system --type=merge -p {\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"nowhere\":\"here\"}}}}}");
    eventually("the agents are gone", 90, || {
        let left = json(world, &format!("get pods {AGENTS}"))["items"]
            .as_array()
            .unwrap()
            .len();
        ready((left == 0).then_some(()))
    })
    .await;
    // The container ends by itself, and the kubelet starts it again, as it was told once that it may.
    let before = restarts(&json(world, "get pod plain")["status"]);
    world.kubectl("exec plain -c c -- kill -TERM 1");
    status(world, "plain", "runs again", |status| {
        is_running(status) && restarts(status) > before
    })
    .await;
    // A new pod has no such word.
    assert!(
        world
            .apply(&pod("waits", "echo it runs; sleep 100000", ""))
            .status
            .success()
    );
    let node = eventually("it is bound", 30, || {
        ready(
            json(world, "get pod waits")["spec"]["nodeName"]
                .as_str()
                .map(str::to_owned),
        )
    })
    .await;
    eventually("its sandbox asks", 60, || {
        ready(kept(world, &node).lines().next().map(drop))
    })
    .await;
    let phase = json(world, "get pod waits")["status"]["phase"].clone();
    assert_eq!(phase, "Pending");
}

async fn waits_for_an_agent_that_comes(world: &World) {
    world.kubectl("patch daemonset holdfast-agent -n holdfast-system --type=json -p [{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector/nowhere\"}]");
    let status = status(world, "waits", "runs", is_running).await;
    assert_eq!(restarts(&status), 0, "waiting is no failure");
    assert_eq!(world.kubectl("logs waits").trim(), "it runs");
}

async fn leaves_nothing(world: &World) {
    world.kubectl("delete pod plain waits --wait=true");
    for node in ["node1", "node2"] {
        eventually("no container is remembered", 30, || {
            let left = world.on_node(node, "ls /run/holdfast/containers");
            ready(left.stdout.is_empty().then_some(()))
        })
        .await;
    }
}
