//! What the agent of a node does about the state of a pod that is to be kept while the pod runs on: one act at a time, decided from
//! the pod's record, the order, and what is to be seen. Pure.
//!
//! | the record says | next |
//! |---|---|
//! | nothing, and nothing is on disk | the hold is written; only then anything is frozen |
//! | frozen | guard, freeze, dump; then withdrawn, whatever came of it |
//! | withdrawn | thawed; the hold is over |
//! | nothing, and all of it was dumped | sealed: read again, named with its digests, on disk |
//!
//! A checkpoint is taken once. Whoever dies in the middle leaves a pod that runs, by its guard if need be, and a sentence.

use crate::agent::api::{CheckpointOrder, CheckpointReport, CheckpointStanding, CheckpointWord};
use crate::agent::cut::NoCut;
use crate::agent::source::Process;
use crate::agent::store::Found;
use crate::hold::change::{Beginning, Change, HoldStep};
use crate::hold::record::{Deadline, Held, Hold, HoldState, Record, Role};

/// What there is to be seen on the node.
#[derive(Debug, Clone)]
pub(crate) struct Seen<'a> {
    pub(crate) operation: &'a str,
    /// Nothing, where the leader's order is gone.
    pub(crate) order: Option<&'a CheckpointOrder>,
    /// Blank where there is no record.
    pub(crate) record: &'a Record,
    /// The pod's containers that have processes; those of the hold, once there is one.
    pub(crate) containers: &'a [(Held, Process)],
    pub(crate) found: &'a Found,
    /// This process dumps it, and no former one that died over it.
    pub(crate) is_mine: bool,
    /// A dump went wrong.
    pub(crate) failure: Option<&'a NoCut>,
    pub(crate) is_guarded: bool,
    /// What a former agent began to dump is still being dumped: that ends by itself, and freezes what it found frozen once more.
    pub(crate) dumping: Dumping,
    pub(crate) is_late: bool,
    /// This boot.
    pub(crate) boot: &'a str,
    /// When a hold that is written now is to be withdrawn.
    pub(crate) deadline: &'a Deadline,
}

/// Whether somebody dumps the pod whom this process does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dumping {
    Not,
    Still,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Change(Change),
    Guard,
    Freeze,
    /// All containers, and the pod's volumes.
    Dump,
    /// What is frozen runs again, and hears what was wished meanwhile.
    Thaw,
    Seal,
    /// There will be none, and why.
    Fail(String),
    /// What there is of it goes.
    Forget,
}

/// The next thing to do about a checkpoint.
pub(crate) fn plan(seen: &Seen<'_>) -> Option<Act> {
    match seen.record.hold_of(seen.operation) {
        Some(hold) if hold.state == HoldState::Frozen => Some(frozen(seen, hold)),
        Some(hold) => coming_back(seen, hold),
        None => at_large(seen),
    }
}

fn change(seen: &Seen<'_>, step: HoldStep) -> Act {
    Act::Change(Change::hold(seen.operation, step))
}

fn is_wanted(seen: &Seen<'_>) -> bool {
    seen.order
        .is_some_and(|order| order.word == CheckpointWord::Take)
}

fn any(seen: &Seen<'_>, process: Process) -> bool {
    seen.containers.iter().any(|(_, is)| *is == process)
}

/// It is held. Whatever comes of it, it is withdrawn.
fn frozen(seen: &Seen<'_>, hold: &Hold) -> Act {
    let is_whole = matches!(seen.found, Found::Cut(_) | Found::Sealed(..));
    let has_begun = *seen.found != Found::Nothing;
    let has_criu_died = seen.failure.is_some_and(|failure| failure.has_criu_died);
    if has_criu_died && !hold.damaged {
        return change(seen, HoldStep::Damage);
    }
    let is_lost = has_begun && !is_whole && !seen.is_mine;
    let is_over = is_whole || is_lost || seen.failure.is_some() || hold.damaged;
    if is_over || seen.is_late || any(seen, Process::Dead) || !is_wanted(seen) {
        return change(seen, HoldStep::Withdraw);
    }
    if !seen.is_guarded {
        return Act::Guard;
    }
    if any(seen, Process::Running) {
        return Act::Freeze;
    }
    Act::Dump
}

/// The record has it that the pod may run before it does.
fn coming_back(seen: &Seen<'_>, hold: &Hold) -> Option<Act> {
    if any(seen, Process::Frozen) {
        if hold.thawing {
            return Some(Act::Thaw);
        }
        return Some(change(seen, HoldStep::Thaw));
    }
    if seen.dumping == Dumping::Still {
        return None;
    }
    Some(change(seen, HoldStep::End))
}

/// Nothing holds it: it was not begun, or the pod runs again.
fn at_large(seen: &Seen<'_>) -> Option<Act> {
    let order = seen.order?;
    match order.word {
        CheckpointWord::Take => {}
        CheckpointWord::Forget if *seen.found == Found::Nothing => return None,
        CheckpointWord::Forget => return Some(Act::Forget),
        CheckpointWord::Unknown => return None,
    }
    match seen.found {
        Found::Sealed(..) | Found::Failed(_) => None,
        Found::Cut(_) if seen.failure.is_some() => Some(Act::Fail(why(seen))),
        Found::Cut(manifest) if manifest.boot == seen.boot => Some(Act::Seal),
        Found::Cut(_) => Some(Act::Fail(
            "the node lost power before what was dumped was safe on its disk".into(),
        )),
        Found::Part => Some(Act::Fail(why(seen))),
        Found::Nothing if has_ended(seen) => Some(Act::Fail(why(seen))),
        Found::Nothing if order.is_taken => Some(Act::Fail(
            "it was kept here, and is not here any more: make another Checkpoint".into(),
        )),
        Found::Nothing => begin(seen, order),
    }
}

fn has_ended(seen: &Seen<'_>) -> bool {
    let ended = seen.record.ended.as_ref();
    ended.is_some_and(|ended| ended.operation == seen.operation)
}

/// Why it was given up after it was begun.
fn why(seen: &Seen<'_>) -> String {
    if let Some(failure) = seen.failure {
        return failure.why.clone();
    }
    "it was given up in the middle, because the agent ended, the pod was killed, or its time was over; the pod was let go at once".into()
}

fn begin(seen: &Seen<'_>, order: &CheckpointOrder) -> Option<Act> {
    if let Some(why) = refusal(seen, order) {
        return Some(Act::Fail(why));
    }
    // Another operation holds it, or it is on its way to begin: this one waits.
    let is_held = seen.record.hold.is_some();
    let is_whole = seen.record.admission.is_none() || seen.record.is_whole();
    if is_held || !is_whole || any(seen, Process::Frozen) {
        return None;
    }
    let containers = seen.containers.iter().map(|(held, _)| held.clone());
    Some(change(
        seen,
        HoldStep::Begin(Beginning {
            role: Role::Checkpoint,
            target: None,
            generation: order.generation.clone(),
            deadline: seen.deadline.clone(),
            containers: containers.collect(),
        }),
    ))
}

/// Why the pod cannot be checkpointed here.
fn refusal(seen: &Seen<'_>, order: &CheckpointOrder) -> Option<String> {
    if seen.containers.is_empty() {
        return Some(format!(
            "no container of pod {} was made by holdfast-runtime on this node: its spec needs runtimeClassName: holdfast, and it must run",
            order.pod.name
        ));
    }
    let is_here = |name: &&String| seen.containers.iter().any(|(held, _)| held.name == **name);
    let missing = order.containers.iter().find(|name| !is_here(name))?;
    Some(format!("container {missing} does not run"))
}

/// What the leader is told.
pub(crate) fn report(seen: &Seen<'_>, path: &str) -> Option<CheckpointReport> {
    let order = seen.order?;
    let of = |standing| CheckpointReport {
        standing,
        ..CheckpointReport::default()
    };
    if let Some(hold) = seen.record.hold_of(seen.operation) {
        let standing = match hold.state {
            HoldState::Frozen => CheckpointStanding::Frozen,
            _ => CheckpointStanding::Dumped,
        };
        return Some(of(standing));
    }
    Some(match seen.found {
        Found::Nothing if order.word == CheckpointWord::Forget => of(CheckpointStanding::Forgotten),
        Found::Nothing | Found::Part => of(CheckpointStanding::Idle),
        Found::Cut(manifest) => manifest.report(CheckpointStanding::Dumped),
        Found::Failed(why) => CheckpointReport {
            why: Some(why.clone()),
            ..of(CheckpointStanding::Failed)
        },
        Found::Sealed(manifest, digest) => CheckpointReport {
            path: Some(path.to_owned()),
            digest: Some(digest.clone()),
            ..manifest.report(CheckpointStanding::Kept)
        },
    })
}

#[cfg(test)]
mod tests;
