//! What a pod's node and its owner do with it while it moves, and afterwards: probes, hooks, restart policies, one move after the other.

use super::counting::{COUNTS, busybox, count, counts, counts_on};
use super::driver::{apply, asked, deployment, ends, moves, the_pod};
use crate::migrating::{ended, get, migrate, name, why};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// Probes that forgive nothing, of each kind.
pub(super) async fn is_probed_all_the_while(world: &World, kind: &str, probe: &Value) {
    let called = format!("probed-{kind}");
    let serves = COUNTS.replace("i=0;", "i=0; httpd -p 8000 -h /;");
    let mut one = busybox();
    one["command"][2] = json!(serves);
    let mut strict = json!({ "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 1 });
    json_patch::merge(&mut strict, probe);
    one["livenessProbe"] = strict;
    one["startupProbe"] = json!({ "exec": { "command": ["cat", "/own"] }, "periodSeconds": 1, "failureThreshold": 30 });
    let spec = json!({ "containers": [one], "terminationGracePeriodSeconds": 30 });
    apply(world, &deployment(&called, &spec));
    let before = the_pod(world, &called).await;
    let counted = counts(world, name(&before), "c").await;
    let after = moves(world, &called, &before).await;
    counts_on(world, name(&after), "c", &counted).await;
    let now = get(world, &format!("get pod {}", name(&after)));
    assert_eq!(
        now["status"]["containerStatuses"][0]["restartCount"], 0,
        "{now:#}"
    );
    ends(world, &called).await;
}

/// A pod that nobody owns ends afterwards as its policy says.
pub(super) async fn ends_by_its_policy(world: &World, policy: &str) {
    let called = format!("policy-{}", policy.to_lowercase());
    let mut one = busybox();
    one["command"][2] =
        json!(COUNTS.replace("sleep 0.1;", "sleep 0.1; test -e /end && exit $(cat /end);"));
    apply(
        world,
        &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": called },
            "spec": { "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 1, "restartPolicy": policy, "containers": [one] },
        }),
    );
    world.kubectl(&format!(
        "wait pod/{called} --for=condition=Ready --timeout=90s"
    ));
    let counted = counts(world, &called, "c").await;
    migrate(world, &called, &json!({ "podName": called }));
    let status = ended(world, &called).await;
    assert_eq!(status["phase"], "Succeeded", "{policy}: {status:#}");
    world.kubectl(&format!(
        "wait pod/{called} --for=condition=Ready --timeout=90s"
    ));
    counts_on(world, &called, "c", &counted).await;
    asked(world, &called, "echo 7 > /end.new; mv /end.new /end");
    eventually(&format!("{policy} is kept to"), 90, || {
        let status = get(world, &format!("get pod {called}"))["status"].clone();
        let container = &status["containerStatuses"][0];
        let is_kept = match policy {
            "Never" => {
                status["phase"] == "Failed" && container["state"]["terminated"]["exitCode"] == 7
            }
            _ => {
                container["restartCount"] == 1
                    && container["lastState"]["terminated"]["exitCode"] == 7
            }
        };
        ready(is_kept.then_some(()))
    })
    .await;
    world.kubectl(&format!(
        "delete pod/{called} migration/{called} --timeout=60s"
    ));
}

/// What would be done twice is refused, and nothing is touched.
pub(super) async fn is_refused_with_a_hook(world: &World) {
    let mut one = busybox();
    one["lifecycle"] = json!({ "postStart": { "exec": { "command": ["true"] } } });
    apply(world, &deployment("hook", &json!({ "containers": [one] })));
    let before = the_pod(world, "hook").await;
    migrate(world, "hook", &json!({ "podName": name(&before) }));
    let status = ended(world, "hook").await;
    assert_eq!(status["phase"], "Failed", "{status:#}");
    assert!(
        why(&status).contains("has a postStart hook, which would run again"),
        "{status:#}"
    );
    let counted = counts(world, name(&before), "c").await;
    counts_on(world, name(&before), "c", &counted).await;
    world.kubectl("delete migration hook --timeout=60s");
    ends(world, "hook").await;
}

/// What CRIU cannot dump: the pod runs on where it was, and the Migration says why, also when the nodes have forgotten it.
pub(super) async fn goes_back_with_a_sentence(world: &World) {
    let mut one = busybox();
    let renamed = "echo open > /one; exec 3< /one; ln /one /two; rm /one; ";
    one["command"][2] = json!(format!("{renamed}{COUNTS}"));
    apply(
        world,
        &deployment("linked", &json!({ "containers": [one] })),
    );
    let before = the_pod(world, "linked").await;
    let counted = counts(world, name(&before), "c").await;
    migrate(world, "linked", &json!({ "podName": name(&before) }));
    let status = ended(world, "linked").await;
    assert_eq!(status["phase"], "RolledBack", "{status:#}");
    eventually("no order is left", 60, || {
        let left = world.kubectl("get statetasks -o name");
        ready(left.trim().is_empty().then_some(()))
    })
    .await;
    let said = why(&get(world, "get migration linked")["status"]);
    assert!(
        said.contains("/one") && said.contains("has another one"),
        "{said}"
    );
    let after = the_pod(world, "linked").await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    counts_on(world, name(&after), "c", &counted).await;
    world.kubectl("delete migration linked --timeout=60s");
    ends(world, "linked").await;
}

/// There and back, again and again.
pub(super) async fn goes_there_and_back(world: &World, times: usize) {
    apply(
        world,
        &deployment("traveller", &json!({ "containers": [busybox()] })),
    );
    let mut pod = the_pod(world, "traveller").await;
    let mut counted = counts(world, name(&pod), "c").await;
    for _ in 0..times {
        pod = moves(world, "traveller", &pod).await;
        counts_on(world, name(&pod), "c", &counted).await;
        counted = count(world, name(&pod), "c");
    }
    println!("RESULT moved_in_a_row={times}");
    ends(world, "traveller").await;
}
