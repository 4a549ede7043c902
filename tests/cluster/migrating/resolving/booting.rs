//! The source's node loses power too, while the pod stands still there and nobody knows whether it runs elsewhere. Agent, kubelet and pod
//! begin together after the boot: nothing of the pod may start fresh, and by the word that the target is off it comes back from what was
//! dumped.

use super::{count, get, holdfast, holds, is_undecided, loses_power_after_the_release, the_pod};
use crate::migrating::{is_ready, name, node, pods};
use crate::protecting::AGENTS;
use crate::world::{World, eventually, text};
use serde_json::Value;
use std::future::ready;

const MOVE: &str = "lost-too";

pub(super) async fn waits_and_comes_back(world: &World, target: &str) {
    let before = the_pod(world).await;
    let (id, counted) = count(world, name(&before));
    // It installs again when its node has come back, and what is broken before is whole again then.
    eventually("the target's agent is ready", 90, || {
        ready(has_agent(world, target).then_some(()))
    })
    .await;
    loses_power_after_the_release(world, &before, target, MOVE).await;
    let source = node(&before);
    world.command(&["node", "reboot", source.trim_start_matches("node")]);
    is_undecided(world, target, MOVE).await;
    asks_and_waits(world, source, &before).await;
    let called = format!("default/{MOVE}");
    let resolve = ["resolve", &called, "--target-is-off", "--yes", "--no-wait"];
    let said = holdfast(&world.kubeconfig, &resolve);
    assert!(said.status.success(), "{}", text(&said.stderr));

    let after = the_pod(world).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let (same, more) = count(world, name(&after));
    assert_eq!(same, id, "it did not start fresh");
    assert!(more >= counted, "{more} after {counted}");
    eventually("it counts on", 30, || {
        ready((count(world, name(&after)).1 > more + 5).then_some(()))
    })
    .await;
}

/// The kubelet has tried to start it: our runtime notes every container that is about to be made, where a boot leaves nothing.
async fn asks_and_waits(world: &World, source: &str, pod: &Value) {
    eventually("its agent answers, and it asks", 180, || {
        let asked = world.on_node(source, "ls /run/holdfast/containers");
        ready((has_agent(world, source) && !asked.stdout.is_empty()).then_some(()))
    })
    .await;
    let all = pods(world);
    let same = all.iter().find(|one| name(one) == name(pod)).unwrap();
    let state = same["status"]["containerStatuses"][0]["state"].as_object();
    assert!(!state.unwrap().contains_key("running"), "{same:#}");
    let held = holds(world);
    let rows = held["holds"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["pod"] == name(pod) && row["node"] == source);
    assert_eq!(row.unwrap()["phase"], "released", "{held:#}");
}

fn has_agent(world: &World, node: &str) -> bool {
    let agents = get(
        world,
        &format!("get pods {AGENTS} --field-selector spec.nodeName={node}"),
    );
    let mut agents = agents["items"].as_array().unwrap().iter();
    agents.any(is_ready)
}
