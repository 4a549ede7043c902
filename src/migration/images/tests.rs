use super::*;
use serde_json::{Value, json};

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn waiting(reason: &str, message: &str) -> Pod {
    pod(json!({
        "spec": { "containers": [] },
        "status": { "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": { "waiting": { "reason": reason, "message": message } },
        }] },
    }))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seen<'a>(report: Option<&'a ImagesReport>, successor: Option<&'a Pod>) -> Sight<'a> {
    Sight {
        report,
        source: None,
        pods: [successor, None],
        began: Some(at("2026-01-01T00:00:00Z")),
    }
}

#[test]
fn a_kubelet_that_cannot_get_an_image_is_given_a_while() {
    let failing = waiting("ErrImagePull", "401 Unauthorized.");
    let look = |now| fault(&seen(None, Some(&failing)), "t", at(now)).unwrap();
    let why = "t cannot get the image of container c: 401 Unauthorized: see that it is there, and that the pod's imagePullSecrets let it be read";
    assert_eq!(look("2026-01-01T00:00:29Z"), Fault::Yet(why.into()));
    assert_eq!(look("2026-01-01T00:00:30Z"), Fault::Over(why.into()));
    for hopeless in ["ErrImageNeverPull", "InvalidImageName"] {
        let pod = waiting(hopeless, "");
        let found = fault(&seen(None, Some(&pod)), "t", at("2026-01-01T00:00:01Z"));
        assert!(matches!(found, Some(Fault::Over(_))), "{found:?}");
    }
    // What has nothing to do with images is none of it.
    let other = waiting("ContainerCreating", "");
    let found = fault(&seen(None, Some(&other)), "t", at("2026-01-02T00:00:00Z"));
    assert_eq!(found, None);
}

#[test]
fn a_pod_that_fetches_and_is_not_taken_is_told() {
    let refused = pod(json!({ "spec": { "containers": [] }, "status": {
        "phase": "Failed", "reason": "OutOfpods", "message": "too many",
    } }));
    let found = fault(&seen(None, Some(&refused)), "t", at("2026-01-01T00:00:00Z"));
    let Some(Fault::Over(why)) = found else {
        panic!("{found:?}");
    };
    assert!(why.contains("OutOfpods: too many"), "{why}");
    // One whose containers could not be started has done all that it was for.
    let done = pod(json!({ "spec": { "containers": [] }, "status": { "phase": "Failed" } }));
    assert_eq!(
        fault(&seen(None, Some(&done)), "t", at("2026-01-01T00:00:00Z")),
        None
    );
}

#[test]
fn another_image_is_never_waited_for() {
    let report = ImagesReport {
        unlike: Some("another one".into()),
        ..ImagesReport::default()
    };
    let found = fault(&seen(Some(&report), None), "t", at("2026-01-01T00:00:00Z"));
    assert_eq!(found, Some(Fault::Over("another one".into())));
    let unknown = ImagesReport {
        unknown: Some("nobody says".into()),
        ..ImagesReport::default()
    };
    let look = |now| fault(&seen(Some(&unknown), None), "t", at(now));
    let (early, late) = (look("2026-01-01T00:00:01Z"), look("2026-01-01T00:01:00Z"));
    assert_eq!(early, Some(Fault::Yet("nobody says".into())));
    assert_eq!(late, Some(Fault::Over("nobody says".into())));
}

#[test]
fn an_image_that_nobody_may_get_is_told_at_once() {
    let source = pod(json!({ "spec": { "containers": [
        { "name": "c", "image": "web:1", "imagePullPolicy": "Never" },
        { "name": "d", "image": "log:1", "imagePullPolicy": "IfNotPresent" },
    ] } }));
    let lacking = |name: &str| ImagesReport {
        lacks: vec![name.into()],
        ..ImagesReport::default()
    };
    for (name, is_told) in [("c", true), ("d", false)] {
        let report = lacking(name);
        let seen = Sight {
            source: Some(&source),
            ..seen(Some(&report), None)
        };
        let found = fault(&seen, "t", at("2026-01-01T00:00:00Z"));
        assert_eq!(found.is_some(), is_told, "{found:?}");
    }
}

#[test]
fn what_a_node_says_of_images_is_told_by_the_names_of_the_spec() {
    let web = pod(json!({ "spec": {
        "initContainers": [
            { "name": "init", "image": "init:1" },
            { "name": "side", "image": "side:1", "restartPolicy": "Always" },
        ],
        "containers": [{ "name": "c", "image": "web:1" }],
    } }));
    let said = |container: &str| ImageNote {
        container: container.into(),
        image: String::new(),
        id: Some(format!("id-{container}")),
        asked: false,
    };
    let journey = |order| Journey {
        order,
        restores: vec!["side".into(), "c".into()],
        finished: vec!["init".into()],
        ..Journey::default()
    };
    let all = [said("side"), said("c")];
    let first = known(&web, &journey(Order::PrepareFirst), &all).unwrap();
    let names = |notes: &[ImageNote]| {
        let names = notes
            .iter()
            .map(|note| (note.image.clone(), note.id.clone()));
        names.collect::<Vec<_>>()
    };
    let (side, c) = (
        ("side:1".to_owned(), Some("id-side".to_owned())),
        ("web:1".to_owned(), Some("id-c".to_owned())),
    );
    assert_eq!(names(&first), [side.clone(), c.clone()]);
    let last = known(&web, &journey(Order::FreezeFirst), &all).unwrap();
    assert_eq!(names(&last), [("init:1".into(), None), side, c]);
    let unknown = known(&web, &journey(Order::PrepareFirst), &all[..1]);
    assert!(unknown.unwrap_err().sentence.contains("container c runs"));
}

#[test]
fn images_come_first_where_a_kubelet_would_get_them_in_the_freeze() {
    let some = |count: usize| vec![ImageNote::default(); count];
    assert!(!come_first(Order::PrepareFirst, &some(0)));
    assert!(!come_first(Order::PrepareFirst, &some(1)));
    assert!(come_first(Order::PrepareFirst, &some(2)));
    assert!(come_first(Order::FreezeFirst, &some(1)));
    assert!(
        !come_first(Order::FreezeFirst, &some(0)),
        "a Migration of before"
    );
}

#[test]
fn a_kubelet_is_asked_beforehand_for_what_it_would_be_asked_in_the_freeze() {
    let web = pod(json!({ "spec": { "containers": [
        { "name": "a", "image": "a:1", "imagePullPolicy": "Always" },
        { "name": "b", "image": "b:1", "imagePullPolicy": "IfNotPresent" },
        { "name": "c", "image": "c:1", "imagePullPolicy": "Never" },
    ] } }));
    let one = pod(
        json!({ "spec": { "containers": [{ "name": "a", "image": "a:1", "imagePullPolicy": "Always" }] } }),
    );
    let said = ["a", "b", "c"].map(|container| ImageNote {
        container: container.into(),
        id: Some("id".into()),
        ..ImageNote::default()
    });
    let asked = |pod, order| {
        let journey = Journey {
            order,
            restores: ["a", "b", "c"].map(str::to_owned).to_vec(),
            ..Journey::default()
        };
        let notes = known(pod, &journey, &said).unwrap().into_iter();
        let asked = notes.filter(|note| note.asked);
        asked.map(|note| note.container).collect::<Vec<_>>()
    };
    assert_eq!(asked(&web, Order::PrepareFirst), ["a", "b"]);
    assert_eq!(asked(&one, Order::FreezeFirst), ["a"]);
    // The one that waits asks for itself.
    assert_eq!(asked(&one, Order::PrepareFirst), [""; 0]);
}
