//! What may follow what in an admission, and in the tokens below it.
//!
//! ```text
//!  (nothing) ──► open ──► claimed (a generation, or fresh) ──► again, with the next attempt, when all of this one is dead
//!      │           │          │
//!      └───────────┴──────────┴──► revoked, for ever          from claimed only while nothing of it can have run
//!
//!  a token:  unused ──► begun ──► done        the attempt as a whole:  ──► failed, once all of it is shown to be dead
//! ```

use crate::hold::change::{AdmissionStep, Changed, End, Refusal, refuse};
use crate::hold::record::{Admission, AdmissionState, Record, Token, TokenState, What};
use crate::hold::rules::{Rule, Rules};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn change(
    record: Record,
    operation: &str,
    step: &AdmissionStep,
    rules: Rules,
) -> Changed {
    let other = record
        .admission
        .as_ref()
        .filter(|admission| admission.operation != operation);
    if let Some(other) = other {
        return refuse(format!(
            "pod {} belongs to operation {}",
            record.uid, other.operation
        ));
    }
    match step {
        AdmissionStep::Open { .. } | AdmissionStep::Revoke if record.hold.is_some() => {
            refuse(format!("pod {} is held", record.uid))
        }
        AdmissionStep::Open { .. } => open(record, operation, step),
        AdmissionStep::Revoke => revoke(record, operation),
        AdmissionStep::Claim { attempt, what } => claim(record, *attempt, what, rules),
        AdmissionStep::Again { attempt, what } => again(record, *attempt, what, rules),
        AdmissionStep::Begin {
            attempt, container, ..
        } => {
            let token = begun(step);
            begin(record, (*attempt, container), token, rules)
        }
        AdmissionStep::Done { attempt, container } => done(record, *attempt, container),
        AdmissionStep::Fail {
            attempt,
            boot,
            ends,
        } => fail(record, *attempt, (boot, ends), rules),
    }
}

fn open(mut record: Record, operation: &str, step: &AdmissionStep) -> Changed {
    let AdmissionStep::Open {
        attempt,
        restores,
        finished,
        prepared,
    } = step
    else {
        return Ok(record);
    };
    if !record.started.is_empty() {
        return refuse(format!("pod {} has started fresh before", record.uid));
    }
    if restores.is_empty() {
        return refuse("no container is said to be restored");
    }
    let former = record.admission.as_ref();
    if former.is_some_and(|admission| admission.state != AdmissionState::Open) {
        return refuse(format!(
            "what runs in pod {} is decided already",
            record.uid
        ));
    }
    record.admission = Some(Admission {
        operation: operation.to_owned(),
        attempt: former.map_or(*attempt, |former| former.attempt.max(*attempt)),
        state: AdmissionState::Open,
        what: None,
        finished: finished.clone(),
        prepared: *prepared || !finished.is_empty(),
        ran: false,
    });
    record.tokens = fresh_tokens(restores.iter(), *attempt);
    Ok(record)
}

fn fresh_tokens<'a>(
    names: impl Iterator<Item = &'a String>,
    attempt: u32,
) -> BTreeMap<String, Token> {
    names
        .map(|name| (name.clone(), Token::unused(attempt)))
        .collect()
}

/// The admission, in a state in which something may run.
fn claimed(record: &mut Record, attempt: u32) -> Result<&mut Admission, Refusal> {
    match &mut record.admission {
        Some(admission)
            if admission.state == AdmissionState::Claimed && admission.attempt == attempt =>
        {
            Ok(admission)
        }
        _ => Err(Refusal(format!(
            "attempt {attempt} is not the one that pod {} is at",
            record.uid
        ))),
    }
}

fn never_fresh(admission: &Admission, what: &What, rules: Rules) -> bool {
    *what == What::Fresh && admission.prepared && rules.hold(Rule::PreparedNeverFresh)
}

const NEVER_FRESH: &str = "its volumes were filled or an init container was skipped, so it never starts fresh: revoke and delete it, \
                           and its successor may";

fn claim(mut record: Record, attempt: u32, what: &What, rules: Rules) -> Changed {
    let Some(admission) = &mut record.admission else {
        return refuse(format!("pod {} waits for no state", record.uid));
    };
    match admission.state {
        AdmissionState::Claimed
            if admission.attempt == attempt && admission.what.as_ref() == Some(what) =>
        {
            return Ok(record);
        }
        AdmissionState::Claimed => {
            return refuse(format!("attempt {} was claimed before", admission.attempt));
        }
        AdmissionState::Revoked if rules.hold(Rule::RevokedIsFinal) => {
            return refuse("it was voided, for ever");
        }
        AdmissionState::Open if attempt < admission.attempt => {
            return refuse(format!("attempt {} came before", admission.attempt));
        }
        AdmissionState::Open | AdmissionState::Revoked => {}
    }
    if never_fresh(admission, what, rules) {
        return refuse(NEVER_FRESH);
    }
    admission.attempt = attempt;
    admission.state = AdmissionState::Claimed;
    admission.what = Some(what.clone());
    record.tokens = fresh_tokens(record.tokens.keys(), attempt);
    Ok(record)
}

fn again(mut record: Record, attempt: u32, what: &What, rules: Rules) -> Changed {
    let is_failed = record.is_failed();
    let Some(admission) = &mut record.admission else {
        return refuse(format!("pod {} waits for no state", record.uid));
    };
    if admission.state != AdmissionState::Claimed {
        return refuse("nothing was tried before");
    }
    if admission.attempt == attempt && admission.what.as_ref() == Some(what) {
        return Ok(record);
    }
    if !is_failed || attempt <= admission.attempt {
        return refuse(format!("attempt {} is not over", admission.attempt));
    }
    if never_fresh(admission, what, rules) {
        return refuse(NEVER_FRESH);
    }
    admission.attempt = attempt;
    admission.what = Some(what.clone());
    record.tokens = fresh_tokens(record.tokens.keys(), attempt);
    Ok(record)
}

fn begun(step: &AdmissionStep) -> Option<Token> {
    let AdmissionStep::Begin {
        attempt,
        boot,
        cgroup,
        id,
        ..
    } = step
    else {
        return None;
    };
    Some(Token {
        attempt: *attempt,
        state: TokenState::Begun,
        boot: Some(boot.clone()),
        cgroup: Some(cgroup.clone()),
        id: Some(id.clone()),
    })
}

fn begin(
    mut record: Record,
    (attempt, container): (u32, &str),
    begun: Option<Token>,
    rules: Rules,
) -> Changed {
    claimed(&mut record, attempt)?;
    if record.is_failed() {
        return refuse(format!("attempt {attempt} is over"));
    }
    let (Some(token), Some(begun)) = (record.tokens.get_mut(container), begun) else {
        return refuse(format!("container {container} is not to be restored"));
    };
    let is_spent = token.state != TokenState::Unused || token.attempt != attempt;
    if is_spent && rules.hold(Rule::TokensAreSpent) {
        return refuse(format!(
            "container {container} was begun before in attempt {attempt}"
        ));
    }
    *token = begun;
    Ok(record)
}

fn done(mut record: Record, attempt: u32, container: &str) -> Changed {
    claimed(&mut record, attempt)?.ran = true;
    let Some(token) = record.tokens.get_mut(container) else {
        return refuse(format!("container {container} is not to be restored"));
    };
    match token.state {
        TokenState::Begun | TokenState::Done => token.state = TokenState::Done,
        TokenState::Unused | TokenState::Failed => {
            return refuse(format!("container {container} was not begun"));
        }
    }
    Ok(record)
}

fn fail(
    mut record: Record,
    attempt: u32,
    (boot, ends): (&str, &BTreeMap<String, End>),
    rules: Rules,
) -> Changed {
    claimed(&mut record, attempt)?;
    if record.is_whole() {
        return refuse(format!("attempt {attempt} did succeed"));
    }
    let mut ran = false;
    for (name, token) in &mut record.tokens {
        match (token.state, ends.get(name)) {
            (TokenState::Begun, None) => {
                return refuse(format!("nobody said what became of container {name}"));
            }
            (TokenState::Begun, Some(End::NeverRan)) => {
                let another_boot = token.boot.as_deref() != Some(boot);
                ran |= another_boot && rules.hold(Rule::BootCountsAsRan);
            }
            (TokenState::Begun, Some(End::MayHaveRan)) | (TokenState::Done, _) => ran = true,
            (TokenState::Unused | TokenState::Failed, _) => {}
        }
        token.state = TokenState::Failed;
    }
    if let Some(admission) = &mut record.admission {
        admission.ran |= ran && rules.hold(Rule::RanIsFinal);
    }
    Ok(record)
}

fn revoke(mut record: Record, operation: &str) -> Changed {
    if !record.started.is_empty() {
        return refuse(format!("pod {} has started fresh before", record.uid));
    }
    let may_run = record
        .tokens
        .values()
        .any(|token| matches!(token.state, TokenState::Begun | TokenState::Done));
    let former = record.admission.take();
    let ran = former.as_ref().is_some_and(|admission| admission.ran);
    if former
        .as_ref()
        .is_some_and(|admission| admission.state == AdmissionState::Claimed)
        && (may_run || ran)
    {
        return refuse("it ran, or may have run: that cannot be undone");
    }
    record.tokens.clear();
    record.admission = Some(Admission {
        operation: operation.to_owned(),
        attempt: former.as_ref().map_or(0, |former| former.attempt),
        state: AdmissionState::Revoked,
        what: None,
        finished: BTreeSet::new(),
        prepared: former.is_some_and(|former| former.prepared),
        ran: false,
    });
    Ok(record)
}
