//! Copies on other nodes.

use super::*;
use crate::agent::api::{CopyReport, SendingReport};
use crate::checkpoint::api::COPIED;

fn seat(node: &str, bytes: i64) -> Seat {
    Seat {
        node: node.into(),
        address: format!("{node}:9447"),
        bytes,
        is_full: false,
    }
}

/// It is kept on node `n1`, and so many copies are wanted; these nodes could have one.
fn kept(copies: u32, seats: &[(&str, i64)]) -> Scene {
    let mut scene = Scene::new();
    scene.checkpoint.spec.copies = copies;
    scene.seats = seats
        .iter()
        .map(|(node, bytes)| seat(node, *bytes))
        .collect();
    scene.settle();
    scene.answer(CheckpointStanding::Kept);
    scene
}

impl Scene {
    /// The agent of a node says this of its copy.
    fn copied(&mut self, node: &str, standing: CheckpointStanding) {
        let is_kept = standing == CheckpointStanding::Kept;
        let report = CopyReport {
            standing,
            path: is_kept.then(|| "/var/lib/holdfast/checkpoints/op".into()),
            digest: is_kept.then(|| "sha256:1".into()),
            bytes: is_kept.then_some(12_900_000),
            why: None,
        };
        self.copy(node).task.status = Some(StateTaskStatus {
            copy: Some(report),
            ..StateTaskStatus::default()
        });
    }

    fn places(&self) -> Vec<String> {
        let status = self.checkpoint.status.clone().unwrap();
        status.locations.into_iter().map(|one| one.node).collect()
    }

    fn condition(&self) -> (String, String, String) {
        let status = self.checkpoint.status.clone().unwrap();
        let mut conditions = status.conditions.into_iter();
        let one = conditions.find(|one| one.type_ == COPIED).unwrap();
        (one.status, one.reason, one.message)
    }
}

#[test]
fn the_nodes_with_the_least_on_their_disks_are_asked_and_then_the_one_that_has_it_sends() {
    let mut scene = kept(2, &[("n1", 0), ("n4", 5), ("n3", 1), ("n5", 1), ("n2", 9)]);
    let written = scene.settle();
    assert_eq!(written, ["status", "create", "create", "ship", "status"]);
    let nodes: Vec<_> = scene
        .copies
        .iter()
        .map(|copy| copy.task.spec.node_name.clone())
        .collect();
    assert_eq!(nodes, ["n3", "n5"]);
    let order = scene.copies[0].task.spec.copy.clone().unwrap();
    assert_eq!(
        (order.source_node.as_str(), order.digest.as_str()),
        ("n1", "sha256:1")
    );
    assert_eq!(
        (order.bytes, order.pod.uid.as_str()),
        (12_900_000, "uid-web")
    );
    assert_ne!(
        scene.copies[0].task.metadata.name,
        scene.copies[1].task.metadata.name
    );
    let shipped = scene.order().copies.clone();
    assert_eq!(shipped[0].address, "n3:9447");
    assert_eq!(scene.condition().1, reasons::COPYING);
    scene.copied("n3", CheckpointStanding::Kept);
    scene.settle();
    assert_eq!(scene.places(), ["n1", "n3"]);
    scene.copied("n5", CheckpointStanding::Kept);
    assert_eq!(told(&scene.plan()), [reasons::COPIED]);
    scene.settle();
    assert_eq!(scene.places(), ["n1", "n3", "n5"]);
    assert_eq!(scene.condition().0, "True");
    assert_eq!(scene.plan(), []);
}

#[test]
fn fewer_nodes_than_copies_is_said_with_what_is_missing() {
    let mut scene = kept(3, &[("n1", 0), ("n2", 0)]);
    scene.settle();
    let (status, reason, message) = scene.condition();
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", reasons::TOO_FEW_NODES)
    );
    assert!(
        message.contains("3 copies are wanted, and 1 other"),
        "{message}"
    );
    let full = Seat {
        is_full: true,
        ..seat("n3", 0)
    };
    scene.seats.push(full);
    assert_eq!(scene.settle(), Vec::<&str>::new(), "it may keep no more");
    scene.seats[2].is_full = false;
    assert_eq!(scene.settle(), ["create", "ship", "status"]);
}

#[test]
fn an_order_that_is_lost_is_given_again() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    scene.task = None;
    assert_eq!(scene.settle(), ["create", "ship"]);
    assert_eq!(scene.order().word, CheckpointWord::Take);
    scene.copied("n2", CheckpointStanding::Kept);
    scene.settle();
    scene.task = None;
    assert_eq!(
        scene.settle(),
        ["create", "ship"],
        "or its node would delete it"
    );
    assert_eq!(scene.condition().0, "True");
}

#[test]
fn why_a_copy_is_late_is_said() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    let report = scene.task.as_mut().unwrap().status.as_mut().unwrap();
    report.checkpoint.as_mut().unwrap().copies = vec![SendingReport {
        node: "n2".into(),
        is_sent: false,
        why: Some("the disk of n2 is full".into()),
    }];
    scene.settle();
    assert!(scene.condition().2.contains("n2 (the disk of n2 is full)"));
}

#[test]
fn a_node_that_goes_is_followed_by_another_and_an_agent_that_moves_is_found() {
    let mut scene = kept(1, &[("n2", 0), ("n3", 7)]);
    scene.settle();
    scene.seats[0].address = "n2:1".into();
    assert_eq!(scene.settle(), ["ship"]);
    assert_eq!(scene.order().copies[0].address, "n2:1");
    scene.copied("n2", CheckpointStanding::Kept);
    scene.settle();
    scene.copy("n2").node_is_gone = true;
    scene.seats.remove(0);
    assert_eq!(scene.settle(), ["drop", "create", "ship", "status"]);
    assert_eq!(scene.places(), ["n1"]);
    assert_eq!(scene.copies[0].task.spec.node_name, "n3");
}

#[test]
fn a_node_without_room_is_followed_by_another_and_is_not_chosen_again() {
    let mut scene = kept(1, &[("n2", 0), ("n3", 7)]);
    scene.settle();
    scene.copied("n2", CheckpointStanding::Failed);
    assert_eq!(scene.settle(), ["forget-copy", "create", "ship", "status"]);
    let shipped = scene.order().copies.clone();
    assert_eq!((shipped.len(), shipped[0].node.as_str()), (1, "n3"));
    scene.copied("n2", CheckpointStanding::Forgotten);
    scene.settle();
    scene.copied("n3", CheckpointStanding::Kept);
    scene.settle();
    assert_eq!(scene.places(), ["n1", "n3"]);
    assert_eq!(
        (scene.condition().0, scene.copies.len()),
        ("True".into(), 2)
    );
    assert_eq!(scene.plan(), []);
}

#[test]
fn where_no_node_has_room_that_is_said() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    scene.copied("n2", CheckpointStanding::Failed);
    scene.settle();
    let (_, reason, message) = scene.condition();
    assert_eq!(reason, reasons::TOO_FEW_NODES);
    assert!(
        message.contains("0 other") && message.contains("n2 ("),
        "{message}"
    );
    assert_eq!(scene.plan(), []);
}

#[test]
fn a_copy_whose_order_somebody_has_deleted_is_replaced() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    scene.copied("n2", CheckpointStanding::Kept);
    scene.settle();
    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(50));
    scene.copy("n2").task.metadata.deletion_timestamp = Some(time);
    scene.copied("n2", CheckpointStanding::Forgotten);
    assert_eq!(scene.settle(), ["drop", "create", "status"]);
    assert_eq!(scene.places(), ["n1"]);
    let metadata = &scene.copies[0].task.metadata;
    assert_eq!(metadata.deletion_timestamp, None);
}

#[test]
fn another_state_is_no_copy_of_this_one() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    scene.copied("n2", CheckpointStanding::Kept);
    let report = scene.copy("n2").task.status.as_mut().unwrap();
    report.copy.as_mut().unwrap().digest = Some("sha256:other".into());
    scene.settle();
    assert_eq!(scene.places(), ["n1"]);
}

#[test]
fn a_copy_that_is_whole_after_its_source_went_is_not_lost() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    scene.node_is_gone = true;
    scene.settle();
    let phase = |scene: &Scene| scene.checkpoint.status.as_ref().unwrap().phase;
    assert_eq!(phase(&scene), Phase::Lost);
    assert_eq!(scene.plan(), []);
    scene.copied("n2", CheckpointStanding::Kept);
    assert_eq!(told(&scene.plan()), [reasons::TAKEN]);
    scene.settle();
    assert_eq!(
        (phase(&scene), scene.places()),
        (Phase::Succeeded, vec!["n2".to_owned()])
    );
    assert_eq!(scene.plan(), []);
}

#[test]
fn copies_outlive_the_node_that_took_it() {
    let mut scene = kept(1, &[("n2", 0)]);
    scene.settle();
    scene.copied("n2", CheckpointStanding::Kept);
    scene.settle();
    scene.node_is_gone = true;
    scene.settle();
    let status = scene.checkpoint.status.clone().unwrap();
    assert_eq!(
        (status.phase, scene.places()),
        (Phase::Succeeded, vec!["n2".to_owned()])
    );
    scene.copy("n2").node_is_gone = true;
    scene.settle();
    assert_eq!(scene.checkpoint.status.clone().unwrap().phase, Phase::Lost);
}

#[test]
fn a_deletion_waits_until_every_node_has_forgotten() {
    let mut scene = kept(2, &[("n2", 0), ("n3", 0)]);
    scene.settle();
    scene.copied("n2", CheckpointStanding::Kept);
    scene.vanish();
    assert_eq!(scene.settle(), ["forget-copy", "forget-copy", "forget"]);
    scene.answer(CheckpointStanding::Forgotten);
    assert_eq!(scene.plan(), [], "two more have something of it");
    scene.copied("n2", CheckpointStanding::Forgotten);
    assert_eq!(scene.settle(), ["drop"]);
    assert!(scene.is_held() && scene.task.is_some());
    scene.copy("n3").node_is_gone = true;
    let step = scene.plan().remove(0);
    scene.write(&step);
    assert_eq!(scene.plan(), [Step::DeleteTask, Step::Release]);
}

#[test]
fn without_copies_nothing_is_said_of_them() {
    let mut scene = kept(0, &[("n2", 0)]);
    scene.settle();
    let status = scene.checkpoint.status.clone().unwrap();
    assert!(status.conditions.iter().all(|one| one.type_ != COPIED));
    assert_eq!(scene.copies, []);
}
