//! What is asked for, and what is said of it.

use super::*;
use clap::{Args, Command, FromArgMatches};
use serde_json::json;

fn parse(arguments: &[&str]) -> Result<MakeCheckpoint, clap::Error> {
    let command = MakeCheckpoint::augment_args(Command::new("checkpoint").no_binary_name(true));
    MakeCheckpoint::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn asked(arguments: &[&str]) -> Checkpoint {
    checkpoint(parse(arguments).unwrap())
}

#[test]
fn what_is_said_is_asked_for() {
    let all = [
        "apps/web",
        "--name",
        "c",
        "--container",
        "a",
        "-c",
        "b",
        "--deadline",
        "1m30s",
        "--ttl",
        "24h",
        "--pin",
    ];
    let asked_for = asked(&all);
    assert_eq!(
        (
            asked_for.namespace().as_deref(),
            asked_for.name_any().as_str()
        ),
        (Some("apps"), "c")
    );
    let spec = asked_for.spec;
    assert_eq!(spec.containers, ["a", "b"]);
    assert_eq!(
        (spec.deadline_seconds, spec.ttl_seconds, spec.pinned),
        (90, Some(86_400), true)
    );
    let least = asked(&["web", "-n", "apps"]);
    assert!(
        least.name_any().starts_with("web-20"),
        "{}",
        least.name_any()
    );
    assert_eq!(least.namespace().as_deref(), Some("apps"));
    assert_eq!(
        (least.spec.deadline_seconds, least.spec.ttl_seconds),
        (120, None)
    );
}

#[test]
fn names_that_no_pod_can_have_are_answered_with_what_to_write() {
    for name in ["", "apps/", "/web", "apps/web/main", "apps/Web", "../web"] {
        let error = parse(&[name]).unwrap_err().to_string();
        assert!(error.contains("write it like apps/web"), "{name}: {error}");
    }
}

#[test]
fn times_that_cannot_be_used_are_answered_with_what_to_write() {
    for (flag, value) in [
        ("--deadline", "0s"),
        ("--deadline", "2h"),
        ("--deadline", "1500ms"),
        ("--ttl", "0s"),
        ("--ttl", "999999h"),
    ] {
        let error = parse(&["web", flag, value]).unwrap_err().to_string();
        assert!(
            error.contains("whole seconds, from 1s to"),
            "{flag} {value}: {error}"
        );
    }
    let error = parse(&["web", "--ttl", "soon"]).unwrap_err().to_string();
    assert!(error.contains("write it like"), "{error}");
}

fn stored(phase: &str) -> serde_json::Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
        "metadata": { "name": "c", "namespace": "apps" },
        "spec": { "podName": "web" }, "status": { "phase": phase },
    })
}

fn line(status: &serde_json::Value, is_long: bool) -> String {
    let mut object = stored("Pending");
    object["status"] = status.clone();
    let checkpoint: Checkpoint = serde_json::from_value(object).unwrap();
    checkpoint.line(is_long)
}

#[test]
fn a_line_says_how_it_stands() {
    let condition = json!([{
        "type": "Succeeded", "status": "False", "reason": "Running", "message": "at it", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    let frozen = json!({ "phase": "Frozen", "bytes": 4096, "conditions": condition });
    assert_eq!(line(&frozen, true), "Frozen      4.0Ki  at it");
    let dumped = json!({ "phase": "Dumped", "frozenMillis": 45 });
    assert_eq!(line(&dumped, true), "Dumped      frozen for 45 ms");
}

#[test]
fn it_is_said_when_nobody_looks() {
    assert_eq!(line(&json!({}), false), "Pending");
    let alone = line(&json!({}), true);
    assert!(alone.contains("does the manager run?"), "{alone}");
}

#[test]
fn it_is_over_when_it_has_come_to_something() {
    for (phase, over) in [
        ("Pending", false),
        ("Asked", false),
        ("Frozen", false),
        ("Dumped", false),
        ("Later", false),
        ("Succeeded", true),
        ("Failed", true),
        ("Lost", true),
    ] {
        let checkpoint: Checkpoint = serde_json::from_value(stored(phase)).unwrap();
        assert_eq!(checkpoint.is_over(), over, "{phase}");
    }
}
