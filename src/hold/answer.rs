//! What a `create` may do, from the record alone. Pure; asked by the agent, and by the runtime where there is no agent.
//!
//! | the record says | a sandbox | a container |
//! |---|---|---|
//! | frozen, released, or about to run here again | waits | waits |
//! | superseded, killed, revoked | refused | refused |
//! | open | starts | one that had finished: no-op; else it waits |
//! | claimed | starts | its token decides: begins, waits, or, once all are done, starts as after any crash |
//! | nothing, and a state is expected | waits | waits |
//! | nothing | starts | starts |
//!
//! Without an agent nothing happens but one thing: a container that was told to start fresh once, in a pod that is neither held nor
//! waits for a state, starts again.

use crate::hold::record::{Admission, AdmissionState, Hold, HoldState, Record, TokenState, What};
use crate::hold::rules::{Rule, Rules};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked<'a> {
    /// The container's name; none for the sandbox.
    pub container: Option<&'a str>,
    /// The operation whose state the pod says that it expects, or that the agent knows to be on its way.
    pub expects: Option<&'a str>,
}

/// Whether there is an agent to carry an answer out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agent {
    /// It asks.
    Here,
    /// It does not answer.
    Away,
}

/// What a `create` may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It starts as any container does.
    Start {
        /// That is noted first (`Change::Note`), so that it may start again without an agent.
        note: bool,
    },
    /// It begins, once: first its token (`AdmissionStep::Begin`), and then a restore, or a fresh start.
    Begin {
        /// In this attempt.
        attempt: u32,
        /// From this.
        what: What,
    },
    /// It ends at once, with 0.
    NoOp,
    /// Not yet.
    Wait(String),
    /// Never.
    Refuse(String),
}

fn wait(why: impl Into<String>) -> Answer {
    Answer::Wait(why.into())
}

/// What a `create` may do.
#[must_use]
pub fn answer(record: &Record, asked: Asked<'_>, agent: Agent, rules: Rules) -> Answer {
    if agent == Agent::Away {
        return alone(record, asked);
    }
    let hold = record
        .hold
        .as_ref()
        .filter(|_| rules.hold(Rule::HoldBlocksCreate));
    match (hold, &record.admission, asked.expects) {
        (Some(hold), _, _) => held(hold),
        (None, Some(admission), _) => admitted(record, admission, asked, rules),
        (None, None, Some(operation)) => wait(format!(
            "the state that operation {operation} brings is not here yet"
        )),
        (None, None, None) => Answer::Start {
            note: asked.container.is_some(),
        },
    }
}

fn alone(record: &Record, asked: Asked<'_>) -> Answer {
    let is_known = asked
        .container
        .is_some_and(|name| record.started.contains(name));
    if is_known && record.hold.is_none() && record.admission.is_none() {
        return Answer::Start { note: false };
    }
    wait(
        "Holdfast's agent on this node does not answer, and this container may not start without its word",
    )
}

fn held(hold: &Hold) -> Answer {
    let operation = &hold.operation;
    match hold.state {
        HoldState::Frozen => wait(format!("the pod is frozen for operation {operation}")),
        HoldState::Released => wait(format!(
            "operation {operation} has handed the pod's state over, and what became of it is not known yet"
        )),
        HoldState::Withdrawn | HoldState::Returned => wait(format!(
            "operation {operation} was given up, and the pod is about to run here again"
        )),
        HoldState::Superseded | HoldState::Killed => Answer::Refuse(format!(
            "operation {operation} has moved this pod's state to another pod: nothing starts in this one any more"
        )),
    }
}

fn admitted(record: &Record, admission: &Admission, asked: Asked<'_>, rules: Rules) -> Answer {
    let operation = &admission.operation;
    if admission.state == AdmissionState::Revoked {
        return Answer::Refuse(format!(
            "operation {operation} was given up, and this pod was prepared for it: delete it, and its owner makes another"
        ));
    }
    let Some(name) = asked.container else {
        return Answer::Start { note: false };
    };
    if admission.finished.contains(name) {
        return Answer::NoOp;
    }
    match (admission.state, &admission.what) {
        (AdmissionState::Claimed, Some(what)) => claimed(record, admission, (name, what), rules),
        _ => wait(format!("operation {operation} is about to bring its state")),
    }
}

fn claimed(
    record: &Record,
    admission: &Admission,
    (name, what): (&str, &What),
    rules: Rules,
) -> Answer {
    let begin = || Answer::Begin {
        attempt: admission.attempt,
        what: what.clone(),
    };
    let Some(token) = record.tokens.get(name) else {
        // One that is not part of what was dumped, or of what came home: it starts when the others run.
        return if record.is_whole() || *what == What::Fresh {
            Answer::Start { note: false }
        } else {
            wait("the pod's other containers are not restored yet")
        };
    };
    match token.state {
        TokenState::Unused if !record.is_failed() => begin(),
        TokenState::Begun if !rules.hold(Rule::TokensAreSpent) => begin(),
        TokenState::Done if record.is_whole() || *what == What::Fresh => {
            Answer::Start { note: false }
        }
        TokenState::Done => wait("the pod's other containers are not restored yet"),
        TokenState::Begun => wait("what became of the last try is not known yet"),
        TokenState::Unused | TokenState::Failed => wait(format!(
            "attempt {} failed, and what comes next is not decided yet",
            admission.attempt
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::change::{AdmissionStep, Change};
    use crate::hold::uid::Uid;

    fn blank() -> Record {
        Record::blank("ns", "web", Uid::try_from("u1").unwrap())
    }

    fn after(record: Record, steps: &[AdmissionStep]) -> Record {
        steps.iter().fold(record, |record, step| {
            Change::admit("op", step.clone())
                .apply(record, Rules::ALL)
                .unwrap()
        })
    }

    fn of(record: &Record, container: Option<&str>) -> Answer {
        let asked = Asked {
            container,
            expects: None,
        };
        answer(record, asked, Agent::Here, Rules::ALL)
    }

    fn open() -> AdmissionStep {
        AdmissionStep::Open {
            attempt: 1,
            restores: ["a".to_owned(), "b".to_owned()].into(),
            finished: ["init".to_owned()].into(),
            prepared: true,
        }
    }

    fn claim() -> AdmissionStep {
        AdmissionStep::Claim {
            attempt: 1,
            what: What::Generation("g".into()),
        }
    }

    fn begin(container: &str) -> AdmissionStep {
        AdmissionStep::Begin {
            attempt: 1,
            container: container.into(),
            boot: "boot".into(),
            cgroup: "c".into(),
            id: "1".into(),
        }
    }

    fn done(container: &str) -> AdmissionStep {
        AdmissionStep::Done {
            attempt: 1,
            container: container.into(),
        }
    }

    #[test]
    fn an_ordinary_pod_starts_and_is_noted() {
        assert_eq!(of(&blank(), None), Answer::Start { note: false });
        assert_eq!(of(&blank(), Some("a")), Answer::Start { note: true });
    }

    #[test]
    fn a_pod_that_expects_a_state_waits_until_the_agent_knows_of_it() {
        for container in [None, Some("a")] {
            let asked = Asked {
                container,
                expects: Some("op"),
            };
            let given = answer(&blank(), asked, Agent::Here, Rules::ALL);
            assert!(matches!(given, Answer::Wait(_)), "{given:?}");
        }
    }

    #[test]
    fn a_waiting_pod_has_its_sandbox_and_skips_what_had_finished() {
        let record = after(blank(), &[open()]);
        assert_eq!(of(&record, None), Answer::Start { note: false });
        assert_eq!(of(&record, Some("init")), Answer::NoOp);
        assert!(matches!(of(&record, Some("a")), Answer::Wait(_)));
    }

    #[test]
    fn each_container_begins_once_and_restarts_when_all_ran() {
        let record = after(blank(), &[open(), claim()]);
        let begins = Answer::Begin {
            attempt: 1,
            what: What::Generation("g".into()),
        };
        assert_eq!(of(&record, Some("a")), begins);
        let record = after(record, &[begin("a")]);
        assert!(matches!(of(&record, Some("a")), Answer::Wait(_)));
        let record = after(record, &[done("a")]);
        assert!(matches!(of(&record, Some("a")), Answer::Wait(_)));
        assert_eq!(of(&record, Some("b")), begins);
        let record = after(record, &[begin("b"), done("b")]);
        assert_eq!(of(&record, Some("a")), Answer::Start { note: false });
    }

    #[test]
    fn a_voided_pod_is_refused_whole() {
        let record = after(blank(), &[open(), AdmissionStep::Revoke]);
        for container in [None, Some("init"), Some("a")] {
            assert!(matches!(of(&record, container), Answer::Refuse(_)));
        }
    }

    #[test]
    fn without_an_agent_only_what_was_told_to_start_starts() {
        let noted = Change::Note {
            container: "a".into(),
        };
        let noted = noted.apply(blank(), Rules::ALL).unwrap();
        let alone = |record: &Record, container| {
            let asked = Asked {
                container,
                expects: None,
            };
            answer(record, asked, Agent::Away, Rules::ALL)
        };
        assert_eq!(alone(&noted, Some("a")), Answer::Start { note: false });
        for (record, container) in [
            (&noted, Some("b")),
            (&noted, None),
            (&blank(), Some("a")),
            (&after(blank(), &[open(), claim()]), Some("a")),
        ] {
            assert!(matches!(alone(record, container), Answer::Wait(_)));
        }
    }
}
