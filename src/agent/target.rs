//! What the agent of a node does with a pod that is to get a state: one act at a time. Pure.
//! What may follow what in the record stands in `hold::admission`; here is why.
//!
//! | the record says | next |
//! |---|---|
//! | nothing | opened, when the leader names the pod |
//! | open | claimed, when the leader allows it, the state is verified, and the source has released it to this very pod |
//! | claimed | each container that began is done when it ran; when one died or never ran, all of the pod is killed, and the attempt is over |
//! | claimed and begun, and the pod's sandbox is gone | the same |
//! | over | again, when the leader allows the next attempt |
//! | anything in which nothing can have run | voided, when the leader or the source asks for it |
//! | of another node's pod, open, or over and never run, and the orders are gone | voided: nobody is left who could ever allow it |

mod replies;

use crate::agent::api::{Order, PodName, StateTaskSpec, TargetOrder};
use crate::agent::source::Task;
use crate::hold::change::{AdmissionStep, Change, End};
use crate::hold::record::{Admission, AdmissionState, Record, Token, TokenState, What};
use crate::hold::rules::{Rule, Rules};
use crate::migration::api::Outcome;
pub use replies::{Reply, is_ready, reply, standing};
use std::collections::BTreeMap;

/// What is to be seen of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Live {
    /// No process of it, and none that could still become one.
    Nothing,
    /// A restore or a start is on its way in the attempt's cgroup.
    Beginning,
    /// It runs.
    Running,
}

/// What the runtime's own state of a container says that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// It had no first process.
    NeverRan,
    /// It had one.
    Ran,
    /// There is none.
    Nothing,
}

/// A container of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Its processes.
    pub live: Live,
    /// What the runtime says of it.
    pub evidence: Evidence,
    /// A `create` waits for an answer.
    pub is_waiting: bool,
}

/// To whom the source has released the state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Release {
    /// To nobody yet.
    Nobody,
    /// To these pods, one after the other.
    To(Vec<String>),
    /// To whichever pod the leader allows: the source is dead before that.
    Anybody,
}

/// What there is to be seen on the node.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// What is known of the pod, durably; blank where there is no record.
    pub record: &'a Record,
    /// The orders.
    pub task: Task<'a>,
    /// This boot.
    pub boot: &'a str,
    /// The generations that are here, whole and read again.
    pub verified: &'a [String],
    /// To whom they were released.
    pub release: &'a Release,
    /// The containers.
    pub containers: &'a BTreeMap<String, Sight>,
    /// The pod has a sandbox. Without one nobody will begin its other containers, and what began in it is nobody's.
    pub has_sandbox: bool,
    /// The source's agent asked that nothing runs in this pod.
    pub is_asked_to_revoke: bool,
    /// Which rules hold: all.
    pub rules: Rules,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// The record is changed.
    Change(Change),
    /// All processes of the pod's containers are killed, and of their attempts, and their cgroups are found empty.
    Kill,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "whoever calls it says the next act, or that there is none"
)]
fn change(operation: &str, step: AdmissionStep) -> Option<Act> {
    Some(Act::Change(Change::admit(operation, step)))
}

/// The next thing to do for a pod.
#[must_use]
pub fn plan(seen: &Seen<'_>) -> Option<Act> {
    if seen.record.hold.is_some() {
        return None;
    }
    let Some(admission) = &seen.record.admission else {
        return first(seen);
    };
    match admission.state {
        AdmissionState::Open
            if is_called_off(seen, &admission.operation) || is_abandoned(seen, admission) =>
        {
            change(&admission.operation, AdmissionStep::Revoke)
        }
        AdmissionState::Open => claim(seen, admission),
        AdmissionState::Claimed => claimed(seen, admission),
        AdmissionState::Revoked if !seen.rules.hold(Rule::RevokedIsFinal) => claim(seen, admission),
        AdmissionState::Revoked => None,
    }
}

fn order<'a>(seen: &Seen<'a>) -> Option<(&'a StateTaskSpec, &'a TargetOrder)> {
    match seen.task {
        Task::Known(spec) => spec.target.as_ref().map(|order| (spec, order)),
        Task::Gone | Task::Unknown => None,
    }
}

/// The leader asked that nothing begins in this pod any more, or what was decided leaves it out; or the source asked, and nothing of it
/// ever ran.
fn is_called_off(seen: &Seen<'_>, operation: &str) -> bool {
    let uid = seen.record.uid.as_str();
    let is_ordered = order(seen).is_some_and(|(spec, order)| {
        let decision = &spec.decision;
        let is_left_out = match decision.outcome {
            Outcome::RolledBack | Outcome::Failed => true,
            Outcome::Restored => decision.pod_uid.as_deref() != Some(uid),
            Outcome::Undecided | Outcome::Allowed | Outcome::Unknown => false,
        };
        spec.operation == operation
            && (is_left_out || order.revoke.iter().any(|revoked| revoked == uid))
    });
    let admission = seen.record.admission.as_ref();
    let has_run = admission.is_some_and(|admission| admission.ran);
    is_ordered || (seen.is_asked_to_revoke && !has_run)
}

/// It was prepared by orders, and they are gone: somebody took the Migration away by force. A source that came home was prepared by none,
/// and is tried again.
fn is_abandoned(seen: &Seen<'_>, admission: &Admission) -> bool {
    let ended = seen.record.ended.as_ref();
    let is_home = ended.is_some_and(|ended| ended.operation == admission.operation);
    matches!(seen.task, Task::Gone) && !is_home
}

/// That can be done, and so nothing begins: what has begun goes on, since there is no way but forward for it.
fn is_ending(seen: &Seen<'_>, admission: &Admission) -> bool {
    let has_begun = admission.ran && is_begun(seen.record) && !seen.record.is_failed();
    is_called_off(seen, &admission.operation) && !has_begun
}

fn first(seen: &Seen<'_>) -> Option<Act> {
    let (spec, order) = order(seen)?;
    if !seen.record.started.is_empty() {
        return None;
    }
    if is_called_off(seen, &spec.operation) {
        let uid = seen.record.uid.as_str();
        let is_named = order.pod.as_ref().is_some_and(|pod| pod.uid == uid)
            || order.revoke.iter().any(|revoked| revoked == uid);
        return is_named
            .then(|| change(&spec.operation, AdmissionStep::Revoke))
            .flatten();
    }
    let is_meant = |pod: &PodName| pod.uid == seen.record.uid.as_str();
    if !order.pod.as_ref().is_some_and(is_meant) {
        return None;
    }
    let open = AdmissionStep::Open {
        attempt: spec.decision.attempt.max(1),
        restores: order.restores.iter().cloned().collect(),
        finished: order.finished.iter().cloned().collect(),
        prepared: order.fills_volumes,
    };
    change(&spec.operation, open)
}

fn has(seen: &Seen<'_>, what: &What) -> bool {
    match what {
        What::Fresh => true,
        What::Generation(generation) => seen.verified.contains(generation),
    }
}

fn is_released(seen: &Seen<'_>, order: Order, what: &What) -> bool {
    let uid = seen.record.uid.as_str();
    match (order, seen.release) {
        _ if !seen.rules.hold(Rule::ReleaseBeforeClaim) => true,
        (Order::PrepareFirst, Release::To(pods)) => pods.iter().any(|pod| pod == uid),
        (Order::PrepareFirst, _) => false,
        (Order::FreezeFirst, Release::Anybody) => true,
        (Order::FreezeFirst, _) => *what == What::Fresh,
    }
}

fn claim(seen: &Seen<'_>, admission: &Admission) -> Option<Act> {
    let (spec, order) = order(seen)?;
    let decision = &spec.decision;
    let what = decision.what();
    let may = spec.operation == admission.operation
        && decision.allows(seen.record.uid.as_str())
        && has(seen, &what)
        && is_released(seen, order.order, &what);
    let claim = AdmissionStep::Claim {
        attempt: decision.attempt,
        what,
    };
    may.then(|| change(&admission.operation, claim)).flatten()
}

fn sight(seen: &Seen<'_>, name: &str) -> Sight {
    let nothing = Sight {
        live: Live::Nothing,
        evidence: Evidence::Nothing,
        is_waiting: false,
    };
    seen.containers.get(name).copied().unwrap_or(nothing)
}

fn claimed(seen: &Seen<'_>, admission: &Admission) -> Option<Act> {
    let (operation, attempt) = (&admission.operation, admission.attempt);
    let tokens = &seen.record.tokens;
    for (name, token) in tokens {
        let is = sight(seen, name);
        // What starts fresh has nothing to lose: once it was begun, the kubelet's own restarts do the rest.
        let runs = is.live == Live::Running
            || is.evidence == Evidence::Ran
            || admission.what == Some(What::Fresh);
        if token.state == TokenState::Begun && runs {
            let done = AdmissionStep::Done {
                attempt,
                container: name.clone(),
            };
            return change(operation, done);
        }
    }
    let is_started = admission.what == Some(What::Fresh) && is_begun(seen.record);
    if seen.record.is_whole() || (is_started && !seen.record.is_failed()) {
        // The pod is gone: what still runs of it is nobody's.
        let is_left = seen.containers.values().any(|is| is.live != Live::Nothing);
        return (is_orphaned(seen) && is_left).then_some(Act::Kill);
    }
    let is_ending = is_ending(seen, admission);
    if seen.record.is_failed() {
        return over(seen, admission, is_ending);
    }
    let is_lost = |(name, token): (&String, &Token)| is_lost(seen, name, token, is_ending);
    let is_empty = !is_begun(seen.record);
    if tokens.iter().any(is_lost) || (is_ending && is_empty && admission.ran) {
        return fail(seen, admission);
    }
    (is_ending && is_empty)
        .then(|| change(operation, AdmissionStep::Revoke))
        .flatten()
}

fn is_orphaned(seen: &Seen<'_>) -> bool {
    !seen.has_sandbox && seen.rules.hold(Rule::OrphansAreKilled)
}

fn is_begun(record: &Record) -> bool {
    record
        .tokens
        .values()
        .any(|t| t.state != TokenState::Unused)
}

/// A container of this attempt is dead, or is to be.
fn is_lost(seen: &Seen<'_>, name: &str, token: &Token, is_ending: bool) -> bool {
    let live = sight(seen, name).live;
    match token.state {
        TokenState::Begun | TokenState::Done if is_orphaned(seen) => true,
        TokenState::Begun if live == Live::Beginning => is_ending,
        TokenState::Begun => live == Live::Nothing,
        TokenState::Done => live == Live::Nothing && seen.rules.hold(Rule::FailsAsAWhole),
        TokenState::Unused | TokenState::Failed => false,
    }
}

/// All of the pod is killed; when nothing of it is left, the attempt is over.
fn fail(seen: &Seen<'_>, admission: &Admission) -> Option<Act> {
    let is_left = |is: &Sight| match is.live {
        Live::Nothing => false,
        Live::Beginning => seen.rules.hold(Rule::AttemptCgroup),
        Live::Running => true,
    };
    if seen.containers.values().any(is_left) {
        return Some(Act::Kill);
    }
    let begun = seen.record.tokens.iter();
    let begun = begun.filter(|(_, token)| token.state == TokenState::Begun);
    let end = |name: &String| match sight(seen, name).evidence {
        Evidence::NeverRan => End::NeverRan,
        Evidence::Nothing if !seen.rules.hold(Rule::NoEvidenceCountsAsRan) => End::NeverRan,
        Evidence::Ran | Evidence::Nothing => End::MayHaveRan,
    };
    let fail = AdmissionStep::Fail {
        attempt: admission.attempt,
        boot: seen.boot.to_owned(),
        ends: begun.map(|(name, _)| (name.clone(), end(name))).collect(),
    };
    change(&admission.operation, fail)
}

fn over(seen: &Seen<'_>, admission: &Admission, is_ending: bool) -> Option<Act> {
    if (is_ending || is_abandoned(seen, admission)) && !admission.ran {
        return change(&admission.operation, AdmissionStep::Revoke);
    }
    let (spec, _) = order(seen)?;
    let decision = &spec.decision;
    let what = decision.what();
    let may = spec.operation == admission.operation
        && decision.allows(seen.record.uid.as_str())
        && decision.attempt > admission.attempt
        && has(seen, &what);
    let again = AdmissionStep::Again {
        attempt: decision.attempt,
        what,
    };
    may.then(|| change(&admission.operation, again)).flatten()
}

#[cfg(test)]
mod tests;
