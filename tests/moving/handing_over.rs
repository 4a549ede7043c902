//! A counter goes on counting on another node; or where it was, if it could not.

use crate::fixture::{GENERATION, NAMESPACE, Node, OPERATION, eventually, processes};
use crate::lab::inside;
use crate::leader::{Leader, is_over, is_void, pod, until};
use holdfast::agent::api::{SourceStanding, TargetStanding};
use holdfast::engine::dump::pages::{processes as processes_below, spans};
use holdfast::hold::record::HoldState;
use holdfast::migration::api::Outcome;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Child;

pub(crate) fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

/// A pod that counts, its successor that waits, and a leader who has allowed it to go.
pub(crate) async fn allowed() -> (Node, Node, Leader, Child) {
    allowed_on(Node::new("a", "uid-a"), Node::new("b", "uid-b")).await
}

/// The same once more on this machine: nodes that nothing was done on.
pub(crate) async fn allowed_as(round: usize) -> (Node, Node, Leader, Child) {
    let named = |name: &str| -> &'static str { format!("{name}{round}").leak() };
    let source = Node::new(named("a"), named("uid-a"));
    allowed_on(source, Node::new(named("b"), named("uid-b"))).await
}

async fn allowed_on(source: Node, target: Node) -> (Node, Node, Leader, Child) {
    assert!(
        source.create("c1").wait().unwrap().success(),
        "{}",
        source.logged("c1")
    );
    source.well(&["start", "c1"]);
    eventually("it counts", || source.counts().len() > 10);
    let mut leader = Leader::new();
    leader.tell(&source, &target);
    until(&target, &source, "it is known", |stands| {
        pod(stands).is_some()
    })
    .await;
    let waiting = target.create("c2");
    until(&target, &source, "it waits", |stands| {
        pod(stands) == Some(TargetStanding::Waiting)
    })
    .await;
    leader.allow(&target, 1);
    leader.tell(&source, &target);
    (source, target, leader, waiting)
}

#[test]
fn a_counter_goes_on_counting_on_another_node() {
    inside(
        "handing_over::a_counter_goes_on_counting_on_another_node",
        || {
            run(async {
                let (source, target, mut leader, mut waiting) = allowed().await;
                let stands = source.agent.work(OPERATION, &target.agent).await.unwrap();
                let standing = stands.source.as_ref().map(|report| report.standing);
                assert_eq!(standing, Some(SourceStanding::Released), "{stands:?}");
                let last = source.counts().len();
                until(&target, &source, "it is restored", |stands| {
                    pod(stands) == Some(TargetStanding::Restored)
                })
                .await;
                assert!(waiting.wait().unwrap().success(), "{}", target.logged("c2"));
                // It runs already.
                target.well(&["start", "c2"]);
                assert_eq!(target.status("c2").as_deref(), Some("running"));
                eventually("it counts on", || target.counts().len() > last + 10);
                goes_on(&source, &target, last);
                leader.decide(Outcome::Restored);
                leader.tell(&source, &target);
                until(&source, &target, "the source is dead", |stands| {
                    let report = stands.source.as_ref();
                    report.is_some_and(|report| report.standing == SourceStanding::Killed)
                })
                .await;
                // It has left its cgroup a moment before it is no process any more.
                eventually("it is dead", || {
                    source.status("c1").as_deref() == Some("stopped")
                });
                assert_eq!(source.counts().len(), last, "it ran here once more");
                source.well(&["delete", "c1"]);
                target.agent.work(OPERATION, &source.agent).await.unwrap();
                for node in [&source, &target] {
                    let state = node.agent.generation((NAMESPACE, source.uid), GENERATION);
                    assert!(!state.unwrap().exists(), "it is left on node {}", node.name);
                }
                target.well(&["kill", "c2", "KILL"]);
                eventually("it is dead", || {
                    target.status("c2").as_deref() == Some("stopped")
                });
                target.well(&["delete", "c2"]);
            });
        },
    );
}

/// Pages of a program, as they are read while it runs, in the order in which they are guessed to be dumped.
fn guessed(node: &Node, id: &str) -> Vec<u8> {
    let all = processes_below(node.init(id), id).unwrap();
    let (process, file) = &all[0];
    assert_eq!(file, "pages-1.img");
    let memory = File::open(process.path("mem")).unwrap();
    let mut found = Vec::new();
    for span in spans(process).unwrap() {
        let mut bytes = vec![0; usize::try_from(span.bytes).unwrap()];
        memory.read_exact_at(&mut bytes, span.address).unwrap();
        found.append(&mut bytes);
    }
    found
}

#[test]
fn memory_is_dumped_where_it_was_guessed() {
    inside(
        "handing_over::memory_is_dumped_where_it_was_guessed",
        || {
            run(async {
                let (source, target, _leader, mut waiting) = allowed().await;
                let stands = source.agent.work(OPERATION, &target.agent).await.unwrap();
                let standing = stands.source.as_ref().map(|report| report.standing);
                assert_eq!(standing, Some(SourceStanding::Released), "{stands:?}");
                let state = target.agent.generation((NAMESPACE, source.uid), GENERATION);
                let images = state.unwrap().join("containers/app/images");
                let dumped = std::fs::read(images.join("pages-1.img")).unwrap();
                // It stands still, as it was dumped.
                let guessed = guessed(&source, "c1");
                let pages = dumped.chunks(4096).zip(guessed.chunks(4096));
                let pages = (0..).zip(pages).filter(|(_, (one, other))| one != other);
                let differs: Vec<usize> = pages.map(|(at, _)| at).collect();
                assert_eq!((dumped.len(), differs), (guessed.len(), Vec::new()));
                waiting.kill().unwrap();
                waiting.wait().unwrap();
            });
        },
    );
}

fn goes_on(source: &Node, target: &Node, last: usize) {
    let counts = target.counts();
    assert!(
        counts
            .iter()
            .zip(1..)
            .all(|(count, number)| *count == number),
        "it began anew: {counts:?}"
    );
    assert_eq!(source.counts().len(), last, "it runs in two places");
    assert_eq!(target.cache("first"), "first\n");
    assert_eq!(target.cache("memory"), "65536\n");
    let exec = |words: &[&str]| {
        let all: Vec<_> = ["exec", "c2", "/bin/busybox"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        target.well(&all)
    };
    assert_eq!(exec(&["cat", "/etc/motd"]), "changed\n");
    assert_eq!(exec(&["cat", "/new/file"]), "kept\n");
    assert!(!exec(&["ls", "/"]).contains("gone"));
    // A file that was open all the time, in the container's own layer.
    let log = exec(&["cat", "/log"]);
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() > last && numbers.windows(2).all(|two| two[1] == two[0] + 1));
    assert!(
        exec(&["cat", "/dev/shm/last"])
            .trim()
            .parse::<usize>()
            .unwrap()
            > last
    );
}

#[test]
fn a_restore_that_fails_leaves_nothing_and_the_source_runs_on() {
    inside(
        "handing_over::a_restore_that_fails_leaves_nothing_and_the_source_runs_on",
        || {
            run(async {
                let (source, target, mut leader, mut waiting) = allowed().await;
                source.agent.work(OPERATION, &target.agent).await.unwrap();
                let last = source.counts().len();
                let generation = target.agent.generation((NAMESPACE, source.uid), GENERATION);
                let images = generation.unwrap().join("containers/app/images");
                std::fs::remove_file(images.join("inventory.img")).unwrap();
                let failed = until(&target, &source, "it has failed", |stands| {
                    pod(stands) == Some(TargetStanding::Failed)
                })
                .await;
                assert!(
                    !failed.target.unwrap().pods[0].ran,
                    "it is not known that nothing ran"
                );
                assert!(!waiting.wait().unwrap().success());
                assert!(
                    target.logged("c2").contains("criu"),
                    "{}",
                    target.logged("c2")
                );
                assert_eq!(processes("c2"), "");
                assert_eq!(source.counts().len(), last, "it does not stand still");
                target.well(&["delete", "--force", "c2"]);
                leader.decide(Outcome::RolledBack);
                leader.revoke.push(target.uid.into());
                leader.tell(&source, &target);
                is_void(&target, &source).await;
                is_over(&source, &target).await;
                source.counts_on();
                let record = source.agent.record(source.uid).await.unwrap().unwrap();
                assert_eq!(record.ended.unwrap().state, HoldState::Returned);
                // Another container of the pod is refused for ever.
                assert!(!target.create("c3").wait().unwrap().success());
                assert!(
                    target.logged("c3").contains("was given up"),
                    "{}",
                    target.logged("c3")
                );
                source.well(&["kill", "c1", "KILL"]);
            });
        },
    );
}

#[test]
fn a_restore_that_hangs_is_killed_with_all_that_it_began() {
    let name = "handing_over::a_restore_that_hangs_is_killed_with_all_that_it_began";
    inside(name, || {
        run(async {
            let (source, target, mut leader, mut waiting) = allowed().await;
            target.break_criu("exec sleep 1000");
            source.agent.work(OPERATION, &target.agent).await.unwrap();
            let last = source.counts().len();
            let claimed = until(&target, &source, "it is claimed", |stands| {
                pod(stands) == Some(TargetStanding::Claimed)
            });
            claimed.await;
            eventually("it has begun", || processes("c2").lines().count() > 1);
            leader.decide(Outcome::RolledBack);
            leader.revoke.push(target.uid.into());
            leader.tell(&source, &target);
            is_void(&target, &source).await;
            assert_eq!(processes("c2"), "");
            assert!(!waiting.wait().unwrap().success());
            assert_eq!(source.counts().len(), last, "it does not stand still");
            is_over(&source, &target).await;
            source.counts_on();
            source.well(&["kill", "c1", "KILL"]);
        });
    });
}

async fn dump_fails(script: &str, says: &str) {
    let (source, target, mut leader, mut waiting) = allowed().await;
    source.break_criu(script);
    let stands = source.agent.work(OPERATION, &target.agent).await.unwrap();
    let report = stands.source.as_ref().unwrap();
    assert_eq!(report.standing, SourceStanding::Withdrawn, "{stands:?}");
    assert!(report.is_over && !report.is_damaged, "{stands:?}");
    let why = stands.why.as_ref().unwrap();
    assert!(
        why.contains("was not dumped") && why.contains(says),
        "{stands:?}"
    );
    source.counts_on();
    // It is not tried again, and nothing is left of it.
    let again = source.agent.work(OPERATION, &target.agent).await.unwrap();
    assert_eq!(again.source, stands.source);
    let generation = source.agent.generation((NAMESPACE, source.uid), GENERATION);
    assert!(!generation.unwrap().with_extension("part").exists());
    assert_eq!(
        pod(&target.agent.work(OPERATION, &source.agent).await.unwrap()),
        Some(TargetStanding::Waiting)
    );
    leader.decide(Outcome::RolledBack);
    leader.tell(&source, &target);
    is_void(&target, &source).await;
    assert!(!waiting.wait().unwrap().success());
    source.well(&["kill", "c1", "KILL"]);
}

#[test]
fn a_dump_that_fails_lets_the_pod_run_on_and_says_why() {
    let name = "handing_over::a_dump_that_fails_lets_the_pod_run_on_and_says_why";
    // It says its version, and ends when it is to look at the first process.
    let script = "[ -e $0.asked ] && exit 1; touch $0.asked; exec /usr/local/sbin/criu \"$@\"";
    inside(name, || run(dump_fails(script, "")));
}

#[test]
fn a_criu_that_does_not_run_is_met_before_anything_stands_still() {
    let name = "handing_over::a_criu_that_does_not_run_is_met_before_anything_stands_still";
    inside(name, || run(dump_fails("exit 1", "before it was ready")));
}

#[test]
fn who_waits_asks_the_next_agent_and_what_had_finished_ends_at_once() {
    let name = "handing_over::who_waits_asks_the_next_agent_and_what_had_finished_ends_at_once";
    inside(name, || {
        run(async {
            let (source, mut target, leader, mut waiting) = allowed().await;
            assert!(target.create_named("i1", "init").wait().unwrap().success());
            target.well(&["start", "i1"]);
            eventually("it has ended", || {
                target.status("i1").as_deref() == Some("stopped")
            });
            assert_eq!(target.counts().len(), 0, "it ran");
            target.restart_agent();
            leader.tell(&source, &target);
            let waits = until(&target, &source, "it waits again", |stands| {
                pod(stands) == Some(TargetStanding::Waiting)
            });
            waits.await;
            source.agent.work(OPERATION, &target.agent).await.unwrap();
            let restored = until(&target, &source, "it is restored", |stands| {
                pod(stands) == Some(TargetStanding::Restored)
            });
            restored.await;
            assert!(waiting.wait().unwrap().success(), "{}", target.logged("c2"));
            target.counts_on();
            // A crash of what was restored is a crash: it starts again, fresh.
            target.well(&["kill", "c2", "KILL"]);
            eventually("it is dead", || {
                target.status("c2").as_deref() == Some("stopped")
            });
            target.well(&["delete", "c2"]);
            assert!(target.create("c3").wait().unwrap().success());
            target.well(&["start", "c3"]);
            let begins = || target.counts().iter().filter(|count| **count == 1).count();
            eventually("it begins anew", || begins() == 2);
            target.well(&["kill", "c3", "KILL"]);
        });
    });
}
