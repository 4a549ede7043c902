//! The controller at work: what leads to a pass.

use super::*;

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
        node["status"]["allocatable"]["cpu"] = json!("20");
    });
    until(|| scene.called(&resize("d-2")) == 2).await;
    scene.change(TEMPLATE, |object| {
        object["spec"]["cpuPercentage"] = json!(20);
    });
    until(|| scene.called(&resize("d-1")) == 2 && scene.called(&resize("d-2")) == 3).await;
    // Somebody else changed it.
    scene.change(&path("d-1"), |pod| {
        pod["spec"]["containers"][0]["resources"] = resources("3", "20Gi");
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
async fn another_daemonset_on_the_nodes_leads_to_a_look_at_all() {
    let scene = Scene::new(json!({ "cpuPercentage": 60 })).daemonset(half());
    let server = &scene.world.server;
    let (mut template, other) = (
        server.stored(TEMPLATE).unwrap(),
        "/apis/apps/v1/namespaces/other/daemonsets/e",
    );
    template["metadata"] = json!({ "name": "u" });
    server.put(&TEMPLATE.replace("templates/t", "templates/u"), template);
    scene.world.run();
    let runner = runner(&scene);
    let running = tokio::spawn(run(runner.clone(), scene.means()));
    let is_too_much = |status: &str| {
        let conditions = scene.template().status.map(|found| found.conditions);
        let mut conditions = conditions.unwrap_or_default().into_iter();
        conditions.any(|one| one.type_ == "Overcommitted" && one.status == status)
    };
    until(|| is_too_much("False")).await;
    let mut daemonset = server
        .stored("/apis/apps/v1/namespaces/apps/daemonsets/d")
        .unwrap();
    daemonset["metadata"]["annotations"]["flexdaemonsets.xai/resource-template"] = json!("u");
    for (key, value) in [("name", "e"), ("namespace", "other"), ("uid", "uid-e")] {
        daemonset["metadata"][key] = json!(value);
    }
    server.put(other, daemonset);
    until(|| is_too_much("True")).await;
    // Pods of a namespace that is left out have no share.
    let namespace = |value: &str| {
        let labels = json!({ "holdfast.dev/sizing": value });
        server.put(
            "/api/v1/namespaces/other",
            json!({ "metadata": { "name": "other", "labels": labels } }),
        );
    };
    namespace("disabled");
    until(|| is_too_much("False")).await;
    namespace("enabled");
    until(|| is_too_much("True")).await;
    server.remove(other);
    until(|| is_too_much("False")).await;
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
        object["status"]["numberUnavailable"] = json!(1);
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
