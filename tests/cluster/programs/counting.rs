//! A program that can be told from any other run of itself: the least that a test of pods needs.

use super::driver::runs;
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// Counts ten times a second under a name that it gave itself.
pub(super) const COUNTS: &str = "id=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo \"$id $i\" > /new; mv /new /own; echo $id $i; sleep 0.1; done";

pub(super) fn counter(image: &str) -> Value {
    json!({ "name": "c", "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", COUNTS] })
}

pub(super) fn busybox() -> Value {
    counter("localhost/busybox:1")
}

/// The name that a container gave itself, and how far it has counted.
pub(super) fn count(world: &World, pod: &str, container: &str) -> (String, u64) {
    let said = world.kubectl(&format!("exec {pod} -c {container} -- cat /own"));
    let (id, count) = said.trim().split_once(' ').unwrap_or_default();
    (id.to_owned(), count.parse().unwrap_or_default())
}

pub(super) async fn counts(world: &World, pod: &str, container: &str) -> (String, u64) {
    eventually(&format!("{pod}: {container} counts"), 60, || {
        let found = runs(world, pod, "true").status.success();
        ready(
            found
                .then(|| count(world, pod, container))
                .filter(|(_, count)| *count > 3),
        )
    })
    .await
}

pub(super) async fn counts_on(world: &World, pod: &str, container: &str, before: &(String, u64)) {
    let now = count(world, pod, container);
    assert_eq!(
        now.0, before.0,
        "{pod}: {container}: it is the same process"
    );
    assert!(
        now.1 >= before.1,
        "{pod}: {container}: {now:?} after {before:?}"
    );
    eventually(&format!("{pod}: {container} counts on"), 60, || {
        ready((count(world, pod, container).1 > now.1 + 2).then_some(()))
    })
    .await;
}
