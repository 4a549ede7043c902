//! What is decided and done in one pass.

mod images;
mod ways_back;

use super::*;
use crate::agent::api::{SourceStanding, Word};
use crate::migration::api::{Decision, Outcome, ProofKind, Stage, reasons};

/// A Migration of the pod `s`, from node `s` to node `t`.
struct Scene {
    course: Course,
    status: MigrationStatus,
    refusal: Option<&'static str>,
    is_deleting: bool,
    stop: Option<Stop>,
    images: ImagesSeen<'static>,
    is_source_lost: bool,
    source_pod: SourcePod,
    pods: Vec<Candidate>,
    specs: [Option<StateTaskSpec>; 2],
    source: SourceReport,
    target: TargetReport,
    proof: Option<ProofNote>,
    is_silent: bool,
}

fn candidate(uid: &str) -> Candidate {
    Candidate {
        name: format!("web-{uid}"),
        uid: uid.into(),
        is_gated: true,
        is_alive: true,
    }
}

impl Scene {
    fn new(order: Order) -> Self {
        Self {
            course: Course {
                operation: "op".into(),
                order,
                pod_name: "web".into(),
                pod_uid: "s".into(),
                source_node: "s".into(),
                target_node: "t".into(),
                target_address: None,
                generation: "g".into(),
                older: None,
                is_bare: order == Order::FreezeFirst,
                restores: vec!["a".into(), "b".into()],
                images: Vec::new(),
                finished: vec!["init".into()],
                fills_volumes: true,
                retries: 1,
                on_failure: OnFailure::Wait,
            },
            status: MigrationStatus::default(),
            refusal: None,
            is_deleting: false,
            stop: None,
            images: ImagesSeen::default(),
            is_source_lost: false,
            source_pod: SourcePod::Here { is_detached: false },
            pods: Vec::new(),
            specs: [None, None],
            source: SourceReport::default(),
            target: TargetReport::default(),
            proof: None,
            is_silent: false,
        }
    }

    /// `u1` may run, and the source has released its state to it.
    fn released(order: Order) -> Self {
        let mut scene = Self::new(order);
        scene.status.stage = Stage::Begun;
        scene.pods = vec![Candidate {
            is_gated: false,
            ..candidate("u1")
        }];
        scene.status.target = Some(Binding {
            node: "t".into(),
            pod_name: "web-u1".into(),
            pod_uid: "u1".into(),
        });
        scene.status.decision = Decision {
            outcome: Outcome::Allowed,
            attempt: 1,
            pod_uid: Some("u1".into()),
            node: Some("t".into()),
            generation: Some("g".into()),
            ..Decision::default()
        };
        match order {
            Order::PrepareFirst => {
                scene.source_pod = SourcePod::Here { is_detached: true };
                scene.source.standing = SourceStanding::Released;
            }
            Order::FreezeFirst => {
                scene.source_pod = SourcePod::Gone;
                scene.source.standing = SourceStanding::Killed;
            }
        }
        scene.settle();
        scene.says("u1", TargetStanding::Claimed, false);
        scene
    }

    fn observe<T>(&self, look: impl FnOnce(&Observed<'_>) -> T) -> T {
        let task = |at: usize| TaskSeen {
            spec: self.specs[at].as_ref(),
            source: (at == 0).then_some(&self.source),
            target: (at == 1).then_some(&self.target),
            is_current: true,
        };
        look(&Observed {
            course: &self.course,
            status: &self.status,
            refusal: self.refusal,
            is_deleting: self.is_deleting,
            stop: self.stop,
            images: self.images,
            is_source_lost: self.is_source_lost,
            source_pod: self.source_pod,
            pods: &self.pods,
            source: task(0),
            target: task(1),
            target_proof: self.proof.as_ref(),
            is_target_silent: self.is_silent,
            rules: Rules::ALL,
        })
    }

    fn steps(&self) -> Vec<Step> {
        self.observe(plan)
    }

    /// Writes the status and the orders that a pass comes to, until it comes to something else; that is returned.
    fn settle(&mut self) -> Vec<Step> {
        for _pass in 0..20 {
            let mut others = Vec::new();
            let steps = self.steps();
            let is_quiet = !steps
                .iter()
                .any(|step| matches!(step, Step::Status(_) | Step::Task(_)));
            for step in steps {
                match step {
                    Step::Status(status) => self.status = *status,
                    Step::Task(spec) => {
                        let at = usize::from(spec.node_name == "t");
                        self.specs[at] = Some(*spec);
                    }
                    other => others.push(other),
                }
            }
            if is_quiet {
                return others;
            }
        }
        panic!("it never comes to an end: {:#?}", self.status);
    }

    fn says(&mut self, uid: &str, standing: TargetStanding, ran: bool) {
        self.target.is_verified = true;
        self.target.pods.retain(|pod| pod.uid != uid);
        self.target.pods.push(TargetPod {
            uid: uid.into(),
            attempt: self.status.decision.attempt.max(1),
            standing,
            ran,
            is_gone: false,
        });
    }

    fn outcome(&self) -> (Outcome, u32) {
        (self.status.decision.outcome, self.status.decision.attempt)
    }

    fn word(&self) -> Word {
        let spec = self.specs[0].as_ref().unwrap();
        spec.source.as_ref().unwrap().word
    }

    fn revoked(&self) -> &[String] {
        let spec = self.specs[1].as_ref().unwrap();
        &spec.target.as_ref().unwrap().revoke
    }
}

#[test]
fn what_preflight_refuses_is_not_touched() {
    let mut scene = Scene::new(Order::PrepareFirst);
    scene.refusal = Some("no room on t");
    assert_eq!(scene.settle(), [Step::Finish]);
    assert_eq!(scene.outcome().0, Outcome::Failed);
    assert_eq!(scene.status.given_up.as_deref(), Some("no room on t"));
    assert_eq!(scene.specs, [None, None]);
}

#[test]
fn a_deployments_pod_is_detached_bound_and_prepared_before_anything_is_allowed() {
    let mut scene = Scene::new(Order::PrepareFirst);
    assert_eq!(scene.settle(), [Step::Detach]);
    assert_eq!(scene.word(), Word::Stand);
    scene.source_pod = SourcePod::Here { is_detached: true };
    assert_eq!(scene.settle(), []);
    scene.pods = vec![candidate("u1")];
    // Its gate is lifted when its node has it on disk that it waits.
    assert_eq!(scene.settle(), []);
    scene.says("u1", TargetStanding::Opening, false);
    let bound = scene.status.target.clone().unwrap();
    assert_eq!(scene.settle(), [Step::LiftGate(bound)]);
    scene.pods[0].is_gated = false;
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.outcome(), (Outcome::Undecided, 0));
    scene.says("u1", TargetStanding::Waiting, false);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.outcome(), (Outcome::Allowed, 1));
    assert_eq!(scene.word(), Word::Freeze);
}

#[test]
fn a_bare_pod_is_killed_only_when_all_is_safe_and_made_again_when_it_is_gone() {
    let mut scene = Scene::new(Order::FreezeFirst);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.word(), Word::Freeze);
    scene.source.standing = SourceStanding::Frozen;
    scene.settle();
    assert_eq!(scene.word(), Word::Freeze);
    scene.source.standing = SourceStanding::Verified;
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.word(), Word::Supersede);
    scene.source.standing = SourceStanding::Killed;
    assert_eq!(scene.settle(), [Step::DeletePod("s".into())]);
    scene.source_pod = SourcePod::Gone;
    assert_eq!(scene.settle(), [Step::CreatePod]);
}

#[test]
fn restored_means_the_source_is_killed_deleted_and_all_is_let_go() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.says("u1", TargetStanding::Restored, true);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.outcome(), (Outcome::Restored, 1));
    scene.source.standing = SourceStanding::Killed;
    assert_eq!(scene.settle(), [Step::DeletePod("s".into())]);
    scene.source_pod = SourcePod::Gone;
    let left = ["s", "t"].map(|node| Step::DeleteTask(node.into()));
    assert_eq!(scene.settle(), left);
    scene.specs = [None, None];
    assert_eq!(scene.settle(), [Step::Finish]);
}

#[test]
fn what_was_withdrawn_is_given_back_when_the_target_is_void() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.source.standing = SourceStanding::Withdrawn;
    scene.says("u1", TargetStanding::Waiting, false);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.outcome().0, Outcome::RolledBack);
    assert_eq!(scene.revoked(), ["u1"]);
    scene.says("u1", TargetStanding::Revoked, false);
    assert_eq!(scene.settle(), [Step::Attach, Step::DeletePod("u1".into())]);
}

#[test]
fn a_pod_that_was_killed_while_frozen_is_told_so() {
    let mut scene = Scene::released(Order::PrepareFirst);
    scene.source = SourceReport {
        standing: SourceStanding::Withdrawn,
        is_killed: true,
        ..SourceReport::default()
    };
    scene.source_pod = SourcePod::Gone;
    scene.settle();
    assert_eq!(scene.outcome().0, Outcome::Failed);
    assert_eq!(
        scene.status.given_up.as_deref(),
        Some(reasons::SOURCE_KILLED)
    );
}

#[test]
fn what_comes_later_is_refused_with_a_sentence() {
    let spec = MigrationSpec {
        pod_name: Some("web".into()),
        ..MigrationSpec::default()
    };
    assert_eq!(refusal(&spec, Owner::Deployment, true), None);
    assert_eq!(refusal(&spec, Owner::Nobody, true), None);
    let post_copy = MigrationSpec {
        mode: Mode::PostCopy,
        ..spec.clone()
    };
    for (spec, owner, is_ours) in [
        (&spec, Owner::StatefulSet, true),
        (&spec, Owner::ReplicaSet, true),
        (&spec, Owner::Job, true),
        (&spec, Owner::Node, true),
        (&spec, Owner::Other, true),
        (&spec, Owner::Deployment, false),
        (&post_copy, Owner::Deployment, true),
    ] {
        let why = refusal(spec, owner, is_ours).unwrap();
        assert!(why.contains(' ') && !why.ends_with('.'), "{why}");
    }
}
