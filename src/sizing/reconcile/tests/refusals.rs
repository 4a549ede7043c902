//! What the API server refuses is said, and not tried for ever.

use super::*;

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
        object["spec"]["cpuPercentage"] = json!(20);
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
