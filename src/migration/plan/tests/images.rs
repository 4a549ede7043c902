//! Nothing is frozen before the target has the images, and the same ones.

use super::*;
use crate::agent::api::{ImageNote, ImagesReport};

fn needs(scene: &mut Scene, count: usize) {
    let note = |number: usize| ImageNote {
        container: format!("c{number}"),
        image: "web:1".into(),
        id: Some("id".into()),
        asked: false,
    };
    scene.course.images = (0..count).map(note).collect();
}

fn lacking() -> ImagesReport {
    ImagesReport {
        lacks: vec!["c0".into()],
        ..ImagesReport::default()
    }
}

fn proven() -> ImagesReport {
    ImagesReport::default()
}

fn detaches(steps: &[Step]) -> bool {
    steps.contains(&Step::Detach)
}

#[test]
fn a_pod_that_waits_is_allowed_when_its_image_is_the_same() {
    let mut scene = Scene::new(Order::PrepareFirst);
    needs(&mut scene, 1);
    // Its own kubelet gets that image, beside a pod that runs.
    assert!(detaches(&scene.settle()));
    scene.source_pod = SourcePod::Here { is_detached: true };
    scene.pods = vec![candidate("u1")];
    scene.settle();
    scene.says("u1", TargetStanding::Waiting, false);
    for images in [None, Some(lacking())] {
        scene.target.images = images;
        scene.settle();
        assert_eq!(scene.outcome().0, Outcome::Undecided);
        assert_eq!(scene.word(), Word::Stand);
    }
    scene.target.images = Some(proven());
    scene.settle();
    assert_eq!(scene.outcome(), (Outcome::Allowed, 1));
    assert_eq!(scene.word(), Word::Freeze);
}

#[test]
fn images_of_several_containers_are_there_before_anything_is_touched() {
    let mut scene = Scene::new(Order::PrepareFirst);
    needs(&mut scene, 2);
    for images in [None, Some(lacking())] {
        scene.target.images = images;
        assert!(!detaches(&scene.settle()));
    }
    scene.target.images = Some(proven());
    assert!(detaches(&scene.settle()));
}

#[test]
fn a_pod_that_nobody_owns_is_not_frozen_before_its_images_are_there() {
    let mut scene = Scene::new(Order::FreezeFirst);
    needs(&mut scene, 1);
    for images in [None, Some(lacking())] {
        scene.target.images = images;
        scene.settle();
        assert_eq!(scene.word(), Word::Stand);
    }
    scene.target.images = Some(proven());
    scene.settle();
    assert_eq!(scene.word(), Word::Freeze);
    // What is frozen goes on: what was found stands.
    scene.target.images = Some(lacking());
    scene.settle();
    assert_eq!(scene.word(), Word::Freeze);
}

#[test]
fn an_image_that_does_not_come_ends_it_before_anything_is_frozen() {
    for order in [Order::PrepareFirst, Order::FreezeFirst] {
        let mut scene = Scene::new(order);
        needs(&mut scene, 2);
        scene.target.images = Some(lacking());
        scene.settle();
        scene.images.fault = Some("it cannot be had");
        scene.settle();
        assert_eq!(scene.status.given_up.as_deref(), Some("it cannot be had"));
        assert_eq!(scene.outcome().0, Outcome::RolledBack);
    }
}

#[test]
fn a_kubelet_that_is_asked_in_the_freeze_was_asked_before_it() {
    let mut scene = Scene::new(Order::FreezeFirst);
    needs(&mut scene, 1);
    scene.course.images[0].asked = true;
    scene.target.images = Some(proven());
    scene.settle();
    assert_eq!(scene.word(), Word::Stand);
    let is_ordered = |scene: &Scene| {
        let target = scene.specs[1].as_ref().unwrap().target.as_ref();
        target.unwrap().asked
    };
    assert!(!is_ordered(&scene));
    scene.images.are_fetched = true;
    scene.settle();
    scene.images.are_fetched = false;
    scene.settle();
    assert!(is_ordered(&scene), "what was done stays done");
    // And what was found before that says nothing.
    assert_eq!(scene.word(), Word::Stand);
    scene.target.images = Some(ImagesReport {
        asked: true,
        ..ImagesReport::default()
    });
    scene.settle();
    assert_eq!(scene.word(), Word::Freeze);
}
