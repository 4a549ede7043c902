//! Pods of which no Checkpoint is begun.

use super::*;

/// The sentence with which a changed pod is refused; nothing is touched then, and nothing held.
fn refused(change: impl FnOnce(&mut Value, &mut CheckpointSpec)) -> String {
    let mut scene = Scene::new();
    let mut pod = web();
    change(&mut pod, &mut scene.checkpoint.spec);
    scene.pod = serde_json::from_value(pod).unwrap();
    assert_eq!(told(&scene.plan()), [reasons::REFUSED]);
    assert_eq!(scene.settle(), ["status"]);
    let status = scene.status();
    assert_eq!(
        (status.phase, status.pod_uid, status.node),
        (Phase::Failed, None, None)
    );
    let condition = &status.conditions[0];
    assert_eq!(
        (
            condition.type_.as_str(),
            condition.status.as_str(),
            condition.reason.as_str()
        ),
        ("Succeeded", "False", reasons::REFUSED)
    );
    condition.message.clone()
}

#[test]
fn a_pod_that_cannot_be_checkpointed_is_refused_with_its_cure() {
    for (pointer, value, says) in [
        (
            "/metadata/deletionTimestamp",
            json!("2026-01-01T00:00:00Z"),
            "is being deleted",
        ),
        ("/status/phase", json!("Pending"), "is Pending, not Running"),
        (
            "/status/phase",
            json!("Succeeded"),
            "is Succeeded, not Running",
        ),
        ("/status", json!({}), "is Pending, not Running"),
        ("/spec/nodeName", json!(null), "on no node yet"),
        ("/spec/nodeName", json!(""), "on no node yet"),
        (
            "/spec/runtimeClassName",
            json!(null),
            "set runtimeClassName: holdfast",
        ),
        (
            "/spec/shareProcessNamespace",
            json!(true),
            "shareProcessNamespace: true",
        ),
        ("/spec/hostPID", json!(true), "hostPID: true"),
        ("/spec/hostIPC", json!(true), "hostIPC: true"),
        ("/spec/hostNetwork", json!(true), "hostNetwork: true"),
        (
            "/spec/volumes",
            json!([{ "name": "a", "emptyDir": {} }, { "name": "b", "hostPath": { "path": "/" } }]),
            "hostPath volume b",
        ),
        (
            "/spec/ephemeralContainers",
            json!([{ "name": "debug" }]),
            "ephemeral container debug",
        ),
    ] {
        let said = refused(|pod, _| {
            let (above, field) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(above).unwrap()[field] = value.clone();
        });
        assert!(said.starts_with("pod web "), "{said}");
        assert!(said.contains(says), "{pointer} {value}: {said}");
    }
}

#[test]
fn what_is_switched_off_is_no_reason() {
    let mut scene = Scene::new();
    let spec = scene.pod.as_mut().unwrap().spec.as_mut().unwrap();
    (spec.host_pid, spec.share_process_namespace) = (Some(false), Some(false));
    assert_eq!(scene.plan(), [Step::Hold]);
}

#[test]
fn a_namesake_of_the_pod_is_not_taken_for_it() {
    let said = refused(|_, spec| spec.pod_uid = Some("uid-former".into()));
    assert!(said.contains("uid-web, not uid-former"), "{said}");
    let mut scene = Scene::new();
    scene.checkpoint.spec.pod_uid = Some("uid-web".into());
    assert_eq!(scene.plan(), [Step::Hold]);
}

#[test]
fn containers_are_named_as_they_are() {
    for (named, is_there) in [
        (&["main"][..], true),
        (&["main", "logs", "mesh"], true),
        (&["prepare"], false),
        (&["main", "mian"], false),
    ] {
        let named: Vec<_> = named.iter().copied().map(str::to_owned).collect();
        let mut scene = Scene::new();
        scene.checkpoint.spec.containers.clone_from(&named);
        assert_eq!(scene.plan() == [Step::Hold], is_there, "{named:?}");
        if !is_there {
            let said = refused(|_, spec| spec.containers.clone_from(&named));
            assert!(said.contains("it has main, logs, mesh"), "{said}");
        }
    }
}

#[test]
fn without_a_pod_there_is_nothing_to_take() {
    let mut scene = Scene::new();
    scene.pod = None;
    scene.settle();
    assert!(
        scene.message().contains("there is no pod web"),
        "{}",
        scene.message()
    );
}

#[test]
fn a_pod_that_goes_between_hold_and_begin_leaves_nothing_held() {
    let mut scene = Scene::new();
    scene.write(&Step::Hold);
    scene.pod = None;
    assert_eq!(scene.settle(), ["status", "release"]);
    assert_eq!(scene.reason(), reasons::REFUSED);
    assert!(scene.task.is_none());
}

#[test]
fn a_refusal_is_final() {
    let mut scene = Scene::new();
    let pod = scene.pod.take();
    scene.settle();
    scene.pod = pod;
    assert_eq!(scene.plan(), []);
}

#[test]
fn where_a_node_may_keep_no_more_it_is_said_what_would_have_to_go() {
    let mut scene = Scene::new();
    let room = |bytes| Room {
        bytes,
        why: "node n1 may keep 20.0Gi of states: a (20.0Gi, pinned)".into(),
    };
    scene.room = Some(room(0));
    assert_eq!(scene.settle(), ["status"]);
    assert_eq!(scene.reason(), reasons::REFUSED);
    assert!(scene.message().contains("a (20.0Gi, pinned)"));
    assert!(!scene.is_held(), "nothing was touched");
    let mut scene = Scene::new();
    scene.room = Some(room(7));
    scene.settle();
    let told = scene.order().room.clone().unwrap();
    assert_eq!(told.bytes, 7, "how much a pod has its node knows");
    assert!(told.why.contains("pinned"));
}

#[test]
fn of_which_workload_it_is_stands_in_its_status() {
    let mut scene = Scene::new();
    scene.settle();
    assert_eq!(scene.status().slot.as_deref(), Some("uid-web"));
}
