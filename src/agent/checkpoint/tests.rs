//! What comes next for a checkpoint.

use super::*;
use crate::agent::api::{ContainerReport, PodName};
use crate::agent::store::manifest::{Manifest, VERSION};
use crate::hold::rules::Rules;
use crate::hold::uid::Uid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// A node with a pod of two containers that is to be checkpointed.
struct Scene {
    order: Option<CheckpointOrder>,
    record: Record,
    processes: [Process; 2],
    found: Found,
    is_mine: bool,
    failure: Option<NoCut>,
    is_guarded: bool,
    is_late: bool,
    dumping: Dumping,
}

#[expect(clippy::unnecessary_wraps, reason = "a scene has one or none")]
fn no_cut(why: &str, has_criu_died: bool) -> Option<NoCut> {
    Some(NoCut {
        why: why.into(),
        has_criu_died,
    })
}

fn held(name: &str) -> Held {
    Held {
        name: name.into(),
        id: name.into(),
        root: "/r".into(),
        cgroups: Vec::new(),
    }
}

fn cut() -> Found {
    Found::Cut(Box::new(Manifest {
        version: VERSION,
        operation: "op".into(),
        role: Role::Checkpoint,
        namespace: "ns".into(),
        pod: "web".into(),
        uid: "u1".into(),
        node: "n".into(),
        boot: "boot".into(),
        taken_at: Time(Timestamp::UNIX_EPOCH),
        frozen_millis: 9,
        containers: vec![ContainerReport::default()],
        volumes: Vec::new(),
        files: Vec::new(),
    }))
}

impl Scene {
    fn new() -> Self {
        Self {
            order: Some(CheckpointOrder {
                pod: PodName {
                    name: "web".into(),
                    uid: "u1".into(),
                },
                generation: "g".into(),
                deadline_seconds: 60,
                ..CheckpointOrder::default()
            }),
            record: Record::blank("ns", "web", Uid::try_from("u1").unwrap()),
            processes: [Process::Running; 2],
            found: Found::Nothing,
            is_mine: false,
            failure: None,
            is_guarded: false,
            is_late: false,
            dumping: Dumping::Not,
        }
    }

    fn frozen() -> Self {
        let mut scene = Self::new();
        assert!(matches!(scene.step(), HoldStep::Begin(_)));
        assert_eq!(scene.next(), Some(Act::Guard));
        scene.is_guarded = true;
        assert_eq!(scene.next(), Some(Act::Freeze));
        scene.processes = [Process::Frozen; 2];
        scene.is_mine = true;
        scene
    }

    fn with<T>(&self, ask: impl Fn(&Seen<'_>) -> T) -> T {
        let containers = [
            (held("a"), self.processes[0]),
            (held("b"), self.processes[1]),
        ];
        let deadline = Deadline {
            boot: "boot".into(),
            nanos: 60,
        };
        ask(&Seen {
            operation: "op",
            order: self.order.as_ref(),
            record: &self.record,
            containers: &containers,
            found: &self.found,
            is_mine: self.is_mine,
            failure: self.failure.as_ref(),
            is_guarded: self.is_guarded,
            is_late: self.is_late,
            dumping: self.dumping,
            boot: "boot",
            deadline: &deadline,
        })
    }

    fn next(&self) -> Option<Act> {
        self.with(plan)
    }

    /// The next act is a change of the record, which is made.
    fn step(&mut self) -> HoldStep {
        let Some(Act::Change(change)) = self.next() else {
            panic!("{:?}", self.next());
        };
        self.record = change.apply(self.record.clone(), Rules::ALL).unwrap();
        match change {
            Change::Hold { step, .. } => step,
            other => panic!("{other:?}"),
        }
    }

    /// It is let go, and nothing of the hold is left.
    fn goes_home(&mut self) {
        assert_eq!(self.step(), HoldStep::Withdraw);
        assert_eq!(self.step(), HoldStep::Thaw);
        assert_eq!(self.next(), Some(Act::Thaw));
        self.processes = [Process::Running; 2];
        assert_eq!(self.step(), HoldStep::End);
        assert_eq!(self.record.hold, None);
    }

    fn why(&self) -> String {
        match self.next() {
            Some(Act::Fail(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn standing(&self) -> CheckpointStanding {
        self.with(|seen| report(seen, "/p")).unwrap().standing
    }
}

#[test]
fn a_pod_is_held_guarded_frozen_dumped_let_go_and_then_sealed() {
    let mut scene = Scene::frozen();
    assert_eq!(scene.standing(), CheckpointStanding::Frozen);
    assert_eq!(scene.next(), Some(Act::Dump));
    scene.found = cut();
    scene.goes_home();
    assert_eq!(scene.standing(), CheckpointStanding::Dumped);
    assert_eq!(scene.next(), Some(Act::Seal));
    let Found::Cut(manifest) = cut() else {
        unreachable!()
    };
    scene.found = Found::Sealed(manifest, "sha256:x".into());
    assert_eq!(scene.next(), None);
    let report = scene.with(|seen| report(seen, "/p")).unwrap();
    assert_eq!(report.standing, CheckpointStanding::Kept);
    assert_eq!(
        (report.path.as_deref(), report.frozen_millis),
        (Some("/p"), Some(9))
    );
}

#[test]
fn whatever_goes_wrong_in_the_freeze_lets_the_pod_go() {
    let wrongs: [fn(&mut Scene); 6] = [
        |scene| scene.is_late = true,
        |scene| scene.order = None,
        |scene| scene.order.as_mut().unwrap().word = CheckpointWord::Forget,
        |scene| scene.failure = no_cut("CRIU said no", false),
        |scene| scene.processes = [Process::Dead, Process::Frozen],
        // An agent died over it, and this is the next one.
        |scene| (scene.found, scene.is_mine) = (Found::Part, false),
    ];
    for wrong in wrongs {
        let mut scene = Scene::frozen();
        wrong(&mut scene);
        scene.goes_home();
    }
}

#[test]
fn what_criu_died_on_is_damaged_and_counts_for_nothing() {
    let mut scene = Scene::frozen();
    scene.found = Found::Part;
    scene.failure = no_cut("CRIU was killed", true);
    assert_eq!(scene.step(), HoldStep::Damage);
    scene.goes_home();
    assert_eq!(scene.why(), "CRIU was killed");
}

#[test]
fn a_dump_that_goes_on_without_its_agent_is_waited_for() {
    let mut scene = Scene::frozen();
    (scene.found, scene.is_mine, scene.dumping) = (Found::Part, false, Dumping::Still);
    // CRIU thaws what it dumps, and freezes it once more when it is done.
    scene.processes = [Process::Running; 2];
    assert_eq!(scene.step(), HoldStep::Withdraw);
    assert_eq!(scene.next(), None);
    scene.processes[0] = Process::Frozen;
    assert_eq!(scene.step(), HoldStep::Thaw);
    assert_eq!(scene.next(), Some(Act::Thaw));
    (scene.processes[0], scene.dumping) = (Process::Running, Dumping::Not);
    assert_eq!(scene.step(), HoldStep::End);
}

#[test]
fn what_cannot_be_sealed_is_given_up() {
    let mut scene = Scene::new();
    scene.found = cut();
    assert_eq!(scene.next(), Some(Act::Seal));
    scene.failure = no_cut("the disk failed", false);
    assert_eq!(scene.why(), "the disk failed");
}

#[test]
fn it_is_taken_once() {
    let mut scene = Scene::frozen();
    scene.is_late = true;
    scene.goes_home();
    scene.is_late = false;
    assert!(scene.why().contains("given up"));
    scene.found = Found::Failed("so it is".into());
    assert_eq!(scene.next(), None);
    assert_eq!(scene.standing(), CheckpointStanding::Failed);
}

#[test]
fn what_was_dumped_and_not_sealed_does_not_outlive_the_boot() {
    let mut scene = Scene::new();
    let Found::Cut(mut manifest) = cut() else {
        unreachable!()
    };
    manifest.boot = "before".into();
    scene.found = Found::Cut(manifest);
    assert!(scene.why().contains("lost power"));
}

#[test]
fn what_cannot_be_taken_is_said_and_nothing_is_touched() {
    let mut scene = Scene::new();
    scene.order.as_mut().unwrap().containers = vec!["a".into(), "c".into()];
    assert!(scene.why().contains("container c"));
    let scene = Scene::new();
    let nobody = |seen: &Seen<'_>| {
        plan(&Seen {
            containers: &[],
            ..seen.clone()
        })
    };
    let Some(Act::Fail(why)) = scene.with(nobody) else {
        panic!("there is nobody to freeze");
    };
    assert!(why.contains("runtimeClassName"), "{why}");
}

#[test]
fn whoever_is_held_by_another_waits_and_is_not_touched() {
    let mut scene = Scene::frozen();
    if let Some(hold) = &mut scene.record.hold {
        hold.operation = "another".into();
    }
    assert_eq!(scene.next(), None);
    scene.record.hold = None;
    assert_eq!(scene.next(), None, "it is frozen by somebody else");
}

#[test]
fn what_is_to_be_forgotten_goes_and_is_said_to_be_gone() {
    let mut scene = Scene::new();
    scene.order.as_mut().unwrap().word = CheckpointWord::Forget;
    assert_eq!(scene.next(), None);
    assert_eq!(scene.standing(), CheckpointStanding::Forgotten);
    for found in [Found::Part, cut(), Found::Failed(String::new())] {
        scene.found = found;
        assert_eq!(scene.next(), Some(Act::Forget));
    }
}

#[test]
fn what_was_taken_and_is_not_here_any_more_is_not_taken_anew() {
    let mut scene = Scene::new();
    scene.order.as_mut().unwrap().is_taken = true;
    let Some(Act::Fail(why)) = scene.next() else {
        panic!("the pod is frozen though nobody asks for that");
    };
    assert!(why.contains("not here any more"), "{why}");
}
