//! What is shown of what is held.

use super::*;
use crate::agent::api::Left;
use serde_json::{Value, json};

fn task(spec: &Value, status: &Value) -> StateTask {
    let mut object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "StateTask",
        "metadata": { "name": "t", "namespace": "apps", "ownerReferences": [
            { "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "name": "m", "uid": "op" },
        ] },
        "spec": { "nodeName": "n1", "operation": "op" }, "status": status,
    });
    json_patch::merge(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

fn source(standing: &str) -> StateTask {
    task(
        &json!({ "source": { "pod": { "name": "web", "uid": "u" }, "generation": "g", "targetNode": "n2" } }),
        &json!({ "source": { "standing": standing }, "measured": { "frozenAt": "2026-01-01T00:00:00.000000Z" } }),
    )
}

fn migration(undecided: &str) -> Migration {
    serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
        "metadata": { "name": "m", "namespace": "apps", "uid": "op" },
        "spec": { "podName": "web" },
        "status": { "conditions": [{ "type": "Undecided", "status": undecided, "reason": "R", "message": "n2 does not answer", "lastTransitionTime": "2026-01-01T00:00:00Z" }] },
    }))
    .unwrap()
}

fn shown_of(holds: Vec<Row>) -> String {
    let now = "2026-01-01T00:00:30Z".parse().unwrap();
    table(&Listed { holds, more: None }, now)
}

#[test]
fn people_see_who_is_held_and_until_when() {
    let target = task(
        &json!({ "nodeName": "n2", "target": { "pod": { "name": "web-2", "uid": "v" }, "sourceNode": "n1" } }),
        &json!({ "target": { "pods": [
            { "uid": "v", "attempt": 1, "standing": "Waiting" }, { "uid": "w", "attempt": 1, "standing": "Revoked" },
        ] } }),
    );
    let told = shown_of(ordered(&[source("Frozen"), target], &[]));
    let expected = "\
NODE  NAMESPACE  POD    HELD FOR     PHASE    SINCE  UNTIL  WAITS FOR
n1    apps       web    migration/m  frozen   30s    70s    its state to be written, and read again on n2
n2    apps       web-2  migration/m  waiting  -      -      the state from n1
";
    assert_eq!(told, expected);
}

#[test]
fn one_that_nobody_can_decide_says_what_helps() {
    for (undecided, says) in [
        ("True", "n2 does not answer"),
        ("False", "n2 to say that it runs there"),
    ] {
        let rows = ordered(&[source("Released")], &[migration(undecided)]);
        assert_eq!(
            (rows[0].phase.as_str(), rows[0].waits_for.as_str()),
            ("released", says)
        );
        assert_eq!(rows[0].deadline, None, "there is no way back by itself");
    }
}

#[test]
fn one_whose_migration_is_gone_is_held_for_nobody() {
    let mut task = source("Released");
    task.spec.source.as_mut().unwrap().word = crate::agent::api::Word::Alone;
    let rows = ordered(&[task], &[]);
    assert_eq!(rows[0].held_for, "nobody");
    assert!(rows[0].waits_for.contains("the word of n2"), "{rows:?}");
}

#[test]
fn what_is_over_is_not_shown() {
    let mut over = source("Withdrawn");
    assert_eq!(ordered(std::slice::from_ref(&over), &[]).len(), 1);
    let report = over.status.as_mut().unwrap().source.as_mut().unwrap();
    report.is_over = true;
    assert_eq!(ordered(&[over, source("Idle"), source("Fancy")], &[]), []);
    assert_eq!(
        shown_of(Vec::new()),
        "Nothing is held: all pods run as their kubelets say.\n"
    );
}

#[test]
fn a_pod_that_is_frozen_for_a_checkpoint_runs_on_by_itself() {
    let kept = |standing: &str| {
        task(
            &json!({ "checkpoint": { "pod": { "name": "web", "uid": "u" }, "generation": "g", "deadlineSeconds": 60, "word": "Take" } }),
            &json!({ "checkpoint": { "standing": standing, "takenAt": "2026-01-01T00:00:00Z" } }),
        )
    };
    let rows = ordered(&[kept("Frozen"), kept("Kept")], &[]);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0]
            .deadline
            .as_ref()
            .map(|time| time.0.to_string())
            .as_deref(),
        Some("2026-01-01T00:01:00Z")
    );
}

#[test]
fn what_nobody_orders_is_read_from_its_node() {
    let here = json!({ "holds": [
        { "namespace": "apps", "pod": "web", "uid": "u", "operation": "op", "phase": "released", "target": "n2" },
        { "uid": "v", "phase": "unreadable" },
    ], "more": 3 });
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": "n1", "annotations": { HOLDS_ANNOTATION: here.to_string() } },
    }))
    .unwrap();
    let (name, here) = said(&node).unwrap();
    assert_eq!((name.as_str(), here.more), ("n1", 3));
    let rows: Vec<_> = here
        .holds
        .iter()
        .map(|one: &Left| left(&name, one))
        .collect();
    let told = shown_of(rows);
    for says in [
        "nobody    released",
        "the word of n2",
        "v    nobody",
        "looks at its record",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert_eq!(said(&Node::default()), None);
}
