//! All pods of a Deployment go elsewhere, each with its own memory, whatever becomes of who leads.

use super::dying::{manager_dies_at, the_next_leads};
use super::{count, ended, get, is_ready, migrate, name, node, other, pods};
use crate::world::{World, eventually};
use serde_json::json;
use std::collections::BTreeSet;
use std::future::ready;

pub(super) async fn go_one_after_the_other(world: &World) {
    world.kubectl("scale deployment counter --replicas=2");
    for point in [
        "migration.hands.child.before",
        "migration.hands.child.after",
    ] {
        go(world, point).await;
    }
    world.kubectl("scale deployment counter --replicas=1");
}

/// The leader dies over the first of them.
async fn go(world: &World, point: &str) {
    let before = eventually("two pods count", 90, || {
        let pods = pods(world);
        let both = pods.len() == 2 && pods.iter().all(is_ready);
        ready(both.then_some(pods))
    })
    .await;
    let ids: BTreeSet<_> = before.iter().map(|pod| count(world, name(pod)).0).collect();
    let nodes = |pods: &[serde_json::Value]| {
        let mut nodes: Vec<_> = pods.iter().map(|pod| node(pod).to_owned()).collect();
        nodes.sort();
        nodes
    };
    manager_dies_at(world, point, || {
        migrate(world, "all", &json!({ "deploymentName": "counter" }));
    })
    .await;
    let next = the_next_leads(world).await;
    let status = ended(world, "all").await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    assert_eq!(status["children"].as_array().unwrap().len(), 2);
    let after = pods(world);
    assert_eq!(after.len(), 2);
    let same: BTreeSet<_> = after.iter().map(|pod| count(world, name(pod)).0).collect();
    assert_eq!(same, ids, "they are the same processes");
    let mut swapped: Vec<_> = nodes(&before)
        .iter()
        .map(|one| other(one).to_owned())
        .collect();
    swapped.sort();
    assert_eq!(nodes(&after), swapped);
    world.kubectl("delete migration all --timeout=60s");
    eventually("its children go with it", 60, || {
        let left = get(world, "get migrations");
        let left = left["items"].as_array().unwrap().iter();
        let mut names = left.map(|one| one["metadata"]["name"].as_str().unwrap());
        ready((!names.any(|name| name.starts_with("all-"))).then_some(()))
    })
    .await;
    drop(next);
}
