//! What becomes of a signal, or of another verb, that is asked for a container of a held pod. Pure; asked by the agent, and by the
//! runtime where there is no agent.

use crate::hold::change::{Change, HoldStep};
use crate::hold::record::{Hold, HoldState, Record};

/// What becomes of a signal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signalled {
    /// The real runtime sends it.
    Pass,
    /// It is noted, answered with success, and delivered after a thaw.
    Note(Change),
    /// All processes of the container are killed without a thaw in between.
    Kill,
}

/// The hold that keeps a pod's processes still.
fn still(record: &Record) -> Option<&Hold> {
    let is_still = |hold: &&Hold| {
        !(hold.thawing && matches!(hold.state, HoldState::Withdrawn | HoldState::Returned))
    };
    record.hold.as_ref().filter(is_still)
}

/// A signal that is wished for, and the runtime's id of the container that it is for.
#[must_use]
pub fn wish(signal: &str, id: &str) -> HoldStep {
    HoldStep::Wish(format!("{signal} {id}"))
}

/// The signals that are wished for one container.
pub fn wishes<'a>(hold: &'a Hold, id: &'a str) -> impl Iterator<Item = &'a str> {
    let wishes = hold.wishes.iter().filter_map(|wish| wish.split_once(' '));
    wishes
        .filter(move |(_, of)| *of == id)
        .map(|(signal, _)| signal)
}

/// What becomes of a signal for a container, named without `SIG`.
#[must_use]
pub fn signal(record: &Record, signal: &str, id: &str) -> Signalled {
    match still(record) {
        None => Signalled::Pass,
        Some(_) if signal == "KILL" => Signalled::Kill,
        Some(hold) => Signalled::Note(Change::hold(&hold.operation, wish(signal, id))),
    }
}

/// Why `exec`, `resume`, `update` and `checkpoint` are refused in this pod; none if they are not.
#[must_use]
pub fn refusal(record: &Record) -> Option<String> {
    still(record).map(|hold| {
        format!(
            "operation {} holds this pod ({}): nothing may run in it or thaw it now; try again when the operation is over",
            hold.operation, hold.state
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::change::Beginning;
    use crate::hold::record::{Deadline, Role};
    use crate::hold::rules::Rules;
    use crate::hold::uid::Uid;

    fn held(steps: &[HoldStep]) -> Record {
        let begin = HoldStep::Begin(Beginning {
            role: Role::Checkpoint,
            target: None,
            generation: "g".into(),
            deadline: Deadline {
                boot: "boot".into(),
                nanos: 9,
            },
            containers: Vec::new(),
        });
        let uid = Uid::try_from("u1").unwrap();
        let steps = std::iter::once(&begin).chain(steps);
        steps.fold(Record::blank("ns", "web", uid), |record, step| {
            let change = Change::hold("op", step.clone());
            change.apply(record, Rules::ALL).unwrap()
        })
    }

    #[test]
    fn a_held_pod_hears_nothing_but_a_kill() {
        let record = held(&[]);
        assert_eq!(signal(&record, "KILL", "c1"), Signalled::Kill);
        let Signalled::Note(wish) = signal(&record, "TERM", "c1") else {
            panic!("it is noted");
        };
        let record = wish.apply(record, Rules::ALL).unwrap();
        assert_eq!(record.hold.as_ref().unwrap().wishes, ["TERM c1"]);
        assert!(refusal(&record).is_some());
    }

    #[test]
    fn a_pod_that_is_thawed_hears_all() {
        let back = [HoldStep::Withdraw, HoldStep::Thaw];
        assert_ne!(signal(&held(&back[..1]), "TERM", "c1"), Signalled::Pass);
        assert_eq!(signal(&held(&back), "TERM", "c1"), Signalled::Pass);
        assert_eq!(refusal(&held(&back)), None);
    }
}
