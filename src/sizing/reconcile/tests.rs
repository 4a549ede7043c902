//! Whole passes over a cluster in memory.

mod refusals;
mod triggered;

use super::scene::{Scene, TEMPLATE, path, resources};
use super::*;
use crate::sizing::cache::world::until;
use crate::sizing::plan::told;
use crate::sizing::standing::reasons;
use http::StatusCode;
use serde_json::{Value, json};

const STATUS_WRITE: &str =
    "PATCH /apis/flexdaemonsets.xai/v1alpha1/flexdaemonsettemplates/t/status";

/// A share of 1 CPU and 10Gi.
fn tenth() -> Value {
    json!({ "cpuPercentage": 10, "memoryPercentage": 10, "wave": "100%" })
}

fn recreating() -> Value {
    json!({ "cpuPercentage": 10, "memoryPercentage": 10, "wave": "100%", "repair": "Recreate" })
}

fn half() -> Value {
    resources("500m", "5Gi")
}

fn resize(pod: &str) -> String {
    format!("PATCH {}/resize", path(pod))
}

async fn pass(scene: &Scene, context: &Arc<Context>) -> Result<Action, Error> {
    reconcile(Arc::new(scene.template()), Arc::clone(context)).await
}

fn condition(scene: &Scene, kind: &str) -> (String, String) {
    let conditions = scene.template().status.unwrap().conditions;
    let found = conditions
        .into_iter()
        .find(|one| one.type_ == kind)
        .unwrap();
    (found.status, found.reason)
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once() {
    let scene = Scene::new(tenth()).synced().await;
    let context = scene.context();
    for _ in 0..2 {
        pass(&scene, &context).await.unwrap();
    }
    assert_eq!(condition(&scene, "Ready"), ("True".into(), "Usable".into()));
    assert_eq!(scene.called(STATUS_WRITE), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mistake_is_told_once() {
    let scene = Scene::new(json!({ "minCPU": "-1" })).synced().await;
    let context = scene.context();
    for _ in 0..2 {
        pass(&scene, &context).await.unwrap();
    }
    assert_eq!(condition(&scene, "Ready").0, "False");
    assert_eq!(scene.told(), ["Unusable"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_everything_is_known() {
    let scene = Scene::new(tenth()).daemonset(half()).pod(1, half());
    let pass = pass(&scene, &scene.context()).await.unwrap();
    assert_eq!(pass, Action::requeue(FILLING));
    assert_eq!(scene.called("PATCH"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_goes_meanwhile_is_no_failure() {
    let scene = Scene::new(tenth()).synced().await;
    let seen = Arc::new(scene.template());
    scene.world.server.remove(TEMPLATE);
    reconcile(seen, scene.context()).await.unwrap();
    assert_eq!(scene.called(STATUS_WRITE), 1);
    assert_eq!(scene.world.server.stored(TEMPLATE), None);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_being_deleted_is_left_alone() {
    let scene = Scene::new(tenth())
        .daemonset(half())
        .pod(1, half())
        .synced()
        .await;
    scene.change(TEMPLATE, |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    pass(&scene, &scene.context()).await.unwrap();
    assert_eq!(scene.called("PATCH"), 0);
}

#[tokio::test(start_paused = true)]
async fn pods_that_slipped_through_are_resized_once_and_then_are_sized() {
    let scene = Scene::new(tenth())
        .daemonset(half())
        .pod(1, half())
        .pod(2, half());
    let scene = scene.synced().await;
    let context = scene.context();
    scene.hear_nothing_of_pods();
    for _ in 0..2 {
        pass(&scene, &context).await.unwrap();
    }
    let share = json!({ "cpu": "1", "memory": "10Gi" });
    let sent = json!({
        "metadata": { "uid": "uid-1" },
        "spec": { "containers": [{ "name": "main", "resources": { "requests": share, "limits": share } }] },
    });
    assert_eq!(scene.world.server.sent(&resize("d-1")), [sent]);
    assert_eq!(scene.called(&resize("d-2")), 1);
    let status = scene.template().status.unwrap();
    assert_eq!((status.pods.unsized_pods, status.pods.resizing), (2, 2));
    assert_eq!(scene.told(), ["Unsized", "Resizing"]);
    let caches = &scene.world.caches;
    until(|| {
        ["d-1", "d-2"].iter().all(|pod| {
            caches.pod("apps", pod).unwrap().containers[0].requests.cpu
                == Some("1".parse().unwrap())
        })
    })
    .await;
    pass(&scene, &context).await.unwrap();
    let status = scene.template().status.unwrap();
    assert_eq!(
        (
            status.pods.sized,
            status.pods.unsized_pods,
            status.pods.resizing
        ),
        (2, 0, 0)
    );
    assert_eq!(
        condition(&scene, "Sized"),
        ("True".into(), "AllSized".into())
    );
    assert_eq!(scene.called("PATCH /api/v1"), 2);
    let text = scene.world.telemetry.text();
    for line in [
        r#"holdfast_sizing_pods{state="sized"} 2"#,
        r#"holdfast_sizing_resizes_total{outcome="accepted"} 2"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namesake_is_not_resized_or_deleted() {
    for (spec, own, call) in [
        (tenth(), half(), resize("d-1")),
        (recreating(), json!({}), format!("DELETE {}", path("d-1"))),
    ] {
        let scene = Scene::new(spec).daemonset(own.clone());
        let scene = scene.pod(1, own.clone()).pod(2, own.clone()).synced().await;
        let mut namesake = scene.world.server.stored(&path("d-1")).unwrap();
        namesake["metadata"]["uid"] = json!("another");
        scene.hear_nothing_of_pods();
        scene.world.server.put(&path("d-1"), namesake);
        pass(&scene, &scene.context()).await.unwrap();
        assert_eq!(scene.called(&call), 1);
        let stored = scene.world.server.stored(&path("d-1")).unwrap();
        assert_eq!(stored["spec"]["containers"][0]["resources"], own);
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_only_a_new_one_can_replace_are_deleted_one_by_one() {
    let best_effort = json!({});
    let scene = Scene::new(recreating())
        .daemonset(best_effort.clone())
        .pod(1, best_effort.clone())
        .pod(2, best_effort);
    let scene = scene.synced().await;
    let context = scene.context();
    for _ in 0..2 {
        pass(&scene, &context).await.unwrap();
    }
    assert_eq!(scene.called("DELETE"), 1);
    let sent = scene.world.server.sent(&format!("DELETE {}", path("d-1")));
    assert_eq!(sent[0]["preconditions"], json!({ "uid": "uid-1" }));
    assert_eq!(scene.told(), ["Unsized", "Recreating"]);
    assert!(
        scene
            .world
            .telemetry
            .text()
            .contains("holdfast_sizing_recreates_total 1")
    );
    let status = scene.template().status.unwrap();
    assert_eq!(told(&status.reasons, reasons::NOT_RECREATED), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_a_quota_keeps_away_is_named() {
    let scene = Scene::new(tenth())
        .daemonset(half())
        .pod(1, resources("1", "10Gi"));
    let quota = json!({ "metadata": { "name": "q", "namespace": "apps" }, "status": { "hard": { "requests.cpu": "1500m" }, "used": { "requests.cpu": "1" } } });
    scene
        .world
        .server
        .put("/api/v1/namespaces/apps/resourcequotas/q", quota);
    scene.change("/apis/apps/v1/namespaces/apps/daemonsets/d", |object| {
        object["status"]["currentNumberScheduled"] = json!(1);
    });
    let scene = scene.synced().await;
    let context = scene.context();
    for _ in 0..2 {
        pass(&scene, &context).await.unwrap();
    }
    let status = scene.template().status.unwrap();
    let reason = &status.reasons[0];
    assert_eq!(
        (
            reason.reason.as_str(),
            reason.count,
            reason.example.as_str()
        ),
        (reasons::QUOTA_EXCEEDED, 1, "n2")
    );
    assert!(
        reason.message.contains("requests.cpu is 1 of 1500m"),
        "{}",
        reason.message
    );
    assert_eq!(scene.told(), [reasons::QUOTA_EXCEEDED]);
}

#[tokio::test(start_paused = true)]
async fn shares_that_exceed_a_node_are_a_condition() {
    let scene = Scene::new(json!({ "cpuPercentage": 60 })).daemonset(half());
    let mut other = scene
        .world
        .server
        .stored("/apis/apps/v1/namespaces/apps/daemonsets/d")
        .unwrap();
    (other["metadata"]["name"], other["metadata"]["uid"]) = (json!("e"), json!("uid-e"));
    scene
        .world
        .server
        .put("/apis/apps/v1/namespaces/apps/daemonsets/e", other);
    let scene = scene.synced().await;
    pass(&scene, &scene.context()).await.unwrap();
    assert_eq!(
        condition(&scene, "Overcommitted"),
        ("True".into(), "SharesExceedNode".into())
    );
    assert_eq!(scene.template().status.unwrap().daemon_sets, 2);
}
