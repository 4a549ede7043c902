use super::*;
use crate::hold::change::{Beginning, Change, HoldStep};
use crate::hold::record::Role;

fn at(nanos: u64) -> Deadline {
    Deadline {
        boot: "b1".into(),
        nanos,
    }
}

#[test]
fn the_deadline_that_was_told_counts() {
    let uid = Uid::try_from("u1").unwrap();
    let begin = HoldStep::Begin(Beginning {
        role: Role::Checkpoint,
        target: None,
        generation: "g".into(),
        deadline: at(100),
        containers: Vec::new(),
    });
    let record = Record::blank("ns", "web", uid.clone());
    let record = Change::hold("op", begin).apply(record, Rules::ALL).unwrap();
    let deadline = |told| {
        let order = Order {
            uid: uid.clone(),
            told,
        };
        order.apply(record.clone()).hold.unwrap().deadline
    };
    assert_eq!(deadline(None), at(100));
    assert_eq!(deadline(Some(at(50))), at(50));
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
