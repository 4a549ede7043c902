//! What the agent of a node answers for a pod: to a `create`, to the source, to the leader. Pure.

use crate::agent::api::{PodName, TargetPod, TargetStanding};
use crate::agent::target::{Live, Seen, has, is_begun, is_ending, order, sight};
use crate::hold::answer::{Agent, Answer, Asked, answer};
use crate::hold::change::{AdmissionStep, Change};
use crate::hold::record::{AdmissionState, Token, TokenState, What};
use crate::hold::rules::Rule;

/// What a `create` is answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It starts, after this change.
    Start(Option<Change>),
    /// After this change it begins, from this.
    Begin(Change, What),
    /// It ends at once, with 0.
    NoOp,
    /// Not yet.
    Wait(String),
    /// Never.
    Refuse(String),
}

/// What a `create` of this pod is answered. None: the sandbox.
#[must_use]
pub fn reply(
    seen: &Seen<'_>,
    container: Option<&str>,
    expects: Option<&str>,
    (cgroup, id): (&str, &str),
) -> Reply {
    let known = order(seen).filter(|(_, order)| {
        let is_meant = |pod: &PodName| pod.uid == seen.record.uid.as_str();
        order.pod.as_ref().is_some_and(is_meant)
    });
    let expects = expects.or(known.map(|(spec, _)| spec.operation.as_str()));
    let asked = Asked { container, expects };
    let (attempt, what) = match answer(seen.record, asked, Agent::Here, seen.rules) {
        Answer::Start { note } => {
            let container = container.unwrap_or_default().to_owned();
            return Reply::Start(note.then_some(Change::Note { container }));
        }
        Answer::NoOp => return Reply::NoOp,
        Answer::Wait(why) => return Reply::Wait(why),
        Answer::Refuse(why) => return Reply::Refuse(why),
        Answer::Begin { attempt, what } => (attempt, what),
    };
    let (Some(name), Some(admission)) = (container, &seen.record.admission) else {
        return Reply::Wait("nothing was claimed".into());
    };
    if is_ending(seen, admission) {
        return Reply::Wait("it was called off, and is about to be voided".into());
    }
    if !has(seen, &what) {
        return Reply::Wait("the state is not on this node any more".into());
    }
    let is_alive = sight(seen, name).live != Live::Nothing;
    if is_alive && seen.rules.hold(Rule::AttemptCgroup) {
        return Reply::Wait("processes of an earlier attempt are being killed".into());
    }
    let begin = AdmissionStep::Begin {
        attempt,
        container: name.to_owned(),
        boot: seen.boot.to_owned(),
        cgroup: cgroup.to_owned(),
        id: id.to_owned(),
    };
    Reply::Begin(Change::admit(&admission.operation, begin), what)
}

/// Whether this pod waits for its state, in this attempt: the question of the source before it freezes.
#[must_use]
pub fn is_ready(seen: &Seen<'_>, attempt: u32) -> bool {
    let Some(admission) = &seen.record.admission else {
        return false;
    };
    let is_allowed = order(seen).is_some_and(|(spec, _)| {
        spec.operation == admission.operation
            && spec.decision.attempt == attempt
            && spec.decision.allows(seen.record.uid.as_str())
    });
    is_allowed
        && admission.state == AdmissionState::Open
        && !is_ending(seen, admission)
        && is_waiting(seen)
}

fn is_waiting(seen: &Seen<'_>) -> bool {
    let mut restored = seen.record.tokens.keys();
    restored.any(|name| sight(seen, name).is_waiting)
}

/// What the leader and the source are told of a pod.
#[must_use]
pub fn standing(seen: &Seen<'_>) -> Option<TargetPod> {
    let record = seen.record;
    let admission = record.admission.as_ref()?;
    let standing = match admission.state {
        AdmissionState::Open if is_waiting(seen) => TargetStanding::Waiting,
        AdmissionState::Open => TargetStanding::Opening,
        AdmissionState::Claimed if record.is_whole() => TargetStanding::Restored,
        // Nothing of a state is left to wait for.
        AdmissionState::Claimed if admission.what == Some(What::Fresh) && is_begun(record) => {
            TargetStanding::Restored
        }
        AdmissionState::Claimed if record.is_failed() => TargetStanding::Failed,
        AdmissionState::Claimed => TargetStanding::Claimed,
        AdmissionState::Revoked => TargetStanding::Revoked,
    };
    let is_done = |token: &Token| token.state == TokenState::Done;
    Some(TargetPod {
        uid: record.uid.to_string(),
        attempt: admission.attempt,
        standing,
        ran: admission.ran || record.tokens.values().any(is_done),
        is_gone: is_gone(seen),
    })
}

/// Nothing of it is left, and what became of everything is known.
fn is_gone(seen: &Seen<'_>) -> bool {
    let is_left = seen.containers.values().any(|is| is.live != Live::Nothing);
    !seen.has_sandbox && !is_left && !seen.record.is_undecided()
}
