//! A target that loses power after the release, and does not come back: the pod stays frozen, whatever the clock says, until a person
//! with the right to it says that the node is off. Then the same process counts on where it was.

mod booting;

use super::{COUNTER, count, get, migrate, name, node, other, the_pod};
use crate::protecting::protected;
use crate::world::{World, eventually, text};
use serde_json::{Value, json};
use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The runtime of a node takes for ever to restore.
const STUCK: &str = r##"
real=$(sed -n 's/.*"real": "\(.*\)".*/\1/p' /opt/holdfast/runtime.json)
case $real in */stuck) echo "it is stuck already" >&2; exit 1 ;; esac
printf '#!/bin/sh\ncase " $* " in *" restore "*) sleep 100000;; esac\nexec %s "$@"\n' "$real" >/opt/holdfast/bin/stuck
chmod 755 /opt/holdfast/bin/stuck
sed -i 's#"real": ".*"#"real": "/opt/holdfast/bin/stuck"#' /opt/holdfast/runtime.json
"##;
const MOVE: &str = "lost";

#[tokio::test]
async fn a_pod_whose_target_is_off_runs_on_by_the_word_of_whoever_may_say_so() {
    let world = protected("resolve");
    assert!(world.apply(COUNTER).status.success());
    let before = the_pod(&world).await;
    eventually("it counts", 30, || {
        ready((count(&world, name(&before)).1 > 3).then_some(()))
    })
    .await;
    let (id, counted) = count(&world, name(&before));
    nothing_is_held(&world, "before it moves");
    let target = other(node(&before));
    loses_power_after_the_release(&world, &before, target, MOVE).await;
    is_undecided(&world, target, MOVE).await;
    is_held(&world, &before);
    let alice = person(&world, "alice", "holdfast-resolver");
    may_not_be_said_by_others(&world, &alice);
    is_said(&world, &alice);

    let after = the_pod(&world).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let (same, more) = count(&world, name(&after));
    assert_eq!(same, id, "it is the same process");
    assert!(more >= counted, "{more} after {counted}");
    eventually("it counts on", 30, || {
        ready((count(&world, name(&after)).1 > more + 5).then_some(()))
    })
    .await;
    assert_eq!(
        after["status"]["containerStatuses"][0]["restartCount"], 0,
        "{after:#}"
    );
    // Its node comes back, and finds nothing that it should run.
    world.command(&["node", "start", target.trim_start_matches("node")]);
    eventually("the other node is Ready again", 120, || {
        ready(is_node_ready(&world, target).then_some(()))
    })
    .await;
    eventually("nothing is held any more", 60, || {
        ready(
            holds(&world)["holds"]
                .as_array()
                .unwrap()
                .is_empty()
                .then_some(()),
        )
    })
    .await;
    let last = the_pod(&world).await;
    assert_eq!(last["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(count(&world, name(&last)).0, id);
    booting::waits_and_comes_back(&world, target).await;
    world.end();
}

/// Released for certain, restored for certain not.
async fn loses_power_after_the_release(world: &World, pod: &Value, target: &str, called: &str) {
    let stuck = world.on_node(target, STUCK);
    assert!(stuck.status.success(), "{}", text(&stuck.stderr));
    migrate(
        world,
        called,
        &json!({ "podName": name(pod), "destinationNode": target }),
    );
    eventually("it is released, and claimed there", 120, || {
        let tasks = get(world, "get statetasks");
        let all = tasks["items"].as_array().unwrap();
        let is_released = |task: &Value| task["status"]["source"]["standing"] == "Released";
        let is_claimed = |task: &Value| {
            let pods = task["status"]["target"]["pods"].as_array();
            pods.is_some_and(|pods| pods.iter().any(|pod| pod["standing"] == "Claimed"))
        };
        ready((all.iter().any(is_released) && all.iter().any(is_claimed)).then_some(()))
    })
    .await;
    assert_eq!(condition(world, called, "Undecided")["status"], "False");
    world.command(&["node", "kill", target.trim_start_matches("node")]);
}

fn status(world: &World, called: &str) -> Value {
    get(world, &format!("get migration {called}"))["status"].clone()
}

fn condition(world: &World, called: &str, kind: &str) -> Value {
    let status = status(world, called);
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|one| one["type"] == kind);
    found.unwrap_or_default()
}

fn is_node_ready(world: &World, name: &str) -> bool {
    let node = get(world, &format!("get node {name}"));
    let conditions = node["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

async fn is_undecided(world: &World, target: &str, called: &str) {
    let undecided = eventually("it is undecided", 120, || {
        let undecided = condition(world, called, "Undecided");
        ready((undecided["status"] == "True").then_some(undecided))
    })
    .await;
    let message = undecided["message"].as_str().unwrap();
    for says in [
        format!("node {target} does not answer").as_str(),
        &format!("holdfast resolve default/{called} --target-is-off"),
    ] {
        assert!(message.contains(says), "{message}");
    }
}

/// The program of a user, whose file this is.
fn holdfast(kubeconfig: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(words).env("KUBECONFIG", kubeconfig);
    command.output().unwrap()
}

fn holds(world: &World) -> Value {
    let said = holdfast(&world.kubeconfig, &["holds", "-A", "-o", "json"]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    serde_json::from_slice(&said.stdout).unwrap()
}

fn nothing_is_held(world: &World, when: &str) {
    let said = holdfast(&world.kubeconfig, &["holds", "-A"]);
    assert_eq!(
        text(&said.stdout),
        "Nothing is held: all pods run as their kubelets say.\n",
        "{when}: {}",
        text(&said.stderr)
    );
}

fn is_held(world: &World, pod: &Value) {
    let holds = holds(world);
    let all = holds["holds"].as_array().unwrap();
    let here = all.iter().find(|row| row["phase"] == "released");
    let here = here.unwrap_or_else(|| panic!("{holds:#}"));
    assert_eq!(here["pod"], pod["metadata"]["name"], "{holds:#}");
    assert_eq!(here["node"], pod["spec"]["nodeName"], "{holds:#}");
    assert_eq!(here["heldFor"], "migration/lost", "{holds:#}");
    let waits_for = here["waitsFor"].as_str().unwrap();
    assert!(waits_for.contains("holdfast resolve"), "{holds:#}");
}

/// A person with this role in the namespace.
fn person(world: &World, called: &str, role: &str) -> PathBuf {
    world.kubectl(&format!("create serviceaccount {called}"));
    world.kubectl(&format!(
        "create rolebinding {called} --clusterrole={role} --serviceaccount=default:{called}"
    ));
    let token = world.kubectl(&format!("create token {called} --duration=1h"));
    world.kubeconfig_of(called, &token)
}

fn refused(said: &Output, says: &str) {
    let told = text(&said.stderr);
    assert!(!said.status.success(), "{told}");
    assert!(told.contains(says), "{told}");
}

fn may_not_be_said_by_others(world: &World, alice: &Path) {
    let mallory = person(world, "mallory", "holdfast-editor");
    let resolve = ["resolve", "default/lost", "--target-is-off", "--yes"];
    refused(&holdfast(&mallory, &resolve), "you lack the verb resolve");
    let said = holdfast(alice, &resolve[..3]);
    refused(&said, "say --yes too");
    let since = status(world, MOVE)["silentSince"]
        .as_str()
        .unwrap()
        .to_owned();
    let patch = |who: &Path, patch: &Value| {
        let mut command = world.kubectl_command(&format!("patch migration {MOVE} --type=merge"));
        let patched = command.arg("-p").arg(patch.to_string());
        patched.env("KUBECONFIG", who).output().unwrap()
    };
    let off = |said: String| json!({ "metadata": { "annotations": { "holdfast.dev/target-is-off": said } } });
    let mine = format!("{since} system:serviceaccount:default:mallory");
    refused(&patch(&mallory, &off(mine)), "you lack the verb resolve");
    // In another's name, of another silence, or anything else.
    let others = format!("{since} system:serviceaccount:default:mallory");
    refused(&patch(alice, &off(others)), "in one's own name");
    let later = "2026-01-01T00:00:00Z system:serviceaccount:default:alice".to_owned();
    refused(&patch(alice, &off(later)), "in one's own name");
    let finalizers = json!({ "metadata": { "finalizers": null } });
    refused(&patch(alice, &finalizers), "changes nothing else of it");
    assert_eq!(condition(world, MOVE, "Undecided")["status"], "True");
    assert_eq!(status(world, MOVE)["decision"]["outcome"], "Allowed");
}

fn is_said(world: &World, alice: &Path) {
    let words = [
        "resolve",
        "default/lost",
        "--target-is-off",
        "--yes",
        "-o",
        "json",
    ];
    let said = holdfast(alice, &words);
    assert!(said.status.success(), "{}", text(&said.stderr));
    let told: Value = serde_json::from_slice(&said.stdout).unwrap();
    let by = "system:serviceaccount:default:alice";
    assert_eq!(told["phase"], "RolledBack", "{told:#}");
    assert_eq!(told["resolvedBy"], by, "{told:#}");
    let status = status(world, MOVE);
    assert_eq!(
        status["decision"]["proof"],
        json!({ "kind": "TargetIsOff", "by": by })
    );
    let events = get(world, "get events.events.k8s.io");
    for reason in ["Resolved", "RolledBack"] {
        let mut all = events["items"].as_array().unwrap().iter();
        let event = all.find(|event| event["reason"] == reason);
        let note = event.map(|event| event["note"].to_string());
        assert!(note.is_some_and(|note| note.contains(by)), "{reason}");
    }
    // It is over, and nobody waits for that word any more.
    refused(&holdfast(alice, &words), "is over (RolledBack)");
}
