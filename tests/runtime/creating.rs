//! `create` and `start`: what the agent says is what happens.

use crate::agent::Agent;
use crate::fixture::{Node, Started, annotations, eventually, run};
use crate::lab::{CRUN, OLD_RUNC, RUNC};
use holdfast::hold::change::{AdmissionStep, Change};
use holdfast::hold::shelf::{Shelf, Whose};
use holdfast::hold::uid::Uid;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HELLO: &str = "echo hello >> /w/hello";

/// What the tests' pod is called in records.
pub(crate) fn whose() -> Whose {
    Whose {
        namespace: "shop".into(),
        pod: "cart-0".into(),
        uid: Uid::try_from("11-22").unwrap(),
    }
}

#[test]
fn starts_at_the_agents_word() {
    for real in [RUNC, OLD_RUNC, CRUN] {
        let node = Node::new(real);
        node.make_pod_bundle("c1", HELLO);
        let agent = Agent::saying(
            &node.socket(),
            &[json!({"do":"wait","why":"x"}), json!({"do":"start"})],
        );
        run(&mut node.create("c1")).well();
        assert_eq!(node.status("c1").as_deref(), Some("created"), "{real}");
        let asked = agent.heard();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["ask"], "create");
        let place = &asked[0]["place"];
        assert_eq!(place["id"], "c1");
        assert_eq!(place["uid"], "11-22");
        assert_eq!(place["container"], "app");
        assert_eq!(place["sandbox"], false);
        assert_eq!(place["bundle"], node.bundle("c1").to_str().unwrap());
        assert_eq!(place["root"], node.path("state").to_str().unwrap());
        let kept = std::fs::read_to_string(node.path("run/containers/c1")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), *place);
        run(&mut node.verb(&["start", "c1"])).well();
        eventually("it says hello", || node.witness("hello") == "hello\n");
        let pid = std::fs::read_to_string(node.path("c1.pid")).unwrap();
        assert!(pid.parse::<u32>().is_ok(), "{pid}");
    }
}

#[test]
fn what_is_no_pods_asks_nobody() {
    for real in [RUNC, CRUN] {
        let node = Node::new(real);
        node.make_bundle("c1", HELLO, |_| {});
        let agent = Agent::saying(&node.socket(), &[json!({"do":"refuse","why":"no"})]);
        run(&mut node.create("c1")).well();
        run(&mut node.verb(&["start", "c1"])).well();
        eventually("it says hello", || node.witness("hello") == "hello\n");
        assert_eq!(agent.heard(), Vec::<Value>::new());
        assert!(!node.path("run/containers/c1").exists());
    }
}

#[test]
fn a_refusal_is_said_where_containerd_reads_it() {
    let node = Node::new(RUNC);
    node.make_pod_bundle("c1", HELLO);
    let _agent = Agent::saying(
        &node.socket(),
        &[json!({"do":"refuse","why":"the state is on another node"})],
    );
    let did = run(&mut node.create("c1")).badly("the state is on another node");
    assert_eq!(did.status.code(), Some(1));
    let logged = node.logged("c1");
    assert_eq!(logged["level"], "error");
    assert_eq!(logged["msg"], "the state is on another node");
    assert_eq!(node.status("c1"), None);
    assert!(!node.path("run/containers/c1").exists());
}

#[test]
fn a_finished_init_container_ends_with_0_though_it_has_no_program() {
    for real in [RUNC, OLD_RUNC, CRUN] {
        let node = Node::new(real);
        node.make_pod_bundle("c1", HELLO);
        let mut config = node.config("c1");
        // Nothing of this is there: not the program, not the volume, not the user, not the hook.
        config["process"]["args"] = json!(["/no/such/program"]);
        config["process"]["user"] = json!({"uid": 4711, "gid": 4711});
        config["process"]["cwd"] = "/no/such/folder".into();
        config["process"]["rlimits"] =
            json!([{"type": "RLIMIT_CORE", "hard": u64::MAX, "soft": u64::MAX}]);
        config["root"]["readonly"] = true.into();
        config["mounts"].as_array_mut().unwrap().push(json!({
            "destination": "/data", "type": "bind", "source": "/no/such/volume", "options": ["rbind"]
        }));
        config["hooks"] = json!({"prestart": [{"path": "/no/such/hook"}]});
        config["linux"]["sysctl"] = json!({"net.ipv4.no_such": "1"});
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ERRNO"});
        std::fs::write(node.bundle("c1").join("config.json"), config.to_string()).unwrap();
        if is_static() {
            std::fs::remove_dir_all(node.bundle("c1").join("rootfs/bin")).unwrap();
        } else {
            link_libraries(&mut config, &node);
        }
        let _agent = Agent::saying(&node.socket(), &[json!({"do":"no-op"})]);
        run(&mut node.create("c1")).well();
        assert_eq!(node.status("c1").as_deref(), Some("created"), "{real}");
        let pid: i32 = std::fs::read_to_string(node.path("c1.pid"))
            .unwrap()
            .parse()
            .unwrap();
        run(&mut node.verb(&["start", "c1"])).well();
        assert_eq!(code(pid), Some(0), "{real}");
        assert_eq!(node.status("c1").as_deref(), Some("stopped"));
        assert_eq!(node.witness("hello"), "");
        let left: Vec<_> = std::fs::read_dir(node.bundle("c1").join("rootfs"))
            .unwrap()
            .collect();
        assert!(
            left.iter().all(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                ["proc", "dev", "bin", "lib", "lib64"]
                    .iter()
                    .any(|known| name == *known)
            }),
            "{left:?}"
        );
        run(&mut node.verb(&["delete", "c1"])).well();
    }
}

/// A program that was not built for the image needs the C library of whoever runs it.
fn is_static() -> bool {
    let program = std::fs::read(crate::fixture::program()).unwrap();
    memchr::memmem::find(&program, b"ld-linux").is_none_or(|at| at >= 4096)
}

fn link_libraries(_config: &mut Value, node: &Node) {
    println!(
        "SKIP static-runtime: {} is not static: it is run in an image with a C library",
        crate::fixture::program().display()
    );
    let rootfs = node.bundle("c1").join("rootfs");
    let copy = format!(
        "mkdir -p {0}/lib64 {0}/lib/x86_64-linux-gnu; cp -L /lib64/ld-linux-x86-64.so.2 {0}/lib64/; \
         cp -L /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libm.so.6 /lib/x86_64-linux-gnu/libgcc_s.so.1 {0}/lib/x86_64-linux-gnu/",
        rootfs.display()
    );
    run(crate::lab::lab().command("sh").args(["-c", &copy])).well();
}

/// The code that a container ends with. Its runtime has ended, so it is a child of this process.
fn code(pid: i32) -> Option<i32> {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let ended = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    ended.unwrap().and_then(|(_, status)| status.exit_status())
}

#[test]
fn waits_for_an_agent_that_is_away_and_asks_again_when_one_dies() {
    let node = Arc::new(Node::new(RUNC));
    node.make_pod_bundle("c1", HELLO);
    let mut create = Started::of(&mut node.create("c1"));
    eventually("its place is known", || {
        node.path("run/containers/c1").exists()
    });
    // One that dies in the middle, one that says nonsense, one that knows more than we do.
    let broken: [&str; 3] = [
        "{\"do\":\"wait\",\"why\":\"x\"}\n{\"do\":\"sta",
        "\0\u{1}\n",
        "{\"do\":\"teleport\"}\n",
    ];
    for says in broken {
        let agent = Agent::new(&node.socket(), move |_, _, stream| {
            stream.write_all(says.as_bytes()).unwrap();
        });
        eventually("it asks", || !agent.heard().is_empty());
        assert!(!create.has_ended(), "it must not give up after {says:?}");
    }
    assert_eq!(node.status("c1"), None);
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    assert!(create.end().success());
    assert_eq!(node.status("c1").as_deref(), Some("created"));
}

#[test]
fn goes_on_waiting_as_long_as_the_agent_says_so() {
    let node = Node::new(RUNC);
    node.make_pod_bundle("c1", HELLO);
    let go = Arc::new(AtomicBool::new(false));
    let goes = go.clone();
    let agent = Agent::new(&node.socket(), move |_, _, stream| {
        while !goes.load(Ordering::SeqCst) {
            stream
                .write_all(b"{\"do\":\"wait\",\"why\":\"volumes\"}\n")
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        stream.write_all(b"{\"do\":\"start\"}\n").unwrap();
    });
    let mut create = Started::of(&mut node.create("c1"));
    eventually("it asks", || !agent.heard().is_empty());
    assert!(!create.has_ended());
    go.store(true, Ordering::SeqCst);
    assert!(create.end().success());
    assert_eq!(agent.heard().len(), 1, "one connection is enough");
}

#[test]
fn without_an_agent_only_what_was_started_before_starts() {
    let node = Node::new(RUNC);
    let shelf = Shelf::at(&node.path("records"));
    let started = Change::Note {
        container: "app".into(),
    };
    shelf.change(&whose(), &started).unwrap();
    node.make_pod_bundle("c1", HELLO);
    run(&mut node.create("c1")).well();
    assert_eq!(node.status("c1").as_deref(), Some("created"));
    node.make_bundle("c2", HELLO, |config| {
        config["annotations"] = annotations("container");
        config["annotations"]["io.kubernetes.cri.container-name"] = "other".into();
    });
    let mut create = Started::of(&mut node.create("c2"));
    eventually("its place is known", || {
        node.path("run/containers/c2").exists()
    });
    assert!(
        !create.has_ended(),
        "nobody has ever said that this one may start"
    );
    drop(create);
    // Now the pod waits for a state: also what was started before waits.
    let open = AdmissionStep::Open {
        attempt: 1,
        restores: ["app".to_owned()].into(),
        finished: [].into(),
        prepared: false,
    };
    std::fs::remove_file(node.path("records/11-22.json")).unwrap();
    shelf.change(&whose(), &Change::admit("op", open)).unwrap();
    node.make_pod_bundle("c3", HELLO);
    let mut create = Started::of(&mut node.create("c3"));
    eventually("its place is known", || {
        node.path("run/containers/c3").exists()
    });
    assert!(!create.has_ended());
    drop(create);
    assert_eq!(node.status("c3"), None);
}

#[test]
fn a_record_that_cannot_be_read_lets_nothing_start() {
    let node = Node::new(RUNC);
    std::fs::write(node.path("records/11-22.json"), "{\"version\":1,").unwrap();
    node.make_pod_bundle("c1", HELLO);
    let mut create = Started::of(&mut node.create("c1"));
    eventually("its place is known", || {
        node.path("run/containers/c1").exists()
    });
    assert!(!create.has_ended());
    drop(create);
    assert_eq!(node.status("c1"), None);
}

#[test]
fn nobody_is_left_waiting_for_a_caller_that_has_ended() {
    for has_agent in [false, true] {
        let node = Node::new(RUNC);
        node.make_pod_bundle("c1", HELLO);
        let agent = has_agent.then(|| waiting_agent(&node));
        let create = node.create("c1");
        let words = std::iter::once(create.get_program()).chain(create.get_args());
        let pid_file = node.path("waiter");
        let mut caller = std::process::Command::new("sh");
        let script = "\"$@\" & echo $! > \"$0\"; wait";
        caller.args(["-c", script]).arg(&pid_file).args(words);
        let caller = Started::of(&mut caller);
        eventually("it waits", || match &agent {
            Some(agent) => !agent.heard().is_empty(),
            None => node.path("run/containers/c1").exists(),
        });
        let waiter = || std::fs::read_to_string(&pid_file).unwrap_or_default();
        eventually("its pid is known", || waiter().ends_with('\n'));
        drop(caller);
        let status = format!("/proc/{}/status", waiter().trim());
        eventually("it has ended too", || {
            std::fs::read_to_string(&status).map_or(true, |status| status.contains("State:\tZ"))
        });
        assert_eq!(node.status("c1"), None);
    }
}

/// An agent that has everybody wait for ever, and keeps saying so.
fn waiting_agent(node: &Node) -> Agent {
    Agent::new(&node.socket(), |_, _, stream| {
        while stream
            .write_all(b"{\"do\":\"wait\",\"why\":\"volumes are filled\"}\n")
            .is_ok()
        {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    })
}

#[test]
fn a_sandbox_waits_only_so_long() {
    let node = Node::new(RUNC);
    node.make_bundle("c1", HELLO, |config| {
        config["annotations"] = annotations("sandbox");
    });
    run(&mut node.create("c1")).badly("its sandbox of pod shop/cart-0 has waited long enough");
    assert!(!node.path("run/containers/c1").exists());
    // An agent that has it wait is no other case.
    let _agent = waiting_agent(&node);
    run(&mut node.create("c1")).badly("volumes are filled");
    assert!(
        node.logged("c1")["msg"]
            .as_str()
            .unwrap()
            .contains("volumes are filled")
    );
    assert_eq!(node.status("c1"), None);
}

#[cfg(feature = "faults")]
#[test]
fn wherever_it_dies_the_next_one_goes_on() {
    let node = Node::with_faults(RUNC);
    let agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    for (number, point) in [
        "runtime.create.place.before",
        "runtime.create.place.after",
        "runtime.asking.question.before",
        "runtime.asking.question.after",
        "runtime.asking.answer.before",
        "runtime.asking.answer.after",
        "runtime.create.create.before",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("c{number}");
        node.make_pod_bundle(&id, HELLO);
        run(node.create(&id).env("HOLDFAST_DIE_AT", point)).badly(point);
        assert_eq!(node.status(&id), None, "{point}");
        run(&mut node.create(&id)).well();
        assert_eq!(node.status(&id).as_deref(), Some("created"), "{point}");
    }
    drop(agent);
    // A kubelet sets no variables.
    std::fs::write(
        node.path("faults"),
        "HOLDFAST_DIE_AT=runtime.delete.forget.before\n",
    )
    .unwrap();
    run(&mut node.verb(&["delete", "c0"])).badly("runtime.delete.forget.before");
    assert!(node.path("run/containers/c0").exists());
    // It springs once: nobody takes it away.
    assert!(node.path("faults.sprung").exists() && !node.path("faults").exists());
    run(&mut node.verb(&["delete", "--force", "c0"])).well();
    assert!(!node.path("run/containers/c0").exists());
}
