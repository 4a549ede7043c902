use super::*;
use crate::hold::record::{Held, Role};

fn at(nanos: u64) -> Deadline {
    Deadline {
        boot: "b1".into(),
        nanos,
    }
}

fn record(state: HoldState) -> Record {
    let mut record = Record::blank("ns", "web", Uid::try_from("u1").unwrap());
    record.hold = Some(Hold {
        operation: "op".into(),
        role: Role::Source,
        target: None,
        generation: "g1".into(),
        deadline: at(100),
        state,
        proof: None,
        containers: vec![Held {
            name: "app".into(),
            id: "c1".into(),
            root: "/r".into(),
            cgroups: vec!["/no/such/c1".into()],
        }],
        wishes: Vec::new(),
        damaged: false,
        thawing: false,
    });
    record
}

#[test]
fn withdraws_at_the_deadline_and_not_before() {
    let record = record(HoldState::Frozen);
    assert_eq!(next(Some(&record), None, &at(99)), Next::Wait(at(100)));
    let withdraw = Next::Withdraw(Change::hold("op", HoldStep::Withdraw));
    assert_eq!(next(Some(&record), None, &at(100)), withdraw);
    assert_eq!(
        next(Some(&record), Some(&at(50)), &at(60)),
        withdraw,
        "it was told another"
    );
}

#[test]
fn what_was_released_is_not_thawed() {
    for state in [
        HoldState::Released,
        HoldState::Returned,
        HoldState::Superseded,
        HoldState::Killed,
    ] {
        assert_eq!(
            next(Some(&record(state)), None, &at(200)),
            Next::Over,
            "{state}"
        );
    }
}

#[test]
fn what_somebody_withdrew_is_thawed() {
    let record = record(HoldState::Withdrawn);
    let cgroups = vec![Cgroups::at(["/no/such/c1"])];
    assert_eq!(next(Some(&record), None, &at(1)), Next::Thaw(cgroups));
}

#[test]
fn what_criu_died_on_is_left_to_policy() {
    let mut record = record(HoldState::Withdrawn);
    record.hold.as_mut().unwrap().damaged = true;
    assert_eq!(next(Some(&record), None, &at(200)), Next::Over);
}

#[test]
fn without_a_hold_or_in_another_boot_there_is_nothing_to_guard() {
    assert_eq!(next(None, None, &at(1)), Next::Over);
    let blank = Record::blank("ns", "web", Uid::try_from("u1").unwrap());
    assert_eq!(next(Some(&blank), None, &at(1)), Next::Over);
    let mut now = at(1);
    now.boot = "b2".into();
    assert_eq!(
        next(Some(&record(HoldState::Frozen)), None, &now),
        Next::Over
    );
}

#[test]
fn an_order_names_a_record() {
    let read = |line: &str| {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        Order::read(&words)
    };
    let order = read("--record u1 --boot b1 --deadline 7").unwrap();
    assert_eq!(order.uid.as_str(), "u1");
    assert_eq!(order.told, Some(at(7)));
    assert_eq!(read("--record u1").unwrap().told, None);
    for wrong in [
        "",
        "--record",
        "--record ../x",
        "--record u1 --boot b1",
        "--record u1 --deadline x --boot b",
        "u1",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
