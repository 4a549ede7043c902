//! The Leases of nodes: who moves stands in both, and waits for whoever holds one.

use super::dying::{leads, manager, manager_dies_at};
use super::{ended, get, migrate, name, node, other, the_pod, why};
use crate::faults::Running;
use crate::world::{World, eventually, nothing_left};
use serde_json::{Value, json};
use std::future::ready;

/// Whom the manager is known as.
const MANAGER: &str = "--as=system:serviceaccount:holdfast-system:holdfast";

/// Each node that is in use, and who holds it.
pub(super) fn leases(world: &World) -> Vec<(String, String)> {
    let listed = get(
        world,
        "get leases -n holdfast-system -l holdfast.dev/node-lease",
    );
    let all = listed["items"].as_array().unwrap().iter();
    all.map(|lease| {
        let node = &lease["metadata"]["annotations"]["holdfast.dev/node"];
        let [node, holder] = [node, &lease["spec"]["holderIdentity"]]
            .map(|text| text.as_str().unwrap_or_default().to_owned());
        (node, holder)
    })
    .collect()
}

/// Both nodes are in use by this one move.
pub(super) fn are_of(world: &World, migration: &str) {
    let holder = format!("moves: default/{migration}");
    let both = ["node1", "node2"].map(|node| (node.to_owned(), holder.clone()));
    assert_eq!(leases(world), both);
}

/// Nobody uses any node.
pub(super) async fn are_gone(world: &World, when: &str) {
    nothing_left(&format!("{when}: leases"), 60, || {
        let left = leases(world);
        (!left.is_empty()).then(|| format!("{left:?}"))
    })
    .await;
}

/// Holds a node, as an operation would: an object that is there does, whatever it is.
async fn hold(world: &World, node: &str) -> String {
    migrate(
        world,
        "root",
        &json!({ "podName": "nobody", "dryRun": true }),
    );
    ended(world, "root").await;
    let uid = get(world, "get migration root")["metadata"]["uid"].clone();
    let uid = uid.as_str().unwrap().to_owned();
    let reference = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "plural": "migrations",
        "namespace": "default", "name": "root", "uid": uid,
    });
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": format!("holdfast-node-{node}"), "namespace": "holdfast-system", "labels": { "holdfast.dev/node-lease": "" },
            "annotations": { "holdfast.dev/node": node, "holdfast.dev/held-by": reference.to_string() },
        },
        "spec": { "holderIdentity": format!("Migration default/root {uid}") },
    });
    let applied = world.create(&lease.to_string());
    assert!(applied.status.success(), "{applied:?}");
    uid
}

pub(super) async fn waits_and_goes_on(world: &World) {
    let before = the_pod(world).await;
    let other = other(node(&before));
    // The only node that it could go to.
    hold(world, other).await;
    migrate(world, "waits", &json!({ "podName": name(&before) }));
    eventually("it says for whom it waits", 60, || {
        let status = get(world, "get migration waits")["status"].clone();
        let who = format!("{other} is held by Migration default/root");
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let is_waiting = conditions.iter().any(|one| one["reason"] == "Waiting");
        ready((is_waiting && why(&status).contains(&who)).then_some(()))
    })
    .await;
    assert_eq!(leases(world).len(), 1, "{:?}", leases(world));
    world.kubectl("delete migration root --timeout=60s");
    let status = ended(world, "waits").await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    let after = the_pod(world).await;
    assert_eq!(node(&after), other);
    are_gone(world, "the holder is gone, and the move is over").await;
    world.kubectl("delete migration waits --timeout=60s");
    runs_under_its_holder(world).await;
}

/// What the holder of a node causes goes on there, whoever dies meanwhile; and nobody may say of a Migration of their own that it is such.
async fn runs_under_its_holder(world: &World) {
    for point in ["before", "after"] {
        let pod = the_pod(world).await;
        let root = hold(world, node(&pod)).await;
        let caused = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
            "metadata": { "name": "caused", "labels": { "holdfast.dev/root": root } }, "spec": { "podName": name(&pod) },
        });
        let said = world.create(&caused.to_string());
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            !said.status.success() && text.contains("holdfast.dev/root"),
            "{said:?}"
        );
        manager_dies_at(world, &format!("node.lease.desk.write.{point}"), || {
            let made = world.send(
                &format!("{MANAGER} create -f -"),
                &Value::to_string(&caused),
            );
            assert!(made.status.success(), "{made:?}");
        })
        .await;
        let mut next = Running(manager(world, "next").spawn().unwrap());
        leads(world, &mut next, "next").await;
        let status = ended(world, "caused").await;
        assert_eq!(status["phase"], "Succeeded", "{status:#}");
        world.kubectl("delete migration caused --timeout=60s");
        let held = leases(world);
        assert!(held.len() == 1 && held[0].1.contains(&root), "{held:?}");
        world.kubectl("delete migration root --timeout=60s");
        are_gone(world, "its holder is gone").await;
        drop(next);
    }
}
