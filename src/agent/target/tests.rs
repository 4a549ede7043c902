//! What comes next for a pod that is to get a state.

use super::*;
use crate::agent::api::{TargetPod, TargetStanding};
use crate::hold::record::{Ended, HoldState};
use crate::hold::uid::Uid;
use crate::migration::api::Decision;

/// A node on which the pod `u1`, of two containers, is to run.
struct Scene {
    record: Record,
    spec: Option<StateTaskSpec>,
    verified: Vec<String>,
    release: Release,
    containers: BTreeMap<String, Sight>,
    has_sandbox: bool,
    is_asked: bool,
    boot: &'static str,
}

const IDLE: Sight = Sight {
    live: Live::Nothing,
    evidence: Evidence::Nothing,
    is_waiting: false,
};

impl Scene {
    fn new() -> Self {
        let spec = StateTaskSpec {
            node_name: "t".into(),
            operation: "op".into(),
            target: Some(TargetOrder {
                pod: Some(PodName {
                    name: "web-1".into(),
                    uid: "u1".into(),
                }),
                generation: "g".into(),
                restores: vec!["a".into(), "b".into()],
                finished: vec!["init".into()],
                ..TargetOrder::default()
            }),
            ..StateTaskSpec::default()
        };
        Self {
            record: Record::blank("ns", "web-1", Uid::try_from("u1").unwrap()),
            spec: Some(spec),
            verified: Vec::new(),
            release: Release::Nobody,
            containers: ["a", "b"].map(|name| (name.to_owned(), IDLE)).into(),
            has_sandbox: true,
            is_asked: false,
            boot: "boot",
        }
    }

    fn claimed() -> Self {
        let mut scene = Self::new();
        scene.act();
        scene.allow(1);
        scene.verified = vec!["g".into()];
        scene.release = Release::To(vec!["u1".into()]);
        scene.act();
        assert_eq!(scene.standing().standing, TargetStanding::Claimed);
        scene
    }

    fn allow(&mut self, attempt: u32) {
        self.spec.as_mut().unwrap().decision = Decision {
            outcome: Outcome::Allowed,
            attempt,
            pod_uid: Some("u1".into()),
            node: Some("t".into()),
            generation: Some("g".into()),
            ..Decision::default()
        };
    }

    fn revoke(&mut self) {
        let order = self.spec.as_mut().unwrap().target.as_mut().unwrap();
        order.revoke = vec!["u1".into()];
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            record: &self.record,
            task: self.spec.as_ref().map_or(Task::Gone, Task::Known),
            boot: self.boot,
            verified: &self.verified,
            release: &self.release,
            containers: &self.containers,
            has_sandbox: self.has_sandbox,
            is_asked_to_revoke: self.is_asked,
            rules: Rules::ALL,
        }
    }

    fn next(&self) -> Option<Act> {
        plan(&self.seen())
    }

    fn apply(&mut self, change: &Change) {
        self.record = change.apply(self.record.clone(), Rules::ALL).unwrap();
    }

    /// Does what comes next, which is a change of the record.
    fn act(&mut self) -> AdmissionStep {
        let next = self.next();
        let Some(Act::Change(change)) = next else {
            panic!("{next:?} is no change");
        };
        self.apply(&change);
        let Change::Admit { step, .. } = change else {
            panic!("{change:?} is no change of an admission");
        };
        step
    }

    fn create(&self, container: &str) -> Reply {
        reply(&self.seen(), Some(container), None, ("cgroup", "id"))
    }

    /// A `create` is answered, and the container gets as far as this.
    fn begin(&mut self, container: &str, live: Live, evidence: Evidence) {
        let Reply::Begin(change, _) = self.create(container) else {
            panic!("{:?}", self.create(container));
        };
        self.apply(&change);
        self.see(container, live, evidence);
    }

    fn see(&mut self, container: &str, live: Live, evidence: Evidence) {
        let sight = self.containers.get_mut(container).unwrap();
        (sight.live, sight.evidence) = (live, evidence);
    }

    fn standing(&self) -> TargetPod {
        standing(&self.seen()).unwrap()
    }
}

#[test]
fn it_is_claimed_when_it_is_allowed_verified_and_released_to_this_very_pod() {
    let mut scene = Scene::new();
    assert!(matches!(scene.act(), AdmissionStep::Open { .. }));
    assert_eq!(scene.next(), None);
    scene.allow(1);
    scene.verified = vec!["g".into()];
    for release in [
        Release::Nobody,
        Release::To(vec!["u2".into()]),
        Release::Anybody,
    ] {
        scene.release = release;
        assert_eq!(scene.next(), None);
    }
    scene.release = Release::To(vec!["u1".into()]);
    let unverified = std::mem::take(&mut scene.verified);
    assert_eq!(scene.next(), None);
    scene.verified = unverified;
    assert!(matches!(scene.act(), AdmissionStep::Claim { .. }));
}

#[test]
fn it_is_ready_when_it_is_allowed_and_its_container_waits() {
    let mut scene = Scene::new();
    scene.act();
    scene.allow(1);
    assert!(!is_ready(&scene.seen(), 1));
    scene.containers.get_mut("a").unwrap().is_waiting = true;
    assert!(is_ready(&scene.seen(), 1));
    assert!(!is_ready(&scene.seen(), 2));
    scene.revoke();
    assert!(!is_ready(&scene.seen(), 1));
}

#[test]
fn a_pod_that_is_named_waits_even_before_its_record_is_written() {
    let scene = Scene::new();
    assert!(matches!(scene.create("a"), Reply::Wait(_)));
    let stranger = Scene {
        spec: None,
        ..Scene::new()
    };
    assert!(matches!(stranger.create("a"), Reply::Start(Some(_))));
}

#[test]
fn containers_are_restored_one_by_one_and_then_all_is_restored() {
    let mut scene = Scene::claimed();
    assert_eq!(scene.create("init"), Reply::NoOp);
    scene.begin("a", Live::Beginning, Evidence::NeverRan);
    assert!(matches!(scene.create("a"), Reply::Wait(_)));
    assert_eq!(scene.next(), None);
    scene.see("a", Live::Running, Evidence::Ran);
    assert!(matches!(scene.act(), AdmissionStep::Done { .. }));
    scene.begin("b", Live::Running, Evidence::Ran);
    assert!(matches!(scene.act(), AdmissionStep::Done { .. }));
    assert_eq!(scene.standing().standing, TargetStanding::Restored);
    assert_eq!(scene.create("a"), Reply::Start(None));
}

#[test]
fn nothing_begins_beside_what_is_left_of_an_earlier_try() {
    let mut scene = Scene::claimed();
    scene.see("a", Live::Beginning, Evidence::Nothing);
    assert!(matches!(scene.create("a"), Reply::Wait(_)));
}

#[test]
fn a_container_that_was_not_restored_ends_the_attempt_of_the_whole_pod() {
    let mut scene = Scene::claimed();
    scene.begin("a", Live::Running, Evidence::Ran);
    scene.act();
    scene.begin("b", Live::Nothing, Evidence::NeverRan);
    assert_eq!(scene.next(), Some(Act::Kill));
    scene.see("a", Live::Nothing, Evidence::Ran);
    assert!(matches!(scene.act(), AdmissionStep::Fail { .. }));
    let TargetPod { standing, ran, .. } = scene.standing();
    assert_eq!((standing, ran), (TargetStanding::Failed, true));
    // The next attempt is of the whole pod again.
    assert!(matches!(scene.create("a"), Reply::Wait(_)));
    scene.allow(2);
    assert!(matches!(
        scene.act(),
        AdmissionStep::Again { attempt: 2, .. }
    ));
    assert!(matches!(scene.create("a"), Reply::Begin(..)));
}

#[test]
fn without_evidence_and_after_a_reboot_it_counts_as_ran() {
    for (evidence, boot, ran) in [
        (Evidence::NeverRan, "boot", false),
        (Evidence::Nothing, "boot", true),
        (Evidence::NeverRan, "later", true),
    ] {
        let mut scene = Scene::claimed();
        scene.begin("a", Live::Nothing, evidence);
        scene.boot = boot;
        scene.act();
        assert_eq!(scene.standing().ran, ran, "{evidence:?} {boot}");
        scene.revoke();
        assert_eq!(scene.next().is_some(), !ran);
    }
}

#[test]
fn what_nobody_can_allow_any_more_is_voided() {
    let mut prepared = Scene::new();
    prepared.act();
    prepared.spec = None;
    assert_eq!(prepared.act(), AdmissionStep::Revoke);
    assert!(matches!(prepared.create("a"), Reply::Refuse(_)));

    // It was let run: for that it needs nobody.
    let mut claimed = Scene::claimed();
    claimed.spec = None;
    assert_eq!(claimed.next(), None);
    assert!(matches!(claimed.create("a"), Reply::Begin(..)));

    // Over, and never run: there is no next attempt.
    let mut over = Scene::claimed();
    over.begin("a", Live::Nothing, Evidence::NeverRan);
    assert!(matches!(over.act(), AdmissionStep::Fail { .. }));
    over.spec = None;
    assert_eq!(over.act(), AdmissionStep::Revoke);

    // At home it was prepared by nobody's orders, and is tried again.
    let mut home = Scene::claimed();
    home.record.ended = Some(Ended {
        operation: "op".into(),
        state: HoldState::Withdrawn,
        proof: None,
        damaged: false,
    });
    home.begin("a", Live::Nothing, Evidence::NeverRan);
    assert!(matches!(home.act(), AdmissionStep::Fail { .. }));
    home.spec = None;
    assert_eq!(home.next(), None);

    // Over, and it may have run: what was made of it is not to be had again elsewhere.
    let mut ran = Scene::claimed();
    ran.begin("a", Live::Nothing, Evidence::Ran);
    while let Some(Act::Change(change)) = ran.next() {
        ran.apply(&change);
    }
    ran.spec = None;
    assert_eq!(ran.next(), None);
}

#[test]
fn what_is_asked_to_be_voided_is_killed_first_unless_something_ran() {
    let mut scene = Scene::claimed();
    scene.begin("a", Live::Beginning, Evidence::NeverRan);
    scene.revoke();
    assert_eq!(scene.next(), Some(Act::Kill));
    scene.see("a", Live::Nothing, Evidence::NeverRan);
    assert!(matches!(scene.act(), AdmissionStep::Fail { .. }));
    assert_eq!(scene.act(), AdmissionStep::Revoke);
    assert!(matches!(scene.create("a"), Reply::Refuse(_)));

    let mut ran = Scene::claimed();
    ran.begin("a", Live::Running, Evidence::Ran);
    ran.act();
    ran.revoke();
    assert_eq!(ran.next(), None);
    assert!(matches!(ran.create("b"), Reply::Begin(..)));
}

#[test]
fn the_source_may_ask_too() {
    let mut scene = Scene::claimed();
    scene.is_asked = true;
    assert!(matches!(scene.create("a"), Reply::Wait(_)));
    assert_eq!(scene.act(), AdmissionStep::Revoke);
}

#[test]
fn what_runs_of_a_pod_that_is_gone_is_killed() {
    let mut scene = Scene::claimed();
    scene.begin("a", Live::Beginning, Evidence::NeverRan);
    scene.has_sandbox = false;
    assert_eq!(scene.next(), Some(Act::Kill));
    scene.see("a", Live::Running, Evidence::Ran);
    scene.act();
    assert_eq!(scene.next(), Some(Act::Kill));
    scene.see("a", Live::Nothing, Evidence::Ran);
    assert!(
        scene.standing().ran,
        "who hears that it is gone hears that it ran"
    );
    assert!(matches!(scene.act(), AdmissionStep::Fail { .. }));
    assert!(scene.standing().is_gone);
}

#[test]
fn without_orders_the_record_decides() {
    let mut scene = Scene::claimed();
    scene.spec = None;
    assert!(matches!(scene.create("a"), Reply::Begin(..)));
    let mut open = Scene::new();
    open.act();
    open.spec = None;
    // They may be there, and are not seen yet.
    let unknown = Seen {
        task: Task::Unknown,
        ..open.seen()
    };
    assert_eq!(plan(&unknown), None);
    open.is_asked = true;
    let asked = Seen {
        task: Task::Unknown,
        ..open.seen()
    };
    assert!(matches!(plan(&asked), Some(Act::Change(_))));
}
