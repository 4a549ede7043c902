//! `guard`: nobody is frozen for ever, and what was released is not thawed.

use crate::creating::whose;
use crate::fixture::{Node, Started, eventually};
use crate::held::{counting, hold, late, record, shelf};
use crate::lab::RUNC;
use holdfast::hold::change::{Change, HoldStep};
use holdfast::hold::record::{Deadline, HoldState};
use holdfast::oci::clock;
use serde_json::Value;
use std::time::Duration;

fn guard(node: &Node) -> Started {
    Started::of(&mut node.ours(&["guard", "--record", "11-22"]))
}

fn in_a_moment() -> Deadline {
    let at = clock::since_boot() + Duration::from_millis(700);
    Deadline {
        boot: clock::boot_id().unwrap(),
        nanos: u64::try_from(at.as_nanos()).unwrap(),
    }
}

fn change(node: &Node, step: HoldStep) {
    shelf(node)
        .change(&whose(), &Change::hold("op-1", step))
        .unwrap();
}

/// Does to a record what only a decision of others does.
fn force_state(node: &Node, state: &str) {
    let path = node.path("records/11-22.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    value["hold"]["state"] = state.into();
    let aside = node.path("records/aside");
    std::fs::write(&aside, value.to_string()).unwrap();
    std::fs::rename(aside, path).unwrap();
}

#[test]
fn thaws_at_the_deadline_and_ends_with_the_hold() {
    let node = counting(RUNC);
    let cgroups = hold(&node, in_a_moment());
    let count = || node.witness("count").len();
    let before = count();
    let mut guard = guard(&node);
    eventually("it counts again", || count() > before);
    assert_eq!(record(&node).hold.unwrap().state, HoldState::Withdrawn);
    assert!(!cgroups.is_frozen().unwrap());
    // A dump that ends well freezes once more what it found frozen.
    cgroups.freeze(Duration::from_secs(20)).unwrap();
    let before = count();
    eventually("it counts once more", || count() > before);
    assert!(
        !guard.has_ended(),
        "it stays as long as somebody may freeze"
    );
    change(&node, HoldStep::End);
    assert!(guard.end().success());
}

#[test]
fn what_the_agent_withdrew_and_did_not_thaw_is_thawed() {
    let node = counting(RUNC);
    hold(&node, late());
    let mut guard = guard(&node);
    let before = node.witness("count").len();
    change(&node, HoldStep::Withdraw);
    eventually("it counts again", || node.witness("count").len() > before);
    assert!(!guard.has_ended());
}

#[test]
fn what_was_released_stays_frozen() {
    let node = counting(RUNC);
    let cgroups = hold(&node, in_a_moment());
    force_state(&node, "released");
    let mut guard = guard(&node);
    assert!(guard.end().success());
    assert!(cgroups.is_frozen().unwrap());
    assert_eq!(record(&node).hold.unwrap().state, HoldState::Released);
}

#[test]
fn a_release_in_time_ends_the_guard() {
    let node = counting(RUNC);
    let cgroups = hold(&node, late());
    let mut guard = guard(&node);
    assert!(!guard.has_ended());
    force_state(&node, "released");
    assert!(guard.end().success());
    assert!(cgroups.is_frozen().unwrap());
}

#[test]
fn a_record_that_cannot_be_read_thaws_nothing() {
    let node = counting(RUNC);
    let cgroups = hold(&node, in_a_moment());
    std::fs::write(node.path("records/11-22.json"), "{\"version\":1").unwrap();
    let mut guard = guard(&node);
    let deadline = in_a_moment();
    eventually("the deadline is over", || {
        clock::since_boot().as_nanos() > u128::from(deadline.nanos)
    });
    assert!(cgroups.is_frozen().unwrap());
    assert!(!guard.has_ended());
}

#[test]
fn without_a_hold_there_is_nothing_to_guard() {
    let node = Node::new(RUNC);
    assert!(guard(&node).end().success());
    assert!(!Started::of(&mut node.ours(&["guard"])).end().success());
}
