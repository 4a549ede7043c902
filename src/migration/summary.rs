//! What people are told of a Migration: its phase, its conditions, and an event where it ends. Pure. No decision hangs on any of it.

mod ending;

use crate::agent::api::{Measured, SourceStanding, TargetStanding};
use crate::kit::conditions::{Finding, merge};
use crate::kit::events::Notice;
use crate::kit::times::in_micros;
use crate::migration::api::{MigrationStatus, Outcome, Phase, PhaseTime, Stage, reasons};
use crate::migration::plan::Observed;
use ending::{can_move, failover, never_placed, said_before, sentence, untold};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

/// The condition that says how it ended.
pub(crate) const SUCCEEDED: &str = "Succeeded";
/// The condition of one that nobody can decide.
pub(crate) const UNDECIDED: &str = "Undecided";
const ACTION: &str = "Migrating";

/// What is told besides what was decided.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// The Migration, as `NAMESPACE/NAME`.
    pub(crate) name: String,
    /// Since when the target's node does not answer, if its object says so.
    pub(crate) silent_since: Option<Time>,
    /// What the nodes have measured.
    pub(crate) measured: Measured,
    /// Somebody else has made a pod of the name that the successor is to have.
    pub(crate) name_taken: bool,
    /// A successor that is not equal, and in what.
    pub(crate) unlike: Option<String>,
    /// What the API server does not let be done.
    pub(crate) refused: Option<String>,
    /// Why an image has not come yet.
    pub(crate) pulling: Option<String>,
    /// Why no scheduler places the pod that is to get the state.
    pub(crate) unplaced: Option<String>,
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
    let notice = notice.or_else(|| resolved(seen, status));
    let measured = &aside.measured;
    let findings = [
        succeeded,
        undecided(seen, status, aside),
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
        silent_since: silent_since(seen, status, aside, now),
        resolved_by: resolved_by(status),
        times,
        phase,
        conditions,
        ..status.clone()
    };
    (told, notice)
}

/// One that was not known to answer before stays silent since then, if its object is gone.
fn silent_since(
    seen: &Observed<'_>,
    status: &MigrationStatus,
    aside: &Aside,
    now: Timestamp,
) -> Option<Time> {
    // Once it mattered it is kept to the end: a word that was said of it is compared with it.
    let matters = is_out_of_reach(seen, status) || status.silent_since.is_some();
    let matters = matters && seen.is_target_silent && status.stage != Stage::Closed;
    let known = aside.silent_since.as_ref().or(status.silent_since.as_ref());
    matters.then(|| known.cloned().unwrap_or_else(|| in_seconds(now)))
}

/// As it is read again after it was written.
fn in_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// What hangs on the target's node: whether a state that it may have begun to run runs there. Nobody else can say.
fn is_out_of_reach(seen: &Observed<'_>, status: &MigrationStatus) -> bool {
    let decision = &status.decision;
    match seen.source.source.map(|report| report.standing) {
        Some(SourceStanding::Released) => !decision.is_final(),
        // There is no way back; but a pod that is known not to run makes room for the next one.
        Some(SourceStanding::Killed) => {
            decision.outcome == Outcome::Allowed
                && decision.node.as_ref() == Some(&seen.course.target_node)
        }
        _ => false,
    }
}

/// By whose word it went on. Where the node came back before that, the word was not needed.
fn resolved_by(status: &MigrationStatus) -> Option<String> {
    let proofs = [&status.decision.proof, &status.called_off];
    let mut said = proofs
        .into_iter()
        .flatten()
        .filter_map(|one| one.by.clone());
    let before = || status.resolved_by.clone().filter(|_| status.ran);
    said.next().or_else(before)
}

/// A person's word was taken.
fn resolved(seen: &Observed<'_>, status: &MigrationStatus) -> Option<Notice> {
    let proof = status.called_off.as_ref()?;
    let by = proof
        .by
        .as_ref()
        .filter(|_| seen.status.called_off.is_none())?;
    Some(Notice {
        is_warning: true,
        reason: "Resolved",
        action: ACTION,
        note: format!(
            "{by} says that node {} is off: its pod is taken from the API, and what it may have done since the freeze is given up",
            seen.course.target_node
        ),
    })
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
        // A dry run has come to its end.
        Outcome::Undecided if is_closed => return Phase::Preflighted,
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
    let is_late = given_up == Some(reasons::TOO_LATE);
    let late = aside.unplaced.as_deref().filter(|_| is_late);
    let known = aside.said.clone().or(late.map(never_placed));
    let known = failover(status, to).or(known);
    // What a node or a scheduler said is not to be seen any more soon after.
    let former = known.is_none() && (given_up.is_none() || is_late);
    let former = former.then(|| said_before(status, phase)).flatten();
    let why = known.or_else(|| given_up.map(sentence));
    let why = why.unwrap_or_else(|| untold(seen));
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
        // True from the decision on: its node may still be thawing it.
        Phase::RolledBack => (
            "RolledBack",
            format!("pod {pod} stays on {}: {why}", course.source_node),
        ),
        Phase::Failed if status.journey.is_none() => ("Refused", why),
        Phase::Failed => ("Failed", why),
        Phase::Pending if status.waiting.is_some() => {
            ("Waiting", status.waiting.clone().unwrap_or_default())
        }
        Phase::Preflighted if status.stage == Stage::Closed => ("CanMove", can_move(status)),
        Phase::Pending | Phase::Preflighted => ("Moving", getting_ready(seen, aside)),
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
        holds: matches!(reason, "Moved" | "CanMove"),
        reason,
        message: former.unwrap_or(message),
    }
}

/// What is done before a pod waits.
fn getting_ready(seen: &Observed<'_>, aside: &Aside) -> String {
    let to = &seen.course.target_node;
    let is_begun = seen.status.stage == Stage::Begun;
    let what = if is_begun && seen.waits_for_images() {
        format!("the images of its containers are looked for on {to}, or fetched")
    } else {
        format!("a pod that is to get the state is being made ready on {to}")
    };
    let unplaced = aside.unplaced.as_ref();
    let unplaced = unplaced.map(|why| format!("no scheduler places it: {why}"));
    match unplaced.as_ref().or(aside.pulling.as_ref()) {
        Some(why) => format!("{what}; so far {why}"),
        None => what,
    }
}

/// The source was released, and nobody can say whether the target ran it.
fn undecided(seen: &Observed<'_>, status: &MigrationStatus, aside: &Aside) -> Finding {
    let is_open = is_out_of_reach(seen, status) && seen.is_target_silent;
    let holds = is_open && seen.target_proof.is_none();
    let (node, name) = (&seen.course.target_node, &aside.name);
    let message = if holds {
        format!(
            "node {node} does not answer, and may run the state, which is safe on the disk of {}: bring the node back, or, when it is off for sure, say so: holdfast resolve {name} --target-is-off",
            seen.course.source_node
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
