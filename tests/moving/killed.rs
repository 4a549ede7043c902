//! CRIU is killed over the processes that it dumps, at twenty points of its work. What it held may be spoilt; but nothing stands still
//! afterwards, nothing of the dump is left, and it is told apart whether it had begun to touch them.

use crate::fixture::{GENERATION, NAMESPACE, Node, OPERATION, eventually};
use crate::handing_over::{allowed_as, run};
use crate::lab::inside;
use crate::leader::{is_over, is_void};
use holdfast::agent::api::SourceStanding;
use holdfast::engine::dump;
use holdfast::migration::api::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const POINTS: usize = 20;
/// So often a point is tried anew where CRIU had ended before it could be killed.
const TRIES: usize = 5;
/// It notes its number, which stays the same.
const NOTES: &str = "[ \"$1\" != swrk ] || echo $$ > $0.pid; exec /usr/local/sbin/criu \"$@\"";

#[test]
fn criu_killed_in_a_dump_leaves_nothing_that_stands_still() {
    let name = "killed::criu_killed_in_a_dump_leaves_nothing_that_stands_still";
    inside(name, || {
        run(async {
            let mut rounds = 0;
            let mut round = async |after: usize| {
                rounds += 1;
                dumped(rounds, after).await
            };
            // Never killed: so much its log has at the end.
            let whole = round(usize::MAX).await.log.len();
            assert!(whole > POINTS, "{whole}");
            let (mut touched, mut died) = (0, 0);
            for point in 1..=POINTS {
                let mut tries = TRIES;
                let found = loop {
                    let found = round(whole * point / (POINTS + 1)).await;
                    tries -= 1;
                    if found.is_killed || tries == 0 {
                        break found;
                    }
                };
                assert!(found.is_killed, "point {point}: it had ended before");
                touched += usize::from(found.is_damaged);
                died += usize::from(found.is_dead);
            }
            println!(
                "RESULT criu_kill_points={POINTS} criu_kills_that_touched={touched} criu_kills_that_ended_the_pod={died}"
            );
            assert!(touched > POINTS / 2, "{touched}");
        });
    });
}

struct Found {
    is_killed: bool,
    is_damaged: bool,
    is_dead: bool,
    log: String,
}

/// A dump in which CRIU is killed when its log has so many bytes.
async fn dumped(round: usize, after: usize) -> Found {
    let (source, target, mut leader, mut waiting) = allowed_as(round).await;
    let noted = source.break_criu(NOTES).with_extension("pid");
    let generation = source.agent.generation((NAMESPACE, source.uid), GENERATION);
    let part = generation.unwrap().with_extension("part");
    let log = dump::folder(&part, "app").join("work").join(dump::LOG);
    let has_ended = Arc::new(AtomicBool::new(false));
    let killer = killer(log, noted, after, Arc::clone(&has_ended));
    let stands = source.agent.work(OPERATION, &target.agent).await.unwrap();
    has_ended.store(true, Ordering::Relaxed);
    let log = killer.join().unwrap();
    let report = stands.source.as_ref().unwrap();
    let is_killed = report.standing != SourceStanding::Released;
    let is_damaged = report.is_damaged;
    if is_killed {
        assert_eq!(report.standing, SourceStanding::Withdrawn, "{stands:?}");
        assert_eq!(is_damaged, log.contains("Seized task"), "{stands:?}\n{log}");
        assert!(!part.exists(), "a part of the dump is left");
    }
    leader.decide(Outcome::RolledBack);
    leader.revoke.push(target.uid.into());
    leader.tell(&source, &target);
    is_void(&target, &source).await;
    assert!(!waiting.wait().unwrap().success());
    is_over(&source, &target).await;
    let is_dead = runs_on_or_is_dead(&source);
    Found {
        is_killed,
        is_damaged,
        is_dead,
        log,
    }
}

/// Whether it is dead; what is not dead runs, and counts.
fn runs_on_or_is_dead(source: &Node) -> bool {
    let before = source.counts().len();
    let is_dead = || source.status("c1").as_deref() == Some("stopped");
    eventually("it counts on, or is dead", || {
        is_dead() || source.counts().len() > before + 5
    });
    // What was spoilt may end a moment after it goes on.
    let is_dead = is_dead();
    assert!(is_dead || !Node::stands_still("c1"), "its cgroup is frozen");
    is_dead
}

/// Kills the process whose number is noted when there is so much of the log; hands out the log as it was in the end, which may lie in
/// no directory any more.
fn killer(
    log: PathBuf,
    noted: PathBuf,
    after: usize,
    has_ended: Arc<AtomicBool>,
) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut file = None;
        let mut is_killed = false;
        while !has_ended.load(Ordering::Relaxed) {
            if file.is_none() {
                file = File::open(&log).ok();
            }
            let length = file.as_ref().and_then(|file| file.metadata().ok());
            let is_due = length.is_some_and(|seen| seen.len() >= after as u64);
            if is_due && !is_killed {
                let pid = std::fs::read_to_string(&noted).unwrap_or_default();
                let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
                let killed = pid.map(|pid| kill_process(pid, Signal::KILL));
                is_killed = killed == Some(Ok(()));
            }
        }
        let mut said = Vec::new();
        file.unwrap().read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    })
}
