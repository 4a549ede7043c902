//! What people are told of a Migration: its phase, its conditions, and an event where it ends. Pure. No decision hangs on any of it.

use crate::agent::api::{Measured, SourceStanding, TargetStanding};
use crate::kit::conditions::{Finding, merge};
use crate::kit::events::Notice;
use crate::kit::times::in_micros;
use crate::migration::api::{MigrationStatus, Outcome, Phase, PhaseTime, Stage, reasons};
use crate::migration::plan::Observed;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The condition that says how it ended.
pub(crate) const SUCCEEDED: &str = "Succeeded";
/// The condition of one that nobody can decide.
const UNDECIDED: &str = "Undecided";
const ACTION: &str = "Migrating";

/// What is told besides what was decided.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// What the nodes have measured.
    pub(crate) measured: Measured,
    /// Somebody else has made a pod of the name that the successor is to have.
    pub(crate) name_taken: bool,
    /// A successor that is not equal, and in what.
    pub(crate) unlike: Option<String>,
    /// What the API server does not let be done.
    pub(crate) refused: Option<String>,
    /// What a node says of why a state does not go on.
    pub(crate) said: Option<String>,
}

/// The status with what follows from the rest of it for people, and what is told of the change.
pub(crate) fn told(
    seen: &Observed<'_>,
    status: &MigrationStatus,
    aside: &Aside,
    (generation, now): (Option<i64>, Timestamp),
) -> (MigrationStatus, Option<Notice>) {
    let phase = phase(seen, status);
    let succeeded = succeeded(seen, status, aside, phase);
    let notice = (status.phase != phase)
        .then(|| notice(phase, &succeeded))
        .flatten();
    let measured = &aside.measured;
    let findings = [
        succeeded,
        undecided(seen),
        name_taken(seen, aside),
        spec_changed(aside),
        stuck(aside),
    ];
    let conditions = merge(&status.conditions, &findings, generation, now);
    let times = times(&status.times, phase, measured, now);
    let told = MigrationStatus {
        observed_generation: generation,
        frozen_millis: frozen_millis(&times).or(status.frozen_millis),
        bytes: measured.bytes.or(status.bytes),
        times,
        phase,
        conditions,
        ..status.clone()
    };
    (told, notice)
}

/// What the nodes have measured themselves counts; a phase that nobody measured is seen when it is seen.
fn times(
    before: &[PhaseTime],
    phase: Phase,
    measured: &Measured,
    now: Timestamp,
) -> Vec<PhaseTime> {
    let mut times = before.to_vec();
    let mut note = |phase: Phase, at: MicroTime| {
        if times.iter().all(|time| time.phase != phase) {
            times.push(PhaseTime { phase, at });
        }
    };
    if let Some(at) = &measured.frozen_at {
        note(Phase::Frozen, at.clone());
    }
    if let Some(at) = &measured.restored_at {
        note(Phase::Restored, at.clone());
    }
    let is_measured = matches!(phase, Phase::Frozen | Phase::Restored | Phase::Pending);
    if !is_measured {
        note(phase, in_micros(now));
    }
    times.sort_by_key(|time| time.at.0);
    times
}

fn frozen_millis(times: &[PhaseTime]) -> Option<i64> {
    let at = |phase: Phase| times.iter().find(|time| time.phase == phase);
    let (from, to) = (at(Phase::Frozen)?, at(Phase::Restored)?);
    let millis = to.at.0.duration_since(from.at.0).as_millis();
    i64::try_from(millis).ok()
}

fn phase(seen: &Observed<'_>, status: &MigrationStatus) -> Phase {
    let is_closed = status.stage == Stage::Closed;
    match status.decision.outcome {
        Outcome::Restored if is_closed => return Phase::Succeeded,
        Outcome::Restored => return Phase::Restored,
        Outcome::RolledBack => return Phase::RolledBack,
        Outcome::Failed => return Phase::Failed,
        Outcome::Undecided | Outcome::Allowed | Outcome::Unknown => {}
    }
    let target = seen.target.target;
    match seen.source.source.map(|report| report.standing) {
        Some(
            SourceStanding::Verified
            | SourceStanding::Released
            | SourceStanding::Superseded
            | SourceStanding::Killed,
        ) => Phase::Verified,
        Some(SourceStanding::Frozen) => Phase::Frozen,
        _ if target.is_some_and(|report| {
            report
                .pods
                .iter()
                .any(|pod| pod.standing == TargetStanding::Waiting)
        }) =>
        {
            Phase::Prepared
        }
        _ if status.stage == Stage::Begun => Phase::Preflighted,
        _ => Phase::Pending,
    }
}

fn succeeded(
    seen: &Observed<'_>,
    status: &MigrationStatus,
    aside: &Aside,
    phase: Phase,
) -> Finding {
    let course = seen.course;
    let (pod, to) = (&course.pod_name, &course.target_node);
    let given_up = status.given_up.as_deref();
    let why = aside.said.clone().or_else(|| given_up.map(sentence));
    let why = why.unwrap_or_else(|| "the state could not be restored there".to_owned());
    let (reason, message) = match phase {
        Phase::Succeeded => (
            "Moved",
            format!("pod {pod} runs on {to} with all that it had in memory"),
        ),
        Phase::Restored => (
            "Moving",
            format!(
                "it runs on {to}; what is left of it on {} is deleted",
                course.source_node
            ),
        ),
        Phase::RolledBack => (
            "RolledBack",
            format!("pod {pod} runs on where it was: {why}"),
        ),
        Phase::Failed if status.journey.is_none() => ("Refused", why),
        Phase::Failed => ("Failed", why),
        Phase::Pending if status.waiting.is_some() => {
            ("Waiting", status.waiting.clone().unwrap_or_default())
        }
        Phase::Pending | Phase::Preflighted => (
            "Moving",
            format!("a pod that is to get the state is being made ready on {to}"),
        ),
        Phase::Prepared => (
            "Moving",
            format!("the pod on {to} waits; the source is about to be frozen"),
        ),
        Phase::Frozen | Phase::Dumped | Phase::Copied => (
            "Moving",
            "the source is frozen, and its state is on its way".into(),
        ),
        Phase::Verified => ("Moving", format!("the whole state is on {to}")),
        Phase::Unknown => (
            "Unknown",
            "a newer version of Holdfast has written this".into(),
        ),
    };
    Finding {
        kind: SUCCEEDED,
        holds: phase == Phase::Succeeded,
        reason,
        message,
    }
}

/// What a reason means, for whoever reads it at night. A refusal is a sentence already.
fn sentence(why: &str) -> String {
    match why {
        reasons::SOURCE_KILLED => "the pod ended before its state was safe".into(),
        reasons::DAMAGED => "the program that dumps died over a container: look at the agent's log on its node".into(),
        reasons::TOO_LATE => "it took longer than its deadline until the pod could be frozen: see the events of the pod on the target".into(),
        reasons::UNWANTED => "its ReplicaSet wants no pods any more: it was scaled down, or rolled away".into(),
        reasons::CANCELLED => "the Migration was deleted".into(),
        reasons::TARGET_GONE => "the pod on the target is gone".into(),
        reasons::RESTORE_FAILED => "the state could not be restored: see the agent's log on the target".into(),
        other => other.to_owned(),
    }
}

/// The source was released, and nobody can say whether the target ran it.
fn undecided(seen: &Observed<'_>) -> Finding {
    let is_released = seen
        .source
        .source
        .is_some_and(|report| report.standing == SourceStanding::Released);
    let holds = is_released && seen.is_target_silent && seen.target_proof.is_none();
    let node = &seen.course.target_node;
    let message = if holds {
        format!(
            "node {node} does not answer, and may run the state: the pod stays frozen, safe on disk, until the node answers, or is off and carries the taint node.kubernetes.io/out-of-service"
        )
    } else {
        String::new()
    };
    Finding {
        kind: UNDECIDED,
        holds,
        reason: if holds { "TargetSilent" } else { "Decidable" },
        message,
    }
}

fn name_taken(seen: &Observed<'_>, aside: &Aside) -> Finding {
    let holds = aside.name_taken;
    let message = if holds {
        format!(
            "somebody else has made a pod {}: delete it, and this Migration goes on; the state is safe on both nodes",
            seen.course.pod_name
        )
    } else {
        String::new()
    };
    Finding {
        kind: "NameTaken",
        holds,
        reason: if holds { "AnotherPod" } else { "Free" },
        message,
    }
}

fn spec_changed(aside: &Aside) -> Finding {
    let holds = aside.unlike.is_some();
    let message = aside.unlike.as_ref().map(|what| {
        format!("a successor is not equal to the pod that moves, and does not get its state ({what}): see what was changed in its template, or by a webhook")
    });
    Finding {
        kind: "SpecChanged",
        holds,
        reason: if holds { "NotEqual" } else { "Equal" },
        message: message.unwrap_or_default(),
    }
}

fn stuck(aside: &Aside) -> Finding {
    let is_refused = aside.refused.is_some();
    Finding {
        kind: "Stuck",
        holds: is_refused,
        reason: if is_refused { "Refused" } else { "GoesOn" },
        message: aside.refused.clone().unwrap_or_default(),
    }
}

fn notice(phase: Phase, finding: &Finding) -> Option<Notice> {
    let is_warning = match phase {
        Phase::Succeeded | Phase::Frozen | Phase::Prepared => false,
        Phase::RolledBack | Phase::Failed => true,
        _ => return None,
    };
    Some(Notice {
        is_warning,
        reason: match phase {
            Phase::Frozen => "Frozen",
            Phase::Prepared => "Prepared",
            _ => finding.reason,
        },
        action: ACTION,
        note: finding.message.clone(),
    })
}
