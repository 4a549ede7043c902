//! A pod that nobody owns goes to another node under its own name.

use super::dying::{manager_dies_at, the_next_leads};
use super::{count, ended, get, migrate};
use crate::world::{World, eventually};
use serde_json::json;
use std::future::ready;

const BARE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: bare}}
spec:
  runtimeClassName: holdfast
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'id=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo "$id $i" > /new; mv /new /own; echo "$id $i"; sleep 0.1; done']
"#;

pub(super) async fn goes_under_its_own_name(world: &World) {
    assert!(world.apply(BARE).status.success());
    world.kubectl("wait pod/bare --for=condition=Ready --timeout=60s");
    let (id, counted) = eventually("it counts", 30, || {
        let (id, counted) = count(world, "bare");
        ready((counted > 3).then_some((id, counted)))
    })
    .await;
    let mut before = get(world, "get pod bare");
    for called in ["bare-there", "bare-back"] {
        migrate(world, called, &json!({ "podName": "bare" }));
        let status = ended(world, called).await;
        assert_eq!(status["phase"], "Succeeded", "{status:#}");
        world.kubectl("wait pod/bare --for=condition=Ready --timeout=60s");
        let after = get(world, "get pod bare");
        assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
        assert_ne!(after["spec"]["nodeName"], before["spec"]["nodeName"]);
        assert_eq!(after["metadata"]["labels"], json!({ "app": "bare" }));
        before = after;
    }
    let (same, more) = count(world, "bare");
    assert_eq!(same, id, "it is the same process");
    assert!(more > counted);
    for called in ["before", "after"] {
        outlives_its_leader(world, called).await;
    }
    world.kubectl("delete pod/bare migration/bare-there migration/bare-back migration/before migration/after --timeout=60s");
}

/// The leader dies when the pod is gone, and the other is not made, or has just been. Where it is not, somebody else takes the name.
async fn outlives_its_leader(world: &World, called: &str) {
    let (id, counted) = count(world, "bare");
    let point = format!("migration.hands.again.{called}");
    manager_dies_at(world, &point, || {
        migrate(world, called, &json!({ "podName": "bare" }));
    })
    .await;
    let is_taken = called == "before";
    if is_taken {
        let another = BARE.replace("runtimeClassName: holdfast", "restartPolicy: Always");
        let made = world.create(&another);
        assert!(made.status.success(), "{made:?}");
    }
    let next = the_next_leads(world).await;
    if is_taken {
        is_said_to_be_taken(world, called).await;
        world.kubectl("delete pod bare --timeout=60s");
    }
    let status = ended(world, called).await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    world.kubectl("wait pod/bare --for=condition=Ready --timeout=60s");
    let (same, more) = count(world, "bare");
    assert_eq!(same, id, "it is the same process");
    assert!(more >= counted);
    drop(next);
}

async fn is_said_to_be_taken(world: &World, called: &str) {
    let message = eventually("it is said that the name is taken", 60, || {
        let status = get(world, &format!("get migration {called}"))["status"].clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let taken = |one: &serde_json::Value| one["type"] == "NameTaken" && one["status"] == "True";
        let found = conditions.into_iter().find(taken);
        ready(found.map(|one| one["message"].to_string()))
    })
    .await;
    assert!(
        message.contains("somebody else has made a pod bare: delete it"),
        "{message}"
    );
}
