//! `delete`: the container is forgotten, what the real runtime knew of it is kept.

use crate::agent::Agent;
use crate::creating::whose;
use crate::fixture::{Node, eventually, run};
use crate::lab::{CRUN, RUNC};
use holdfast::hold::change::{AdmissionStep, Change};
use holdfast::hold::shelf::Shelf;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;

/// The container is one that a token lets begin.
pub(crate) fn begin(node: &Node) {
    let open = AdmissionStep::Open {
        attempt: 1,
        restores: ["app".to_owned()].into(),
        finished: [].into(),
        prepared: false,
    };
    let shelf = Shelf::at(&node.path("records"));
    shelf.change(&whose(), &Change::admit("op", open)).unwrap();
}

fn evidence(node: &Node) -> Value {
    let text = std::fs::read_to_string(node.path("run/evidence/c1.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    id.trim().to_owned()
}

#[test]
fn a_container_that_was_there_left_its_first_process() {
    for real in [RUNC, CRUN] {
        let node = Node::new(real);
        begin(&node);
        node.make_pod_bundle("c1", "exec /bin/busybox sleep 1000");
        let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
        run(&mut node.create("c1")).well();
        run(&mut node.verb(&["start", "c1"])).well();
        // The real runtime refuses to delete what runs: then nothing is forgotten.
        run(&mut node.verb(&["delete", "c1"])).badly("c1");
        assert!(node.path("run/containers/c1").exists());
        let pid: i32 = std::fs::read_to_string(node.path("c1.pid"))
            .unwrap()
            .parse()
            .unwrap();
        run(&mut node.verb(&["delete", "--force", "c1"])).well();
        assert_eq!(
            evidence(&node)["seen"],
            json!({"init": {"pid": pid}}),
            "{real}"
        );
        assert_eq!(evidence(&node)["boot"], boot());
        assert_eq!(evidence(&node)["place"]["uid"], "11-22");
        assert!(!node.path("run/containers/c1").exists());
        assert_eq!(node.status("c1"), None);
    }
}

#[test]
fn a_container_that_never_came_to_be_left_nothing() {
    let node = Node::new(RUNC);
    begin(&node);
    node.make_pod_bundle("c1", "true");
    let mut config = node.config("c1");
    config["process"]["args"] = json!(["/no/such/program"]);
    std::fs::write(node.bundle("c1").join("config.json"), config.to_string()).unwrap();
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    run(&mut node.create("c1")).badly("/no/such/program");
    run(&mut node.verb(&["delete", "--force", "c1"])).well();
    assert_eq!(evidence(&node)["seen"], "no-state");
    assert!(!node.path("run/containers/c1").exists());
}

#[test]
fn what_was_seen_once_is_not_unseen() {
    let node = Node::new(RUNC);
    begin(&node);
    node.make_pod_bundle("c1", "exec /bin/busybox sleep 1000");
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    run(&mut node.create("c1")).well();
    run(&mut node.verb(&["delete", "c1"])).well();
    let seen = evidence(&node);
    assert!(seen["seen"]["init"]["pid"].is_number());
    // containerd deletes again what it is not sure of.
    let place = seen["place"].to_string();
    std::fs::write(node.path("run/containers/c1"), place).unwrap();
    run(&mut node.verb(&["delete", "--force", "c1"])).well();
    assert_eq!(evidence(&node), seen);
}

#[test]
fn a_container_of_the_same_name_elsewhere_is_not_ours() {
    let node = Node::new(RUNC);
    begin(&node);
    node.make_pod_bundle("c1", "exec /bin/busybox sleep 1000");
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    run(&mut node.create("c1")).well();
    let other = node.path("other");
    run(&mut node.ours(&["--root", other.to_str().unwrap(), "delete", "--force", "c1"])).well();
    assert!(node.path("run/containers/c1").exists());
    assert!(!node.path("run/evidence").exists());
    eventually("ours is still there", || {
        node.status("c1").as_deref() == Some("created")
    });
}

#[test]
fn what_nobody_will_ask_for_is_not_kept() {
    let node = Node::new(RUNC);
    node.make_pod_bundle("c1", "true");
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    run(&mut node.create("c1")).well();
    run(&mut node.verb(&["delete", "c1"])).well();
    assert!(!node.path("run/evidence").exists());
    assert!(!node.path("run/containers/c1").exists());
}

#[test]
fn a_deletion_ends_as_the_real_one_ended() {
    let node = Node::new(RUNC);
    let real = node.path("real");
    let settings = json!({"real": real, "run": node.path("run"), "records": node.path("records")});
    std::fs::write(node.path("runtime.json"), settings.to_string()).unwrap();
    let place = json!({
        "id": "c1", "root": node.path("state"), "bundle": "/b", "namespace": "shop", "pod": "cart-0",
        "uid": "11-22", "container": "app", "sandbox": false,
    });
    std::fs::create_dir_all(node.path("run/containers")).unwrap();
    for (script, code, signal) in [
        ("echo said; exit 7", Some(7), None),
        ("kill -9 $$", None, Some(9)),
        ("kill -15 $$", None, Some(15)),
        ("exit 0", Some(0), None),
    ] {
        node.write_program("real", &format!("#!/bin/sh\n{script}\n"));
        std::fs::write(node.path("run/containers/c1"), place.to_string()).unwrap();
        // It keeps something of the container, so that an end that is no success forgets nothing.
        std::fs::create_dir_all(node.path("state/c1")).unwrap();
        std::fs::write(node.path("state/c1/state.json"), "{}").unwrap();
        let did = run(&mut node.verb(&["delete", "c1"]));
        assert_eq!(
            (did.status.code(), did.status.signal()),
            (code, signal),
            "{script}"
        );
        assert_eq!(
            node.path("run/containers/c1").exists(),
            code != Some(0),
            "{script}"
        );
    }
}
