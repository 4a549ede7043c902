//! What may follow what in a hold. Two who decide at once are kept apart by the record's lock: the second one finds the first one's
//! state, and is refused.
//!
//! ```text
//!            ┌──────────► withdrawn ──► (over: it runs here again)
//!  frozen ───┼─► released ──► returned ──► (over), on proof that the target did not run
//!            │       │
//!            │       └──► superseded ──► killed     it runs there
//!            └──────────► superseded ──► killed     where no pod waits: its successor is made only after it is dead
//! ```

use crate::hold::change::{Beginning, Changed, HoldStep, Refusal, refuse};
use crate::hold::record::{
    Admission, AdmissionState, Ended, Hold, HoldState, Proof, Record, Role, Target, Token, What,
};
use crate::hold::rules::{Rule, Rules};
use crate::hold::uid::Uid;
use std::collections::BTreeSet;

pub(crate) fn change(record: Record, operation: &str, step: &HoldStep, rules: Rules) -> Changed {
    match step {
        HoldStep::Begin(beginning) => begin(record, operation, beginning, rules),
        HoldStep::Retarget { target, ran } => {
            with(record, operation, |hold| retarget(hold, target, *ran))
        }
        HoldStep::Wish(signal) => with(record, operation, |hold| {
            if !hold.wishes.contains(signal) {
                hold.wishes.push(signal.clone());
            }
            Ok(())
        }),
        HoldStep::Damage => with(record, operation, damage),
        HoldStep::Withdraw => with(record, operation, |hold| withdraw(hold, rules)),
        HoldStep::Release(uid) => with(record, operation, |hold| release(hold, uid)),
        HoldStep::Return(uid, proof) => {
            with(record, operation, |hold| come_back(hold, uid, proof, rules))
        }
        HoldStep::Thaw => with(record, operation, thaw),
        HoldStep::Supersede => with(record, operation, supersede),
        HoldStep::Kill => with(record, operation, kill),
        HoldStep::End => end(record, operation),
        HoldStep::Home { what, containers } => {
            let is_thawed = record.hold_of(operation).is_some_and(|hold| hold.thawing);
            if is_thawed && rules.hold(Rule::ThawedDiedRunning) {
                return refuse("it was thawed, so what died since died running: that is a crash");
            }
            home(record, operation, what, containers)
        }
    }
}

fn begin(mut record: Record, operation: &str, beginning: &Beginning, rules: Rules) -> Changed {
    if let Some(hold) = &record.hold {
        if hold.operation == operation && hold.state == HoldState::Frozen {
            return Ok(record);
        }
        return refuse(format!(
            "pod {} is held by operation {} ({})",
            record.uid, hold.operation, hold.state
        ));
    }
    let is_over = record
        .ended
        .as_ref()
        .is_some_and(|ended| ended.operation == operation);
    if is_over && rules.hold(Rule::EndedIsOver) {
        return refuse(format!(
            "operation {operation} has held pod {} before, and that is over: begin another one",
            record.uid
        ));
    }
    if record.admission.is_some() && !record.is_whole() {
        return refuse(format!(
            "pod {} is not restored yet: hold it when it runs",
            record.uid
        ));
    }
    let finished = finished(&mut record, beginning);
    record.ended = None;
    record.hold = Some(Hold {
        operation: operation.to_owned(),
        role: beginning.role,
        target: beginning.target.clone(),
        generation: beginning.generation.clone(),
        deadline: beginning.deadline.clone(),
        state: HoldState::Frozen,
        proof: None,
        ran: false,
        thawing: false,
        containers: beginning.containers.clone(),
        finished,
        wishes: Vec::new(),
        damaged: false,
    });
    Ok(record)
}

/// Nothing of the pod starts without the agent's word from now on. What had started, here or where it came from, and is not held has
/// ended.
fn finished(record: &mut Record, beginning: &Beginning) -> BTreeSet<String> {
    let mut finished = std::mem::take(&mut record.started);
    if let Some(admission) = &record.admission {
        finished.extend(admission.finished.iter().cloned());
    }
    for held in &beginning.containers {
        finished.remove(&held.name);
    }
    finished
}

/// Changes the hold of an operation, or refuses.
fn with(
    mut record: Record,
    operation: &str,
    change: impl FnOnce(&mut Hold) -> Result<(), Refusal>,
) -> Changed {
    let uid = record.uid.clone();
    match &mut record.hold {
        Some(hold) if hold.operation == operation => change(hold)?,
        _ => return refuse(format!("operation {operation} does not hold pod {uid}")),
    }
    Ok(record)
}

fn not_from(hold: &Hold, what: &str) -> Result<(), Refusal> {
    Err(Refusal(format!(
        "the pod is {}: it cannot be {what} any more",
        hold.state
    )))
}

/// Before the release anybody may be meant. After it the leader's decision alone moves it, when the former one can never run it.
fn retarget(hold: &mut Hold, target: &Target, ran: bool) -> Result<(), Refusal> {
    match hold.state {
        HoldState::Frozen | HoldState::Released
            if target.uid.is_some()
                && hold.target.as_ref().is_some_and(|old| old.uid.is_some()) =>
        {
            hold.target = Some(target.clone());
            hold.ran |= ran;
            Ok(())
        }
        _ => not_from(hold, "given to another pod"),
    }
}

fn damage(hold: &mut Hold) -> Result<(), Refusal> {
    match hold.state {
        HoldState::Frozen | HoldState::Withdrawn => hold.damaged = true,
        _ => return not_from(hold, "marked as damaged"),
    }
    Ok(())
}

fn withdraw(hold: &mut Hold, rules: Rules) -> Result<(), Refusal> {
    match hold.state {
        HoldState::Frozen | HoldState::Withdrawn => {}
        HoldState::Released if !rules.hold(Rule::WithdrawnOrReleased) => {}
        _ => return not_from(hold, "withdrawn"),
    }
    hold.state = HoldState::Withdrawn;
    Ok(())
}

fn release(hold: &mut Hold, uid: &Uid) -> Result<(), Refusal> {
    let waiting = hold.target.as_ref().and_then(|target| target.uid.as_ref());
    if hold.role != Role::Source || waiting != Some(uid) {
        return Err(Refusal(format!("its state is not meant for pod {uid}")));
    }
    match hold.state {
        HoldState::Frozen if hold.damaged => Err(Refusal(
            "CRIU died on it: what was dumped counts for nothing".into(),
        )),
        HoldState::Frozen | HoldState::Released => {
            hold.state = HoldState::Released;
            Ok(())
        }
        _ => not_from(hold, "released"),
    }
}

fn come_back(hold: &mut Hold, uid: &Uid, proof: &Proof, rules: Rules) -> Result<(), Refusal> {
    let target = hold.target.as_ref().and_then(|target| target.uid.as_ref());
    if target != Some(uid) && rules.hold(Rule::ProofNamesTheTarget) {
        return Err(Refusal(format!(
            "that pod {uid} did not run proves nothing: the state was released to another pod"
        )));
    }
    if hold.ran && !proof.is_failover() && rules.hold(Rule::RanIsFinal) {
        return Err(Refusal(
            "it ran in another pod before: that this one did not run proves nothing".into(),
        ));
    }
    match hold.state {
        HoldState::Released => {
            hold.state = HoldState::Returned;
            hold.proof = Some(proof.clone());
            Ok(())
        }
        HoldState::Returned => Ok(()),
        _ => not_from(hold, "returned"),
    }
}

fn thaw(hold: &mut Hold) -> Result<(), Refusal> {
    match hold.state {
        HoldState::Withdrawn | HoldState::Returned => hold.thawing = true,
        _ => return not_from(hold, "thawed"),
    }
    Ok(())
}

fn supersede(hold: &mut Hold) -> Result<(), Refusal> {
    let nobody_waits = hold.role == Role::Source
        && !hold.damaged
        && hold
            .target
            .as_ref()
            .is_some_and(|target| target.uid.is_none());
    match hold.state {
        HoldState::Released => {}
        HoldState::Frozen if nobody_waits => {}
        HoldState::Superseded | HoldState::Killed => return Ok(()),
        _ => return not_from(hold, "superseded"),
    }
    hold.state = HoldState::Superseded;
    Ok(())
}

fn kill(hold: &mut Hold) -> Result<(), Refusal> {
    match hold.state {
        HoldState::Superseded | HoldState::Killed => {
            hold.state = HoldState::Killed;
            Ok(())
        }
        _ => not_from(hold, "called dead"),
    }
}

fn end(mut record: Record, operation: &str) -> Changed {
    let is_over = record
        .ended
        .as_ref()
        .is_some_and(|ended| ended.operation == operation);
    if record.hold.is_none() && is_over {
        return Ok(record);
    }
    let Some(hold) = record.hold_of(operation) else {
        return refuse(format!(
            "operation {operation} does not hold pod {}",
            record.uid
        ));
    };
    if !matches!(hold.state, HoldState::Withdrawn | HoldState::Returned) {
        return refuse(format!("the pod is {}: its hold goes on", hold.state));
    }
    record.ended = Some(Ended {
        operation: operation.to_owned(),
        state: hold.state,
        proof: hold.proof.clone(),
        damaged: hold.damaged,
    });
    let Some(over) = record.hold.take().filter(|_| record.admission.is_none()) else {
        return Ok(record);
    };
    // Who holds it next has to know them too.
    record.started.extend(over.finished);
    // It runs as it did before: its containers may start again without an agent.
    if over.role == Role::Checkpoint {
        let names = over.containers.into_iter().map(|held| held.name);
        record.started.extend(names);
    }
    Ok(record)
}

fn home(record: Record, operation: &str, what: &What, containers: &BTreeSet<String>) -> Changed {
    let is_ours = |admission: &&Admission| admission.operation == operation;
    let former = record.admission.as_ref().filter(is_ours);
    let attempt = former.map_or(0, |admission| admission.attempt);
    let finished = match (record.hold_of(operation), former) {
        // All of it starts anew.
        _ if *what == What::Fresh => BTreeSet::new(),
        (Some(hold), _) => hold.finished.clone(),
        (None, Some(admission)) => admission.finished.clone(),
        (None, None) => BTreeSet::new(),
    };
    if record.hold.is_none() && !(former.is_some() && record.is_failed()) {
        return refuse(format!(
            "pod {} runs here again, or attempt {attempt} to restore it here is not over",
            record.uid
        ));
    }
    let mut record = end(record, operation)?;
    if containers.is_empty() {
        return refuse("no container is said to start again");
    }
    let attempt = attempt.saturating_add(1);
    record.admission = Some(Admission {
        operation: operation.to_owned(),
        attempt,
        state: AdmissionState::Claimed,
        what: Some(what.clone()),
        finished,
        prepared: false,
        ran: false,
    });
    let unused = |name: &String| (name.clone(), Token::unused(attempt));
    record.tokens = containers.iter().map(unused).collect();
    Ok(record)
}
