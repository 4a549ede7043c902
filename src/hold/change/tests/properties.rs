//! What no sequence of changes may do.

use super::*;
use crate::hold::answer::{Agent, Answer, Asked, answer};
use crate::hold::record::{AdmissionState, TokenState};
use proptest::prelude::*;

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![Just(What::Fresh), Just(generation())]
}

fn any_hold_step() -> impl Strategy<Value = HoldStep> {
    let pod = || prop_oneof![Just(uid("t1")), Just(uid("t2"))];
    prop_oneof![
        prop_oneof![Just(None), Just(Some("t1"))].prop_map(|uid| beginning(target(uid))),
        (pod(), any::<bool>()).prop_map(|(uid, ran)| HoldStep::Retarget {
            target: Target {
                node: "n2".into(),
                uid: Some(uid)
            },
            ran
        }),
        Just(HoldStep::Wish("TERM".into())),
        Just(HoldStep::Damage),
        Just(HoldStep::Withdraw),
        pod().prop_map(HoldStep::Release),
        pod().prop_map(|uid| HoldStep::Return(uid, Proof::Revoked)),
        Just(HoldStep::Thaw),
        Just(HoldStep::Supersede),
        Just(HoldStep::Kill),
        Just(HoldStep::End),
        any_what().prop_map(|what| HoldStep::Home {
            what,
            containers: ["a".to_owned()].into()
        }),
    ]
}

fn any_admission_step() -> impl Strategy<Value = AdmissionStep> {
    let attempt = || 1..4_u32;
    let container = || prop_oneof![Just("a".to_owned()), Just("b".to_owned())];
    let end = || prop_oneof![Just(End::NeverRan), Just(End::MayHaveRan)];
    let boot = || prop_oneof![Just("boot".to_owned()), Just("later".to_owned())];
    prop_oneof![
        1 => any::<bool>().prop_map(|prepared| AdmissionStep::Open {
            attempt: 1,
            restores: ["a".to_owned(), "b".to_owned()].into(),
            finished: BTreeSet::new(),
            prepared,
        }),
        2 => (attempt(), any_what()).prop_map(|(attempt, what)| AdmissionStep::Claim { attempt, what }),
        2 => (attempt(), any_what()).prop_map(|(attempt, what)| AdmissionStep::Again { attempt, what }),
        4 => (attempt(), container()).prop_map(|(attempt, name)| begin(attempt, &name)),
        4 => (attempt(), container()).prop_map(|(attempt, name)| done(attempt, &name)),
        2 => (attempt(), boot(), end(), end()).prop_map(|(attempt, boot, one, other)| fail(
            attempt,
            &boot,
            &[("a", one), ("b", other)]
        )),
        1 => Just(AdmissionStep::Revoke),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let operation = || prop_oneof![4 => Just("op"), 1 => Just("op2")];
    prop_oneof![
        1 => Just(Change::Note { container: "a".into() }),
        5 => (operation(), any_hold_step()).prop_map(|(op, step)| Change::hold(op, step)),
        9 => (operation(), any_admission_step()).prop_map(|(op, step)| Change::admit(op, step)),
    ]
}

/// What one change must not do.
fn judge(old: &Record, new: &Record, begun: &mut BTreeSet<(u32, String, String)>, change: &Change) {
    use HoldState::{Frozen, Killed, Released, Returned, Superseded, Withdrawn};
    if let (Some(was), Some(is)) = (&old.hold, &new.hold) {
        let follows = was.state == is.state
            || matches!(
                (was.state, is.state),
                (Frozen, Withdrawn | Released)
                    | (Released, Returned | Superseded)
                    | (Superseded, Killed)
            )
            || (was.state, is.state) == (Frozen, Superseded) && was.target == Some(target(None));
        assert!(
            follows && was.operation == is.operation,
            "{old:?} {change:?}"
        );
    }
    if let (Some(was), None) = (&old.hold, &new.hold) {
        assert!(matches!(was.state, Withdrawn | Returned));
    }
    assert!(new.hold.is_none() || new.started.is_empty());
    assert!(new.admission.is_none() || new.started.is_empty());
    if let (Some(was), Some(is)) = (&old.admission, &new.admission)
        && was.operation == is.operation
        && !matches!(
            change,
            Change::Hold {
                step: HoldStep::Home { .. },
                ..
            }
        )
    {
        assert!(was.attempt <= is.attempt);
        assert!(was.state != AdmissionState::Revoked || was.state == is.state);
        let ran = was.ran || old.tokens.values().any(|t| t.state == TokenState::Begun);
        assert!(!(ran && is.state == AdmissionState::Revoked), "{change:?}");
        assert!(!was.ran || is.ran);
    }
    if let Change::Admit {
        operation,
        step: AdmissionStep::Begin {
            attempt, container, ..
        },
    } = change
    {
        let first = begun.insert((*attempt, container.clone(), operation.clone()));
        assert!(first, "{container} begins twice in attempt {attempt}");
    }
}

/// What may be answered to a record.
fn judge_answers(record: &Record) {
    use HoldState::{Returned, Withdrawn};
    for container in [None, Some("a"), Some("b"), Some("c")] {
        let asked = Asked {
            container,
            expects: None,
        };
        let given = answer(record, asked, Agent::Here, Rules::ALL);
        let runs = matches!(given, Answer::Start { .. } | Answer::Begin { .. });
        assert!(!runs || record.hold.is_none());
        if let (Some(admission), Some(_)) = (&record.admission, container) {
            assert!(!runs || admission.state == AdmissionState::Claimed);
        }
        let mixes =
            matches!(given, Answer::Start { .. }) && container.is_some() && record.is_failed();
        let is_fresh = |a: &crate::hold::record::Admission| a.what == Some(What::Fresh);
        assert!(!mixes || record.admission.as_ref().is_some_and(is_fresh));
        let alone = answer(record, asked, Agent::Away, Rules::ALL);
        if alone == (Answer::Start { note: false }) {
            assert!(record.hold.is_none() && record.admission.is_none());
        }
        let is_back = |state| matches!(state, Withdrawn | Returned);
        let comes_back = record.hold.as_ref().is_some_and(|hold| is_back(hold.state));
        assert!(!comes_back || matches!(given, Answer::Wait(_)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_changes_breaks_a_rule(changes in prop::collection::vec(any_change(), 1..40)) {
        let mut record = blank();
        let mut begun = BTreeSet::new();
        for change in changes {
            if let Ok(new) = change.apply(record.clone(), Rules::ALL) {
                // What is in effect changes nothing when it is said again, but for a token, which begins once.
                if matches!(change, Change::Hold { step: HoldStep::Home { .. }, .. }) {
                    begun.clear();
                } else if let Ok(twice) = change.apply(new.clone(), Rules::ALL) {
                    prop_assert_eq!(&twice, &new);
                }
                if record != new {
                    judge(&record, &new, &mut begun, &change);
                }
                judge_answers(&new);
                prop_assert_eq!(Record::parse(&new.text(), &new.uid), Ok(new.clone()));
                record = new;
            }
        }
    }
}
