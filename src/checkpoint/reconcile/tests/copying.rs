//! A copy on another node, from the order to the last trace.

use super::*;
use crate::kit::digest::Digest;

const TASKS: &str = "/apis/holdfast.dev/v1alpha1/statetasks";

/// Node `n2` has an agent, and takes pods.
fn with_another_node() -> Scene {
    let scene = Scene::new();
    let mut checkpoint = scene.server.stored(CHECKPOINT).unwrap();
    checkpoint["spec"]["copies"] = json!(1);
    scene.server.put(CHECKPOINT, checkpoint);
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    scene.server.put(
        "/api/v1/nodes/n2",
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2" },
            "status": { "conditions": ready },
        }),
    );
    scene.server.put(
        "/api/v1/namespaces/holdfast/pods/agent-n2",
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "agent-n2", "namespace": "holdfast" },
            "spec": {
                "nodeName": "n2", "serviceAccountName": "holdfast-agent",
                "containers": [{ "name": "agent", "ports": [{ "name": "peers", "containerPort": 9447 }] }],
            },
            "status": { "podIP": "10.0.0.2", "conditions": ready },
        }),
    );
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    scene.server.serve_empty(tasks);
    scene.server.serve_empty(TASKS);
    scene
}

fn copy() -> String {
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    let digest = Digest::of(b"n2");
    format!("{tasks}/copy-op-{}", &digest.text()[..12])
}

fn answer(scene: &Scene, report: &Value) {
    let mut task = scene.server.stored(&copy()).unwrap();
    task["status"] = json!({ "copy": report });
    scene.server.put(&copy(), task);
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_asked_for_sent_told_and_forgotten() {
    let scene = with_another_node();
    scene.settle().await;
    scene.answer(&kept());
    scene.settle().await;
    let order = scene.server.stored(&copy()).unwrap();
    assert_eq!(order["spec"]["nodeName"], "n2");
    assert_eq!(order["spec"]["copy"]["sourceNode"], "n1");
    assert_eq!(order["spec"]["copy"]["digest"], "sha256:1");
    let source = scene.server.stored(TASK).unwrap();
    let targets = &source["spec"]["checkpoint"]["copies"];
    assert_eq!(
        *targets,
        json!([{ "node": "n2", "address": "10.0.0.2:9447" }])
    );
    let there = json!({ "standing": "Kept", "path": "/var/lib/x", "digest": "sha256:1" });
    answer(&scene, &there);
    scene.settle().await;
    let status = scene.checkpoint().unwrap().status.unwrap();
    let nodes: Vec<_> = status
        .locations
        .iter()
        .map(|one| one.node.as_str())
        .collect();
    assert_eq!(nodes, ["n1", "n2"]);
    assert_eq!(scene.told(), ["Taken", "Copied"]);
    scene.vanish();
    scene.settle().await;
    let word =
        |path: &str, kind: &str| scene.server.stored(path).unwrap()["spec"][kind]["word"].clone();
    assert_eq!(
        (word(&copy(), "copy"), word(TASK, "checkpoint")),
        (json!("Forget"), json!("Forget"))
    );
    scene.answer(&json!({ "standing": "Forgotten" }));
    scene.settle().await;
    assert!(scene.checkpoint().is_some(), "n2 has something of it");
    answer(&scene, &json!({ "standing": "Forgotten" }));
    scene.settle().await;
    assert!(scene.checkpoint().is_none());
    assert_eq!(
        (scene.server.stored(TASK), scene.server.stored(&copy())),
        (None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn while_no_other_node_could_have_one_it_is_looked_seldom() {
    let scene = with_another_node();
    let mut checkpoint = scene.server.stored(CHECKPOINT).unwrap();
    checkpoint["spec"]["copies"] = json!(2);
    scene.server.put(CHECKPOINT, checkpoint);
    scene.settle().await;
    scene.answer(&kept());
    scene.settle().await;
    let too_few = scene.checkpoint().unwrap();
    assert!(copying_look(&too_few).unwrap() >= Duration::from_secs(60));
    let mut copying = too_few.clone();
    copying.spec.copies = 1;
    let status = copying.status.as_mut().unwrap();
    status.conditions.retain(|one| one.reason != "TooFewNodes");
    assert_eq!(copying_look(&copying), Some(COPYING_LOOK));
    copying.spec.copies = 0;
    assert_eq!(copying_look(&copying), None);
}
