//! One look at one operation that moves a state: what is held here, what is to begin here; acts until there is nothing to do, and then
//! says how it stands.

mod before;
mod looking;
mod tidying;

use super::{Means, Soon, pass};
use crate::agent::api::{
    Measured, SourceReport, SourceStanding, StateTask, StateTaskStatus, TargetPod, TargetReport,
    TargetStanding, Word,
};
use crate::agent::cut::Engine;
use crate::agent::hands::foretelling::Before;
use crate::agent::hands::source::Then;
use crate::agent::hands::{Hands, Memory};
use crate::agent::host::Host;
use crate::agent::inspect::before_freeze;
use crate::agent::marks::Mark;
use crate::agent::orders::Ordered;
use crate::agent::peer::{Peer, Peers};
use crate::agent::records::Records;
use crate::agent::source::{self, Act, Seen};
use crate::agent::store::Found;
use crate::agent::targets::Targets;
use crate::hold::record::{HoldState, Record};
use crate::hold::rules::Rules;
use crate::hold::uid::Uid;
use crate::kit::conditions::{Finding, merge};
use crate::kit::times::in_micros;
use crate::oci::failure::Failure;
use crate::process::clock::now;
use crate::process::telemetry::AgentMetrics;
use jiff::Timestamp;
use looking::{Sight, Subject};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// A look ends after so many acts, and the next one goes on.
const MOST_ACTS: u32 = 60;
/// How often it is looked, while a state is on its way, whether it is still wanted there.
const LOOK: Duration = Duration::from_millis(200);
/// The condition: a pod does not go elsewhere, and why.
const FAILED: &str = "Failed";
const NOT_DUMPED: &str = "NotDumped";

/// What a move is worked at with. Nothing of it asks an API server.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) node: &'a str,
    pub(crate) host: &'a Host,
    pub(crate) records: &'a Records,
    pub(crate) prefixes: &'a [&'a str],
    pub(crate) targets: &'a Targets,
    pub(crate) peers: &'a dyn Peers,
    pub(crate) metrics: &'a AgentMetrics,
}

/// How an operation stands on this node.
#[derive(Debug, Default)]
pub(crate) struct Stands {
    pub(crate) source: Option<SourceReport>,
    pub(crate) target: Option<TargetReport>,
    /// When the pod stood still, and how much its state is.
    pub(crate) frozen: (Option<Timestamp>, Option<i64>),
    /// Why a pod does not go elsewhere.
    pub(crate) why: Option<String>,
    /// It is worth to look again soon.
    pub(crate) is_hasty: bool,
    /// What did not go on, and is tried again; how it stands is known all the same.
    pub(crate) stuck: Option<String>,
}

pub(super) async fn run(means: &Means, operation: &str, memory: OwnedMutexGuard<Memory>) -> Soon {
    let mut memory = memory;
    let done = look(means, operation, &mut memory).await;
    let failed = done.as_ref().err().cloned();
    // Said once, though it is tried again and again.
    if memory.said != failed {
        if let Some(why) = &failed {
            tracing::warn!(operation, why, "a move does not go on; trying again");
        }
        memory.said = failed;
    }
    done.unwrap_or(Soon::No)
}

async fn look(means: &Means, operation: &str, memory: &mut Memory) -> Result<Soon, String> {
    let tools = Tools {
        node: &means.node,
        host: &means.host,
        records: &means.records,
        prefixes: means.prefixes,
        targets: &means.targets,
        peers: &means.carriers,
        metrics: &means.metrics,
    };
    let stands = tools.work(operation, memory).await?;
    if let Ordered::Known(task) = means.targets.orders().get(operation) {
        let former = task.status.as_ref();
        let former = former.map_or(&[][..], |status| &status.conditions);
        let found = stands.why.clone().map(|message| Finding {
            kind: FAILED,
            holds: true,
            reason: NOT_DUMPED,
            message,
        });
        let found: Vec<_> = found.into_iter().collect();
        let measured = task
            .status
            .as_ref()
            .and_then(|status| status.measured.clone());
        let status = StateTaskStatus {
            measured: measured_now(measured, &stands),
            conditions: merge(former, &found, task.metadata.generation, now()),
            source: stands.source,
            target: stands.target,
            ..StateTaskStatus::default()
        };
        pass::say(means, &task, status).await?;
    }
    match stands.stuck {
        Some(why) => Err(why),
        None if stands.is_hasty => Ok(Soon::Yes),
        None => Ok(Soon::No),
    }
}

/// What was measured once stays: an agent that starts again knows less.
fn measured_now(before: Option<Measured>, stands: &Stands) -> Option<Measured> {
    let before = before.unwrap_or_default();
    let (frozen, bytes) = stands.frozen;
    let is_restored = |pod: &TargetPod| pod.standing == TargetStanding::Restored;
    let restored = stands.target.as_ref();
    let restored = restored.is_some_and(|report| report.pods.iter().any(is_restored));
    let measured = Measured {
        frozen_at: before.frozen_at.or(frozen.map(in_micros)),
        bytes: before.bytes.or(bytes),
        restored_at: before.restored_at.or(restored.then(|| in_micros(now()))),
    };
    (measured != Measured::default()).then_some(measured)
}

impl Tools<'_> {
    /// Works at an operation, and says how it stands.
    ///
    /// # Errors
    /// A sentence; it is tried again.
    pub(crate) async fn work(
        &self,
        operation: &str,
        memory: &mut Memory,
    ) -> Result<Stands, String> {
        let mut stands = Stands::default();
        if let Some(subject) = self.subject(operation).await? {
            (stands.source, stands.stuck) = self.source(operation, &subject, memory).await?;
            if stands.source.as_ref().is_some_and(is_released) {
                let settles = self.settles(&subject, memory).await;
                let failed = settles.err().map(|failure| failure.to_string());
                stands.stuck = stands.stuck.or(failed);
            }
            keep_why(&stands, memory);
            stands.frozen = frozen(&subject, memory);
            let failure = memory.failure.as_ref();
            stands.why = failure
                .map(|failure| failure.why.clone())
                .or(memory.refused.clone());
        }
        let ordered = self.targets.orders().get(operation);
        let (report, is_hasty) = self.targets.pass(operation).await?;
        stands.is_hasty = is_hasty;
        let is_target = |task: &StateTask| task.spec.target.is_some();
        if ordered.order().is_some_and(is_target) {
            stands.target = Some(report);
        }
        Ok(stands)
    }

    async fn settles(&self, subject: &Subject, memory: &mut Memory) -> Result<(), Failure> {
        let boot = self.host.boot()?;
        memory.settles(&subject.generation, &boot).await
    }

    async fn source(
        &self,
        operation: &str,
        subject: &Subject,
        memory: &mut Memory,
    ) -> Result<(Option<SourceReport>, Option<String>), String> {
        let peer = self.peers.to(&subject.order);
        let mut stuck = None;
        memory.peer.ready = None;
        let mut has_asked = false;
        for _act in 0..MOST_ACTS {
            let sight = self.look(operation, subject).await?;
            let hold = sight.record.hold_of(operation);
            let is_open = |state| matches!(state, HoldState::Frozen | HoldState::Released);
            let is_held = hold.is_some_and(|hold| is_open(hold.state));
            // A move that this process began itself knows what was said; one that it found is asked about.
            if is_held && !has_asked && !is_on_its_way(&sight, memory) {
                has_asked = true;
                ask_how_it_stands(operation, &sight.record, memory, peer.as_ref()).await;
            }
            let ordered = self.targets.orders().get(operation);
            let is_guarded = memory.is_guarded();
            let seen = seen((&sight, &ordered), memory, is_guarded);
            let foretells = before::subject(&seen, &sight.living);
            let planned = source::plan(&seen);
            let report = source::report(&seen);
            before::foretell(foretells, &sight.living, (memory, &peer));
            let Some(act) = planned else {
                self.tidy(operation, (subject, &sight), &ordered, memory)
                    .await?;
                return Ok((report, None));
            };
            let _mark = Mark::begin(act.name(), operation);
            let then = self.act(operation, (subject, &sight), act, (memory, &peer));
            match then.await {
                Ok(Then::Goes) => {}
                Ok(Then::Waits) => break,
                // The leader is told all the same how far it is.
                Err(why) => {
                    stuck = Some(why);
                    break;
                }
            }
        }
        let sight = self.look(operation, subject).await?;
        let ordered = self.targets.orders().get(operation);
        let is_guarded = memory.is_guarded();
        let seen = seen((&sight, &ordered), memory, is_guarded);
        Ok((source::report(&seen), stuck))
    }

    async fn act(
        &self,
        operation: &str,
        (subject, sight): (&Subject, &Sight),
        act: Act,
        (memory, peer): (&mut Memory, &Arc<dyn Peer>),
    ) -> Result<Then, String> {
        let engine = Engine::find(self.host, self.prefixes);
        if let (Act::Change(_), Err(failure), None) = (&act, &engine, &sight.record.hold) {
            // What cannot be dumped is not frozen.
            return Err(failure.to_string());
        }
        // It was looked at when all this began; what it has begun to do since then keeps it here, until it does it no more.
        if let Act::Change(change) = &act
            && change.is_beginning()
        {
            if let Some(why) = before_freeze(self.host, &sight.record).await {
                (memory.refused, memory.before) = (Some(why.clone()), Before::Nothing);
                return Err(why);
            }
            if self.has_foretold(operation, subject, (memory, peer)).await {
                // That took its time: whether all is as it was is looked at again.
                return Ok(Then::Goes);
            }
        }
        memory.refused = None;
        let hands = Hands {
            host: self.host,
            engine: engine.as_ref().ok(),
            records: self.records,
            whose: &subject.whose,
            node: self.node,
            boot: &sight.boot,
            generation: &subject.generation,
            containers: &sight.living,
        };
        let seen = (&sight.record, &sight.found);
        match act {
            Act::AskReady(..) | Act::AskRevoke(_) => {
                hands.ask(&act, operation, memory, peer.as_ref()).await
            }
            Act::Copy => tokio::select! {
                done = hands.move_on(act, seen, memory, peer.as_ref()) => done,
                () = self.is_unwanted(operation, subject) => Ok(Then::Goes),
            },
            act => {
                let released = memory.released.clone();
                let done = hands.move_on(act, seen, memory, peer.as_ref()).await;
                if memory.released != released {
                    knows_release(&sight.record, memory);
                }
                done
            }
        }
    }

    /// While a state is on its way: comes back when it is not wanted there any more, or was let go here.
    async fn is_unwanted(&self, operation: &str, subject: &Subject) {
        loop {
            tokio::time::sleep(LOOK).await;
            let read = self.records.read(&subject.whose.uid).await;
            let record = read.ok().flatten();
            let hold = record.as_ref().and_then(|record| record.hold_of(operation));
            let is_frozen = hold.is_some_and(|hold| hold.state == HoldState::Frozen);
            let is_wanted = match self.targets.orders().get(operation) {
                Ordered::Unknown => true,
                Ordered::Gone => false,
                Ordered::Known(task) => {
                    let word = task.spec.source.as_ref().map(|order| order.word);
                    !task.spec.decision.is_final()
                        && !matches!(word, None | Some(Word::Withdraw | Word::Alone))
                }
            };
            if !is_frozen || !is_wanted {
                return;
            }
        }
    }
}

/// It was let go while something did not go on, until its time was over: that is why.
fn keep_why(stands: &Stands, memory: &mut Memory) {
    let standing = stands.source.as_ref().map(|report| report.standing);
    if standing == Some(SourceStanding::Withdrawn) && memory.failure.is_none() {
        let why = memory.said.clone();
        memory.failure = why.map(|why| Failure::new(why).into());
    }
}

/// The target may run it: nothing here stands still for this node's disk any more.
fn is_released(report: &SourceReport) -> bool {
    use SourceStanding::{Released, Verified};
    matches!(report.standing, Verified | Released)
}

/// When the pod stood still, and how much its state is, as far as it is known.
fn frozen(subject: &Subject, memory: &Memory) -> (Option<Timestamp>, Option<i64>) {
    let sealed = || match subject.generation.look() {
        Ok(Found::Sealed(manifest, _)) => Some((manifest.taken_at.0, manifest.bytes())),
        _ => None,
    };
    let measured = memory.measured().or_else(sealed);
    let taken = measured.map(|(taken, _)| taken);
    (
        memory.still_since().or(taken),
        measured.map(|(_, bytes)| bytes),
    )
}

/// For the plan.
fn seen<'a>(
    (sight, ordered): (&'a Sight, &'a Ordered),
    memory: &'a Memory,
    is_guarded: bool,
) -> Seen<'a> {
    Seen {
        record: &sight.record,
        task: ordered.task(),
        containers: &sight.containers,
        cut: sight.cut,
        older: sight.older.as_deref(),
        has_criu_died: memory.failure.as_ref().is_some_and(|why| why.has_criu_died),
        is_guarded,
        peer: &memory.peer,
        is_late: sight.is_late,
        deadline: &sight.deadline,
        rules: Rules::ALL,
    }
}

/// This process froze it, and has not sent the release: nobody there can have done anything that it does not know.
fn is_on_its_way(sight: &Sight, memory: &Memory) -> bool {
    let hold = sight.record.hold.as_ref();
    let is_early = |state| match state {
        HoldState::Frozen => true,
        HoldState::Released => !memory.peer.has_release,
        _ => false,
    };
    memory.is_mine && hold.is_some_and(|hold| is_early(hold.state))
}

async fn ask_how_it_stands(operation: &str, record: &Record, memory: &mut Memory, peer: &dyn Peer) {
    match peer.standing(operation).await {
        Ok(standing) => {
            memory.peer.has_verified = standing.has_verified;
            memory.peer.pods = standing.pods;
            memory.released = standing.released;
            memory.peer.is_silent = false;
            knows_release(record, memory);
        }
        Err(failure) => {
            tracing::debug!(%failure, operation, "the agent of the target does not answer");
            memory.peer.is_silent = true;
        }
    }
}

/// Whether the target has the release for the pod that is meant now.
fn knows_release(record: &Record, memory: &mut Memory) {
    let target = record.hold.as_ref().and_then(|hold| hold.target.as_ref());
    let uid = target.and_then(|target| target.uid.as_ref());
    memory.peer.has_release = memory.released.is_to(uid.map(Uid::as_str));
}
