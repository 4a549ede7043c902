//! The agents and the guard: what their plans say, asked once for each different sight, and what each act does to the world.

mod source;
mod target;

use crate::intern::Id;
use crate::model::{
    CONTAINER, GENERATION, Label, Model, NODE, Nexts, Note, OLDER, OPERATION, POD, Report,
};
use crate::world::{
    Api, CONTAINERS, Claim, Evidence, Live, Origin, Place, Pod, SOURCE, TARGET, TARGETS, World,
};
use holdfast::agent::api::{SourceReport, TargetPod, TargetReport};
use holdfast::agent::source::{self as source_plan, Cut, Peer, Process, Task};
use holdfast::agent::target::{self as target_plan, Release, Reply, Sight};
use holdfast::hold::answer::{Agent, Answer, Asked, answer};
use holdfast::hold::change::{AdmissionStep, Change, HoldStep};
use holdfast::hold::guard::{GuardAct, guard};
use holdfast::hold::record::{AdmissionState, Deadline, HoldState, Proof, What};
use std::rc::Rc;

/// All that an agent can see of a pod that is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetKey {
    node: usize,
    record: Id,
    spec: Id,
    boot: u8,
    is_here: bool,
    released: [bool; TARGETS + 1],
    live: [Live; CONTAINERS],
    evidence: [Evidence; CONTAINERS],
    is_asking: [bool; CONTAINERS],
    has_sandbox: bool,
    is_asked: bool,
}

/// What a `create` leads to.
#[derive(Debug, Clone)]
pub enum Created {
    Waits,
    Starts(Id),
    Begins(Id),
}

/// What its plan says.
pub struct TargetSaid {
    act: Option<(TargetAct, Label)>,
    created: [Created; CONTAINERS],
    /// And where there is no agent.
    alone: [Created; CONTAINERS],
    ready: Option<u32>,
    standing: Id,
    is_whole: bool,
}

#[derive(Clone, Copy)]
enum TargetAct {
    Kill,
    Record(Id, bool),
}

/// All that an agent can see of a pod whose state goes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceKey {
    record: Id,
    spec: Id,
    boot: u8,
    live: [Live; CONTAINERS],
    cut: u8,
    has_criu_died: bool,
    is_guarded: bool,
    is_late: bool,
    ready: Option<(u8, u8)>,
    /// What the target's agent answers, if it does.
    peer: Option<(bool, [bool; TARGETS + 1], [Id; TARGETS])>,
}

/// What its plan says.
pub struct SourceSaid {
    act: Option<(SourceAct, Label)>,
    report: Option<SourceReport>,
}

enum SourceAct {
    Record(Id),
    Other(source_plan::Act),
}

/// The kubelet has asked for this container. It asks for one after the other, and for the next one when the former runs.
fn is_asking(world: &World, place: Place, container: usize) -> bool {
    let pod = world.pod(place);
    world.api(place) == Api::Bound
        && world.is_up[world.node(place)]
        && pod.live[container] == Live::Nothing
        && (container == 0 || matches!(pod.live[0], Live::Running | Live::Frozen))
}

fn boot(node: usize, boot: u8) -> String {
    format!("{}{boot}", NODE[node])
}

fn moment(is_late: bool, boot: String) -> Deadline {
    Deadline {
        boot,
        nanos: if is_late { 9 } else { 1 },
    }
}

pub fn name(place: Place) -> &'static str {
    match place {
        Place::Source => NODE[SOURCE],
        Place::Target(at) => POD[at],
    }
}

fn position(uid: &str) -> usize {
    POD.iter().position(|pod| *pod == uid).expect("a pod")
}

/// What matters of a pod's record when a container of it begins.
pub fn claim(model: &Model, world: &World, place: Place) -> Claim {
    let record = model.records.get(world.pod(place).record);
    let source = model.records.get(world.source.record);
    let hold = source.hold.as_ref().and_then(|hold| hold.proof.as_ref());
    let ended = source.ended.as_ref().and_then(|ended| ended.proof.as_ref());
    let admission = record.admission.as_ref();
    Claim {
        is_failover: hold.or(ended).is_some_and(Proof::is_failover),
        is_claimed_fresh: admission.is_some_and(|admission| {
            admission.state == AdmissionState::Claimed && admission.what == Some(What::Fresh)
        }),
        is_prepared: admission.is_some_and(|admission| admission.prepared),
    }
}

impl Model {
    /// A node's orders: an agent that is up sees them as they are.
    fn orders(&self, spec: Id) -> Task<'_> {
        if spec == 0 {
            Task::Gone
        } else {
            Task::Known(self.specs.get(spec))
        }
    }

    /// The record after a change; none if it is refused, or changes nothing.
    fn changed(&mut self, record: Id, change: &Change) -> Option<Id> {
        let old = self.records.get(record).clone();
        let new = change.apply(old, self.scope.rules).ok()?;
        let id = self.records.id(new);
        (id != record).then_some(id)
    }

    fn targets_act(&mut self, world: World, node: usize, nexts: &mut Nexts) {
        for at in 0..TARGETS {
            if world.node(Place::Target(at)) == node {
                self.target_acts(world, Place::Target(at), nexts);
            }
        }
    }

    /// What an agent would report now.
    fn reported(&mut self, world: &World, node: usize) -> Id {
        let source = if node == SOURCE {
            self.source_said(world, false).report.clone()
        } else {
            None
        };
        let target = self.specs.get(world.spec[node]).target.is_some();
        let target = target.then(|| TargetReport {
            is_verified: if node == SOURCE {
                world.is_cut_whole()
            } else {
                world.is_verified
            },
            images: None,
            pods: self.standings_at(world, node),
        });
        self.reports.id(Report {
            of: world.spec[node],
            source,
            target,
        })
    }

    /// How the pods stand that are to run on a node.
    fn standings_at(&mut self, world: &World, node: usize) -> Vec<TargetPod> {
        let here = (0..TARGETS).filter(|at| world.node(Place::Target(*at)) == node);
        let ids: Vec<_> = here
            .map(|at| self.target_said(world, Place::Target(at)).standing)
            .collect();
        let pods = ids.into_iter();
        pods.filter_map(|id| self.standings.get(id).clone())
            .collect()
    }

    /// What nobody will look at any more is as if it had never been: worlds that differ in nothing else are one.
    pub fn tidy(&mut self, world: &mut World) {
        let note = self.note(world.source.record);
        let is_thawed = !world.source.any(Live::Frozen);
        let is_guarded = match note.hold {
            Some(HoldState::Frozen) => true,
            Some(HoldState::Withdrawn) => !is_thawed,
            _ => false,
        };
        world.is_guarded &= is_guarded || world.is_guard_sure;
        world.has_criu_died &= !note.is_damaged && note.hold.is_some();
        if note.hold.is_some() {
            world.ready = None;
        }
        forget_evidence(&mut world.source, note);
        for at in 0..TARGETS {
            let note = self.note(world.targets[at].record);
            forget_evidence(&mut world.targets[at], note);
            world.is_asked[at] &= !note.is_revoked;
        }
        for at in 0..=TARGETS {
            world.sent[at] &= !world.released[at];
        }
    }

    fn reports_to(&mut self, world: World, node: usize, nexts: &mut Nexts) {
        if world.spec[node] == 0 || self.scope.is_quick {
            return;
        }
        let id = self.reported(&world, node);
        if id != world.report[node] {
            let mut next = world;
            next.report[node] = id;
            let what = self.said_report(id);
            nexts.add((NODE[node], what), next);
        }
    }

    fn said_report(&mut self, id: Id) -> &'static str {
        let report = self.reports.get(id);
        let text = match (&report.source, &report.target) {
            (Some(source), _) => format!("reports {:?}", source.standing),
            (_, Some(target)) => format!("reports {}", short(target)),
            _ => "reports nothing".into(),
        };
        self.label(text)
    }
}

fn sight(key: &TargetKey, at: usize) -> Sight {
    Sight {
        live: match key.live[at] {
            Live::Nothing => target_plan::Live::Nothing,
            Live::Beginning => target_plan::Live::Beginning,
            Live::Running | Live::Frozen => target_plan::Live::Running,
        },
        evidence: match key.evidence[at] {
            Evidence::Nothing => target_plan::Evidence::Nothing,
            Evidence::NeverRan => target_plan::Evidence::NeverRan,
            Evidence::Ran => target_plan::Evidence::Ran,
        },
        is_waiting: key.is_asking[at],
    }
}

/// What the runtime says of a container matters while nobody has noted what became of it.
fn forget_evidence(pod: &mut Pod, note: Note) {
    for at in 0..CONTAINERS {
        if !note.is_begun[at] {
            pod.evidence[at] = Evidence::Nothing;
        }
    }
}

fn is_withdrawal(change: &Change) -> bool {
    matches!(
        change,
        Change::Hold {
            step: HoldStep::Withdraw,
            ..
        }
    )
}

fn is_over(change: &Change) -> bool {
    matches!(
        change,
        Change::Admit {
            step: AdmissionStep::Fail { .. },
            ..
        }
    )
}

fn short_change(change: &Change) -> String {
    match change {
        Change::Hold {
            step: HoldStep::Begin(_),
            ..
        } => "record: hold".into(),
        Change::Hold { step, .. } => format!("record: {step:?}"),
        Change::Admit { step, .. } => format!("record: {step:?}"),
        Change::Note { container } => format!("record: note {container}"),
    }
}

fn short(report: &TargetReport) -> String {
    let pod = |pod: &TargetPod| {
        let ran = if pod.ran { ", ran" } else { "" };
        format!("{} {:?} {}{ran}", pod.uid, pod.standing, pod.attempt)
    };
    report.pods.iter().map(pod).collect::<Vec<_>>().join("; ")
}
