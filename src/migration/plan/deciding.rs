//! What is decided. Each rule gives a new status, or none; the first that does counts.

use crate::agent::api::{SourceStanding, TargetPod, TargetReport, TargetStanding, Word};
use crate::hold::rules::Rule;
use crate::migration::api::{
    Binding, Decision, MigrationStatus, OnFailure, Outcome, ProofNote, Stage, reasons,
};
use crate::migration::plan::ordering::is_settled;
use crate::migration::plan::{Candidate, Observed, SourcePod, Stop};

/// The new status, if there is something to decide.
pub(super) fn decide(seen: &Observed<'_>) -> Option<MigrationStatus> {
    match (seen.status.stage, seen.status.decision.outcome) {
        (Stage::New, _) => Some(begin(seen)),
        (Stage::Closed | Stage::Unknown, _) | (_, Outcome::Unknown) => None,
        (Stage::Begun, Outcome::Undecided) => give_up(seen).or_else(|| undecided(seen)),
        (Stage::Begun, Outcome::Allowed) => give_up(seen).or_else(|| allowed(seen)),
        (Stage::Begun, Outcome::Restored | Outcome::RolledBack | Outcome::Failed) => {
            let close = |status: &mut MigrationStatus| status.stage = Stage::Closed;
            is_settled(seen).then(|| with(seen, close))
        }
    }
}

/// Nothing was touched yet: it can be refused, and nobody notices.
fn begin(seen: &Observed<'_>) -> MigrationStatus {
    let why = if seen.is_deleting {
        Some(reasons::CANCELLED)
    } else if seen.source_pod == SourcePod::Gone {
        Some(reasons::SOURCE_KILLED)
    } else {
        seen.refusal
    };
    with(seen, |status| match why {
        None => status.stage = Stage::Begun,
        Some(why) => {
            status.stage = Stage::Closed;
            status.decision.outcome = Outcome::Failed;
            status.given_up = Some(why.to_owned());
        }
    })
}

fn with(seen: &Observed<'_>, change: impl FnOnce(&mut MigrationStatus)) -> MigrationStatus {
    let mut status = seen.status.clone();
    change(&mut status);
    status
}

/// That it is given up is kept, so that no later pass goes on as if it were not.
fn give_up(seen: &Observed<'_>) -> Option<MigrationStatus> {
    if seen.status.given_up.is_some() || is_dead(seen) {
        return None;
    }
    let is_source_gone = seen.source_pod == SourcePod::Gone && is_idle(seen);
    let why = if seen.is_deleting {
        reasons::CANCELLED
    } else if seen.stop == Some(Stop::Late) {
        reasons::TOO_LATE
    } else if seen.stop == Some(Stop::Unwanted) && is_without_successor(seen) {
        reasons::UNWANTED
    } else if is_source_gone {
        reasons::SOURCE_KILLED
    } else {
        seen.images.fault?
    };
    Some(with(seen, |status| status.given_up = Some(why.into())))
}

/// No pod was allowed to get the state, or the one that was is void, and nothing is frozen.
fn is_without_successor(seen: &Observed<'_>) -> bool {
    seen.status.decision.outcome == Outcome::Undecided
        || (seen.status.target.is_none() && is_idle(seen))
}

/// The source is dead, or about to be: there is no way but forward.
fn is_dead(seen: &Observed<'_>) -> bool {
    let standing = seen.source.source.map(|report| report.standing);
    matches!(
        standing,
        Some(SourceStanding::Superseded | SourceStanding::Killed)
    )
}

/// It was given up, and there is a way back.
fn is_given_up(seen: &Observed<'_>) -> bool {
    seen.status.given_up.is_some() && !is_dead(seen) && !seen.status.ran
}

/// The source was never held, and its node says so.
fn is_idle(seen: &Observed<'_>) -> bool {
    let report = seen.source.source;
    report.is_some_and(|report| report.standing == SourceStanding::Idle)
}

fn undecided(seen: &Observed<'_>) -> Option<MigrationStatus> {
    if let Some(status) = came_back(seen) {
        return Some(status);
    }
    if is_given_up(seen) && never_froze(seen) {
        return Some(ended(seen, back(seen), None));
    }
    if !seen.is_prepare_first() && !is_successor_due(seen) {
        return None;
    }
    choose(seen, 1)
}

/// Nothing was frozen, and nothing will be.
fn never_froze(seen: &Observed<'_>) -> bool {
    // Before the first `Allowed` nobody was told to freeze.
    if seen.is_prepare_first() {
        return true;
    }
    let spec = seen.source.spec.and_then(|spec| spec.source.as_ref());
    if spec.is_none() && !seen.rules.hold(Rule::BegunIsWritten) {
        return true;
    }
    let is_called_off = spec.is_some_and(|order| order.word == Word::Withdraw);
    is_called_off && seen.source.is_current && is_idle(seen)
}

/// Its predecessor is dead and gone, so the pod with its name or place may be made, and told to wait.
fn is_successor_due(seen: &Observed<'_>) -> bool {
    let standing = seen.source.source.map(|report| report.standing);
    let is_killed = standing == Some(SourceStanding::Killed);
    let is_gone = seen.source_pod == SourcePod::Gone;
    is_gone && (is_killed || !seen.rules.hold(Rule::KilledBeforeSuccessor))
}

/// There is something to go back to.
fn back(seen: &Observed<'_>) -> Outcome {
    match seen.source_pod {
        SourcePod::Here { .. } => Outcome::RolledBack,
        SourcePod::Gone => Outcome::Failed,
    }
}

fn ended(seen: &Observed<'_>, outcome: Outcome, proof: Option<ProofNote>) -> MigrationStatus {
    with(seen, |status| {
        status.decision.outcome = outcome;
        status.decision.proof = proof;
    })
}

/// The source was not released, or came back.
fn came_back(seen: &Observed<'_>) -> Option<MigrationStatus> {
    let report = seen.source.source?;
    if !matches!(
        report.standing,
        SourceStanding::Withdrawn | SourceStanding::Returned
    ) {
        return None;
    }
    Some(with(seen, |status| {
        status.decision.outcome = back(seen);
        status.decision.proof.clone_from(&report.proof);
        if report.is_damaged {
            status.given_up.get_or_insert(reasons::DAMAGED.into());
        } else if report.is_killed {
            status.given_up.get_or_insert(reasons::SOURCE_KILLED.into());
        }
    }))
}

/// A pod is bound, and allowed to run the state when it waits. One that dies before that makes room for another, and so does one that its
/// node has voided, since somebody took its orders away.
fn choose(seen: &Observed<'_>, attempt: u32) -> Option<MigrationStatus> {
    if let Some(target) = &seen.status.target {
        let uid = &target.pod_uid;
        if seen.standing(uid) == Some(TargetStanding::Revoked) {
            return Some(unbound(seen, uid));
        }
        seen.pod(uid)?;
    }
    bind(seen).or_else(|| allow(seen, attempt))
}

/// Binds a pod of the owner's that waits behind its gate, where none is bound.
fn bind(seen: &Observed<'_>) -> Option<MigrationStatus> {
    if seen.status.target.is_some() || is_given_up(seen) {
        return None;
    }
    let is_new = |pod: &Candidate| seen.bound().all(|bound| bound.pod_uid != pod.uid);
    let pod = seen
        .pods
        .iter()
        .find(|pod| pod.is_gated && pod.is_alive && is_new(pod))?;
    Some(with(seen, |status| {
        status.target = Some(Binding {
            node: next_node(seen),
            pod_name: pod.name.clone(),
            pod_uid: pod.uid.clone(),
        });
    }))
}

/// The pod that is bound waits: it may run the state, in this attempt.
fn allow(seen: &Observed<'_>, attempt: u32) -> Option<MigrationStatus> {
    let target = seen.status.target.as_ref()?;
    let waits = seen.standing(&target.pod_uid) == Some(TargetStanding::Waiting);
    let is_here = |report: &TargetReport| report.is_verified;
    let is_safe = seen.is_prepare_first() || seen.task(&target.node).target.is_some_and(is_here);
    // What is restored is put into the image that it comes from. Where the pod is dead there is no way back; then that is looked at when
    // a container is made.
    let has_images = !seen.is_prepare_first() || seen.status.ran || seen.are_images_proven();
    let is_alive = seen.pod(&target.pod_uid).is_some();
    if !waits || !is_safe || !has_images || is_given_up(seen) || !is_alive {
        return None;
    }
    Some(with(seen, |status| {
        status.decision = Decision {
            outcome: Outcome::Allowed,
            attempt,
            pod_uid: Some(target.pod_uid.clone()),
            node: Some(target.node.clone()),
            generation: what_next(seen),
            ran: seen.status.ran,
            proof: None,
        };
    }))
}

/// How often the state itself is tried in one place.
fn tries(seen: &Observed<'_>) -> u32 {
    seen.course.retries.saturating_add(1)
}

/// Where the next attempt is made. Where the source is dead, its node has the state too: it goes back there.
fn next_node(seen: &Observed<'_>) -> String {
    let course = seen.course;
    let is_lost = seen.target_proof.is_some() || seen.status.failures >= tries(seen);
    if is_lost && !seen.is_prepare_first() && what_next(seen) == Some(course.generation.clone()) {
        course.source_node.clone()
    } else {
        course.target_node.clone()
    }
}

/// What the next attempt starts from.
pub(super) fn what_next(seen: &Observed<'_>) -> Option<String> {
    let course = seen.course;
    let places = if seen.is_prepare_first() { 1 } else { 2 };
    let own = tries(seen).saturating_mul(places);
    let failures = seen.status.failures;
    if failures < own {
        return Some(course.generation.clone());
    }
    let is_older_due = failures < own.saturating_add(tries(seen));
    match course.on_failure {
        OnFailure::Older if is_older_due => course.older.clone(),
        OnFailure::Older | OnFailure::Wait | OnFailure::Fresh => None,
    }
}

fn allowed(seen: &Observed<'_>) -> Option<MigrationStatus> {
    let decision = &seen.status.decision;
    let uid = decision.pod_uid.as_deref()?;
    let report = seen.report(uid);
    let is_this = |pod: &&TargetPod| pod.attempt == decision.attempt;
    let target = seen.status.target.as_ref();
    let is_bound = target.is_some_and(|target| target.pod_uid == uid);
    if let Some(pod) = report.filter(is_this)
        && is_bound
        && seen.status.called_off.is_none()
        && is_restored(seen, pod)
    {
        return Some(ended(seen, Outcome::Restored, None));
    }
    if let Some(status) = came_back(seen).or_else(|| called_off(seen, uid, is_bound)) {
        return Some(status);
    }
    if !is_bound && is_given_up(seen) && seen.is_prepare_first() {
        let is_void = seen.standing(uid) == Some(TargetStanding::Revoked);
        return is_void.then(|| ended(seen, back(seen), Some(ProofNote::revoked())));
    }
    if !is_bound {
        return choose(seen, decision.attempt.saturating_add(1));
    }
    let report = report?;
    match report.standing {
        TargetStanding::Revoked => Some(revoked(seen, uid)),
        TargetStanding::Failed if report.attempt == decision.attempt => failed(seen, report),
        _ if !seen.rules.hold(Rule::AttemptProvenDead) && seen.pod(uid).is_none() => {
            Some(unbound(seen, uid))
        }
        _ => None,
    }
}

fn is_restored(seen: &Observed<'_>, pod: &TargetPod) -> bool {
    pod.standing == TargetStanding::Restored
        || (pod.ran
            && pod.standing == TargetStanding::Claimed
            && !seen.rules.hold(Rule::RestoredMeansAll))
}

/// The target's node is known to be off. That is written first, since the node may come back, and tell what is over; then its pod is
/// deleted; and when that is gone, nothing will run there, though something may have.
fn called_off(seen: &Observed<'_>, uid: &str, is_bound: bool) -> Option<MigrationStatus> {
    let standing = seen.source.source.map(|report| report.standing);
    let may = match standing {
        Some(SourceStanding::Released) => seen.is_prepare_first(),
        Some(SourceStanding::Killed) => {
            let node = seen.status.decision.node.as_ref();
            is_bound && node == Some(&seen.course.target_node)
        }
        _ => false,
    };
    if !may {
        return None;
    }
    if seen.is_target_silent && !seen.rules.hold(Rule::SilenceIsNotDeath) {
        return Some(ended(seen, back(seen), Some(ProofNote::revoked())));
    }
    let Some(proof) = &seen.status.called_off else {
        let proof = seen.target_proof?.clone();
        return Some(with(seen, |status| status.called_off = Some(proof)));
    };
    let is_off = seen.target_proof.is_some();
    if !is_off && (seen.pod(uid).is_some() || !is_bound) {
        return Some(with(seen, |status| status.called_off = None));
    }
    if seen.exists(uid) && seen.rules.hold(Rule::GoneBeforeProof) {
        return None;
    }
    if is_off && seen.is_prepare_first() {
        return Some(ended(seen, back(seen), Some(proof.clone())));
    }
    // It came back before its pod was gone, and may have begun again: now its own word counts. What was restored there was deleted by
    // us, so it is restored once more.
    let gone = seen.report(uid).filter(|pod| pod.is_gone);
    (is_off || gone.is_some()).then(|| {
        let mut status = unbound(seen, uid);
        status.ran |= is_off || gone.is_some_and(|pod| pod.ran);
        status
    })
}

/// Another pod is to be bound: this one never gets the state.
fn unbound(seen: &Observed<'_>, uid: &str) -> MigrationStatus {
    with(seen, |status| {
        status.called_off = None;
        let is_it = |bound: &Binding| bound.pod_uid == uid;
        if status.target.as_ref().is_some_and(is_it) {
            status.former.extend(status.target.take());
        }
    })
}

fn revoked(seen: &Observed<'_>, uid: &str) -> MigrationStatus {
    let is_unheld = is_idle(seen) && seen.source.is_current && seen.status.given_up.is_none();
    if !seen.goes_back() || is_unheld {
        return unbound(seen, uid);
    }
    ended(seen, back(seen), Some(ProofNote::revoked()))
}

/// The attempt is over, and all of it is dead.
fn failed(seen: &Observed<'_>, report: &TargetPod) -> Option<MigrationStatus> {
    if seen.goes_back() && !report.ran {
        // Its node is asked to void it, and then it is `Revoked`.
        return None;
    }
    if seen.is_prepare_first() && !seen.rules.hold(Rule::RanGoesForward) {
        return Some(ended(seen, back(seen), Some(ProofNote::revoked())));
    }
    // A pod that is gone says nothing about the state.
    let is_alive = seen.pod(&report.uid).is_some();
    let failures = seen.status.failures.saturating_add(u32::from(is_alive));
    let counted = with(seen, |status| {
        status.failures = failures;
        status.ran |= report.ran;
    });
    let later = Observed {
        status: &counted,
        ..seen.clone()
    };
    let what = what_next(&later);
    if what.is_none() && seen.course.on_failure != OnFailure::Fresh {
        return Some(ended(&later, Outcome::Failed, None));
    }
    let is_fresh = what.is_none() && seen.rules.hold(Rule::PreparedNeverFresh);
    let moves = seen.status.decision.node.as_ref() != Some(&next_node(&later));
    if is_fresh || moves || !is_alive {
        return Some(unbound(&later, &report.uid));
    }
    Some(with(&later, |status| {
        status.decision.attempt = status.decision.attempt.saturating_add(1);
        status.decision.generation = what;
        status.decision.ran = status.ran;
    }))
}
