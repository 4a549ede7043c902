//! What follows from what was decided: orders to the nodes, gates, pods. Each step may be done again; one that is done is not said.

use crate::agent::api::{
    Order, PodName, SourceOrder, SourceReport, SourceStanding, StateTaskSpec, TargetOrder,
    TargetPod, TargetStanding, Word,
};
use crate::hold::rules::Rule;
use crate::migration::api::{Binding, Outcome, ProofKind, Stage};
use crate::migration::plan::deciding::what_next;
use crate::migration::plan::{Observed, SourcePod, Step};

/// Everything that is to be done now.
pub(super) fn orders(seen: &Observed<'_>) -> Vec<Step> {
    match seen.status.stage {
        Stage::New | Stage::Unknown => return Vec::new(),
        Stage::Closed => return leave(seen),
        Stage::Begun if seen.status.decision.outcome == Outcome::Unknown => return Vec::new(),
        Stage::Begun => {}
    }
    let mut steps = tasks(seen);
    if seen.status.decision.is_final() {
        steps.extend(settle(seen));
    } else {
        steps.extend(prepare(seen));
    }
    steps
}

fn tasks(seen: &Observed<'_>) -> Vec<Step> {
    let wanted = [
        (source_task(seen), seen.source.spec),
        (target_task(seen), seen.target.spec),
    ];
    let changed = wanted.into_iter().filter(|(new, old)| Some(new) != *old);
    changed.map(|(new, _)| Step::Task(Box::new(new))).collect()
}

fn source_task(seen: &Observed<'_>) -> StateTaskSpec {
    let course = seen.course;
    StateTaskSpec {
        node_name: course.source_node.clone(),
        operation: course.operation.clone(),
        decision: seen.status.decision.clone(),
        source: Some(SourceOrder {
            pod: PodName {
                name: course.pod_name.clone(),
                uid: course.pod_uid.clone(),
            },
            generation: course.generation.clone(),
            target_node: course.target_node.clone(),
            target_address: course.target_address.clone(),
            order: course.order,
            word: word(seen),
        }),
        target: is_back_home(seen).then(|| target_order(seen, &course.source_node)),
        checkpoint: None,
        copy: None,
        inspect: None,
    }
}

fn word(seen: &Observed<'_>) -> Word {
    let standing = seen.source.source.map(|report| report.standing);
    let former = seen.source.spec.and_then(|spec| spec.source.as_ref());
    let was = former.map(|order| order.word);
    let is_verified = match standing {
        Some(SourceStanding::Verified) => true,
        Some(SourceStanding::Frozen) => !seen.rules.hold(Rule::VerifiedBeforeKill),
        _ => false,
    };
    if seen.status.given_up.is_some() {
        return Word::Withdraw;
    }
    match (seen.course.order, seen.status.decision.outcome) {
        (Order::PrepareFirst, Outcome::Undecided) => Word::Stand,
        (Order::FreezeFirst, Outcome::Undecided) if is_verified || was == Some(Word::Supersede) => {
            Word::Supersede
        }
        // Once it may be frozen it is told nothing else for their sake.
        (Order::FreezeFirst, Outcome::Undecided)
            if seen.waits_for_images() && was.is_none_or(|was| was == Word::Stand) =>
        {
            Word::Stand
        }
        (Order::PrepareFirst, Outcome::Allowed) | (Order::FreezeFirst, Outcome::Undecided) => {
            Word::Freeze
        }
        (_, Outcome::RolledBack | Outcome::Failed) => Word::Withdraw,
        _ => was.unwrap_or_default(),
    }
}

/// Some pod that was to get the state was bound to the source's own node.
fn is_back_home(seen: &Observed<'_>) -> bool {
    seen.bound()
        .any(|bound| bound.node == seen.course.source_node)
}

fn target_task(seen: &Observed<'_>) -> StateTaskSpec {
    let course = seen.course;
    StateTaskSpec {
        node_name: course.target_node.clone(),
        operation: course.operation.clone(),
        decision: seen.status.decision.clone(),
        source: None,
        target: Some(target_order(seen, &course.target_node)),
        checkpoint: None,
        copy: None,
        inspect: None,
    }
}

fn target_order(seen: &Observed<'_>, node: &str) -> TargetOrder {
    let course = seen.course;
    // What starts fresh is not prepared: its init containers run, its volumes are its own.
    let is_fresh = what_next(seen).is_none();
    let target = seen.status.target.as_ref();
    let finished = if is_fresh { &[][..] } else { &course.finished };
    let void = seen
        .bound()
        .filter(|bound| bound.node == node && is_to_be_void(seen, bound));
    TargetOrder {
        pod: target
            .filter(|target| target.node == node)
            .map(|target| PodName {
                name: target.pod_name.clone(),
                uid: target.pod_uid.clone(),
            }),
        order: course.order,
        source_node: course.source_node.clone(),
        source_uid: course.pod_uid.clone(),
        generation: course.generation.clone(),
        restores: course.restores.clone(),
        images: course.images.clone(),
        asked: seen.images.are_fetched || was_asked(seen, node),
        finished: finished.to_vec(),
        fills_volumes: course.fills_volumes && !is_fresh,
        revoke: void.map(|bound| bound.pod_uid.clone()).collect(),
    }
}

/// The pod that had them fetched is gone soon after; what it has done stays done.
fn was_asked(seen: &Observed<'_>, node: &str) -> bool {
    let former = seen.task(node).spec.and_then(|spec| spec.target.as_ref());
    former.is_some_and(|order| order.asked)
}

/// Nothing is to run in this pod, unless something did.
fn is_to_be_void(seen: &Observed<'_>, bound: &Binding) -> bool {
    let uid = &bound.pod_uid;
    let report = seen.report(uid);
    let status = seen.status;
    let is_over = matches!(
        status.decision.outcome,
        Outcome::RolledBack | Outcome::Failed
    );
    let is_given_up = status.given_up.is_some();
    let has_failed = report.is_some_and(|pod| pod.standing == TargetStanding::Failed && !pod.ran);
    let is_former = status.former.contains(bound);
    let goes_back = seen.goes_back() && (is_given_up || has_failed);
    is_over || is_former || goes_back || seen.pod(uid).is_none()
}

/// Until it is decided: a pod is made, bound, and let go to its node.
fn prepare(seen: &Observed<'_>) -> Vec<Step> {
    let course = seen.course;
    let mut steps = Vec::new();
    let standing = seen.source.source.map(|report| report.standing);
    match (course.order, seen.source_pod) {
        (Order::PrepareFirst, SourcePod::Here { is_detached: false })
            if seen.status.given_up.is_none() && !seen.waits_for_images() =>
        {
            steps.push(Step::Detach);
        }
        (Order::FreezeFirst, SourcePod::Here { .. })
            if standing == Some(SourceStanding::Killed)
                || (standing == Some(SourceStanding::Verified)
                    && !seen.rules.hold(Rule::KilledBeforeSuccessor)) =>
        {
            steps.push(Step::DeletePod(course.pod_uid.clone()));
        }
        _ => {}
    }
    let is_due = standing == Some(SourceStanding::Killed) && seen.source_pod == SourcePod::Gone;
    if course.is_bare && is_due && seen.pods.is_empty() {
        steps.push(Step::CreatePod);
    }
    // They start nothing, and their owner makes the next one when they are gone.
    let former = seen.status.former.iter();
    steps.extend(former.filter_map(|former| seen.removal(former)));
    if let Some(target) = &seen.status.target {
        let uid = &target.pod_uid;
        // Its node has it on disk that the pod waits: nothing starts in it, whatever else is lost.
        let is_known = seen.standing(uid).is_some() || !seen.rules.hold(Rule::KnownBeforeGate);
        if is_known && seen.pod(uid).is_some_and(|pod| pod.is_gated) {
            steps.push(Step::LiftGate(target.clone()));
        }
        let is_off = seen.status.called_off.is_some() && seen.target_proof.is_some();
        steps.extend(seen.removal(target).filter(|_| is_off));
    }
    steps
}

/// Nothing will run in a pod: its node says so, or is known to be off.
fn is_void(seen: &Observed<'_>, bound: &Binding) -> bool {
    let uid = &bound.pod_uid;
    let is_over = |pod: &TargetPod| {
        pod.is_gone
            || matches!(
                pod.standing,
                TargetStanding::Revoked | TargetStanding::Failed
            )
    };
    let proof = seen.status.decision.proof.as_ref();
    let was_off = proof.is_some_and(|proof| proof.kind != ProofKind::Revoked);
    seen.report(uid).is_some_and(is_over)
        || (seen.target_proof.is_some() && bound.node == seen.course.target_node)
        || (was_off && !seen.exists(uid))
}

/// After the decision: pods that lost it are deleted.
fn settle(seen: &Observed<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let decision = &seen.status.decision;
    let standing = seen.source.source.map(|report| report.standing);
    let is_here = matches!(seen.source_pod, SourcePod::Here { .. });
    if standing == Some(SourceStanding::Killed) && is_here {
        steps.push(Step::DeletePod(seen.course.pod_uid.clone()));
    }
    let are_void = losers(seen).all(|bound| is_void(seen, bound));
    let is_detached = seen.source_pod == SourcePod::Here { is_detached: true };
    if decision.outcome == Outcome::RolledBack && are_void && is_detached {
        // Its owner then has one too many, and takes the one that is not ready.
        steps.push(Step::Attach);
    }
    if decision.outcome != Outcome::Restored && are_void {
        steps.extend(losers(seen).filter_map(|bound| seen.removal(bound)));
    }
    steps
}

/// All pods that were bound, but the one that runs the state now.
fn losers<'a>(seen: &'a Observed<'_>) -> impl Iterator<Item = &'a Binding> {
    let decision = &seen.status.decision;
    let winner = decision
        .pod_uid
        .as_ref()
        .filter(|_| decision.outcome == Outcome::Restored);
    seen.bound()
        .filter(move |bound| winner != Some(&bound.pod_uid))
}

/// Both nodes have done what was decided.
pub(super) fn is_settled(seen: &Observed<'_>) -> bool {
    let decision = &seen.status.decision;
    if !decision.is_final() {
        return false;
    }
    let source = seen.source.source;
    let is_killed = source.is_some_and(|report| report.standing == SourceStanding::Killed);
    let is_back = |report: &SourceReport| {
        matches!(
            report.standing,
            SourceStanding::Withdrawn | SourceStanding::Returned
        )
    };
    // A pod that is gone will not be seen to run again.
    let is_home = source.is_some_and(|report| report.is_over)
        || (source.is_some_and(is_back) && seen.source_pod == SourcePod::Gone)
        || source.is_some_and(|report| {
            report.standing == SourceStanding::Idle && seen.source.is_current
        });
    let is_gone = seen.source_pod == SourcePod::Gone;
    // Should that node come back, its records are there, and the pod's uid is nowhere.
    let is_lost = seen.is_source_lost && is_gone;
    let is_attached = seen.source_pod == SourcePod::Here { is_detached: false };
    let is_source_done = match decision.outcome {
        Outcome::Restored => is_killed && is_gone,
        Outcome::RolledBack => is_home && (is_attached || is_gone || !seen.is_prepare_first()),
        _ => is_home || (is_killed && is_gone),
    };
    (is_source_done || is_lost)
        && losers(seen).all(|bound| is_void(seen, bound) && !seen.exists(&bound.pod_uid))
}

/// The nodes are asked nothing any more, and the Migration is let go.
fn leave(seen: &Observed<'_>) -> Vec<Step> {
    let tasks = [seen.source.spec, seen.target.spec];
    let tasks = tasks.into_iter().flatten();
    let mut steps: Vec<_> = tasks
        .map(|spec| Step::DeleteTask(spec.node_name.clone()))
        .collect();
    if steps.is_empty() {
        steps.push(Step::Finish);
    }
    steps
}
