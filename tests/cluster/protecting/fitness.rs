//! A node whose check fails: it is said on its object, no state goes there, and a kubelet that starts again keeps every pod that runs.

use super::{AGENTS, is_running, json, pod, restarts, status};
use crate::migrating::{ended, migrate, why};
use crate::world::{World, eventually, text};
use serde_json::{Value, json};
use std::future::ready;

/// All that CRIU does works, but for its check.
const BREAK: &str = r##"
real=$(sed -n 's/.*"criu": "\(.*\)".*/\1/p' /opt/holdfast/runtime.json)
printf '#!/bin/sh\n[ "$1" != check ] || { echo "no ptrace" >&2; exit 1; }\nexec %s "$@"\n' "$real" >/opt/holdfast/bin/unfit
chmod 755 /opt/holdfast/bin/unfit
cp /opt/holdfast/runtime.json /opt/holdfast/fit.json
sed -i 's#"criu": ".*"#"criu": "/opt/holdfast/bin/unfit"#' /opt/holdfast/runtime.json
"##;
const MEND: &str =
    "mv /opt/holdfast/fit.json /opt/holdfast/runtime.json; rm /opt/holdfast/bin/unfit";

pub(super) async fn takes_nothing_away(world: &World) {
    let runs = "trap exit TERM; echo it runs; while :; do sleep 0.2; done";
    for (name, node) in [("stays", "node1"), ("elsewhere", "node2")] {
        begins(world, name, node, runs).await;
    }
    let before = id(world);
    is_as(world, true).await;
    sh(world, BREAK);
    is_as(world, false).await;
    is_no_target(world).await;

    let kubelet = sh(world, "cat /run/world/kubelet.pid");
    sh(world, "systemctl restart kubelet");
    eventually("another kubelet runs", 60, || {
        ready((sh(world, "cat /run/world/kubelet.pid") != kubelet).then_some(()))
    })
    .await;
    // It takes the pods of a node in the order of their age: what is older has been admitted again by then.
    begins(world, "later", "node1", "sleep 100000").await;
    let status = json(world, "get pod stays")["status"].clone();
    assert_eq!(
        (status["phase"].as_str(), restarts(&status)),
        (Some("Running"), 0)
    );
    assert_eq!(id(world), before, "the container is the same");
    assert_eq!(
        world.kubectl("exec stays -- echo it answers").trim(),
        "it answers"
    );

    sh(world, MEND);
    is_as(world, true).await;
    world.kubectl("delete pod stays elsewhere later --wait=true");
}

async fn begins(world: &World, name: &str, node: &str, runs: &str) {
    let bound = format!("  nodeSelector: {{kubernetes.io/hostname: {node}}}\n");
    assert!(world.apply(&pod(name, runs, &bound)).status.success());
    status(world, name, "runs", is_running).await;
}

fn sh(world: &World, script: &str) -> String {
    let done = world.on_node("node1", script);
    assert!(done.status.success(), "{script}: {}", text(&done.stderr));
    text(&done.stdout)
}

fn id(world: &World) -> Value {
    json(world, "get pod stays")["status"]["containerStatuses"][0]["containerID"].clone()
}

/// As the agent does it from time to time, with its rights and no other.
fn check(world: &World) -> Option<i32> {
    let agents = json(
        world,
        &format!("get pods {AGENTS} --field-selector spec.nodeName=node1"),
    );
    let agent = agents["items"][0]["metadata"]["name"].as_str().unwrap();
    let line =
        format!("exec -n holdfast-system {agent} -c agent -- holdfast host check --root /host");
    let checked = world.kubectl_command(&line).output().unwrap();
    println!("{}{}", text(&checked.stdout), text(&checked.stderr));
    checked.status.code()
}

/// The agent itself may have looked a moment before something changed, and say so a moment later: then it is looked again. The label that
/// the `RuntimeClass` selects by stays in any case.
async fn is_as(world: &World, is_fit: bool) {
    eventually(&format!("it is said that it is fit: {is_fit}"), 90, || {
        let code = check(world);
        let node = json(world, "get node node1");
        assert_eq!(
            node["metadata"]["labels"]["holdfast.dev/runtime"],
            "installed"
        );
        let conditions = node["status"]["conditions"].as_array().unwrap();
        let said = conditions.iter().find(|one| one["type"] == "HoldfastReady");
        let said = said.cloned().unwrap_or_default();
        let ours = json!([{ "key": "holdfast.dev/unfit", "effect": "PreferNoSchedule" }]);
        let taints = node["spec"]["taints"].clone();
        let is_so = if is_fit {
            code == Some(0) && said["status"] == "True" && taints.is_null()
        } else {
            let is_told = said["message"] == "criu check: no ptrace";
            code == Some(1) && said["status"] == "False" && is_told && taints == ours
        };
        ready(is_so.then_some(()))
    })
    .await;
}

async fn is_no_target(world: &World) {
    let spec = json!({ "podName": "elsewhere", "destinationNode": "node1" });
    migrate(world, "unfit", &spec);
    let status = ended(world, "unfit").await;
    assert_eq!(status["phase"], "Failed", "{status:#}");
    let says = "node1 is not fit for states: criu check: no ptrace";
    assert!(why(&status).contains(says), "{status:#}");
}
