//! The agents and the guard: what their plans say, asked once for each different sight, and what each act does to the world.

use crate::intern::Id;
use crate::model::{
    CONTAINER, GENERATION, Label, Model, NODE, Nexts, Note, OLDER, OPERATION, POD, Report,
};
use crate::world::{
    Api, CONTAINERS, Claim, Evidence, Live, Origin, Place, Pod, SOURCE, TARGET, TARGETS, World,
};
use holdfast::agent::api::{SourceReport, TargetPod, TargetReport};
use holdfast::agent::source::{self, Cut, Peer, Process, Task};
use holdfast::agent::target::{self, Release, Reply, Sight};
use holdfast::hold::answer::{Agent, Answer, Asked, answer};
use holdfast::hold::change::{AdmissionStep, Change, HoldStep};
use holdfast::hold::guard::{GuardAct, guard};
use holdfast::hold::record::{AdmissionState, Deadline, HoldState, What};
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
    Other(source::Act),
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
        is_failover: hold.or(ended).is_some_and(|proof| proof.is_failover()),
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

    /// What is said of a pod that is to begin.
    pub fn target_said(&mut self, world: &World, place: Place) -> Rc<TargetSaid> {
        let (node, pod) = (world.node(place), world.pod(place));
        let is_home = node == SOURCE;
        let key = TargetKey {
            node,
            record: pod.record,
            spec: world.spec[node],
            boot: world.boot[node],
            is_here: if is_home {
                world.is_cut_whole()
            } else {
                world.is_verified
            },
            released: if is_home {
                [true; TARGETS + 1]
            } else {
                world.released
            },
            live: pod.live,
            evidence: pod.evidence,
            is_asking: [0, 1].map(|at| is_asking(world, place, at)),
            has_sandbox: matches!(world.api(place), Api::Bound | Api::Terminating),
            is_asked: match place {
                Place::Source => false,
                Place::Target(at) => world.is_asked[at],
            },
        };
        if let Some(said) = self.target_said.get(&key) {
            return Rc::clone(said);
        }
        let said = Rc::new(self.ask_target(&key));
        self.target_said.insert(key, Rc::clone(&said));
        said
    }

    fn ask_target(&mut self, key: &TargetKey) -> TargetSaid {
        let mut verified: Vec<_> = self.verified.clone();
        verified.extend(key.is_here.then(|| GENERATION.to_owned()));
        let pods = (0..TARGETS).filter(|at| key.released[*at]);
        let release = if key.released[TARGETS] {
            Release::Anybody
        } else {
            Release::To(pods.map(|at| POD[at].to_owned()).collect())
        };
        let containers = (0..CONTAINERS).map(|at| (CONTAINER[at].to_owned(), sight(key, at)));
        let containers = containers.collect();
        let boot = boot(key.node, key.boot);
        let seen = target::Seen {
            record: self.records.get(key.record),
            task: self.orders(key.spec),
            boot: &boot,
            verified: &verified,
            release: &release,
            containers: &containers,
            has_sandbox: key.has_sandbox,
            is_asked_to_revoke: key.is_asked,
            rules: self.scope.rules,
        };
        let act = target::plan(&seen);
        let replies = CONTAINER.map(|name| target::reply(&seen, Some(name), None, ("c", "id")));
        let alone = CONTAINER.map(|name| {
            let asked = Asked {
                container: Some(name),
                expects: None,
            };
            answer(seen.record, asked, Agent::Away, self.scope.rules)
        });
        let attempt = self.specs.get(key.spec).decision.attempt;
        let ready = target::is_ready(&seen, attempt).then_some(attempt);
        let standing = target::standing(&seen);
        let is_whole = seen.record.is_whole();
        TargetSaid {
            act: act.and_then(|act| self.target_act(key.record, &act)),
            created: replies.map(|reply| self.created(key.record, &reply)),
            alone: alone.map(|answer| match answer {
                Answer::Start { .. } => Created::Starts(key.record),
                _ => Created::Waits,
            }),
            ready,
            standing: self.standings.id(standing),
            is_whole,
        }
    }

    fn created(&mut self, record: Id, reply: &Reply) -> Created {
        match reply {
            Reply::Start(None) => Created::Starts(record),
            Reply::Start(Some(change)) => {
                Created::Starts(self.changed(record, change).unwrap_or(record))
            }
            Reply::Begin(change, _) => {
                let changed = self.changed(record, change);
                changed.map_or(Created::Waits, Created::Begins)
            }
            Reply::NoOp | Reply::Wait(_) | Reply::Refuse(_) => Created::Waits,
        }
    }

    fn target_act(&mut self, record: Id, act: &target::Act) -> Option<(TargetAct, Label)> {
        Some(match act {
            target::Act::Kill => (TargetAct::Kill, ("", "kills what is left")),
            target::Act::Change(change) => {
                let id = self.changed(record, change)?;
                let what = self.label(short_change(change));
                (TargetAct::Record(id, is_over(change)), ("", what))
            }
        })
    }

    /// What is said of the source.
    fn source_said(&mut self, world: &World, is_late: bool) -> Rc<SourceSaid> {
        let peer = world.has_agent[TARGET].then(|| {
            let standings = [0, 1, 2].map(|at| self.target_said(world, Place::Target(at)).standing);
            (world.is_verified, world.released, standings)
        });
        let pod = world.source;
        let key = SourceKey {
            record: pod.record,
            spec: world.spec[SOURCE],
            boot: world.boot[SOURCE],
            live: pod.live,
            cut: u8::from(world.is_cut_begun) + u8::from(world.is_cut_whole()),
            has_criu_died: world.has_criu_died,
            is_guarded: world.is_guarded,
            is_late,
            ready: world.ready,
            peer,
        };
        if let Some(said) = self.source_said.get(&key) {
            return Rc::clone(said);
        }
        let said = Rc::new(self.ask_source(&key));
        self.source_said.insert(key, Rc::clone(&said));
        said
    }

    fn ask_source(&mut self, key: &SourceKey) -> SourceSaid {
        let process = |live| match live {
            Live::Nothing | Live::Beginning => Process::Dead,
            Live::Running => Process::Running,
            Live::Frozen => Process::Frozen,
        };
        let containers: Vec<_> = self
            .held
            .iter()
            .cloned()
            .zip(key.live.map(process))
            .collect();
        let boot = boot(SOURCE, key.boot);
        let now = moment(key.is_late, boot.clone());
        let record = self.records.get(key.record);
        let peer = self.peer(key);
        let seen = source::Seen {
            record,
            task: self.orders(key.spec),
            containers: &containers,
            cut: [Cut::Nothing, Cut::Begun, Cut::Whole][usize::from(key.cut)],
            older: self.scope.has_older.then_some(OLDER),
            has_criu_died: key.has_criu_died,
            is_guarded: key.is_guarded,
            peer: &peer,
            is_late: record
                .hold
                .as_ref()
                .is_some_and(|hold| hold.deadline.has_passed(&now)),
            deadline: &Deadline { boot, nanos: 5 },
            rules: self.scope.rules,
        };
        let (act, report) = (source::plan(&seen), source::report(&seen));
        let act = match act {
            None => None,
            Some(source::Act::Change(change)) => {
                let what = self.label(short_change(&change));
                let id = self.changed(key.record, &change);
                id.map(|id| (SourceAct::Record(id), (NODE[SOURCE], what)))
            }
            Some(act) => {
                let what = self.label(format!("{act:?}"));
                Some((SourceAct::Other(act), (NODE[SOURCE], what)))
            }
        };
        SourceSaid { act, report }
    }

    /// What the target's agent answers when it is asked. All that stays true is asked anew each time.
    fn peer(&self, key: &SourceKey) -> Peer {
        let ready = key
            .ready
            .map(|(at, attempt)| (POD[usize::from(at)].to_owned(), u32::from(attempt)));
        let Some((has_verified, released, standings)) = key.peer else {
            return Peer {
                ready,
                is_silent: true,
                ..Peer::default()
            };
        };
        let hold = self.records.get(key.record).hold.as_ref();
        let target = hold.and_then(|hold| hold.target.as_ref());
        let meant = target.and_then(|target| target.uid.as_ref());
        let pods = standings
            .iter()
            .filter_map(|id| self.standings.get(*id).clone());
        Peer {
            ready,
            has_verified,
            has_release: released[meant.map_or(TARGETS, |uid| position(uid.as_str()))],
            pods: pods.collect(),
            is_silent: false,
        }
    }

    pub fn source_agent(&mut self, world: World, nexts: &mut Nexts) {
        if !world.has_agent[SOURCE] {
            return;
        }
        let said = self.source_said(&world, false);
        self.source_does(world, &said, nexts);
        // A deadline may pass at any time. Once it has, nothing but a withdrawal can come of it.
        if self.is_frozen(&world) {
            let late = self.source_said(&world, true);
            self.source_does(world, &late, nexts);
        }
        self.target_acts(world, Place::Source, nexts);
        self.targets_act(world, SOURCE, nexts);
        self.reports_to(world, SOURCE, nexts);
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

    /// Where nothing is said of delays, agents that are up report at once.
    pub fn hurry(&mut self, world: &mut World) {
        for node in [SOURCE, TARGET] {
            if world.has_agent[node] && world.spec[node] != 0 {
                world.report[node] = self.reported(world, node);
            }
        }
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

    fn is_frozen(&mut self, world: &World) -> bool {
        self.note(world.source.record).hold == Some(HoldState::Frozen)
    }

    fn source_does(&mut self, world: World, said: &SourceSaid, nexts: &mut Nexts) {
        match &said.act {
            None => {}
            Some((SourceAct::Record(id), what)) => {
                let mut next = world;
                self.set_source(&mut next, *id);
                nexts.add(*what, next);
            }
            Some((SourceAct::Other(source::Act::Thaw), what)) => self.thaw(world, *what, nexts),
            Some((SourceAct::Other(act), what)) => {
                let mut next = world;
                self.source_acts(&mut next, act);
                if next != world {
                    nexts.add(*what, next);
                }
            }
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

    fn source_acts(&mut self, world: &mut World, act: &source::Act) {
        match act {
            source::Act::AskReady(uid, attempt) => {
                let at = position(uid);
                let ready = self.target_said(world, Place::Target(at)).ready;
                world.ready = None;
                if world.has_agent[TARGET] && ready == Some(*attempt) {
                    let small = |number: usize| u8::try_from(number).expect("small");
                    world.ready = Some((small(at), u8::try_from(*attempt).expect("small")));
                }
            }
            source::Act::AskRevoke(uid) => {
                world.is_asked[position(uid)] |= world.has_agent[TARGET];
            }
            source::Act::Guard => world.is_guarded = true,
            source::Act::Freeze => {
                for live in &mut world.source.live {
                    if *live == Live::Running {
                        *live = Live::Frozen;
                    }
                }
            }
            source::Act::Dump => match world.dumped.iter().position(|dumped| !dumped) {
                _ if !world.is_cut_begun => world.is_cut_begun = true,
                Some(at) => world.dumped[at] = true,
                None => {}
            },
            source::Act::Copy => {
                world.is_verified |= world.has_agent[TARGET] && world.is_cut_whole();
            }
            source::Act::Release(uid) => {
                world.sent[uid.as_ref().map_or(TARGETS, |uid| position(uid))] = true;
            }
            source::Act::Kill => world.source.kill(),
            source::Act::Change(_) | source::Act::Thaw => {}
        }
    }

    fn thaw(&mut self, world: World, what: Label, nexts: &mut Nexts) {
        let mut next = world;
        let claim = claim(self, &world, Place::Source);
        let mut wrong = None;
        for at in 0..CONTAINERS {
            if world.source.live[at] == Live::Frozen {
                wrong = wrong.or(next.run(Place::Source, at, Origin::Own, claim));
            }
        }
        nexts.judged(what, next, wrong);
    }

    fn set_source(&self, world: &mut World, record: Id) {
        world.source.record = record;
        let hold = &self.records.get(record).hold;
        world.is_thaw_begun |= hold.as_ref().is_some_and(|hold| hold.thawing);
    }

    pub fn guard(&mut self, world: World, nexts: &mut Nexts) {
        if !world.is_guarded || !world.is_up[SOURCE] {
            return;
        }
        let mut next = world;
        if world.is_guard_sure {
            // It decided on what it read before. The record is read again under its lock, and has the last word.
            next.is_guard_sure = false;
            let withdraw = Change::hold(OPERATION, HoldStep::Withdraw);
            if let Some(record) = self.changed(world.source.record, &withdraw) {
                self.set_source(&mut next, record);
            }
            nexts.add(("the guard", "withdraws, or is refused"), next);
            return;
        }
        let record = self.records.get(world.source.record);
        let now = moment(true, boot(SOURCE, world.boot[SOURCE]));
        let is_frozen = world.source.any(Live::Frozen);
        match guard(record, OPERATION, is_frozen, &now, self.scope.rules) {
            GuardAct::Wait | GuardAct::Leave => {}
            GuardAct::Thaw => self.thaw(world, ("the guard", "thaws"), nexts),
            GuardAct::Change(change) if is_withdrawal(&change) && !self.scope.is_quick => {
                next.is_guard_sure = true;
                nexts.add(("the guard", "sees its deadline pass"), next);
            }
            GuardAct::Change(change) => {
                if let Some(record) = self.changed(world.source.record, &change) {
                    self.set_source(&mut next, record);
                    nexts.add(("the guard", "writes the record"), next);
                }
            }
        }
    }

    pub fn target_agent(&mut self, world: World, nexts: &mut Nexts) {
        if !world.has_agent[TARGET] {
            return;
        }
        self.targets_act(world, TARGET, nexts);
        for at in 0..=TARGETS {
            if world.sent[at] && !world.released[at] && world.is_verified {
                let mut next = world;
                next.released[at] = true;
                let whom = [POD[0], POD[1], POD[2], "t"][at];
                nexts.add((whom, "has the release"), next);
            }
        }
        self.reports_to(world, TARGET, nexts);
    }

    /// What an agent does with a pod that is to begin.
    fn target_acts(&mut self, world: World, place: Place, nexts: &mut Nexts) {
        let said = self.target_said(&world, place);
        let Some((act, (_, what))) = said.act else {
            return;
        };
        let mut next = world;
        let pod: &mut Pod = next.pod_mut(place);
        match act {
            TargetAct::Kill => pod.kill(),
            TargetAct::Record(record, is_over) => {
                pod.record = record;
                if is_over {
                    pod.origin = [Origin::Nothing; CONTAINERS];
                    pod.evidence = [Evidence::Nothing; CONTAINERS];
                }
            }
        }
        nexts.add((name(place), what), next);
    }

    /// A `create` is answered.
    pub fn create(
        &mut self,
        world: World,
        place: Place,
        (at, who): (usize, &'static str),
        nexts: &mut Nexts,
    ) {
        if !is_asking(&world, place, at) {
            return;
        }
        let said = self.target_said(&world, place);
        let created = if world.has_agent[world.node(place)] {
            &said.created[at]
        } else {
            &said.alone[at]
        };
        let mut next = world;
        match created {
            Created::Waits => {}
            // A restart of what was restored whole is a crash of it, and none of our business here.
            Created::Starts(_) if place != Place::Source && said.is_whole => {}
            Created::Starts(record) => {
                next.pod_mut(place).record = *record;
                let claim = claim(self, &world, place);
                let wrong = next.run(place, at, Origin::Fresh, claim);
                nexts.judged((who, "starts fresh"), next, wrong);
            }
            Created::Begins(record) => {
                let pod: &mut Pod = next.pod_mut(place);
                pod.record = *record;
                pod.live[at] = Live::Beginning;
                pod.evidence[at] = Evidence::NeverRan;
                nexts.add((who, "begins"), next);
            }
        }
    }

    /// Without its agent, what is frozen and was not released comes back by its guard.
    pub fn is_left_frozen(&mut self, world: &World) -> bool {
        let hold = self.note(world.source.record).hold;
        let is_unreleased = matches!(hold, Some(HoldState::Frozen | HoldState::Withdrawn));
        is_unreleased && world.source.any(Live::Frozen) && world.is_up[SOURCE]
    }
}

fn sight(key: &TargetKey, at: usize) -> Sight {
    Sight {
        live: match key.live[at] {
            Live::Nothing => target::Live::Nothing,
            Live::Beginning => target::Live::Beginning,
            Live::Running | Live::Frozen => target::Live::Running,
        },
        evidence: match key.evidence[at] {
            Evidence::Nothing => target::Evidence::Nothing,
            Evidence::NeverRan => target::Evidence::NeverRan,
            Evidence::Ran => target::Evidence::Ran,
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
