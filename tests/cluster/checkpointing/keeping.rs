//! What is kept of Checkpoints: of a pod the newest, and what is pinned; on a node no more than it may; on a disk nothing that nobody names.

use super::{COUNTED, checkpoint, ended, get, why};
use crate::world::{IMAGE, World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// Those that were taken, the oldest first.
fn taken(world: &World) -> Vec<Value> {
    let all = get(
        world,
        "get checkpoints --sort-by=.metadata.creationTimestamp",
    );
    let all = all["items"].as_array().cloned().unwrap_or_default();
    let is_taken = |one: &Value| one["status"]["phase"] == "Succeeded";
    all.into_iter().filter(is_taken).collect()
}

fn name(checkpoint: &Value) -> String {
    checkpoint["metadata"]["name"].as_str().unwrap().to_owned()
}

async fn only(world: &World, wanted: &[&str]) {
    eventually(&format!("of all only {wanted:?} are kept"), 90, || {
        let names: Vec<_> = taken(world).iter().map(name).collect();
        ready((names == wanted).then_some(()))
    })
    .await;
}

/// The states on the node's disk.
fn lying(world: &World, node: &str) -> String {
    let listed = world.on_node(node, "ls /var/lib/holdfast/checkpoints/default/*");
    String::from_utf8(listed.stdout).unwrap()
}

fn limit(world: &World, bytes: i64) {
    world.make(&[
        "deploy",
        &format!("IMG={IMAGE}"),
        &format!(
            "ARGS=--set agent.enabled=true --set agent.peers.diskReserve=1 --set agent.keep.generations=1 --set-string agent.keep.bytes={bytes} --set agent.extraArgs[0]=--garbage-after=3s"
        ),
    ]);
    for what in ["deployment/holdfast", "daemonset/holdfast-agent"] {
        world.kubectl(&format!(
            "rollout status {what} -n holdfast-system --timeout=180s"
        ));
    }
}

pub(super) async fn keeps_no_more_than_it_may(world: &World) {
    let all = taken(world);
    assert!(all.len() > 4, "{all:#?}");
    world.kubectl(r#"patch checkpoint first --type=merge -p {"spec":{"pinned":true}}"#);
    let (first, newest) = (&all[0], &all[all.len() - 1]);
    assert_eq!(name(first), "first");
    let bytes = |one: &Value| one["status"]["locations"][0]["bytes"].as_i64().unwrap();
    // Little more than both of them.
    limit(world, bytes(first) + bytes(newest) + 1000);
    only(world, &["first", &name(newest)]).await;
    checkpoint(world, "over", &json!({ "podName": COUNTED }));
    let status = ended(world, "over").await;
    assert_eq!(status["phase"], "Failed", "{status:#}");
    for says in ["more may be kept", "first (", "pinned"] {
        assert!(why(&status).contains(says), "{status:#}");
    }
    world.kubectl(r#"patch checkpoint first --type=merge -p {"spec":{"pinned":false}}"#);
    only(world, &[&name(newest)]).await;
    checkpoint(world, "after", &json!({ "podName": COUNTED }));
    let status = ended(world, "after").await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    only(world, &["after"]).await;
    let events = get(world, "get events --field-selector reason=Superseded");
    assert!(!events["items"].as_array().unwrap().is_empty());
    sweeps_what_nobody_names(world, &status["locations"][0]).await;
}

/// As a node has it that was away when they were deleted.
async fn sweeps_what_nobody_names(world: &World, location: &Value) {
    let text = |key: &str| location[key].as_str().unwrap();
    let (node, path) = (text("node"), text("path"));
    let (folder, generation) = path.rsplit_once('/').unwrap();
    let left = world.on_node(
        node,
        &format!("cd {folder} && cp -a {generation} left && cp -a {generation} cut.part && mkdir come.incoming && echo no > not.why && ls"),
    );
    assert!(left.status.success(), "{left:?}");
    eventually("only what is named is on the disk", 60, || {
        let lying = lying(world, node);
        let is_left = ["left", "cut.part", "come.incoming", "not.why"];
        let is_left = is_left.iter().any(|one| lying.contains(one));
        ready((!is_left).then_some(()))
    })
    .await;
    assert!(lying(world, node).contains(generation));
}
