//! Copies on other nodes: which nodes, and what is said of them. Its own node sends; each of the others is told what it is to take, and
//! from whom, before.
//!
//! | what is seen | then |
//! |---|---|
//! | a copy's node has no object any more | nobody is waited for there; another node is chosen |
//! | fewer copies than are wanted, and a node that could have one | the one with the least on its disk is asked |
//! | a copy that failed, since there is no room for it | it is forgotten there; its order stays, so that its node is not chosen again |
//! | a node that was asked, or whose agent has another address | the node that has the state is told to send there |
//! | its own node is gone | the copies stay, and are no more than they are |

use super::{Observed, Step, or, standing};
use crate::agent::api::{
    CheckpointStanding, CheckpointWord, CopyOrder, CopyReport, CopyTarget, PodName, StateTask,
    StateTaskSpec,
};
use crate::checkpoint::api::{CheckpointStatus, Location, Phase, copied, reasons};
use crate::kit::conditions::Finding;
use crate::kit::digest::Digest;

/// A node that could have a copy: its agent answers, and pods may go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The node.
    pub(crate) node: String,
    /// Its agent's.
    pub(crate) address: String,
    /// What states take there already.
    pub(crate) bytes: i64,
    /// With this one it would keep more than it may.
    pub(crate) is_full: bool,
}

/// What a node was asked about a copy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Copied {
    /// Its order.
    pub(crate) task: StateTask,
    /// There is no such node any more.
    pub(crate) node_is_gone: bool,
}

impl Copied {
    fn node(&self) -> &str {
        &self.task.spec.node_name
    }

    fn report(&self) -> Option<&CopyReport> {
        self.task.status.as_ref()?.copy.as_ref()
    }

    fn word(&self) -> Option<CheckpointWord> {
        self.task.spec.copy.as_ref().map(|order| order.word)
    }

    /// It has a copy, or may have one yet.
    pub(crate) fn serves(&self) -> bool {
        let is_going = self.task.metadata.deletion_timestamp.is_some();
        let is_asked = self.word() == Some(CheckpointWord::Take) && !self.has_failed();
        is_asked && !is_going && !self.node_is_gone
    }

    fn has_failed(&self) -> bool {
        let report = self.report();
        report.is_some_and(|report| report.standing == CheckpointStanding::Failed)
    }

    /// Nothing waits for it: its node is gone, or somebody has deleted its order and its node has nothing of it any more. One that was
    /// given up stays, so that its node is not chosen again.
    fn is_lost(&self) -> bool {
        let report = self.report();
        let is_empty = report.is_some_and(|one| one.standing == CheckpointStanding::Forgotten);
        self.node_is_gone || (is_empty && self.task.metadata.deletion_timestamp.is_some())
    }

    /// It is there, whole.
    fn location(&self) -> Option<Location> {
        let report = self.report()?;
        let is_kept = report.standing == CheckpointStanding::Kept && !self.node_is_gone;
        let (path, digest) = (report.path.clone()?, report.digest.clone()?);
        let bytes = report.bytes;
        // Another state that happens to lie there is no copy of this one.
        let is_kept = is_kept && self.task.spec.copy.as_ref()?.digest == digest;
        is_kept.then(|| Location {
            node: self.node().to_owned(),
            path,
            digest,
            bytes,
        })
    }

    fn is_forgotten(&self) -> bool {
        let report = self.report();
        let says = report.is_some_and(|one| one.standing == CheckpointStanding::Forgotten);
        says && self.word() == Some(CheckpointWord::Forget)
    }
}

/// What is done for copies of a Checkpoint that lies on its own node.
pub(super) fn spread(seen: &Observed<'_>) -> Vec<Step> {
    if seen.wanted() == 0 {
        return Vec::new();
    }
    let lost = seen.copies.iter().filter(|copy| copy.is_lost());
    let lost: Vec<_> = lost
        .map(|copy| Step::DropCopy(Box::new(copy.task.clone())))
        .collect();
    let rest = || or(ask(seen), || or(ship(seen), || tell(seen)));
    or(lost, || or(give_up(seen), rest))
}

/// Where there is no room, nothing is to come any more.
fn give_up(seen: &Observed<'_>) -> Vec<Step> {
    let is_asked = |copy: &&Copied| copy.word() == Some(CheckpointWord::Take);
    let failed = seen.copies.iter().filter(|copy| copy.has_failed());
    failed
        .filter(is_asked)
        .map(|copy| Step::ForgetCopy(Box::new(copy.task.clone())))
        .collect()
}

/// Its own node is gone: what is left of it, if anything is.
pub(super) fn outlives(seen: &Observed<'_>, node: &str) -> Option<Vec<Step>> {
    let mut status = seen.status();
    status.locations = seen.copies.iter().filter_map(Copied::location).collect();
    let others: Vec<_> = status
        .locations
        .iter()
        .map(|one| one.node.as_str())
        .collect();
    if others.is_empty() {
        return None;
    }
    // It was called lost while the last bytes of a copy were read again.
    status.phase = Phase::Succeeded;
    let message = format!(
        "node {node}, which took it, is gone; it is on {}",
        others.join(", ")
    );
    let found = [standing::finding(reasons::TAKEN, message)];
    Some(seen.say_all(status, &found))
}

/// Every node that has something of it deletes that; when it says so, or is gone, its order goes.
pub(super) fn forget(seen: &Observed<'_>) -> Vec<Step> {
    let step = |copy: &Copied| {
        let task = Box::new(copy.task.clone());
        if copy.is_lost() || copy.is_forgotten() {
            return Some(Step::DropCopy(task));
        }
        (copy.word() != Some(CheckpointWord::Forget)).then_some(Step::ForgetCopy(task))
    };
    seen.copies.iter().filter_map(step).collect()
}

impl Observed<'_> {
    fn wanted(&self) -> usize {
        usize::try_from(self.checkpoint.spec.copies).unwrap_or(usize::MAX)
    }

    fn serving(&self) -> impl Iterator<Item = &'_ Copied> {
        self.copies.iter().filter(|copy| copy.serves())
    }
}

/// The nodes with the least on their disks, by name where they are alike.
fn ask(seen: &Observed<'_>) -> Vec<Step> {
    let Some((uid, source)) = seen.begun() else {
        return Vec::new();
    };
    let lacking = seen.wanted().saturating_sub(seen.serving().count());
    let mut seats: Vec<_> = seen
        .seats
        .iter()
        .filter(|seat| is_free(seen, seat, source))
        .collect();
    seats.sort_by(|a, b| (a.bytes, &a.node).cmp(&(b.bytes, &b.node)));
    let chosen = seats.into_iter().take(lacking);
    let orders = chosen.filter_map(|seat| order(seen, (uid, source), &seat.node));
    orders
        .map(|task| Step::CreateTask(Box::new(task)))
        .collect()
}

fn is_free(seen: &Observed<'_>, seat: &Seat, source: &str) -> bool {
    let is_other = seat.node != source && !seat.is_full;
    is_other && seen.copies.iter().all(|copy| copy.node() != seat.node)
}

/// What a node is told that is to have a copy: only this very state, and only from the node that has it.
fn order(seen: &Observed<'_>, (uid, source): (&str, &str), node: &str) -> Option<StateTask> {
    let status = seen.status();
    let own = status.locations.iter().find(|one| one.node == source)?;
    let copy = CopyOrder {
        pod: PodName {
            name: seen.checkpoint.spec.pod_name.clone(),
            uid: uid.to_owned(),
        },
        generation: seen.operation(),
        source_node: source.to_owned(),
        digest: own.digest.clone(),
        bytes: status.bytes.unwrap_or(i64::MAX),
        word: CheckpointWord::Take,
    };
    let digest = Digest::of(node.as_bytes());
    let short = digest.text().get(..12).unwrap_or_default();
    let spec = StateTaskSpec {
        node_name: node.to_owned(),
        operation: seen.operation(),
        copy: Some(copy),
        ..StateTaskSpec::default()
    };
    Some(seen.owned(StateTask::new(
        &format!("copy-{}-{short}", seen.operation()),
        spec,
    )))
}

/// The node that has it is told where the others are.
fn ship(seen: &Observed<'_>) -> Vec<Step> {
    let told = seen
        .own_task()
        .and_then(|task| task.spec.checkpoint.as_ref());
    let Some(told) = told else {
        return ask_again(seen);
    };
    let target = |copy: &Copied| {
        let seat = seen.seats.iter().find(|seat| seat.node == copy.node());
        let known = told.copies.iter().find(|known| known.node == copy.node());
        let address = seat
            .map(|seat| &seat.address)
            .or(known.map(|known| &known.address))?;
        Some(CopyTarget {
            node: copy.node().to_owned(),
            address: address.clone(),
        })
    };
    let mut targets: Vec<_> = seen.serving().filter_map(target).collect();
    targets.sort_by(|a, b| a.node.cmp(&b.node));
    if targets == told.copies {
        return Vec::new();
    }
    vec![Step::Ship(targets)]
}

/// Without its order the node that has it sends nothing. To one who has it already the order says no more than that.
fn ask_again(seen: &Observed<'_>) -> Vec<Step> {
    let lacks = seen.serving().any(|copy| copy.location().is_none());
    let begun = seen.begun().filter(|_| lacks && seen.task.is_none());
    let order = begun.map(|begun| seen.order(begun, CheckpointWord::Take));
    order
        .into_iter()
        .map(|task| Step::CreateTask(Box::new(task)))
        .collect()
}

fn tell(seen: &Observed<'_>) -> Vec<Step> {
    let Some((_, source)) = seen.begun() else {
        return Vec::new();
    };
    let mut status = seen.status();
    status.locations.retain(|one| one.node == source);
    let mut there: Vec<_> = seen.copies.iter().filter_map(Copied::location).collect();
    there.sort_by(|a, b| a.node.cmp(&b.node));
    let found = finding(seen, &there);
    status.locations.extend(there);
    seen.say_all(status, &[found])
}

fn finding(seen: &Observed<'_>, there: &[Location]) -> Finding {
    let (wanted, asked) = (seen.wanted(), seen.serving().count());
    let nodes = |nodes: Vec<&str>| nodes.join(", ");
    let have = nodes(there.iter().map(|one| one.node.as_str()).collect());
    if there.len() >= wanted {
        return copied(reasons::COPIED, format!("it is also on {have}"));
    }
    let lacks = seen.copies.iter().filter(|copy| copy.location().is_none());
    let lacks: Vec<_> = lacks.map(|copy| why(seen, copy)).collect();
    if asked < wanted {
        let so_far = format!(
            "{wanted} copies are wanted, and {asked} other nodes can have one: a node needs an agent that is ready, and room on its disk and in what it may keep, and must take pods"
        );
        let message = [vec![so_far], lacks].concat().join("; ");
        return copied(reasons::TOO_FEW_NODES, message);
    }
    copied(
        reasons::COPYING,
        format!("it is on its way: {}", lacks.join("; ")),
    )
}

/// Why a node has no copy yet.
fn why(seen: &Observed<'_>, copy: &Copied) -> String {
    let there = copy.report().and_then(|report| report.why.clone());
    let sendings = seen.report().map(|report| report.copies.as_slice());
    let mut sendings = sendings.unwrap_or_default().iter();
    let here = sendings.find(|one| one.node == copy.node());
    match there.or(here.and_then(|one| one.why.clone())) {
        Some(why) => format!("{} ({why})", copy.node()),
        None if copy.word() == Some(CheckpointWord::Forget) => {
            format!("{} (it was given up there)", copy.node())
        }
        None => copy.node().to_owned(),
    }
}

/// Whether no node was left for a copy when it was last looked: that changes seldom.
pub(crate) fn has_too_few_nodes(status: &CheckpointStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| {
        one.type_ == crate::checkpoint::api::COPIED && one.reason == reasons::TOO_FEW_NODES
    })
}

/// Whether all copies were there when it was last looked.
pub(crate) fn is_settled(status: &CheckpointStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| one.type_ == crate::checkpoint::api::COPIED && one.status == "True")
}
