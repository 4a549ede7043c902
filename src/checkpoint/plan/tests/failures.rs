//! What goes wrong, and what is lost.

use super::*;

#[test]
fn a_failure_is_said_and_the_node_keeps_no_remains() {
    let mut scene = Scene::new();
    scene.settle();
    scene.answer(CheckpointStanding::Failed);
    assert_eq!(told(&scene.plan()), [reasons::FAILED]);
    assert_eq!(scene.settle(), ["status", "forget"]);
    assert_eq!(
        (scene.phase(), scene.message().as_str()),
        (Phase::Failed, "the disk is full")
    );
    assert!(scene.is_held(), "until the node says that nothing is there");
    scene.answer(CheckpointStanding::Forgotten);
    assert_eq!(
        scene.settle(),
        ["delete the task", "create"],
        "it died before it let go"
    );
    scene.answer(CheckpointStanding::Forgotten);
    assert_eq!(scene.plan(), [Step::DeleteTask, Step::Release]);
    for step in scene.plan() {
        scene.write(&step);
    }
    assert_eq!(scene.plan(), []);
    assert_eq!(
        (scene.phase(), scene.message().as_str()),
        (Phase::Failed, "the disk is full")
    );
}

#[test]
fn a_failure_without_words_says_where_to_look() {
    let mut scene = Scene::new();
    scene.settle();
    scene.answer(CheckpointStanding::Failed);
    let task = scene.task.as_mut().unwrap().status.as_mut().unwrap();
    task.checkpoint.as_mut().unwrap().why = None;
    scene.settle();
    assert!(
        scene.message().contains("the log of its agent"),
        "{}",
        scene.message()
    );
}

#[test]
fn a_node_that_forgot_what_it_should_keep_has_failed() {
    let mut scene = Scene::new();
    scene.settle();
    scene.answer(CheckpointStanding::Forgotten);
    assert_eq!(told(&scene.plan()), [reasons::FAILED]);
    for step in [scene.plan(), vec![Step::Forget]].concat() {
        scene.write(&step);
    }
    assert_eq!(scene.phase(), Phase::Failed);
    assert_eq!(scene.plan(), [Step::DeleteTask, Step::Release]);
}

#[test]
fn a_task_of_another_operation_is_left_alone() {
    let mut scene = Scene::new();
    scene.settle();
    scene.task.as_mut().unwrap().spec.operation = "another".into();
    assert_eq!(scene.settle(), ["status", "release"]);
    assert_eq!(scene.phase(), Phase::Failed);
    assert!(
        scene.message().contains("delete it, and make another"),
        "{}",
        scene.message()
    );
    assert_eq!(scene.task.unwrap().spec.operation, "another");
}

#[test]
fn a_task_that_is_lost_after_it_was_kept_is_given_again() {
    let mut scene = Scene::answered(CheckpointStanding::Kept);
    scene.task = None;
    assert_eq!(
        scene.settle(),
        ["create"],
        "a node deletes what no order names"
    );
    assert_eq!(scene.order().word, CheckpointWord::Take);
    assert!(scene.order().is_taken, "a pod is frozen for it once");
    assert_eq!(scene.phase(), Phase::Succeeded);
    scene.task = None;
    scene.node_is_gone = true;
    assert_eq!(scene.settle(), ["status"], "there is nobody to be asked");
}

#[test]
fn whoever_took_our_finalizer_away_finds_it_again() {
    for standing in [CheckpointStanding::Frozen, CheckpointStanding::Kept] {
        let mut scene = Scene::answered(standing);
        scene.checkpoint.metadata.finalizers = None;
        assert_eq!(scene.settle(), ["hold"], "{standing:?}");
    }
}
