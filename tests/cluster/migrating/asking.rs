//! What users type: `holdfast checkpoint`, `migrate`, and what they look at it with.

use super::{count, name, node, other};
use crate::world::{World, eventually, text};
use serde_json::Value;
use std::future::ready;
use std::process::Output;

/// Asked on a terminal, or by a program that reads the answer.
fn holdfast(world: &World, words: &str) -> Output {
    let words: Vec<_> = words.split(' ').collect();
    world.holdfast(&words).output().unwrap()
}

/// All that is told of this kind.
fn told(world: &World, verb: &str) -> Vec<Value> {
    let output = holdfast(world, &format!("{verb} -o json"));
    let told: Result<Value, _> = serde_json::from_slice(&output.stdout);
    let told = told.unwrap_or_else(|error| panic!("{verb}: {error}: {output:?}"));
    told[verb].as_array().unwrap().clone()
}

/// The one of this name.
fn named<'a>(told: &'a [Value], called: &str) -> &'a Value {
    let found = told.iter().find(|one| one["name"] == called);
    found.unwrap_or_else(|| panic!("{called} is not among {told:#?}"))
}

pub(super) async fn users_ask(world: &World, pod: &Value) {
    let other = other(node(pod));
    let (pod, counted) = (name(pod), count(world, name(pod)));

    let kept = holdfast(world, &format!("checkpoint default/{pod} --name kept"));
    assert!(kept.status.success(), "{kept:?}");
    assert!(text(&kept.stdout).contains("kept"), "{kept:?}");
    let told_kept = told(world, "checkpoints");
    assert_eq!(named(&told_kept, "kept")["phase"], "Succeeded");

    let nobody = holdfast(world, "migrate default/nobody");
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(text(&nobody.stderr).contains("nobody"), "{nobody:?}");

    let moved = holdfast(world, &format!("migrate {pod} --to {other} --name asked"));
    assert!(moved.status.success(), "{moved:?}");
    for word in ["Succeeded", other, "Frozen", "Next: kubectl get pod"] {
        assert!(text(&moved.stdout).contains(word), "{word}: {moved:?}");
    }
    let seen = text(&moved.stderr);
    assert!(
        seen.contains("Prepared") && seen.contains("Succeeded"),
        "{seen}"
    );
    let told_moves = told(world, "migrations");
    let asked = named(&told_moves, "asked");
    // Their nodes tell of it a moment later.
    eventually("nothing is held any more", 30, || {
        ready(told(world, "holds").is_empty().then_some(()))
    })
    .await;

    let after = asked["targetPod"].as_str().unwrap().to_owned();
    let (id, more) = count(world, &after);
    assert!(id == counted.0 && more >= counted.1, "it counts on");

    let there = holdfast(world, &format!("migrate {after} --to {other}"));
    assert_eq!(there.status.code(), Some(1), "{there:?}");
    assert!(text(&there.stdout).contains("is where it is"), "{there:?}");
    world.kubectl("delete checkpoint kept --timeout=60s");
    world.kubectl("delete migrations --all --timeout=60s");
}
