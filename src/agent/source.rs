//! What the agent of a node does with a pod whose state goes elsewhere: one act at a time, decided from its record, its orders, and
//! what is to be seen. Pure. What may follow what in the record stands in `hold::source`; here is why.
//!
//! | the record says | next |
//! |---|---|
//! | nothing | the target is asked whether it is ready; the hold is written; only then anything is frozen |
//! | frozen | guard, freeze, dump, copy; when all is verified there: released, or, where no pod waits, superseded by the leader's word |
//! | frozen, and late, damaged, called off, or dead before it was dumped | withdrawn |
//! | released | the release is sent until it came; then the leader's word, or the target's that it never ran |
//! | withdrawn, returned | thawed; or, where all died frozen, started again from what was dumped |
//! | superseded | killed, and called dead when all of it is |

mod before;
mod report;

use crate::agent::api::{Order, SourceOrder, StateTaskSpec, TargetPod, TargetStanding, Word};
use crate::hold::change::{Beginning, Change, HoldStep};
use crate::hold::record::{Deadline, Held, Hold, HoldState, Proof, Record, Role, Target, What};
use crate::hold::rules::{Rule, Rules};
use crate::hold::uid::Uid;
use crate::migration::api::{Decision, Outcome};
pub(crate) use before::is_about_to_go;
pub use report::report;

/// The orders of a node, as its agent knows them.
#[derive(Debug, Clone, Copy)]
pub enum Task<'a> {
    /// As they were last seen.
    Known(&'a StateTaskSpec),
    /// There are none, says the API server. That decides nothing: the records do.
    Gone,
    /// They were not seen since this process began.
    Unknown,
}

impl<'a> Task<'a> {
    pub(crate) fn spec(self) -> Option<&'a StateTaskSpec> {
        match self {
            Self::Known(spec) => Some(spec),
            Self::Gone | Self::Unknown => None,
        }
    }
}

/// A container's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Process {
    /// They run.
    Running,
    /// They are frozen, all of them.
    Frozen,
    /// There are none.
    Dead,
}

/// What of the generation lies on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Some container was dumped, or is being dumped.
    Begun,
    /// All were; it is on disk.
    Whole,
}

/// What the agent of the target has said. All of it but `ready` stays true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// It waits for this pod's attempt.
    pub ready: Option<(String, u32)>,
    /// It has the whole state, and has read it again.
    pub has_verified: bool,
    /// It has the release, for the pod that is meant.
    pub has_release: bool,
    /// How the operation's pods stand there.
    pub pods: Vec<TargetPod>,
    /// It does not answer.
    pub is_silent: bool,
}

/// What there is to be seen on the node.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// What is known of the pod, durably; blank where there is no record.
    pub record: &'a Record,
    /// The orders.
    pub task: Task<'a>,
    /// The containers of the pod, and how they are.
    pub containers: &'a [(Held, Process)],
    /// What of the generation is here.
    pub cut: Cut,
    /// An older generation of this very pod that is whole, the newest one.
    pub older: Option<&'a str>,
    /// CRIU died on a container.
    pub has_criu_died: bool,
    /// The guard of the hold lives.
    pub is_guarded: bool,
    /// What the target's agent said.
    pub peer: &'a Peer,
    /// The hold's deadline has passed.
    pub is_late: bool,
    /// When a hold that is written now is to be withdrawn.
    pub deadline: &'a Deadline,
    /// Which rules hold: all.
    pub rules: Rules,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// The record is changed.
    Change(Change),
    /// The target's agent is asked whether this pod waits, in this attempt.
    AskReady(String, u32),
    /// The target's agent is asked to void this pod, and how it stands.
    AskRevoke(String),
    /// The guard is started.
    Guard,
    /// All containers are frozen, at once.
    Freeze,
    /// What was not dumped yet is dumped.
    Dump,
    /// What the target lacks is sent, until it has verified all of it.
    Copy,
    /// The release is sent: for one pod, or, where none waits, for whichever the leader allows.
    Release(Option<String>),
    /// All containers are thawed; what was wished meanwhile is delivered.
    Thaw,
    /// All containers are killed, without a thaw in between.
    Kill,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "whoever calls it says the next act, or that there is none"
)]
fn change(operation: &str, step: HoldStep) -> Option<Act> {
    Some(Act::Change(Change::hold(operation, step)))
}

/// The next thing to do for a pod.
#[must_use]
pub fn plan(seen: &Seen<'_>) -> Option<Act> {
    let Some(hold) = &seen.record.hold else {
        return home_again(seen).or_else(|| begin(seen));
    };
    match hold.state {
        HoldState::Frozen => frozen(seen, hold),
        HoldState::Released => released(seen, hold),
        HoldState::Withdrawn | HoldState::Returned => coming_back(seen, hold),
        HoldState::Superseded if all(seen, Process::Dead) => {
            change(&hold.operation, HoldStep::Kill)
        }
        HoldState::Superseded => Some(Act::Kill),
        HoldState::Killed => None,
    }
}

fn all(seen: &Seen<'_>, process: Process) -> bool {
    seen.containers.iter().all(|(_, is)| *is == process)
}

fn any(seen: &Seen<'_>, process: Process) -> bool {
    seen.containers.iter().any(|(_, is)| *is == process)
}

/// The order for this pod, if it is for this pod.
fn order<'a>(seen: &Seen<'a>) -> Option<(&'a StateTaskSpec, &'a SourceOrder)> {
    let spec = seen.task.spec()?;
    let order = spec.source.as_ref()?;
    (order.pod.uid == seen.record.uid.as_str()).then_some((spec, order))
}

/// Nobody is left to decide.
fn is_alone(seen: &Seen<'_>) -> bool {
    let is_told = || order(seen).is_some_and(|(_, order)| order.word == Word::Alone);
    matches!(seen.task, Task::Gone) || is_told()
}

fn begin(seen: &Seen<'_>) -> Option<Act> {
    let (spec, order) = order(seen)?;
    let is_over = seen
        .record
        .ended
        .as_ref()
        .is_some_and(|ended| ended.operation == spec.operation);
    if is_over && seen.rules.hold(Rule::EndedIsOver) {
        return None;
    }
    let may = order.word == Word::Freeze && !spec.decision.is_final();
    let is_whole = seen.record.admission.is_none() || seen.record.is_whole();
    if !may || !is_whole || seen.containers.is_empty() || !all(seen, Process::Running) {
        return None;
    }
    let uid = match order.order {
        Order::FreezeFirst => None,
        Order::PrepareFirst if spec.decision.outcome != Outcome::Allowed => return None,
        Order::PrepareFirst => {
            let uid = spec.decision.pod_uid.clone()?;
            let asked = (uid.clone(), spec.decision.attempt);
            if seen.peer.ready.as_ref() != Some(&asked) {
                return Some(Act::AskReady(asked.0, asked.1));
            }
            Some(Uid::try_from(uid).ok()?)
        }
    };
    let beginning = Beginning {
        role: Role::Source,
        target: Some(Target {
            node: order.target_node.clone(),
            uid,
        }),
        generation: order.generation.clone(),
        deadline: seen.deadline.clone(),
        containers: seen
            .containers
            .iter()
            .map(|(held, _)| held.clone())
            .collect(),
    };
    change(&spec.operation, HoldStep::Begin(beginning))
}

fn frozen(seen: &Seen<'_>, hold: &Hold) -> Option<Act> {
    let operation = &hold.operation;
    let is_thawed = seen.has_criu_died || (any(seen, Process::Running) && seen.cut != Cut::Nothing);
    if is_thawed && !hold.damaged && seen.rules.hold(Rule::ThawedIsDamaged) {
        return change(operation, HoldStep::Damage);
    }
    let is_killed = any(seen, Process::Dead) && seen.cut != Cut::Whole;
    if hold.damaged || seen.is_late || is_killed || is_called_off(seen, hold) {
        return change(operation, HoldStep::Withdraw);
    }
    if !seen.is_guarded {
        return Some(Act::Guard);
    }
    if any(seen, Process::Running) {
        return Some(Act::Freeze);
    }
    let is_told = order(seen).is_some_and(|(_, order)| order.word == Word::Supersede);
    if is_told && !seen.rules.hold(Rule::VerifiedBeforeKill) {
        return change(operation, HoldStep::Supersede);
    }
    if seen.cut != Cut::Whole {
        return Some(Act::Dump);
    }
    if !seen.peer.has_verified {
        return Some(Act::Copy);
    }
    match hold.target.as_ref().and_then(|target| target.uid.as_ref()) {
        Some(uid) => change(operation, HoldStep::Release(uid.clone())),
        None if !seen.peer.has_release => Some(Act::Release(None)),
        None => is_told
            .then(|| change(operation, HoldStep::Supersede))
            .flatten(),
    }
}

/// The leader wants it back, or means another pod, or there is no order any more.
fn is_called_off(seen: &Seen<'_>, hold: &Hold) -> bool {
    match seen.task {
        Task::Unknown => false,
        Task::Gone => true,
        Task::Known(_) if is_alone(seen) => true,
        Task::Known(spec) => {
            let Some((_, order)) = order(seen) else {
                return true;
            };
            let meant = hold.target.as_ref().and_then(|target| target.uid.as_ref());
            let is_another = meant.is_some_and(|uid| {
                spec.decision.outcome == Outcome::Allowed && !spec.decision.allows(uid.as_str())
            });
            spec.operation != hold.operation
                || spec.decision.is_final()
                || order.word == Word::Withdraw
                || is_another
        }
    }
}

fn released(seen: &Seen<'_>, hold: &Hold) -> Option<Act> {
    let operation = &hold.operation;
    let uid = hold.target.as_ref()?.uid.clone()?;
    if let Some(step) = outcome(seen, &uid) {
        return change(operation, step);
    }
    if seen.peer.is_silent && !seen.rules.hold(Rule::ProofBeforeReturn) {
        return change(operation, HoldStep::Return(uid, Proof::Revoked));
    }
    if !seen.peer.has_release {
        return Some(Act::Release(Some(uid.into())));
    }
    is_alone(seen).then(|| Act::AskRevoke(uid.into()))
}

/// What became of a released state, once somebody knows.
fn outcome(seen: &Seen<'_>, uid: &Uid) -> Option<HoldStep> {
    let is_meant =
        |pod: &&TargetPod| pod.uid == uid.as_str() || !seen.rules.hold(Rule::ProofNamesTheTarget);
    let pods: Vec<_> = seen.peer.pods.iter().filter(is_meant).collect();
    let is = |standing| pods.iter().any(|pod| pod.standing == standing);
    let has_run = seen.record.hold.as_ref().is_some_and(|hold| hold.ran);
    if is(TargetStanding::Revoked) && !(has_run && seen.rules.hold(Rule::RanIsFinal)) {
        return Some(HoldStep::Return(uid.clone(), Proof::Revoked));
    }
    let decision = match seen.task {
        Task::Known(spec) if !is_alone(seen) => &spec.decision,
        // Nobody is left to decide; the target's word is final too.
        Task::Known(_) | Task::Gone => {
            return is(TargetStanding::Restored).then_some(HoldStep::Supersede);
        }
        Task::Unknown => return None,
    };
    match decision.outcome {
        Outcome::Restored | Outcome::Failed => Some(HoldStep::Supersede),
        Outcome::RolledBack => {
            let proof = decision.proof.as_ref()?.proof()?;
            let named = decision.pod_uid.as_deref() == Some(uid.as_str());
            if named || !seen.rules.hold(Rule::ProofNamesTheTarget) {
                return Some(HoldStep::Return(uid.clone(), proof));
            }
            // Another pod was allowed meanwhile, and that was over before it was seen here.
            given_to(decision, uid)
        }
        Outcome::Allowed => given_to(decision, uid),
        Outcome::Undecided | Outcome::Unknown => None,
    }
}

/// Another pod is meant: the former one can never run any more, or no other would have been allowed.
fn given_to(decision: &Decision, former: &Uid) -> Option<HoldStep> {
    let (node, ran) = (decision.node.clone()?, decision.ran);
    let uid = Some(Uid::try_from(decision.pod_uid.clone()?).ok()?);
    let target = Target { node, uid };
    (target.uid.as_ref() != Some(former)).then_some(HoldStep::Retarget { target, ran })
}

fn coming_back(seen: &Seen<'_>, hold: &Hold) -> Option<Act> {
    let operation = &hold.operation;
    let may_go_home = !hold.thawing || !seen.rules.hold(Rule::ThawedDiedRunning);
    let is_damaged = hold.damaged || seen.has_criu_died;
    let from = match seen.older {
        Some(older) if is_damaged => Some(older),
        _ if is_damaged || seen.cut != Cut::Whole => None,
        _ => Some(hold.generation.as_str()),
    };
    if all(seen, Process::Dead) {
        return match from {
            Some(generation) if may_go_home && !hold.containers.is_empty() => {
                let containers = hold.containers.iter().map(|held| held.name.clone());
                let home = HoldStep::Home {
                    what: What::Generation(generation.to_owned()),
                    containers: containers.collect(),
                };
                change(operation, home)
            }
            _ => change(operation, HoldStep::End),
        };
    }
    if hold.thawing {
        return if any(seen, Process::Frozen) {
            Some(Act::Thaw)
        } else {
            change(operation, HoldStep::End)
        };
    }
    if is_damaged && seen.older.is_some() {
        return Some(Act::Kill);
    }
    change(operation, HoldStep::Thaw)
}

/// Attempts to restore a pod where it was, before it starts fresh.
const HOME_ATTEMPTS: u32 = 2;

/// What came home and could not be restored: it is tried again, and then starts fresh. Nobody else has its state.
fn home_again(seen: &Seen<'_>) -> Option<Act> {
    let record = seen.record;
    let (ended, admission) = (record.ended.as_ref()?, record.admission.as_ref()?);
    if ended.operation != admission.operation || !record.is_failed() {
        return None;
    }
    let what = match &admission.what {
        Some(what) if admission.attempt < HOME_ATTEMPTS => what.clone(),
        _ => What::Fresh,
    };
    let containers = record.tokens.keys().cloned().collect();
    change(&ended.operation, HoldStep::Home { what, containers })
}

#[cfg(test)]
mod tests;
