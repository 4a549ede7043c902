//! A pod that nobody owns goes to another node under its own name.

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
    world.kubectl("delete pod/bare migration/bare-there migration/bare-back --timeout=60s");
}
