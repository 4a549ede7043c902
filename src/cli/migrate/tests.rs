//! What is asked for, and what is said of it.

use super::*;
use clap::{Args, Command, FromArgMatches};
use serde_json::{Value, json};

fn parse(arguments: &[&str]) -> Result<Migrate, clap::Error> {
    let command = Migrate::augment_args(Command::new("migrate").no_binary_name(true));
    Migrate::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn asked(arguments: &[&str]) -> Migration {
    migration(parse(arguments).unwrap())
}

fn read(phase: &str, more: &Value) -> Migration {
    let mut object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": "m", "namespace": "apps" },
        "spec": { "podName": "web" }, "status": { "phase": phase },
    });
    json_patch::merge(&mut object["status"], more);
    serde_json::from_value(object).unwrap()
}

/// What the leader says, and where it goes.
fn said(message: &str) -> Value {
    json!({
        "conditions": [{ "type": "Succeeded", "status": "False", "reason": "Moving", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        "journey": { "podName": "web", "podUid": "u", "sourceNode": "n1", "targetNode": "n2" },
        "target": { "node": "n2", "podName": "web-2", "podUid": "v" },
    })
}

fn told(phase: &str, more: &Value) -> Row {
    let times = json!([
        { "phase": "Prepared", "at": "2026-01-01T00:00:01.000000Z" },
        { "phase": "Frozen", "at": "2026-01-01T00:00:03.210000Z" },
        { "phase": phase, "at": "2026-01-01T00:00:03.600000Z" },
    ]);
    let mut status = json!({ "times": times, "frozenMillis": 390 });
    json_patch::merge(&mut status, more);
    row(&read(phase, &status))
}

#[test]
fn what_is_said_is_asked_for() {
    let all = [
        "apps/web",
        "--to",
        "n2",
        "--name",
        "m",
        "--deadline",
        "1m30s",
        "--on-failure",
        "older",
    ];
    let asked_for = asked(&all);
    assert_eq!(
        (
            asked_for.namespace().as_deref(),
            asked_for.name_any().as_str()
        ),
        (Some("apps"), "m")
    );
    let spec = &asked_for.spec;
    assert_eq!(spec.pod_name.as_deref(), Some("web"));
    assert_eq!(spec.destination_node.as_deref(), Some("n2"));
    assert_eq!(spec.deadline.as_deref(), Some("90s"));
    assert_eq!(spec.time().as_secs(), 90);
    assert_eq!(spec.on_failure, OnFailure::Older);
    let least = asked(&["web", "-n", "apps"]);
    assert!(
        least.name_any().starts_with("web-20"),
        "{}",
        least.name_any()
    );
    assert_eq!(least.namespace().as_deref(), Some("apps"));
    assert_eq!(least.spec.destination_node, None);
    assert_eq!(
        (least.spec.time().as_secs(), least.spec.on_failure),
        (600, OnFailure::Wait)
    );
}

#[test]
fn what_cannot_be_meant_is_answered_with_what_to_write() {
    for (arguments, says) in [
        (&["apps/Web"][..], "write it like apps/web"),
        (&["web", "--deadline", "0s"], "from 1s to 86400s"),
        (&["web", "--deadline", "25h"], "from 1s to 86400s"),
        (&["web", "--on-failure", "panic"], "wait, older, fresh"),
    ] {
        let error = parse(arguments).unwrap_err().to_string();
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

#[test]
fn a_line_says_how_it_stands_and_when_nobody_looks() {
    let prepared = read("Prepared", &said("the pod on n2 waits"));
    assert_eq!(prepared.line(true), "Prepared     the pod on n2 waits");
    let new = read("Pending", &json!({}));
    assert_eq!(new.line(false), "Pending");
    assert!(new.line(true).contains("does the manager run?"));
    let waits = read("Pending", &said("the Migration other goes first"));
    assert_eq!(
        waits.line(true),
        "Pending      the Migration other goes first"
    );
}

#[test]
fn the_pod_is_frozen_in_these_phases() {
    for (phase, is_frozen) in [
        ("Pending", false),
        ("Preflighted", false),
        ("Prepared", false),
        ("Frozen", true),
        ("Dumped", true),
        ("Copied", true),
        ("Verified", true),
        ("Restored", false),
        ("Succeeded", false),
        ("RolledBack", false),
        ("Failed", false),
        ("Later", false),
    ] {
        let migration = read(phase, &json!({}));
        assert_eq!(migration.is_frozen(), is_frozen, "{phase}");
    }
}

#[test]
fn it_is_over_when_both_nodes_have_done_what_was_decided() {
    for (phase, stage, is_over) in [
        ("Pending", "New", false),
        ("Preflighted", "Begun", false),
        // Decided; its node thaws it next.
        ("RolledBack", "Begun", false),
        ("RolledBack", "Closed", true),
        ("Failed", "Closed", true),
        ("Succeeded", "Closed", true),
        // A dry run.
        ("Preflighted", "Closed", true),
    ] {
        let migration = read(phase, &json!({ "stage": stage }));
        assert_eq!(migration.is_over(), is_over, "{phase} {stage}");
    }
}

#[test]
fn people_are_told_how_it_went_and_what_to_look_at() {
    let well = people(&told("Succeeded", &said("pod web runs on n2")));
    for says in [
        "pod web runs on n2",
        "Prepared, then Frozen after 2.21 s, then Succeeded after 0.39 s",
        "Next: kubectl get pod web-2 -n apps -o wide",
    ] {
        assert!(well.contains(says), "{well}");
    }
    let back = people(&told(
        "RolledBack",
        &said("pod web stays on n1: its disk is full"),
    ));
    for says in [
        "stays on n1",
        "kubectl describe migration m -n apps",
        "kubectl logs -n holdfast-system",
    ] {
        assert!(back.contains(says), "{back}");
    }
    let refused = said("its pod does not run under the RuntimeClass holdfast");
    let refused = json!({ "conditions": refused["conditions"] });
    let refused = people(&row(&read("Failed", &refused)));
    assert!(refused.contains("RuntimeClass holdfast"), "{refused}");
    assert!(refused.contains("Nothing was touched"), "{refused}");
}

#[test]
fn programs_are_told_the_same() {
    let told = serde_json::to_value(told("Succeeded", &said("it runs"))).unwrap();
    assert_eq!(
        (
            &told["phase"],
            &told["from"],
            &told["to"],
            &told["targetPod"]
        ),
        (
            &json!("Succeeded"),
            &json!("n1"),
            &json!("n2"),
            &json!("web-2")
        )
    );
    assert_eq!(told["times"][1]["phase"], "Frozen");
    assert_eq!(told["frozenMillis"], 390);
}
