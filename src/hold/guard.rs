//! What the guard of a freeze does. It is a process of its own on the host, so that nobody stays frozen because an agent died: at the
//! deadline it withdraws what was not released, and thaws. Pure.

use crate::hold::change::{Change, HoldStep};
use crate::hold::record::{Deadline, HoldState, Record};
use crate::hold::rules::{Rule, Rules};

/// The next thing that a guard does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GuardAct {
    /// It looks again at the deadline, or when the record changes.
    Wait,
    /// It changes the record.
    Change(Change),
    /// It thaws all containers of the hold.
    Thaw,
    /// There is nothing left to guard.
    Leave,
}

/// What the guard of an operation does next.
#[must_use]
pub fn guard(
    record: &Record,
    operation: &str,
    is_frozen: bool,
    now: &Deadline,
    rules: Rules,
) -> GuardAct {
    let Some(hold) = record.hold_of(operation) else {
        return GuardAct::Leave;
    };
    let change = |step| GuardAct::Change(Change::hold(operation, step));
    match hold.state {
        HoldState::Frozen if hold.deadline.has_passed(now) && rules.hold(Rule::GuardThaws) => {
            change(HoldStep::Withdraw)
        }
        HoldState::Frozen => GuardAct::Wait,
        HoldState::Withdrawn if is_frozen && !hold.thawing => change(HoldStep::Thaw),
        HoldState::Withdrawn if is_frozen => GuardAct::Thaw,
        HoldState::Withdrawn
        | HoldState::Released
        | HoldState::Returned
        | HoldState::Superseded
        | HoldState::Killed => GuardAct::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::change::Beginning;
    use crate::hold::record::{Role, Target};
    use crate::hold::uid::Uid;

    fn at(nanos: u64) -> Deadline {
        Deadline {
            boot: "boot".into(),
            nanos,
        }
    }

    fn held(steps: &[HoldStep]) -> Record {
        let uid = |name: &str| Uid::try_from(name).unwrap();
        let begin = HoldStep::Begin(Beginning {
            role: Role::Source,
            target: Some(Target {
                node: "n2".into(),
                uid: Some(uid("t1")),
            }),
            generation: "g".into(),
            deadline: at(9),
            containers: Vec::new(),
        });
        let steps = std::iter::once(&begin).chain(steps);
        steps.fold(Record::blank("ns", "web", uid("u1")), |record, step| {
            let change = Change::hold("op", step.clone());
            change.apply(record, Rules::ALL).unwrap()
        })
    }

    #[test]
    fn it_withdraws_at_the_deadline_and_then_thaws() {
        let next = |record: &Record, is_frozen, nanos| {
            guard(record, "op", is_frozen, &at(nanos), Rules::ALL)
        };
        let change = |step| GuardAct::Change(Change::hold("op", step));
        assert_eq!(next(&held(&[]), true, 8), GuardAct::Wait);
        assert_eq!(next(&held(&[]), true, 9), change(HoldStep::Withdraw));
        let withdrawn = held(&[HoldStep::Withdraw]);
        assert_eq!(next(&withdrawn, true, 9), change(HoldStep::Thaw));
        let thawing = held(&[HoldStep::Withdraw, HoldStep::Thaw]);
        assert_eq!(next(&thawing, true, 9), GuardAct::Thaw);
        assert_eq!(next(&thawing, false, 9), GuardAct::Leave);
    }

    #[test]
    fn it_leaves_what_was_released() {
        let uid = Uid::try_from("t1").unwrap();
        let released = held(&[HoldStep::Release(uid)]);
        let next = guard(&released, "op", true, &at(99), Rules::ALL);
        assert_eq!(next, GuardAct::Leave);
    }
}
