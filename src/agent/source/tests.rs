//! What comes next for a pod whose state goes elsewhere.

use super::*;
use crate::agent::api::PodName;
use crate::migration::api::{Decision, ProofKind, ProofNote};

/// A node with one pod of two containers.
struct Scene {
    record: Record,
    spec: Option<StateTaskSpec>,
    processes: [Process; 2],
    cut: Cut,
    older: Option<&'static str>,
    is_guarded: bool,
    peer: Peer,
    is_late: bool,
}

fn uid(name: &str) -> Uid {
    Uid::try_from(name).unwrap()
}

fn allowed(attempt: u32, pod: &str) -> Decision {
    Decision {
        outcome: Outcome::Allowed,
        attempt,
        pod_uid: Some(pod.into()),
        node: Some("t".into()),
        generation: Some("g".into()),
        ..Decision::default()
    }
}

impl Scene {
    fn new(order: Order, word: Word, decision: Decision) -> Self {
        let spec = StateTaskSpec {
            node_name: "s".into(),
            operation: "op".into(),
            decision,
            source: Some(SourceOrder {
                pod: PodName {
                    name: "web".into(),
                    uid: "s".into(),
                },
                generation: "g".into(),
                target_node: "t".into(),
                target_address: None,
                order,
                word,
            }),
            target: None,
            checkpoint: None,
            copy: None,
            inspect: None,
        };
        Self {
            record: Record::blank("ns", "web", uid("s")),
            spec: Some(spec),
            processes: [Process::Running; 2],
            cut: Cut::Nothing,
            older: None,
            is_guarded: false,
            peer: Peer::default(),
            is_late: false,
        }
    }

    /// A Deployment's pod, frozen for `u1`.
    fn frozen() -> Self {
        let mut scene = Self::new(Order::PrepareFirst, Word::Freeze, allowed(1, "u1"));
        scene.peer.ready = Some(("u1".into(), 1));
        scene.act();
        scene.is_guarded = true;
        scene.processes = [Process::Frozen; 2];
        scene
    }

    fn released() -> Self {
        let mut scene = Self::frozen();
        scene.cut = Cut::Whole;
        scene.peer.has_verified = true;
        scene.act();
        assert_eq!(scene.state(), HoldState::Released);
        scene.peer.has_release = true;
        scene
    }

    fn next(&self) -> Option<Act> {
        let held = ["a", "b"].map(|name| Held {
            name: name.into(),
            id: name.into(),
            root: "/run/runc".into(),
            cgroups: Vec::new(),
        });
        let containers: Vec<_> = held.into_iter().zip(self.processes).collect();
        plan(&Seen {
            record: &self.record,
            task: self.spec.as_ref().map_or(Task::Gone, Task::Known),
            containers: &containers,
            cut: self.cut,
            older: self.older,
            has_criu_died: false,
            is_guarded: self.is_guarded,
            peer: &self.peer,
            is_late: self.is_late,
            deadline: &Deadline {
                boot: "boot".into(),
                nanos: 9,
            },
            rules: Rules::ALL,
        })
    }

    /// Does what comes next, which is a change of the record.
    fn act(&mut self) -> HoldStep {
        let next = self.next();
        let Some(Act::Change(change)) = &next else {
            panic!("{next:?} is no change");
        };
        self.record = change.apply(self.record.clone(), Rules::ALL).unwrap();
        let Change::Hold { step, .. } = change else {
            panic!("{change:?} is no change of a hold");
        };
        step.clone()
    }

    fn state(&self) -> HoldState {
        self.record.hold.as_ref().unwrap().state
    }

    fn order(&mut self) -> &mut StateTaskSpec {
        self.spec.as_mut().unwrap()
    }
}

fn pod(name: &str, standing: TargetStanding) -> TargetPod {
    TargetPod {
        uid: name.into(),
        attempt: 1,
        standing,
        ..TargetPod::default()
    }
}

#[test]
fn the_target_is_asked_before_the_hold_which_comes_before_the_freeze() {
    let mut scene = Scene::new(Order::PrepareFirst, Word::Freeze, allowed(1, "u1"));
    assert_eq!(scene.next(), Some(Act::AskReady("u1".into(), 1)));
    scene.peer.ready = Some(("u1".into(), 2));
    assert_eq!(scene.next(), Some(Act::AskReady("u1".into(), 1)));
    scene.peer.ready = Some(("u1".into(), 1));
    assert!(matches!(scene.act(), HoldStep::Begin(_)));
    assert_eq!(scene.next(), Some(Act::Guard));
    scene.is_guarded = true;
    assert_eq!(scene.next(), Some(Act::Freeze));
}

#[test]
fn nothing_is_held_without_a_decision_or_while_a_container_is_down() {
    let undecided = Scene::new(Order::PrepareFirst, Word::Freeze, Decision::default());
    assert_eq!(undecided.next(), None);
    let standing = Scene::new(Order::PrepareFirst, Word::Stand, allowed(1, "u1"));
    assert_eq!(standing.next(), None);
    let mut down = Scene::new(Order::PrepareFirst, Word::Freeze, allowed(1, "u1"));
    down.processes[1] = Process::Dead;
    assert_eq!(down.next(), None);
}

#[test]
fn it_is_dumped_copied_and_released_in_this_order() {
    let mut scene = Scene::frozen();
    assert_eq!(scene.next(), Some(Act::Dump));
    scene.cut = Cut::Begun;
    assert_eq!(scene.next(), Some(Act::Dump));
    scene.cut = Cut::Whole;
    assert_eq!(scene.next(), Some(Act::Copy));
    scene.peer.has_verified = true;
    assert_eq!(scene.act(), HoldStep::Release(uid("u1")));
    assert_eq!(scene.next(), Some(Act::Release(Some("u1".into()))));
    scene.peer.has_release = true;
    assert_eq!(scene.next(), None);
}

#[test]
fn before_the_release_it_is_withdrawn_for_any_reason() {
    let withdraws = |change: fn(&mut Scene)| {
        let mut scene = Scene::frozen();
        change(&mut scene);
        assert_eq!(scene.act(), HoldStep::Withdraw);
        assert_eq!(scene.act(), HoldStep::Thaw);
        assert_eq!(scene.next(), Some(Act::Thaw));
        scene.processes = [Process::Running; 2];
        assert_eq!(scene.act(), HoldStep::End);
        // The same operation does not begin again.
        assert_eq!(scene.next(), None);
    };
    withdraws(|scene| scene.is_late = true);
    withdraws(|scene| scene.spec = None);
    withdraws(|scene| scene.order().source.as_mut().unwrap().word = Word::Withdraw);
    withdraws(|scene| scene.order().decision = allowed(2, "u2"));
    withdraws(|scene| scene.order().decision.outcome = Outcome::RolledBack);
    withdraws(|scene| scene.order().source = None);
}

#[test]
fn orders_that_cannot_be_seen_decide_nothing() {
    let scene = Scene::frozen();
    let containers = [];
    let seen = Seen {
        record: &scene.record,
        task: Task::Unknown,
        containers: &containers,
        cut: Cut::Whole,
        older: None,
        has_criu_died: false,
        is_guarded: true,
        peer: &Peer::default(),
        is_late: false,
        deadline: &Deadline {
            boot: "boot".into(),
            nanos: 9,
        },
        rules: Rules::ALL,
    };
    assert_eq!(plan(&seen), Some(Act::Copy));
}

#[test]
fn what_ran_on_in_the_middle_of_a_dump_is_damaged_and_comes_back() {
    let mut scene = Scene::frozen();
    scene.cut = Cut::Begun;
    scene.processes[1] = Process::Running;
    assert_eq!(scene.act(), HoldStep::Damage);
    assert_eq!(scene.act(), HoldStep::Withdraw);
    let mut older = Scene {
        older: Some("g0"),
        ..scene
    };
    assert_eq!(older.next(), Some(Act::Kill));
    older.processes = [Process::Dead; 2];
    let HoldStep::Home { what, .. } = older.act() else {
        panic!("it comes home");
    };
    assert_eq!(what, What::Generation("g0".into()));
}

#[test]
fn after_the_release_only_a_proof_about_this_very_pod_brings_it_back() {
    let mut scene = Scene::released();
    scene.is_late = true;
    scene.order().source.as_mut().unwrap().word = Word::Withdraw;
    assert_eq!(scene.next(), None);
    scene.peer.pods = vec![pod("u2", TargetStanding::Revoked)];
    assert_eq!(scene.next(), None);
    scene.peer.pods = vec![pod("u1", TargetStanding::Revoked)];
    assert_eq!(scene.act(), HoldStep::Return(uid("u1"), Proof::Revoked));
}

#[test]
fn the_leaders_word_counts_with_its_proof() {
    let rolled_back = |proof: Option<ProofKind>, pod: &str| Decision {
        outcome: Outcome::RolledBack,
        proof: proof.map(|kind| ProofNote { kind, by: None }),
        ..allowed(1, pod)
    };
    let next = |decision| {
        let mut scene = Scene::released();
        scene.order().decision = decision;
        scene.next().is_some()
    };
    assert!(next(rolled_back(Some(ProofKind::OutOfService), "u1")));
    assert!(!next(rolled_back(Some(ProofKind::Unknown), "u1")));
    assert!(!next(rolled_back(None, "u1")));
}

#[test]
fn a_way_back_from_a_later_attempt_is_gone_pod_by_pod() {
    let mut scene = Scene::released();
    scene.order().decision = Decision {
        outcome: Outcome::RolledBack,
        ran: true,
        proof: Some(ProofNote {
            kind: ProofKind::OutOfService,
            by: None,
        }),
        ..allowed(2, "u2")
    };
    // The second attempt was over before this node heard of it.
    let HoldStep::Retarget { target, ran } = scene.act() else {
        panic!("the proof is not about the pod that has the release");
    };
    assert_eq!((target.uid, ran), (Some(uid("u2")), true));
    let HoldStep::Return(back, proof) = scene.act() else {
        panic!("now it is");
    };
    assert_eq!((back, proof.is_failover()), (uid("u2"), true));
}

#[test]
fn a_later_attempt_in_another_pod_takes_the_state_along() {
    let mut scene = Scene::released();
    scene.order().decision = Decision {
        ran: true,
        ..allowed(2, "u2")
    };
    let HoldStep::Retarget { target, ran } = scene.act() else {
        panic!("it is given to another pod");
    };
    assert_eq!((target.uid, ran), (Some(uid("u2")), true));
    scene.peer.has_release = false;
    assert_eq!(scene.next(), Some(Act::Release(Some("u2".into()))));
    // What ran in the first pod is not undone by the second one.
    scene.peer.has_release = true;
    scene.peer.pods = vec![pod("u2", TargetStanding::Revoked)];
    assert_eq!(scene.next(), None);
}

#[test]
fn with_nobody_to_decide_the_target_is_asked() {
    let mut scene = Scene::released();
    scene.spec = None;
    assert_eq!(scene.next(), Some(Act::AskRevoke("u1".into())));
    scene.peer.pods = vec![pod("u1", TargetStanding::Restored)];
    assert_eq!(scene.act(), HoldStep::Supersede);
}

#[test]
fn what_runs_elsewhere_is_killed_here() {
    let mut scene = Scene::released();
    scene.order().decision.outcome = Outcome::Restored;
    assert_eq!(scene.act(), HoldStep::Supersede);
    assert_eq!(scene.next(), Some(Act::Kill));
    scene.processes[0] = Process::Dead;
    assert_eq!(scene.next(), Some(Act::Kill));
    scene.processes[1] = Process::Dead;
    assert_eq!(scene.act(), HoldStep::Kill);
    assert_eq!(scene.next(), None);
}

#[test]
fn where_no_pod_waits_all_is_safe_before_the_word_to_kill_counts() {
    let mut scene = Scene::new(Order::FreezeFirst, Word::Freeze, Decision::default());
    assert!(matches!(scene.act(), HoldStep::Begin(_)));
    scene.is_guarded = true;
    scene.processes = [Process::Frozen; 2];
    scene.order().source.as_mut().unwrap().word = Word::Supersede;
    assert_eq!(scene.next(), Some(Act::Dump));
    scene.cut = Cut::Whole;
    assert_eq!(scene.next(), Some(Act::Copy));
    scene.peer.has_verified = true;
    assert_eq!(scene.next(), Some(Act::Release(None)));
    scene.peer.has_release = true;
    assert_eq!(scene.act(), HoldStep::Supersede);
}

#[test]
fn what_died_frozen_starts_from_what_was_dumped_and_what_was_thawed_crashed() {
    let mut scene = Scene::frozen();
    scene.cut = Cut::Whole;
    scene.is_late = true;
    assert_eq!(scene.act(), HoldStep::Withdraw);
    let mut thawed = Scene {
        record: scene.record.clone(),
        spec: scene.spec.clone(),
        peer: Peer::default(),
        ..scene
    };
    scene.processes = [Process::Dead; 2];
    let HoldStep::Home { what, containers } = scene.act() else {
        panic!("it comes home");
    };
    assert_eq!(what, What::Generation("g".into()));
    assert_eq!(containers.len(), 2);
    assert_eq!(thawed.act(), HoldStep::Thaw);
    thawed.processes = [Process::Dead; 2];
    assert_eq!(thawed.act(), HoldStep::End);
}
