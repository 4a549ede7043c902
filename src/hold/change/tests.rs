//! What may follow what.

mod properties;

use super::*;
use crate::hold::answer::{Agent, Answer, Asked, answer};

fn uid(name: &str) -> Uid {
    Uid::try_from(name).unwrap()
}

fn blank() -> Record {
    Record::blank("ns", "web", uid("u0"))
}

fn target(name: Option<&str>) -> Target {
    Target {
        node: "n2".into(),
        uid: name.map(uid),
    }
}

fn beginning(target: impl Into<Option<Target>>) -> HoldStep {
    HoldStep::Begin(Beginning {
        role: Role::Source,
        target: target.into(),
        generation: "g".into(),
        deadline: Deadline {
            boot: "boot".into(),
            nanos: 9,
        },
        containers: vec![Held {
            name: "a".into(),
            id: "1".into(),
            root: "/run/runc".into(),
            cgroups: vec!["/a".into()],
        }],
    })
}

fn held(steps: &[HoldStep]) -> Result<Record, Refusal> {
    let steps = std::iter::once(beginning(target(Some("t1")))).chain(steps.iter().cloned());
    hold_all(blank(), steps)
}

fn hold_all(record: Record, steps: impl IntoIterator<Item = HoldStep>) -> Result<Record, Refusal> {
    steps.into_iter().try_fold(record, |record, step| {
        Change::hold("op", step).apply(record, Rules::ALL)
    })
}

fn admit_all(
    record: Record,
    steps: impl IntoIterator<Item = AdmissionStep>,
) -> Result<Record, Refusal> {
    steps.into_iter().try_fold(record, |record, step| {
        Change::admit("op", step).apply(record, Rules::ALL)
    })
}

fn state(record: &Record) -> HoldState {
    record.hold.as_ref().unwrap().state
}

fn open() -> AdmissionStep {
    AdmissionStep::Open {
        attempt: 1,
        restores: ["a".to_owned(), "b".to_owned()].into(),
        finished: BTreeSet::new(),
        prepared: false,
    }
}

fn generation() -> What {
    What::Generation("g".into())
}

fn claim(attempt: u32) -> AdmissionStep {
    AdmissionStep::Claim {
        attempt,
        what: generation(),
    }
}

fn begin(attempt: u32, container: &str) -> AdmissionStep {
    AdmissionStep::Begin {
        attempt,
        container: container.into(),
        boot: "boot".into(),
        cgroup: "c".into(),
        id: "1".into(),
    }
}

fn done(attempt: u32, container: &str) -> AdmissionStep {
    AdmissionStep::Done {
        attempt,
        container: container.into(),
    }
}

fn fail(attempt: u32, boot: &str, ends: &[(&str, End)]) -> AdmissionStep {
    AdmissionStep::Fail {
        attempt,
        boot: boot.into(),
        ends: ends
            .iter()
            .map(|(name, end)| ((*name).to_owned(), *end))
            .collect(),
    }
}

#[test]
fn a_pod_is_withdrawn_or_released_and_neither_follows_the_other() {
    let release = HoldStep::Release(uid("t1"));
    assert_eq!(
        state(&held(&[HoldStep::Withdraw]).unwrap()),
        HoldState::Withdrawn
    );
    assert_eq!(
        state(&held(std::slice::from_ref(&release)).unwrap()),
        HoldState::Released
    );
    assert!(held(&[HoldStep::Withdraw, release.clone()]).is_err());
    let why = held(&[release, HoldStep::Withdraw]).unwrap_err();
    assert_eq!(
        why.to_string(),
        "the pod is released: it cannot be withdrawn any more"
    );
}

#[test]
fn a_release_names_the_pod_and_so_does_the_proof_that_takes_it_back() {
    let (one, other) = (uid("t1"), uid("t2"));
    assert!(held(&[HoldStep::Release(other.clone())]).is_err());
    let release = HoldStep::Release(one.clone());
    let proved = |uid: &Uid| HoldStep::Return(uid.clone(), Proof::Revoked);
    assert!(held(&[release.clone(), proved(&other)]).is_err());
    assert_eq!(
        state(&held(&[release.clone(), proved(&one)]).unwrap()),
        HoldState::Returned
    );
    let moved_on = HoldStep::Retarget {
        target: target(Some("t2")),
        ran: false,
    };
    assert!(held(&[release.clone(), moved_on.clone(), proved(&one)]).is_err());
    assert!(held(&[release.clone(), moved_on, proved(&other)]).is_ok());
    // What ran in the first pod is not undone by a second one that never ran.
    let ran = HoldStep::Retarget {
        target: target(Some("t2")),
        ran: true,
    };
    assert!(held(&[release.clone(), ran.clone(), proved(&other)]).is_err());
    let failover = HoldStep::Return(other, Proof::OutOfService);
    assert!(held(&[release, ran, failover]).is_ok());
}

#[test]
fn a_damaged_pod_is_never_released() {
    assert!(held(&[HoldStep::Damage, HoldStep::Release(uid("t1"))]).is_err());
    assert!(held(&[HoldStep::Withdraw, HoldStep::Damage, HoldStep::End]).is_ok());
}

#[test]
fn a_pod_whose_successor_is_made_later_is_superseded_without_a_release() {
    let nobody = || hold_all(blank(), [beginning(target(None))]).unwrap();
    assert!(hold_all(nobody(), [HoldStep::Release(uid("t1"))]).is_err());
    let dead = hold_all(nobody(), [HoldStep::Supersede, HoldStep::Kill]).unwrap();
    assert_eq!(state(&dead), HoldState::Killed);
    assert!(hold_all(nobody(), [HoldStep::Supersede, HoldStep::Withdraw]).is_err());
    // Where a pod waits, only a release goes before.
    assert!(held(&[HoldStep::Supersede]).is_err());
    assert!(held(&[HoldStep::Release(uid("t1")), HoldStep::Supersede]).is_ok());
}

#[test]
fn a_pod_that_only_is_checkpointed_comes_back_always() {
    let HoldStep::Begin(mut begin) = beginning(None) else {
        panic!("it begins");
    };
    begin.role = Role::Checkpoint;
    let record = hold_all(blank(), [HoldStep::Begin(begin)]).unwrap();
    assert!(hold_all(record.clone(), [HoldStep::Supersede]).is_err());
    assert!(hold_all(record.clone(), [HoldStep::Release(uid("t1"))]).is_err());
    assert!(hold_all(record, [HoldStep::Withdraw, HoldStep::End]).is_ok());
}

#[test]
fn a_hold_takes_the_notes_away_and_ends_once() {
    let noted = Change::Note {
        container: "a".into(),
    };
    let noted = noted.apply(blank(), Rules::ALL).unwrap();
    let record = hold_all(noted, [beginning(target(Some("t1")))]).unwrap();
    assert!(record.started.is_empty());
    let note = Change::Note {
        container: "a".into(),
    };
    assert!(note.apply(record.clone(), Rules::ALL).is_err());
    assert!(hold_all(record.clone(), [HoldStep::End]).is_err());
    let over = hold_all(record, [HoldStep::Withdraw, HoldStep::End, HoldStep::End]).unwrap();
    assert!(over.hold.is_none());
    assert!(hold_all(over.clone(), [beginning(target(Some("t1")))]).is_err());
    let other = Change::hold("op2", beginning(target(Some("t1"))));
    assert!(other.apply(over, Rules::ALL).is_ok());
}

#[test]
fn what_comes_home_begins_as_a_whole_and_again_when_it_failed() {
    let home = || HoldStep::Home {
        what: generation(),
        containers: ["a".to_owned(), "b".to_owned()].into(),
    };
    let record = held(&[HoldStep::Withdraw, home()]).unwrap();
    assert!(record.hold.is_none());
    assert!(hold_all(record.clone(), [home()]).is_err());
    assert!(held(&[HoldStep::Withdraw, HoldStep::Thaw, home()]).is_err());
    let record = admit_all(
        record,
        [begin(1, "a"), fail(1, "boot", &[("a", End::NeverRan)])],
    )
    .unwrap();
    let record = hold_all(record, [home()]).unwrap();
    assert_eq!(record.admission.as_ref().unwrap().attempt, 2);
    assert!(admit_all(record, [begin(2, "a"), done(2, "a")]).is_ok());
}

/// Its sandbox may have died with it: then the kubelet begins with the init containers, and makes no other before they have ended.
#[test]
fn what_comes_home_does_not_run_again_what_had_finished() {
    let mut started = blank();
    started.started = ["a", "init"].map(str::to_owned).into();
    let home = |what| HoldStep::Home {
        what,
        containers: ["a".to_owned()].into(),
    };
    let steps = |last| [beginning(target(Some("t1"))), HoldStep::Withdraw, last];
    let record = hold_all(started.clone(), steps(home(generation()))).unwrap();
    let init: BTreeSet<_> = ["init".to_owned()].into();
    assert_eq!(record.admission.as_ref().unwrap().finished, init);
    let asked = Asked {
        container: Some("init"),
        expects: None,
    };
    let told = answer(&record, asked, Agent::Here, Rules::ALL);
    assert_eq!(told, Answer::NoOp);
    let failed = [begin(1, "a"), fail(1, "boot", &[("a", End::NeverRan)])];
    let failed = admit_all(record, failed).unwrap();
    let again = hold_all(failed.clone(), [home(generation())]).unwrap();
    assert_eq!(again.admission.unwrap().finished, init);
    // Fresh is all of it.
    let fresh = hold_all(failed, [home(What::Fresh)]).unwrap();
    assert!(fresh.admission.unwrap().finished.is_empty());
    // One that went on has still had it.
    let over = hold_all(started, steps(HoldStep::End)).unwrap();
    assert!(over.hold.is_none());
    assert!(over.started.contains("init"));
}

#[test]
fn what_may_have_run_is_never_said_not_to_have_run() {
    let claimed = || admit_all(blank(), [open(), claim(1)]).unwrap();
    assert!(admit_all(claimed(), [AdmissionStep::Revoke]).is_ok());
    assert!(admit_all(claimed(), [begin(1, "a"), AdmissionStep::Revoke]).is_err());
    let failed = |boot, end| {
        let steps = [
            begin(1, "a"),
            fail(1, boot, &[("a", end)]),
            AdmissionStep::Revoke,
        ];
        admit_all(claimed(), steps)
    };
    assert!(failed("boot", End::NeverRan).is_ok());
    assert!(failed("boot", End::MayHaveRan).is_err());
    assert!(failed("another boot", End::NeverRan).is_err());
    let half = [
        begin(1, "a"),
        done(1, "a"),
        begin(1, "b"),
        fail(1, "boot", &[("b", End::NeverRan)]),
        AdmissionStep::Again {
            attempt: 2,
            what: generation(),
        },
        AdmissionStep::Revoke,
    ];
    assert!(admit_all(claimed(), half[..5].to_vec()).is_ok());
    assert!(admit_all(claimed(), half).is_err());
}

#[test]
fn an_attempt_fails_as_a_whole() {
    let record = admit_all(blank(), [open(), claim(1), begin(1, "a")]).unwrap();
    // Of each that was begun somebody has to say what became of it.
    assert!(admit_all(record.clone(), [fail(1, "boot", &[])]).is_err());
    let failed = admit_all(record, [fail(1, "boot", &[("a", End::NeverRan)])]).unwrap();
    assert!(admit_all(failed.clone(), [begin(1, "b")]).is_err());
    assert!(admit_all(failed.clone(), [claim(2)]).is_err());
    let again = AdmissionStep::Again {
        attempt: 2,
        what: generation(),
    };
    assert!(admit_all(failed, [again, begin(2, "b"), begin(2, "a")]).is_ok());
}

#[test]
fn a_prepared_pod_never_starts_fresh() {
    let AdmissionStep::Open {
        attempt, restores, ..
    } = open()
    else {
        panic!("it opens");
    };
    let skips = AdmissionStep::Open {
        attempt,
        restores,
        finished: ["init".to_owned()].into(),
        prepared: false,
    };
    let fresh = AdmissionStep::Claim {
        attempt: 1,
        what: What::Fresh,
    };
    assert!(admit_all(blank(), [open(), fresh.clone()]).is_ok());
    assert!(admit_all(blank(), [skips, fresh]).is_err());
}

#[test]
fn a_pod_belongs_to_one_operation() {
    let record = admit_all(blank(), [open()]).unwrap();
    assert!(
        Change::admit("other", claim(1))
            .apply(record.clone(), Rules::ALL)
            .is_err()
    );
    assert!(
        Change::admit("other", AdmissionStep::Revoke)
            .apply(record, Rules::ALL)
            .is_err()
    );
}
