//! A counter that is dumped by the real runtime goes on counting after a `create` of ours.

use crate::agent::Agent;
use crate::deleting::begin;
use crate::fixture::{Node, Started, annotations, eventually, run};
use crate::lab::{RUNC, lab};
use serde_json::json;
use std::path::PathBuf;

/// It lets go of what it inherited: that is outside of the container, and CRIU would not find it again.
const COUNT: &str = "exec </dev/null >/dev/null 2>&1; i=0; \
    while true; do i=$((i+1)); echo $i >> /w/count; /bin/busybox usleep 5000; done";

/// A counter, its images, and where it stood.
struct Dumped {
    node: Node,
    images: PathBuf,
    last: u64,
    // The namespace of the pod's network: it must outlive the container, as a sandbox does.
    _network: Started,
    network: String,
}

fn counts(node: &Node) -> Vec<u64> {
    let text = node.witness("count");
    // The last line may be half written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

fn make(node: &Node, id: &str, network: &str) {
    node.make_bundle(id, COUNT, |config| {
        config["annotations"] = annotations("container");
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "network", "path": network}));
    });
}

fn dumped() -> Dumped {
    let node = Node::new(RUNC);
    let holder = Started::of(lab().command("unshare").args(["--net", "sleep", "1000"]));
    let network = format!("/proc/{}/ns/net", holder.0.id());
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    eventually("it has a network of its own", || {
        std::fs::read_link(&network).is_ok_and(|its| its != own)
    });
    make(&node, "c1", &network);
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    run(&mut node.create("c1")).well();
    run(&mut node.verb(&["start", "c1"])).well();
    eventually("it counts", || counts(&node).len() > 10);
    let images = node.path("images");
    let words = [
        "checkpoint",
        "--manage-cgroups-mode",
        "ignore",
        "--image-path",
        images.to_str().unwrap(),
        "c1",
    ];
    let did = run(&mut node.verb(&words));
    assert!(did.status.success(), "{did:?}");
    let last = *counts(&node).last().unwrap();
    run(&mut node.verb(&["delete", "--force", "c1"])).well();
    Dumped {
        node,
        images,
        last,
        _network: holder,
        network,
    }
}

#[test]
fn a_counter_goes_on_counting_and_its_start_has_been_done() {
    let Dumped {
        node,
        images,
        last,
        _network,
        network,
    } = dumped();
    begin(&node);
    make(&node, "c2", &network);
    let answer = json!({
        "do": "restore", "image": images, "work": node.path("work"), "attempt": 1,
        "args": ["--manage-cgroups-mode", "ignore"],
    });
    let agent = Agent::saying(&node.socket(), &[answer]);
    std::fs::create_dir_all(node.path("work")).unwrap();
    run(&mut node.create("c2")).well();
    drop(agent);
    let pid = std::fs::read_to_string(node.path("c2.pid")).unwrap();
    assert!(pid.parse::<u32>().is_ok(), "{pid}");
    assert_eq!(node.status("c2").as_deref(), Some("running"));
    run(&mut node.verb(&["start", "c2"])).well();
    eventually("it counts", || {
        counts(&node).last().is_some_and(|now| *now > last + 10)
    });
    let counts = counts(&node);
    assert!(
        counts.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "it began anew: {counts:?}"
    );
    // A second start is the real runtime's.
    run(&mut node.verb(&["start", "c2"])).badly("cannot start an already running container");
    let did = run(&mut node.verb(&["exec", "c2", "/bin/busybox", "echo", "inside"])).well();
    assert_eq!(did.out, "inside\n");
    run(&mut node.verb(&["kill", "c2", "KILL"])).well();
    eventually("it is dead", || {
        node.status("c2").as_deref() == Some("stopped")
    });
    run(&mut node.verb(&["delete", "c2"])).well();
    let evidence = std::fs::read_to_string(node.path("run/evidence/c2.json")).unwrap();
    assert!(evidence.contains(pid.trim()), "{evidence}");
}

#[test]
fn a_restore_that_fails_says_why_and_shows_that_nothing_ran() {
    let Dumped {
        node,
        images,
        _network,
        network,
        ..
    } = dumped();
    std::fs::remove_file(images.join("inventory.img")).unwrap();
    begin(&node);
    make(&node, "c2", &network);
    let answer = json!({"do": "restore", "image": images, "work": node.path("work"), "attempt": 1});
    let agent = Agent::saying(&node.socket(), &[answer]);
    let before = node.witness("count");
    run(&mut node.create("c2")).badly("criu");
    drop(agent);
    assert!(node.logged("c2")["msg"].as_str().unwrap().contains("criu"));
    // containerd deletes what it could not make.
    run(&mut node.verb(&["delete", "--force", "c2"])).well();
    let evidence = std::fs::read_to_string(node.path("run/evidence/c2.json")).unwrap();
    assert!(
        evidence.contains("no-state") || evidence.contains("no-init"),
        "{evidence}"
    );
    assert_eq!(node.witness("count"), before);
    // The ticket went with it: a container of that name is started by the real runtime.
    assert!(!node.path("run/restored/c2").exists());
}

#[test]
fn a_restore_is_told_whole_paths() {
    let node = Node::new(RUNC);
    node.make_pod_bundle("c1", "true");
    let answer = json!({"do": "restore", "image": "images", "work": "/w", "attempt": 1});
    let _agent = Agent::saying(&node.socket(), &[answer]);
    run(&mut node.create("c1")).badly("images is not an absolute path");
    assert!(!node.path("run/restored/c1").exists());
}
