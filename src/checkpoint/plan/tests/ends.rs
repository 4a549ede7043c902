//! How a Checkpoint goes: deleted, in time, or with its node.

use super::*;

#[test]
fn a_deletion_waits_until_the_node_has_forgotten() {
    for standing in [
        CheckpointStanding::Idle,
        CheckpointStanding::Frozen,
        CheckpointStanding::Dumped,
        CheckpointStanding::Kept,
    ] {
        let mut scene = Scene::answered(standing);
        scene.vanish();
        assert_eq!(told(&scene.plan()), [reasons::FORGETTING]);
        assert_eq!(scene.settle(), ["forget"], "{standing:?}");
        assert!(scene.is_held());
        scene.answer(CheckpointStanding::Forgotten);
        assert_eq!(
            scene.plan(),
            [Step::DeleteTask, Step::Release],
            "{standing:?}"
        );
    }
}

#[test]
fn a_node_that_was_told_to_take_it_is_told_to_forget_it_whatever_it_says() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    scene.answer(CheckpointStanding::Forgotten);
    scene.vanish();
    assert_eq!(scene.plan().first(), Some(&Step::Forget));
}

#[test]
fn without_a_task_the_node_is_asked_to_forget_all_the_same() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    scene.task = None;
    scene.vanish();
    assert_eq!(scene.settle(), ["create"]);
    assert_eq!(scene.order().word, CheckpointWord::Forget);
    assert_eq!(scene.order().pod.uid, "uid-web");
}

#[test]
fn what_was_begun_and_not_asked_is_forgotten_too() {
    let mut scene = Scene::new();
    for _hold_and_status in 0..2 {
        let step = scene.plan().remove(0);
        scene.write(&step);
    }
    scene.vanish();
    assert_eq!(scene.settle(), ["create"]);
    assert_eq!(scene.order().word, CheckpointWord::Forget);
}

#[test]
fn what_was_not_begun_is_let_go_at_once() {
    let mut scene = Scene::new();
    scene.write(&Step::Hold);
    scene.vanish();
    assert_eq!(scene.plan(), [Step::Release]);
}

#[test]
fn what_we_do_not_hold_goes_by_itself() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    scene.checkpoint.metadata.finalizers = Some(vec!["others.dev/x".into()]);
    scene.vanish();
    assert_eq!(scene.plan(), []);
}

#[test]
fn a_node_that_is_gone_is_not_waited_for() {
    for standing in [CheckpointStanding::Frozen, CheckpointStanding::Kept] {
        let mut scene = Scene::answered(standing);
        scene.node_is_gone = true;
        scene.vanish();
        assert_eq!(scene.settle(), ["delete the task", "release"]);
    }
}

#[test]
fn a_deletion_leaves_a_task_of_another_operation_alone() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    scene.task.as_mut().unwrap().spec.operation = "another".into();
    scene.vanish();
    assert_eq!(scene.settle(), ["release"]);
}

#[test]
fn with_its_node_gone_before_it_is_kept_it_has_failed() {
    for standing in [CheckpointStanding::Idle, CheckpointStanding::Dumped] {
        let mut scene = Scene::answered(standing);
        scene.node_is_gone = true;
        assert_eq!(scene.settle(), ["status", "delete the task", "release"]);
        assert_eq!(
            (scene.phase(), scene.reason().as_str()),
            (Phase::Failed, reasons::FAILED)
        );
    }
}

#[test]
fn with_its_node_gone_after_it_was_kept_it_is_lost() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    scene.node_is_gone = true;
    assert_eq!(told(&scene.plan()), [reasons::LOST]);
    assert_eq!(scene.settle(), ["status"]);
    let status = scene.status();
    assert_eq!(
        (scene.phase(), scene.reason().as_str()),
        (Phase::Lost, reasons::LOST)
    );
    assert_eq!(
        (status.locations.len(), status.conditions[0].status.as_str()),
        (0, "False")
    );
    // A node of that name may come, and be another one.
    scene.node_is_gone = false;
    assert_eq!(scene.plan(), []);
    scene.vanish();
    assert_eq!(scene.settle(), ["forget"]);
}

#[test]
fn when_its_time_is_over_it_is_deleted() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    assert_eq!(ends(&scene.checkpoint), None);
    scene.checkpoint.spec.ttl_seconds = Some(10);
    assert_eq!(ends(&scene.checkpoint), Some(at(60)), "it was taken at 50");
    assert_eq!(scene.plan_at(59), []);
    assert_eq!(scene.plan_at(60), [Step::Expire]);
    scene.checkpoint.spec.pinned = true;
    assert_eq!((ends(&scene.checkpoint), scene.plan_at(60)), (None, vec![]));
    scene.checkpoint.spec.pinned = false;
    scene.node_is_gone = true;
    let lost = scene.plan_at(59);
    scene.write(&lost[0]);
    assert_eq!(
        scene.plan_at(60),
        [Step::Expire],
        "so does one that is lost"
    );
}

#[test]
fn what_was_not_taken_has_no_end() {
    let mut scene = Scene::new();
    scene.checkpoint.spec.ttl_seconds = Some(1);
    scene.settle();
    scene.answer(CheckpointStanding::Failed);
    scene.settle();
    assert_eq!(ends(&scene.checkpoint), None);
}

#[test]
fn a_change_of_what_may_be_changed_is_seen() {
    for standing in [CheckpointStanding::Kept, CheckpointStanding::Failed] {
        let mut scene = Scene::answered(standing);
        scene.checkpoint.metadata.generation = Some(2);
        if standing == CheckpointStanding::Failed {
            scene.task = None;
            scene.write(&Step::Release);
        }
        assert_eq!(scene.settle(), ["status"], "{standing:?}");
        let status = scene.status();
        assert_eq!(status.observed_generation, Some(2));
        assert_eq!(status.conditions[0].observed_generation, Some(2));
    }
}
