//! Migrations that do not come to their end: the pod runs on where it was, its owner counts it again, and nothing of the move is left.

use super::dying::{manager_dies_at, nothing_is_left, the_next_leads};
use super::held::are_of;
use super::{count, get, is_ready, migrate, name, pods, the_pod};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// Where the pod is detached, and its successor waits behind the gate.
const IN_BETWEEN: &str = "migration.hands.lift.before";

/// Each way, and each point that a leader passes on it, and dies at.
pub(super) async fn comes_back(world: &World) {
    for point in [
        "migration.hands.attach.before",
        "migration.hands.attach.after",
    ] {
        is_cancelled(world, point).await;
    }
    for point in [
        "migration.hands.free.before",
        "migration.hands.free.after",
        "migration.hands.forget.before",
        "migration.hands.forget.after",
    ] {
        is_forgotten(world, point).await;
    }
}

/// Deleted by a user while it is under way.
async fn is_cancelled(world: &World, point: &str) {
    let before = the_pod(world).await;
    manager_dies_at(world, IN_BETWEEN, || {
        migrate(world, "cancelled", &json!({ "podName": name(&before) }));
    })
    .await;
    are_of(world, "cancelled");
    world.kubectl("delete migration cancelled --wait=false");
    manager_dies_at(world, point, || {}).await;
    let next = the_next_leads(world).await;
    eventually("the cancelled migration is gone", 90, || {
        let left = world.kubectl("get migration cancelled --ignore-not-found -o name");
        ready(left.trim().is_empty().then_some(()))
    })
    .await;
    runs_on(world, &before).await;
    drop(next);
}

/// Taken away by force: nobody knows any more what was decided.
async fn is_forgotten(world: &World, point: &str) {
    let before = the_pod(world).await;
    manager_dies_at(world, IN_BETWEEN, || {
        migrate(world, "forgotten", &json!({ "podName": name(&before) }));
    })
    .await;
    are_of(world, "forgotten");
    world.kubectl("delete migration forgotten --wait=false");
    world.kubectl(r#"patch migration forgotten --type=merge -p {"metadata":{"finalizers":null}}"#);
    manager_dies_at(world, point, || {}).await;
    let next = the_next_leads(world).await;
    runs_on(world, &before).await;
    drop(next);
}

/// It is the same pod, its owner counts it, and no other is left.
async fn runs_on(world: &World, before: &Value) {
    let uid = &before["metadata"]["uid"];
    eventually("the pod is alone, and its owner's", 90, || {
        let pods = pods(world);
        let is_its = |pod: &Value| {
            let owner = &pod["metadata"]["ownerReferences"][0];
            pod["metadata"]["uid"] == *uid && owner["kind"] == "ReplicaSet" && is_ready(pod)
        };
        ready((pods.len() == 1 && is_its(&pods[0])).then_some(()))
    })
    .await;
    let now = eventually("it is marked as it was before", 60, || {
        let now = get(world, &format!("get pod {}", name(before)));
        let is_as_it_was = now["metadata"]["labels"] == before["metadata"]["labels"];
        ready(is_as_it_was.then_some(now))
    })
    .await;
    assert_eq!(now["status"]["containerStatuses"][0]["restartCount"], 0);
    let counted = count(world, name(before)).1;
    eventually("it counts on", 30, || {
        ready((count(world, name(before)).1 > counted + 3).then_some(()))
    })
    .await;
    nothing_is_left(world, "it came back", before).await;
    eventually(
        "no other pod waits for a state that nobody brings",
        120,
        || {
            let all = get(world, "get pods -l app=counter");
            ready((all["items"].as_array().unwrap().len() == 1).then_some(()))
        },
    )
    .await;
}
