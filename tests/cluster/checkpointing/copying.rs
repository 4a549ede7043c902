//! Copies of Checkpoints on other nodes: sent from agent to agent, the same byte for byte, and gone with their Checkpoint.

use super::{checkpoint, ended, get, is_whole_and_private};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    all.find(|one| one["type"] == kind).unwrap_or(&Value::Null)
}

/// It lies on both nodes, and that is said so.
async fn copied(world: &World, name: &str, reason: &str) -> Value {
    eventually(&format!("checkpoint {name} is {reason}"), 90, || {
        let status = get(world, &format!("get checkpoint {name}"))["status"].clone();
        let is_so = condition(&status, "Copied")["reason"] == reason;
        let is_on_both = status["locations"]
            .as_array()
            .is_some_and(|all| all.len() == 2);
        ready((is_so && is_on_both).then_some(status))
    })
    .await
}

pub(super) async fn is_copied(world: &World) {
    checkpoint(
        world,
        "copied",
        &json!({ "podName": "counter", "copies": 1 }),
    );
    let status = copied(world, "copied", "Copied").await;
    assert_eq!(
        ended(world, "copied").await["phase"],
        "Succeeded",
        "{status:#}"
    );
    let locations = status["locations"].as_array().unwrap();
    let [first, second] = &locations[..] else {
        panic!("{status:#}");
    };
    assert_ne!(first["node"], second["node"], "{status:#}");
    assert_eq!(first["digest"], second["digest"], "{status:#}");
    let places: Vec<_> = locations
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            (text("node"), text("path"))
        })
        .collect();
    for ((node, path), location) in places.iter().zip(locations) {
        is_whole_and_private(world, node, path, location);
    }
    // There is no third node.
    checkpoint(
        world,
        "too-many",
        &json!({ "podName": "counter", "copies": 2 }),
    );
    copied(world, "too-many", "TooFewNodes").await;
    world.kubectl("delete checkpoint copied too-many --wait=true --timeout=60s");
    for (node, path) in &places {
        let left = world.on_node(node, &format!("ls -d {path}*"));
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "on {node}");
    }
}
