//! When there is something to say, and what is said of it.

use super::*;
use clap::{Args, Command, FromArgMatches};
use serde_json::{Value, json};

fn parse(arguments: &[&str]) -> Result<Resolve, clap::Error> {
    let command = Resolve::augment_args(Command::new("resolve").no_binary_name(true));
    Resolve::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn undecided(more: &Value) -> Migration {
    let mut object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": "m", "namespace": "apps" },
        "spec": { "podName": "web" },
        "status": {
            "phase": "Verified",
            "journey": { "podName": "web", "podUid": "u", "sourceNode": "n1", "targetNode": "n2" },
            "conditions": [{ "type": "Undecided", "status": "True", "reason": "TargetSilent", "message": "n2 does not answer", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        },
    });
    json_patch::merge(&mut object["status"], more);
    serde_json::from_value(object).unwrap()
}

fn node(ready: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": { "name": "n2" },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    }))
    .unwrap()
}

#[test]
fn one_that_waits_for_the_word_gets_it() {
    let migration = undecided(&json!({}));
    assert_eq!(refusal(&migration, Some(&node("Unknown"))), None);
    assert_eq!(refusal(&migration, None), None, "its node is gone");
    let warning = warning(&migration);
    for says in ["node n2 is off", "apps/web runs on, on n1", "runs twice"] {
        assert!(warning.contains(says), "{warning}");
    }
}

#[test]
fn where_nothing_waits_for_it_the_sentence_says_what_to_do() {
    let silent = node("Unknown");
    for (status, node, says) in [
        (
            json!({ "phase": "Succeeded" }),
            &silent,
            "is over (Succeeded)",
        ),
        (json!({ "phase": "RolledBack" }), &silent, "is over"),
        (
            json!({ "resolvedBy": "bob" }),
            &silent,
            "bob has said it already",
        ),
        (json!({ "conditions": [] }), &silent, "is not Undecided"),
        (json!({}), &node("True"), "node n2 is Ready"),
    ] {
        let why = refusal(&undecided(&status), Some(node)).unwrap();
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn what_is_off_has_to_be_said() {
    let said = parse(&["apps/m", "--target-is-off", "--yes"]).unwrap();
    assert!(said.target_is_off && said.yes && !said.no_wait);
    let missing = parse(&["apps/m"]).unwrap_err().to_string();
    assert!(missing.contains("--target-is-off"), "{missing}");
    let wrong = parse(&["apps/M", "--target-is-off"]).unwrap_err();
    assert!(
        wrong.to_string().contains("write it like apps/web-1"),
        "{wrong}"
    );
}

#[test]
fn people_are_told_by_whose_word_it_went_on() {
    for (status, says) in [
        (
            json!({ "phase": "RolledBack", "resolvedBy": "alice" }),
            "by the word of alice",
        ),
        (json!({ "phase": "Succeeded" }), "the word was not needed"),
        (
            json!({}),
            "It was said. Next: kubectl get migration m -n apps",
        ),
    ] {
        let told = people(&row(&undecided(&status)));
        assert!(told.contains(says), "{told}");
    }
}
