//! Which Checkpoints are not kept any more, and what room is left for another one. Pure.
//!
//! Checkpoints of one slot are its generations, in the order in which they were made, by the API server's clock: that of a node, which
//! says when one was taken, is trusted in nothing but which of two of the same second was first.
//!
//! | a Checkpoint | |
//! |---|---|
//! | is pinned, is being deleted, has failed, is under way, or its copies are | is none that could go, and is no newer one for another |
//! | has as many newer ones as are kept of its slot, which are not pinned | goes |
//! | is on a node that keeps too much, and has a newer one | goes, the oldest on that node first, until it is enough |
//!
//! A newer one counts only if all of its copies are there, a node that has it is there, and it does not end sooner by its own
//! `ttlSeconds`. So the newest that can be used always stays, and whatever goes has one that outlives it.

mod room;

use crate::checkpoint::api::{Checkpoint, CheckpointStatus, Location, Phase, reasons};
use crate::checkpoint::plan::{ends, is_settled, size};
use crate::kit::events::Notice;
use crate::process::flags::KeepFlags;
use jiff::Timestamp;
use kube::ResourceExt;
pub(crate) use room::{Room, room};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// So many names stand in a sentence.
const MOST_NAMED: usize = 3;

/// A Checkpoint that goes.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    /// As it was seen when that was decided.
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) notice: Notice,
}

/// What there is in the cluster.
#[derive(Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) all: &'a [Arc<Checkpoint>],
    /// Nodes that are there; without it, all are taken to be there.
    pub(crate) nodes: Option<&'a BTreeSet<String>>,
    pub(crate) limits: KeepFlags,
}

/// What goes now, the oldest first.
#[must_use]
pub(crate) fn plan(store: &Store<'_>) -> Vec<Removal> {
    let limits = store.limits;
    if limits.is_everything() {
        return Vec::new();
    }
    let slots = Slots::of(store);
    let mut going = Going::default();
    if let Ok(generations @ 1..) = usize::try_from(limits.keep_generations) {
        for one in slots.oldest_first() {
            superseded(&slots, one, generations, &mut going);
        }
    }
    if limits.keep_bytes > 0 {
        for node in slots.nodes() {
            shrink(&slots, node, limits.keep_bytes, &mut going);
        }
    }
    going.removals
}

fn superseded(slots: &Slots<'_>, one: &Generation<'_>, generations: usize, going: &mut Going) {
    let newer = slots.outliving(one).filter(|newer| !newer.is_pinned());
    let newer: Vec<_> = newer.take(generations).collect();
    if one.may_go && newer.len() >= generations {
        let names = named(newer.iter().map(|one| one.checkpoint.name_any()).collect());
        let note = format!(
            "of pod {} the newest {generations} are kept: {names}",
            one.checkpoint.spec.pod_name
        );
        going.goes(one, reasons::SUPERSEDED, note);
    }
}

/// The oldest that can go do, until what is on the node is no more than it may keep.
fn shrink(slots: &Slots<'_>, node: &str, limit: i64, going: &mut Going) {
    let stays = |going: &Going, one: &Generation<'_>| !one.is_going && !going.has(one);
    let there = slots.oldest_first().filter(|one| stays(going, one));
    // Wider than what a node says: one that lies must not make a sum that comes to nothing when it is taken away again.
    let bytes = |one: &Generation<'_>| i128::from(one.bytes_on(node));
    let mut kept = there.fold(0, |sum: i128, one| sum.saturating_add(bytes(one)));
    for one in slots.oldest_first() {
        if kept <= i128::from(limit) {
            return;
        }
        let bytes = bytes(one);
        if bytes > 0 && stays(going, one) && slots.may_go(one) {
            let why = format!(
                "node {node} keeps {}, and may keep {}: of what has a newer one, this is the oldest there",
                size(i64::try_from(kept).unwrap_or(i64::MAX)),
                size(limit)
            );
            going.goes(one, reasons::OVER_BUDGET, why);
            kept = kept.saturating_sub(bytes);
        }
    }
}

/// What was found to go so far.
#[derive(Default)]
struct Going {
    uids: HashSet<String>,
    removals: Vec<Removal>,
}

impl Going {
    fn has(&self, one: &Generation<'_>) -> bool {
        let uid = one.checkpoint.metadata.uid.as_ref();
        uid.is_some_and(|uid| self.uids.contains(uid))
    }

    fn goes(&mut self, one: &Generation<'_>, reason: &'static str, note: String) {
        self.uids.extend(one.checkpoint.uid());
        self.removals.push(Removal {
            checkpoint: Arc::clone(one.checkpoint),
            notice: Notice {
                is_warning: false,
                reason,
                action: "Retiring",
                note,
            },
        });
    }
}

/// A Checkpoint among those of its slot.
struct Generation<'a> {
    checkpoint: &'a Arc<Checkpoint>,
    locations: &'a [Location],
    bytes: i64,
    is_going: bool,
    /// It can be used, and nothing more is to come of it.
    is_good: bool,
    /// As far as it is about itself: it was taken, nobody is at it, and it is not pinned.
    may_go: bool,
}

impl<'a> Generation<'a> {
    fn of(checkpoint: &'a Arc<Checkpoint>, nodes: Option<&BTreeSet<String>>) -> Self {
        let blank = Generation {
            checkpoint,
            locations: &[],
            bytes: 0,
            is_going: checkpoint.metadata.deletion_timestamp.is_some(),
            is_good: false,
            may_go: false,
        };
        let Some(status) = &checkpoint.status else {
            return blank;
        };
        let is_there = |one: &Location| nodes.is_none_or(|nodes| nodes.contains(&one.node));
        let is_taken = status.phase == Phase::Succeeded && !blank.is_going;
        let is_settled = checkpoint.spec.copies == 0 || is_settled(status);
        // Where its own node is gone nobody sends it any more.
        let is_at_rest = is_settled || !is_at_home(status);
        let is_lost = status.phase == Phase::Lost && !blank.is_going;
        Generation {
            locations: &status.locations,
            bytes: status.bytes.unwrap_or_default(),
            is_good: is_taken && is_settled && status.locations.iter().any(is_there),
            may_go: !checkpoint.spec.pinned && (is_lost || (is_taken && is_at_rest)),
            ..blank
        }
    }

    fn is_pinned(&self) -> bool {
        self.checkpoint.spec.pinned
    }

    /// What it takes on a node, by what that node says. No more is believed than there can be.
    fn bytes_on(&self, node: &str) -> i64 {
        let here = self.locations.iter().find(|one| one.node == node);
        here.map_or(0, |here| here.bytes.unwrap_or(self.bytes).max(0))
    }

    /// When it was made, by one clock; who was first in the same second its own node says, and after that its name.
    fn age(&self) -> (Option<Timestamp>, Option<Timestamp>, String) {
        let status = self.checkpoint.status.as_ref();
        let taken = status.and_then(|status| status.taken_at.as_ref());
        let made = self.checkpoint.creation_timestamp().map(|time| time.0);
        (made, taken.map(|time| time.0), self.checkpoint.name_any())
    }

    /// It does not end before the other one does.
    fn outlives(&self, other: &Self) -> bool {
        match (ends(self.checkpoint), ends(other.checkpoint)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(other)) => end >= other,
        }
    }
}

fn is_at_home(status: &CheckpointStatus) -> bool {
    let mut locations = status.locations.iter();
    locations.any(|one| Some(&one.node) == status.node.as_ref())
}

/// The workload that one is of, in its namespace. What an older manager took has only its pod's uid.
fn slot(checkpoint: &Checkpoint) -> Option<(String, String)> {
    let status = checkpoint.status.as_ref()?;
    let slot = status.slot.clone().or_else(|| status.pod_uid.clone())?;
    Some((checkpoint.namespace().unwrap_or_default(), slot))
}

/// All generations: of each slot, the oldest first.
struct Slots<'a> {
    all: Vec<Generation<'a>>,
    /// Places in `all`.
    slots: BTreeMap<(String, String), Vec<usize>>,
}

impl<'a> Slots<'a> {
    fn of(store: &Store<'a>) -> Self {
        let all = store.all.iter();
        let mut all: Vec<_> = all.map(|one| Generation::of(one, store.nodes)).collect();
        all.sort_by_cached_key(Generation::age);
        let mut slots = BTreeMap::<_, Vec<_>>::new();
        for (at, one) in all.iter().enumerate() {
            if let Some(slot) = slot(one.checkpoint) {
                slots.entry(slot).or_default().push(at);
            }
        }
        Self { all, slots }
    }

    fn oldest_first(&self) -> impl Iterator<Item = &Generation<'a>> {
        self.all.iter()
    }

    fn nodes(&self) -> BTreeSet<&'a str> {
        let all = self.all.iter().flat_map(|one| one.locations);
        all.map(|one| one.node.as_str()).collect()
    }

    /// Newer ones of its slot that can be used when this one is gone, the newest first.
    fn outliving<'b>(
        &'b self,
        one: &'b Generation<'a>,
    ) -> impl Iterator<Item = &'b Generation<'a>> {
        let slot = slot(one.checkpoint).and_then(|slot| self.slots.get(&slot));
        let places = slot.map(Vec::as_slice).unwrap_or_default().iter().rev();
        let newest_first = places.filter_map(|at| self.all.get(*at));
        let newer = newest_first.take_while(|other| !std::ptr::eq(*other, one));
        newer.filter(|newer| newer.is_good && newer.outlives(one))
    }

    /// Nobody needs it: there is a newer one.
    fn may_go(&self, one: &Generation<'a>) -> bool {
        one.may_go && self.outliving(one).next().is_some()
    }
}

/// The first few names, and how many more there are.
fn named(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    let first = names.into_iter().take(MOST_NAMED).collect::<Vec<_>>();
    let first = first.join(", ");
    match more {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

#[cfg(test)]
mod tests;
