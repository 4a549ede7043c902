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
async fn what_the_api_server_refuses_is_said_and_not_tried_for_ever() {
    let scene = Scene::new(tenth())
        .daemonset(half())
        .pod(1, half())
        .synced()
        .await;
    let says = "Pod \"d-1\" is invalid: spec.containers[0].resources.limits: Forbidden: memory limits cannot be decreased";
    let server = &scene.world.server;
    server.refuse_saying(&resize("d-1"), StatusCode::UNPROCESSABLE_ENTITY, says);
    let context = scene.context();
    for _ in 0..3 {
        pass(&scene, &context).await.unwrap();
    }
    assert_eq!(scene.called(&resize("d-1")), 1);
    let status = scene.template().status.unwrap();
    assert_eq!((status.pods.needs_recreate, status.pods.resizing), (1, 0));
    let reason = &status.reasons[0];
    assert_eq!(
        (reason.reason.as_str(), reason.message.as_str()),
        (reasons::REFUSED, says)
    );
    // Another change is another try.
    scene.change(TEMPLATE, |object| {
        object["spec"]["cpuPercentage"] = json!(20)
    });
    pass(&scene, &context).await.unwrap();
    assert_eq!(scene.called(&resize("d-1")), 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_or_an_old_api_server_is_a_condition() {
    let lacks = "pods \"d-1\" is forbidden: User \"x\" cannot patch resource \"pods/resize\" in API group \"\"";
    for (code, says, reason, needs_recreate) in [
        (StatusCode::FORBIDDEN, lacks, reasons::FORBIDDEN, 0),
        (
            StatusCode::NOT_FOUND,
            "the server could not find the requested resource",
            reasons::UNSUPPORTED,
            1,
        ),
        (
            StatusCode::FORBIDDEN,
            "pods \"d-1\" is forbidden: exceeded quota: q",
            reasons::REFUSED,
            0,
        ),
    ] {
        let scene = Scene::new(tenth())
            .daemonset(half())
            .pod(1, half())
            .synced()
            .await;
        scene.world.server.refuse_saying(&resize("d-1"), code, says);
        let context = scene.context();
        for _ in 0..2 {
            pass(&scene, &context).await.unwrap();
        }
        assert_eq!(scene.called(&resize("d-1")), 1, "{says}");
        let status = scene.template().status.unwrap();
        assert_eq!(told(&status.reasons, reason), 1, "{says}");
        assert_eq!(status.pods.needs_recreate, needs_recreate, "{says}");
        if reason != reasons::REFUSED {
            assert_eq!(condition(&scene, "Sized"), ("False".into(), reason.into()));
            tokio::time::advance(Duration::from_secs(61)).await;
            pass(&scene, &context).await.unwrap();
            assert_eq!(scene.called(&resize("d-1")), 2, "somebody may have helped");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_keeps_no_other_and_the_pass_fails_after_its_report() {
    let scene = Scene::new(tenth())
        .daemonset(half())
        .pod(1, half())
        .pod(2, half())
        .synced()
        .await;
    let server = &scene.world.server;
    server.refuse_once(&resize("d-1"), StatusCode::INTERNAL_SERVER_ERROR);
    let context = scene.context();
    let failed = pass(&scene, &context).await.unwrap_err();
    assert_eq!(failed.code(), Some(500));
    assert_eq!(
        (scene.called(&resize("d-2")), scene.called(STATUS_WRITE)),
        (1, 1)
    );
    pass(&scene, &context).await.unwrap();
    assert_eq!(
        (scene.called(&resize("d-1")), scene.called(&resize("d-2"))),
        (2, 1)
    );
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

fn runner(scene: &Scene) -> Runner {
    Runner {
        concurrency: 1,
        pass_limit: Duration::from_secs(3600),
        telemetry: Arc::clone(&scene.world.telemetry),
        stop: CancellationToken::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_changes_a_share_leads_to_a_resize() {
    let scene = Scene::new(tenth())
        .daemonset(half())
        .pod(1, half())
        .pod(2, half());
    scene.world.run();
    let runner = runner(&scene);
    let running = tokio::spawn(run(runner.clone(), scene.means()));
    until(|| scene.called(&resize("d-1")) == 1 && scene.called(&resize("d-2")) == 1).await;
    // A node that can give more.
    scene.change("/api/v1/nodes/n2", |node| {
        node["status"]["allocatable"]["cpu"] = json!("20")
    });
    until(|| scene.called(&resize("d-2")) == 2).await;
    scene.change(TEMPLATE, |object| {
        object["spec"]["cpuPercentage"] = json!(20)
    });
    until(|| scene.called(&resize("d-1")) == 2 && scene.called(&resize("d-2")) == 3).await;
    // Somebody else changed it.
    scene.change(&path("d-1"), |pod| {
        pod["spec"]["containers"][0]["resources"] = resources("3", "20Gi")
    });
    until(|| scene.called(&resize("d-1")) == 3).await;
    let range = json!({ "metadata": { "name": "r", "namespace": "apps" }, "spec": { "limits": [{ "type": "Container", "max": { "cpu": "1" } }] } });
    scene
        .world
        .server
        .put("/api/v1/namespaces/apps/limitranges/r", range);
    until(|| scene.called(&resize("d-1")) == 4).await;
    until(|| {
        scene
            .template()
            .status
            .is_some_and(|status| status.pods.sized == 2)
    })
    .await;
    let namespace =
        json!({ "metadata": { "name": "apps", "labels": { "holdfast.dev/sizing": "disabled" } } });
    scene.world.server.put("/api/v1/namespaces/apps", namespace);
    until(|| {
        scene
            .template()
            .status
            .is_some_and(|status| told(&status.reasons, reasons::NAMESPACE_EXCLUDED) == 2)
    })
    .await;
    scene
        .world
        .server
        .remove("/apis/apps/v1/namespaces/apps/daemonsets/d");
    until(|| {
        scene
            .template()
            .status
            .is_some_and(|status| status.daemon_sets == 0)
    })
    .await;
    runner.stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_until_the_status_is_true() {
    let scene = Scene::new(tenth());
    scene.world.run();
    scene
        .world
        .server
        .refuse_once(STATUS_WRITE, StatusCode::CONFLICT);
    let runner = runner(&scene);
    let running = tokio::spawn(run(runner.clone(), scene.means()));
    until(|| scene.template().status.is_some()).await;
    assert_eq!(scene.called(STATUS_WRITE), 2);
    let text = runner.telemetry.text();
    assert!(text.contains("outcome=\"conflict\"} 1"), "{text}");
    runner.stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_daemonset_whose_template_is_missing_hears_of_it_once() {
    let scene = Scene::new(tenth()).daemonset(half());
    let template = scene.world.server.stored(TEMPLATE).unwrap();
    scene.world.server.remove(TEMPLATE);
    scene.world.run();
    let runner = runner(&scene);
    let running = tokio::spawn(run(runner.clone(), scene.means()));
    until(|| scene.told() == ["TemplateMissing"]).await;
    let event = &scene.world.server.sent("POST /apis/events.k8s.io")[0];
    assert_eq!(event["regarding"]["kind"], json!("DaemonSet"));
    assert!(
        event["note"]
            .as_str()
            .unwrap()
            .contains("FlexDaemonsetTemplate t")
    );
    scene.change("/apis/apps/v1/namespaces/apps/daemonsets/d", |object| {
        object["status"]["numberUnavailable"] = json!(1)
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.world.server.put(TEMPLATE, template);
    until(|| scene.template().status.is_some()).await;
    assert_eq!(scene.told(), ["TemplateMissing"]);
    runner.stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_are_few_passes() {
    let scene = Scene::new(tenth()).daemonset(half());
    scene.world.run();
    let runner = runner(&scene);
    let running = tokio::spawn(run(runner.clone(), scene.means()));
    until(|| scene.template().status.is_some()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let passes = || {
        let text = runner.telemetry.text();
        let name = "holdfast_reconcile_total{controller=\"sizing\",outcome=\"done\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<usize>().unwrap()
    };
    let before = passes();
    let scene = (10..110).fold(scene, |scene, number| scene.pod(number, half()));
    until(|| {
        scene
            .template()
            .status
            .is_some_and(|status| status.pods.total == 100)
    })
    .await;
    assert!(passes() - before <= 4, "{} passes", passes() - before);
    runner.stop.cancel();
    running.await.unwrap().unwrap();
}
