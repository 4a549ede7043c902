//! Newer ones replace older ones, whatever fails in between.

use super::*;

const CHECKPOINTS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints";

fn path(name: &str) -> String {
    format!("{CHECKPOINTS}/{name}")
}

/// Of pod `web`, taken; its node is to forget it first.
fn put(scene: &Scene, name: &str, second: u32) {
    let time = format!("2026-01-01T00:00:{second:02}Z");
    let location = json!({ "node": "n1", "path": "/x", "digest": "d", "bytes": 100 });
    let condition = json!({
        "type": "Succeeded", "status": "True", "reason": "Taken", "message": "", "lastTransitionTime": time, "observedGeneration": 1,
    });
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    let order = json!({ "nodeName": "n1", "operation": format!("uid-{name}") });
    scene.server.put(
        &format!("{tasks}/checkpoint-uid-{name}"),
        json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "StateTask", "spec": order,
            "metadata": { "name": format!("checkpoint-uid-{name}"), "namespace": "apps" },
        }),
    );
    scene.server.put(
        &path(name),
        json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
            "metadata": {
                "name": name, "namespace": "apps", "uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": time,
                "finalizers": [names::CHECKPOINT_FINALIZER],
            },
            "spec": { "podName": "web" },
            "status": {
                "observedGeneration": 1, "phase": "Succeeded", "podUid": "web", "node": "n1", "takenAt": time, "bytes": 100,
                "locations": [location], "conditions": [condition],
            },
        }),
    );
}

/// Three of a pod, of which one is kept.
fn three() -> Scene {
    let mut scene = Scene::new();
    scene.server.remove(CHECKPOINT);
    scene.limits.keep_generations = 1;
    for (second, name) in (1..).zip(["a", "b", "c"]) {
        put(&scene, name, second);
    }
    scene
}

fn is_going(scene: &Scene, name: &str) -> bool {
    let object = scene.server.stored(&path(name)).unwrap();
    object["metadata"]["deletionTimestamp"].is_string()
}

fn seen(scene: &Scene, name: &str) -> Arc<Checkpoint> {
    let stored = scene.server.stored(&path(name)).unwrap();
    Arc::new(serde_json::from_value(stored).unwrap())
}

#[tokio::test(start_paused = true)]
async fn older_ones_go_and_it_is_told_and_counted_why() {
    let scene = three();
    reconcile(seen(&scene, "c"), scene.context()).await.unwrap();
    assert_eq!(
        ["a", "b", "c"].map(|name| is_going(&scene, name)),
        [true, true, false]
    );
    assert!(
        !scene.server.finalizers(&path("a")).is_empty(),
        "its node forgets it first"
    );
    assert_eq!(scene.told(), ["Superseded", "Superseded"]);
    let counted = r#"holdfast_checkpoints_retired_total{reason="Superseded"} 2"#;
    assert!(scene.telemetry.text().contains(counted));
    let before = scene.writes();
    reconcile(seen(&scene, "c"), scene.context()).await.unwrap();
    assert_eq!(scene.writes(), before, "nothing is done twice");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_is_even_looked_for() {
    let mut scene = three();
    scene.limits.keep_generations = 0;
    reconcile(seen(&scene, "c"), scene.context()).await.unwrap();
    let calls = scene.server.calls();
    assert!(
        calls
            .iter()
            .all(|call| call != "GET /apis/holdfast.dev/v1alpha1/checkpoints"),
        "{calls:?}"
    );
    assert_eq!(scene.writes(), 0);
}

/// The API server says no between two deletions, or the leader dies there: the next pass does the rest.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_is_done_by_the_next_pass() {
    for code in [
        StatusCode::CONFLICT,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::NOT_FOUND,
    ] {
        let scene = three();
        scene
            .server
            .refuse_once(&format!("DELETE {}", path("b")), code);
        let first = reconcile(seen(&scene, "c"), scene.context()).await;
        assert_eq!(first.is_ok(), code == StatusCode::NOT_FOUND, "{code}");
        assert_eq!(
            ["a", "b", "c"].map(|name| is_going(&scene, name)),
            [true, false, false]
        );
        reconcile(seen(&scene, "c"), scene.context()).await.unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|name| is_going(&scene, name)),
            [true, true, false]
        );
    }
}

/// What the controller remembers is of a moment ago: since then the newest was deleted, and another was pinned.
#[tokio::test(start_paused = true)]
async fn it_is_decided_on_what_there_is_now() {
    let scene = three();
    let context = scene.context();
    scene.server.remove(&path("c"));
    let mut pinned = scene.server.stored(&path("a")).unwrap();
    pinned["spec"]["pinned"] = json!(true);
    scene.server.put(&path("a"), pinned);
    reconcile(seen(&scene, "b"), context).await.unwrap();
    assert_eq!(
        ["a", "b"].map(|name| is_going(&scene, name)),
        [false, false]
    );
    // A node that is gone keeps nothing either.
    let scene = three();
    let mut newest = scene.server.stored(&path("c")).unwrap();
    newest["status"]["locations"][0]["node"] = json!("n9");
    newest["status"]["node"] = json!("n9");
    scene.server.put(&path("c"), newest);
    reconcile(seen(&scene, "b"), scene.context()).await.unwrap();
    assert_eq!(
        ["a", "b", "c"].map(|name| is_going(&scene, name)),
        [true, false, false]
    );
}

/// Two come to their end at once, and each pass sees what both have left.
#[tokio::test(start_paused = true)]
async fn two_that_end_at_once_delete_nothing_twice() {
    let scene = three();
    let context = scene.context();
    let both =
        [seen(&scene, "b"), seen(&scene, "c")].map(|one| reconcile(one, Arc::clone(&context)));
    for done in futures::future::join_all(both).await {
        done.unwrap();
    }
    assert_eq!(
        ["a", "b", "c"].map(|name| is_going(&scene, name)),
        [true, true, false]
    );
    let calls = scene.server.calls();
    let deleted = calls.iter().filter(|call| call.starts_with("DELETE"));
    assert_eq!(deleted.count(), 2, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_writes_to_one_between_the_decision_and_its_end_keeps_it() {
    let scene = three();
    let one = seen(&scene, "a");
    put(&scene, "a", 1);
    let api: Api<Checkpoint> = Api::namespaced(scene.server.client(), "apps");
    let deleted = writes::delete_as_seen(&api, (&EXPIRE).into(), one.as_ref()).await;
    assert!(deleted.unwrap_err().is_conflict());
    assert!(!is_going(&scene, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_keeps_all_that_it_may_is_not_asked_for_more() {
    let mut scene = Scene::new();
    scene.limits.keep_bytes = 100;
    put(&scene, "only", 1);
    scene.settle().await;
    assert_eq!(scene.phase(), Phase::Failed);
    let status = scene.checkpoint().unwrap().status.unwrap();
    let why = &status.conditions[0].message;
    assert!(
        why.contains("only (100, no newer one outlives it)"),
        "{why}"
    );
    assert_eq!(scene.server.stored(TASK), None);
}

/// A cache is behind: what was taken is gone meanwhile, with its order.
#[tokio::test(start_paused = true)]
async fn a_lost_order_is_given_again_only_while_there_is_its_checkpoint() {
    let scene = three();
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    let order = format!("{tasks}/checkpoint-uid-c");
    scene.server.remove(&order);
    let stale = seen(&scene, "c");
    reconcile(Arc::clone(&stale), scene.context())
        .await
        .unwrap();
    let given = scene.server.stored(&order).unwrap();
    assert_eq!(given["spec"]["checkpoint"]["isTaken"], true);
    scene.server.remove(&order);
    scene.server.remove(&path("c"));
    reconcile(stale, scene.context()).await.unwrap();
    assert_eq!(scene.server.stored(&order), None);
}
