//! What goes back, what goes forward, and what is tried once more.

use super::*;

#[test]
fn what_did_not_run_goes_back_and_what_ran_goes_forward() {
    let mut back = Scene::released(Order::PrepareFirst);
    back.says("u1", TargetStanding::Failed, false);
    back.settle();
    assert_eq!(back.outcome(), (Outcome::Allowed, 1));
    assert_eq!(back.revoked(), ["u1"]);
    back.says("u1", TargetStanding::Revoked, false);
    back.settle();
    assert_eq!(back.outcome().0, Outcome::RolledBack);
    let proof = back.status.decision.proof.map(|proof| proof.kind);
    assert_eq!(proof, Some(ProofKind::Revoked));

    let mut forward = Scene::released(Order::PrepareFirst);
    forward.says("u1", TargetStanding::Failed, true);
    forward.settle();
    assert_eq!(forward.outcome(), (Outcome::Allowed, 2));
    assert!(forward.status.decision.ran);
    forward.says("u1", TargetStanding::Failed, true);
    forward.settle();
    assert_eq!(forward.outcome().0, Outcome::Failed);
}

#[test]
fn silence_is_not_death_and_a_proof_is_written_before_it_is_used() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.is_silent = true;
    scene.stop = Some(Stop::Late);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.outcome().0, Outcome::Allowed);
    scene.proof = Some(ProofNote {
        kind: ProofKind::OutOfService,
        by: None,
    });
    assert_eq!(scene.settle(), [Step::DropPod("u1".into())]);
    assert!(scene.status.called_off.is_some());
    // One that was deleted before waits for its node for ever.
    scene.pods[0].is_alive = false;
    assert_eq!(scene.settle(), [Step::DropPod("u1".into())]);
    scene.pods.clear();
    scene.settle();
    assert_eq!(scene.outcome().0, Outcome::RolledBack);
    let proof = scene.status.decision.proof.map(|proof| proof.kind);
    assert_eq!(proof, Some(ProofKind::OutOfService));
}

#[test]
fn a_node_that_came_back_before_its_pod_was_gone_speaks_for_itself() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.proof = Some(ProofNote {
        kind: ProofKind::OutOfService,
        by: None,
    });
    scene.settle();
    scene.proof = None;
    scene.settle();
    assert_eq!(scene.status.called_off, None);
    scene.says("u1", TargetStanding::Restored, true);
    scene.settle();
    assert_eq!(scene.outcome(), (Outcome::Restored, 1));
}

#[test]
fn a_migration_that_is_deleted_goes_back_while_it_can() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.is_deleting = true;
    scene.settle();
    assert_eq!(scene.word(), Word::Withdraw);
    assert_eq!(scene.revoked(), ["u1"]);
    // It ran after all.
    scene.says("u1", TargetStanding::Restored, true);
    scene.settle();
    assert_eq!(scene.outcome(), (Outcome::Restored, 1));
}

#[test]
fn before_the_freeze_a_pod_that_is_lost_is_replaced() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.source.standing = SourceStanding::Idle;
    scene.pods = vec![candidate("u2")];
    scene.settle();
    assert_eq!(scene.revoked(), ["u1"]);
    scene.says("u1", TargetStanding::Revoked, false);
    scene.settle();
    assert_eq!(scene.status.target.as_ref().unwrap().pod_uid, "u2");
    scene.says("u2", TargetStanding::Waiting, false);
    scene.settle();
    assert_eq!(scene.outcome(), (Outcome::Allowed, 2));
}

#[test]
fn a_pod_that_its_node_has_voided_before_anything_was_allowed_is_replaced() {
    let mut scene = Scene::new(Order::PrepareFirst);
    scene.source_pod = SourcePod::Here { is_detached: true };
    scene.pods = vec![candidate("u1")];
    scene.settle();
    scene.settle();
    scene.says("u1", TargetStanding::Revoked, false);
    assert_eq!(scene.settle(), [Step::DeletePod("u1".into())]);
    scene.pods = vec![candidate("u2")];
    scene.settle();
    assert_eq!(scene.status.target.as_ref().unwrap().pod_uid, "u2");
    assert_eq!(scene.revoked(), ["u1"]);
}

#[test]
fn a_dead_source_has_its_state_on_its_own_node_too() {
    let mut scene = Scene::released(Order::FreezeFirst);
    for _try in 0..2 {
        scene.says("u1", TargetStanding::Failed, false);
        scene.settle();
    }
    assert_eq!(scene.status.target, None);
    assert_eq!(scene.steps(), [Step::DeletePod("u1".into())]);
    scene.pods = vec![candidate("u2")];
    scene.settle();
    assert_eq!(scene.status.target.as_ref().unwrap().node, "s");
    let spec = scene.specs[0].as_ref().unwrap();
    let order = spec.target.as_ref().unwrap();
    assert_eq!(order.pod.as_ref().unwrap().uid, "u2");
}

#[test]
fn fresh_is_the_last_resort_and_never_in_a_prepared_pod() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.course.on_failure = OnFailure::Fresh;
    for _try in 0..2 {
        scene.says("u1", TargetStanding::Failed, true);
        scene.settle();
    }
    assert_eq!(scene.status.target, None);
    scene.pods = vec![candidate("u2")];
    scene.settle();
    let spec = scene.specs[1].as_ref().unwrap();
    let order = spec.target.as_ref().unwrap();
    assert!(order.finished.is_empty() && !order.fills_volumes);
    scene.says("u2", TargetStanding::Waiting, false);
    scene.settle();
    assert_eq!(scene.status.decision.generation, None);
    assert_eq!(scene.status.decision.pod_uid.as_deref(), Some("u2"));
}

#[test]
fn a_pod_that_its_owner_does_not_want_any_more_goes_back_and_its_owner_chooses() {
    let mut scene = Scene::new(Order::PrepareFirst);
    scene.status.stage = Stage::Begun;
    scene.source_pod = SourcePod::Here { is_detached: true };
    scene.stop = Some(Stop::Unwanted);
    scene.settle();
    assert_eq!(scene.outcome().0, Outcome::RolledBack);
    assert_eq!(
        scene.status.given_up.as_deref(),
        Some(reasons::UNWANTED),
        "and why"
    );
    // What may run the state already is not called back for it.
    let mut allowed = Scene::released(Order::PrepareFirst);
    allowed.stop = Some(Stop::Unwanted);
    allowed.settle();
    assert_eq!(allowed.outcome().0, Outcome::Allowed);
    // It took away the one that was allowed, and makes no other.
    allowed.source.standing = SourceStanding::Idle;
    allowed.pods.clear();
    allowed.settle();
    allowed.says("u1", TargetStanding::Revoked, false);
    allowed.settle();
    assert_eq!(allowed.outcome().0, Outcome::RolledBack);
    assert_eq!(allowed.status.given_up.as_deref(), Some(reasons::UNWANTED));
}

#[test]
fn a_node_that_is_gone_for_good_is_not_waited_for_when_its_pod_is_gone() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.says("u1", TargetStanding::Restored, true);
    scene.settle();
    assert_eq!(scene.outcome().0, Outcome::Restored);
    scene.is_source_lost = true;
    scene.settle();
    assert_eq!(scene.status.stage, Stage::Begun, "its pod is there");
    scene.source_pod = SourcePod::Gone;
    scene.settle();
    assert_eq!(scene.status.stage, Stage::Closed);
}
