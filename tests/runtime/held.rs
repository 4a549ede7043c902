//! A container that a record holds: nothing that comes through us runs or thaws it, and its kill lets nothing run.

use crate::agent::Agent;
use crate::creating::whose;
use crate::fixture::{Node, eventually, hierarchies, run};
use crate::lab::{CRUN, RUNC};
use holdfast::hold::change::{Beginning, Change, HoldStep};
use holdfast::hold::record::{Deadline, Held, HoldState, Record, Role};
use holdfast::hold::shelf::Shelf;
use holdfast::oci::cgroups::Cgroups;
use serde_json::json;
use std::time::Duration;

/// So long a test waits before it believes that nothing moves.
const STILL: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn shelf(node: &Node) -> Shelf {
    Shelf::at(&node.path("records"))
}

pub(crate) fn record(node: &Node) -> Record {
    shelf(node).read(&whose().uid).unwrap().unwrap()
}

pub(crate) fn cgroups(node: &Node) -> Cgroups {
    let pid = std::fs::read_to_string(node.path("c1.pid")).unwrap();
    Cgroups::of_process(pid.parse().unwrap()).unwrap()
}

/// A pod's container that counts.
pub(crate) fn counting(real: &'static str) -> Node {
    let node = Node::new(real);
    node.make_pod_bundle(
        "c1",
        "while true; do echo x >> /w/count; /bin/busybox usleep 10000; done",
    );
    start(&node);
    node
}

fn start(node: &Node) {
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    run(&mut node.create("c1")).well();
    run(&mut node.verb(&["start", "c1"])).well();
}

/// Writes the hold, then freezes.
pub(crate) fn hold(node: &Node, deadline: Deadline) -> Cgroups {
    let cgroups = cgroups(node);
    let paths = cgroups
        .directories()
        .iter()
        .map(|path| path.display().to_string());
    let beginning = Beginning {
        role: Role::Source,
        target: None,
        generation: "g1".into(),
        deadline,
        containers: vec![Held {
            name: "app".into(),
            id: "c1".into(),
            root: node.path("state").display().to_string(),
            cgroups: paths.collect(),
        }],
    };
    let begin = Change::hold("op-1", HoldStep::Begin(beginning));
    shelf(node).change(&whose(), &begin).unwrap();
    cgroups.freeze(LIMIT).unwrap();
    assert!(cgroups.is_frozen().unwrap());
    cgroups
}

/// A deadline that no test lives to see.
pub(crate) fn late() -> Deadline {
    Deadline {
        boot: holdfast::oci::clock::boot_id().unwrap(),
        nanos: u64::MAX / 2,
    }
}

#[track_caller]
fn stands_still(node: &Node) {
    let before = node.witness("count").len();
    std::thread::sleep(STILL);
    assert_eq!(node.witness("count").len(), before, "it runs");
}

#[test]
fn what_would_run_or_thaw_it_is_refused() {
    for real in [RUNC, CRUN] {
        let node = counting(real);
        let cgroups = hold(&node, late());
        let resources = node.path("resources");
        std::fs::write(&resources, "{}").unwrap();
        for words in [
            &["exec", "c1", "/bin/busybox", "true"][..],
            &["exec", "--tomorrow", "x", "c1", "/bin/busybox", "true"],
            &["resume", "c1"],
            &["update", "--resources", resources.to_str().unwrap(), "c1"],
            &["checkpoint", "--image-path", "/tmp/x", "c1"],
            &["restore", "--bundle", "/tmp/x", "c1"],
        ] {
            let did = run(&mut node.verb(words))
                .badly("app of pod shop/cart-0 is refused: operation op-1 holds this pod (frozen)");
            assert!(did.err.contains(words[0]), "{did:?}");
        }
        assert!(cgroups.is_frozen().unwrap());
        stands_still(&node);
        // What only looks may look.
        run(&mut node.verb(&["state", "c1"])).well();
        run(&mut node.verb(&["ps", "c1"])).well();
        // When it is over, it is over.
        for step in [HoldStep::Withdraw, HoldStep::Thaw] {
            let change = Change::hold("op-1", step);
            shelf(&node).change(&whose(), &change).unwrap();
        }
        run(&mut node.verb(&["resume", "c1"])).well();
        let before = node.witness("count").len();
        eventually("it counts", || node.witness("count").len() > before);
    }
}

#[test]
fn signals_that_can_be_caught_are_noted_and_not_sent() {
    let node = counting(RUNC);
    let cgroups = hold(&node, late());
    for signal in ["TERM", "SIGTERM", "15", "HUP", "0"] {
        run(&mut node.verb(&["kill", "c1", signal])).well();
    }
    run(&mut node.verb(&["kill", "--all", "c1"])).well();
    assert_eq!(record(&node).hold.unwrap().wishes, ["TERM c1", "HUP c1"]);
    let pid = std::fs::read_to_string(node.path("c1.pid")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("ShdPnd:\t0000000000000000"), "{status}");
    assert!(cgroups.is_frozen().unwrap());
}

#[test]
fn the_agent_is_asked_first() {
    let node = counting(RUNC);
    let cgroups = hold(&node, late());
    let agent = Agent::saying(&node.socket(), &[json!({"do":"done"})]);
    run(&mut node.verb(&["kill", "--all", "c1", "9"])).well();
    let expected = json!({"version":1,"ask":"kill","id":"c1","signal":"KILL","all":true});
    assert_eq!(agent.heard(), [expected]);
    drop(agent);
    let agent = Agent::saying(&node.socket(), &[json!({"do":"refuse","why":"not now"})]);
    run(&mut node.verb(&["kill", "c1"])).badly("not now");
    run(&mut node.verb(&["delete", "--force", "c1"])).badly("not now");
    let expected = json!({"version":1,"ask":"delete","id":"c1","force":true});
    assert_eq!(agent.heard()[1], expected);
    assert!(cgroups.is_frozen().unwrap());
    assert_eq!(record(&node).hold.unwrap().wishes, Vec::<String>::new());
}

#[test]
fn a_record_that_cannot_be_read_lets_nothing_through() {
    let node = counting(RUNC);
    let cgroups = hold(&node, late());
    std::fs::write(node.path("records/11-22.json"), "{\"version\":1").unwrap();
    for words in [
        &["resume", "c1"][..],
        &["kill", "c1", "KILL"],
        &["delete", "--force", "c1"],
    ] {
        run(&mut node.verb(words)).badly("11-22.json cannot be read");
    }
    assert!(cgroups.is_frozen().unwrap());
}

#[test]
fn crun_cannot_be_told_by_pattern() {
    let node = counting(CRUN);
    let cgroups = hold(&node, late());
    for words in [
        &["kill", "--regex", "c.*", "KILL"][..],
        &["delete", "-fr", "."],
    ] {
        run(&mut node.verb(words)).badly("name containers one by one");
    }
    assert!(cgroups.is_frozen().unwrap());
}

#[test]
fn a_kill_without_an_agent_lets_nothing_run() {
    let count = 500;
    let node = Node::new(RUNC);
    // Each catches SIGTERM, and then writes. A read of a pipe is interrupted by it.
    let one = "trap 'echo caught >> /w/caught' TERM; exec 3<>/w/pipe; echo up >> /w/up; while true; do read line <&3; done";
    std::fs::create_dir_all(node.path("witness")).unwrap();
    std::fs::write(node.path("witness/one"), one).unwrap();
    let all = format!(
        "/bin/busybox mkfifo /w/pipe; i=1; while [ $i -lt {count} ]; do /bin/busybox sh /w/one & i=$((i+1)); done; exec /bin/busybox sh /w/one"
    );
    node.make_pod_bundle("c1", &all);
    start(&node);
    eventually("all are up", || node.witness("up").lines().count() == count);
    let pids = cgroups(&node).pids().unwrap();
    assert_eq!(pids.len(), count);
    let term = |pid: i32| {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    };
    // The witness can testify.
    term(*pids.last().unwrap());
    eventually("one has caught it", || node.witness("caught") == "caught\n");
    let cgroups = hold(&node, late());
    // The worst case: somebody has sent the catchable signal to all of them, past us.
    pids.iter().copied().for_each(term);
    run(&mut node.verb(&["kill", "c1", "KILL"])).well();
    assert!(cgroups.is_empty().unwrap());
    assert_eq!(
        node.witness("caught"),
        "caught\n",
        "something ran after the freeze"
    );
    assert_eq!(node.status("c1").as_deref(), Some("stopped"));
    run(&mut node.verb(&["kill", "c1", "KILL"])).well();
    run(&mut node.verb(&["delete", "c1"])).well();
    assert!(!node.path("run/containers/c1").exists());
}

#[test]
fn a_deletion_by_force_kills_first() {
    for (real, state) in [(RUNC, HoldState::Frozen), (CRUN, HoldState::Frozen)] {
        let node = counting(real);
        let cgroups = hold(&node, late());
        assert_eq!(record(&node).hold.unwrap().state, state);
        let before = node.witness("count").len();
        run(&mut node.verb(&["delete", "--force", "c1"])).well();
        assert!(cgroups.is_empty().unwrap());
        assert_eq!(node.witness("count").len(), before);
        assert_eq!(node.status("c1"), None);
    }
}

#[test]
fn the_unified_hierarchy_freezes_and_kills_too() {
    let unified = hierarchies()
        .into_iter()
        .find(|path| path.join("cgroup.controllers").exists());
    let Some(unified) = unified else {
        println!("SKIP cgroup-v2: this machine mounts no unified hierarchy");
        return;
    };
    let own = unified.join(format!("holdfast-unified-{}", std::process::id()));
    std::fs::create_dir_all(own.join("inner")).unwrap();
    let node = Node::new(RUNC);
    std::fs::create_dir_all(node.path("witness")).unwrap();
    let script = format!(
        "while true; do echo x >> {}/count; sleep 0.01; done",
        node.path("witness").display()
    );
    let mut processes: Vec<_> = (0..3)
        .map(|_| {
            std::process::Command::new("sh")
                .args(["-c", &script])
                .spawn()
                .unwrap()
        })
        .collect();
    for (number, process) in processes.iter().enumerate() {
        let into = if number == 0 {
            own.join("inner")
        } else {
            own.clone()
        };
        std::fs::write(into.join("cgroup.procs"), process.id().to_string()).unwrap();
    }
    let cgroups = Cgroups::at([&own]);
    assert!(cgroups.pids().unwrap().len() >= 3);
    assert!(!cgroups.is_frozen().unwrap());
    cgroups.freeze(LIMIT).unwrap();
    stands_still(&node);
    cgroups.thaw().unwrap();
    let before = node.witness("count").len();
    eventually("they count", || node.witness("count").len() > before);
    cgroups.freeze(LIMIT).unwrap();
    let before = node.witness("count").len();
    cgroups.kill(LIMIT).unwrap();
    assert!(cgroups.is_empty().unwrap());
    assert_eq!(node.witness("count").len(), before);
    for process in &mut processes {
        process.wait().unwrap();
    }
    std::fs::remove_dir(own.join("inner")).unwrap();
    std::fs::remove_dir(own).unwrap();
}
