//! Never two, never none, seen from outside: while a pod moves to and fro, an agent or the runtime dies at each of its points in turn.
//! The kubelet and containerd bring them back, and nobody else does anything. A program writes down that it runs where all nodes see it,
//! and `tests/world/witness.py`, which knows nothing of us, judges what it wrote.
//!
//! `HOLDFAST_FAULT_POINTS=all` visits all that the ledger does not have; otherwise they are drawn by `HOLDFAST_SEED`. Either way as many
//! as go in `HOLDFAST_FAULT_SECONDS`.

mod failures;
mod lab;
mod ledger;
mod objects;
mod points;

use crate::world::within;
use lab::{Lab, Program, node, other};
use ledger::Ledger;
use objects::Owner;
use points::{Side, Visit, Way};
use serde_json::Value;
use std::future::ready;
use std::time::Duration;
use tokio::time::Instant;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Fisher and Yates, by a generator of one line: the same seed is the same order.
fn shuffle<T>(all: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for last in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap());
    }
}

/// What came of it.
#[derive(Default)]
struct Tally {
    done: usize,
    violations: Vec<String>,
    not_run: Vec<String>,
}

impl Tally {
    /// Says how it went.
    fn ends(&self, total: usize, seed: u64) {
        println!("not run: {}", self.not_run.join(", "));
        println!(
            "RESULT fault_points_done={} fault_points_total={total} violations={} not_run={} seed={seed}",
            self.done,
            self.violations.len(),
            self.not_run.len()
        );
        assert!(self.violations.is_empty(), "{}", self.violations.join("\n"));
    }
}

#[tokio::test]
async fn whoever_dies_in_a_move_there_are_never_two_and_never_none() {
    let is_all = std::env::var("HOLDFAST_FAULT_POINTS").is_ok_and(|which| which == "all");
    let limit = number("HOLDFAST_FAULT_SECONDS").or((!is_all).then_some(480));
    let limit = limit.map(Duration::from_secs);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = number("HOLDFAST_SEED").unwrap_or(now);
    let only = std::env::var("HOLDFAST_FAULT_ONLY").unwrap_or_default();
    let mut visits = points::all();
    visits.retain(|visit| visit.title().contains(&only));
    let total = visits.len();
    let mut ledger = Ledger::open();
    if is_all {
        visits.retain(|visit| !ledger.has(&visit.title()));
    } else {
        shuffle(&mut visits, seed);
    }
    println!("HOLDFAST_SEED={seed}: {} of {total} deaths", visits.len());
    let mut tally = Tally {
        done: total - visits.len(),
        ..Tally::default()
    };
    let mut lab = Lab::new("dies", 0);
    let begin = Instant::now();
    let mut started: Vec<Owner> = Vec::new();
    for (count, visit) in visits.iter().enumerate() {
        let title = visit.title();
        if limit.is_some_and(|limit| begin.elapsed() > limit) {
            tally.not_run.push(title);
            continue;
        }
        let owner = visit.way.owner();
        if !started.contains(&owner) {
            lab.starts(owner);
            started.push(owner);
        }
        let since = Instant::now();
        let died = dies(&lab, visit, &format!("dying-{count}")).await;
        println!("{title}: {died:?}, {:.1} s", since.elapsed().as_secs_f64());
        match died {
            Ok(phase) if phase == QUICKER => tally.not_run.push(title),
            Ok(_) => {
                ledger.add(&title);
                tally.done += 1;
            }
            Err(why) => {
                println!("FAILED: {why}\n{}", lab.told());
                tally.violations.push(format!("{title}: {why}"));
                lab.anew(owner, count).await;
            }
        }
    }
    tally.ends(total, seed);
    lab.world.end();
}

/// Whether somebody writes.
async fn witnesses(lab: &Lab, owner: Owner) -> Option<()> {
    let before = lab.count(owner);
    within(2, || ready((lab.count(owner) > before + 3).then_some(()))).await
}

#[tokio::test]
async fn whatever_fails_in_a_move_there_are_never_two_and_never_none() {
    let only = std::env::var("HOLDFAST_FAULT_ONLY").unwrap_or_default();
    let mut lab = Lab::new("fails", 24 << 20);
    lab.starts(Owner::Deployment);
    let mut violations = Vec::new();
    macro_rules! goes_well {
        ($($name:ident),+ $(,)?) => {
            $(if stringify!($name).contains(&only) {
                let since = Instant::now();
                let done = failures::$name(&lab).await;
                println!("{}: {}, {:.1} s", stringify!($name), if done.is_ok() { "well" } else { "FAILED" }, since.elapsed().as_secs_f64());
                if let Err(why) = done {
                    println!("{why}\n{}", lab.told());
                    violations.push(format!("{}: {why}", stringify!($name)));
                    lab.anew(Owner::Deployment, violations.len()).await;
                }
            })+
        };
    }
    goes_well!(
        targets_disk_is_full,
        sources_disk_is_full,
        a_byte_is_wrong,
        criu_is_killed_before_a_dump,
        runc_is_killed_before_a_dump,
        runtime_and_kubelet_restart,
        criu_is_killed_in_a_restore,
        runc_is_killed_in_a_restore,
        a_waiting_runtime_is_killed,
        a_connection_is_cut,
        the_sources_agent_is_gone_for_good,
        the_target_goes_before_the_release,
        the_target_goes_after_the_release,
        the_pod_is_deleted,
    );
    println!("RESULT move_failures_violations={}", violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    lab.world.end();
}

/// The guard thaws what is withdrawn, too: then the agent does not come to the point.
const QUICKER: &str = "the guard was quicker";

/// A program dies at a point. All others go on, it comes back, and the pod runs in one place; where, says what comes back.
async fn dies(lab: &Lab, visit: &Visit, called: &str) -> Result<String, String> {
    let owner = visit.way.owner();
    let mut before = lab.the_pod(owner).await?;
    lab.is_witnessed(owner, 1).await?;
    if visit.way == Way::Again {
        let first = format!("{called}-first");
        lab.migrates(&first, &before);
        is_over(lab, visit.way, &first).await?;
        lab.is_forgotten(&first);
        before = lab.the_pod(owner).await?;
    }
    let source = node(&before);
    let victim = match visit.side {
        Side::Source => source,
        Side::Target => other(source),
    };
    let sprung = comes_to_it(lab, visit, (called, &before), victim).await;
    lab.goes_on(other(source));
    let is_quicker = visit.point.contains(".thaw.") && sprung.is_err();
    if !is_quicker {
        sprung?;
    }
    let phase = is_over(lab, visit.way, called).await?;
    let after = lab.the_pod(owner).await?;
    let has_moved = phase == "Succeeded";
    if has_moved == (node(&after) == source) {
        return Err(format!("it is {phase}, and the pod is on {}", node(&after)));
    }
    lab.is_witnessed(owner, 1).await?;
    lab.is_forgotten(called);
    lab.nothing_is_left().await?;
    if is_quicker {
        return Ok(QUICKER.to_owned());
    }
    if visit.program == Program::Agent {
        lab.renews_agent(victim);
    }
    Ok(phase)
}

/// What leads a program to a point; comes back when it is dead.
async fn comes_to_it(
    lab: &Lab,
    visit: &Visit,
    (called, pod): (&str, &Value),
    victim: &str,
) -> Result<(), String> {
    let (source, target) = (node(pod), other(node(pod)));
    let trap = format!("HOLDFAST_DIE_AT={}", visit.point);
    let arms = || lab.arms(victim, visit.program, &trap);
    let migrates = || lab.migrates(called, pod);
    match visit.way {
        Way::Moves | Way::Again | Way::Bare => {
            arms();
            migrates();
        }
        Way::Starts => {
            arms();
            lab.renews_agent(victim);
            migrates();
        }
        Way::Waits => {
            stops_at(lab, source, "hold.shelf.hold.before", migrates).await?;
            arms();
            lab.goes_on(source);
        }
        Way::Cancelled => {
            stops_at(lab, source, "agent.hands.source.copy.before", migrates).await?;
            // What is sent meanwhile comes to nobody.
            lab.stops(target);
            arms();
            let deletes = format!("delete migration {called} --wait=false");
            lab.world.kubectl(&deletes);
            lab.goes_on(source);
        }
        Way::Broken => {
            stops_at(lab, target, "hold.shelf.claim.before", migrates).await?;
            lab.sh(target, BREAKS);
            arms();
            lab.goes_on(target);
        }
    }
    lab.is_sprung(victim, visit.program, &trap).await
}

/// CRIU cannot begin with what has come.
const BREAKS: &str =
    "find /var/lib/holdfast/checkpoints -name inventory.img -exec truncate -s 0 {} +";

async fn stops_at(lab: &Lab, node: &str, point: &str, then: impl FnOnce()) -> Result<(), String> {
    let trap = format!("HOLDFAST_STOP_AT={point}");
    lab.arms(node, Program::Agent, &trap);
    then();
    lab.is_sprung(node, Program::Agent, &trap).await
}

/// How it ended. One that was deleted is gone; its pod runs where it was.
async fn is_over(lab: &Lab, way: Way, called: &str) -> Result<String, String> {
    if way == Way::Cancelled {
        let gone = || lab.migration(called).is_none().then_some(());
        let is_gone = within(150, || ready(gone())).await;
        return is_gone.map(|()| "RolledBack".to_owned()).ok_or_else(|| {
            format!(
                "it is not gone: {:#}",
                lab.migration(called).unwrap_or_default()
            )
        });
    }
    let status = lab.ended(called).await?;
    let phase = status["phase"].as_str().unwrap_or_default();
    let may_be = match way {
        Way::Broken => phase == "RolledBack",
        _ => ["Succeeded", "RolledBack"].contains(&phase),
    };
    if !may_be {
        return Err(format!("{status:#}"));
    }
    Ok(phase.to_owned())
}
