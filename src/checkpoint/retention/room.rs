//! What room is left on a node for a state that is to be taken there, and what keeps the rest.

use super::{Generation, Slots, Store, named};
use crate::checkpoint::plan::size;
use kube::ResourceExt;

/// What a node may take more of states than it keeps for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    /// So many bytes.
    pub(crate) bytes: i64,
    /// What has the others, and would have to go: a sentence.
    pub(crate) why: String,
}

/// On a node, for a state of this namespace. Nothing where a node may keep everything. What can go makes room, since it goes as soon as
/// there is too much; the former state of the same pod cannot, until the new one is there.
#[must_use]
pub(crate) fn room(store: &Store<'_>, node: &str, namespace: &str) -> Option<Room> {
    let limit = Some(store.limits.keep_bytes).filter(|limit| *limit > 0)?;
    let slots = Slots::of(store);
    let is_there = |one: &&Generation<'_>| one.bytes_on(node) > 0 && !one.is_going;
    let mut staying: Vec<_> = slots
        .oldest_first()
        .filter(is_there)
        .filter(|one| !slots.may_go(one))
        .collect();
    staying.sort_by_key(|one| std::cmp::Reverse(one.bytes_on(node)));
    let sum = |some: &[&Generation<'_>]| {
        let bytes = some.iter().map(|one| one.bytes_on(node));
        bytes.fold(0, i64::saturating_add)
    };
    let kept = sum(&staying);
    // What others have is none of this namespace's business, but how much it is.
    let (ours, others): (Vec<_>, Vec<_>) = staying
        .into_iter()
        .partition(|one| one.checkpoint.namespace().as_deref() == Some(namespace));
    let told = |one: &&Generation<'_>| {
        let bytes = size(one.bytes_on(node));
        format!("{} ({bytes}, {})", one.checkpoint.name_any(), stays(one))
    };
    let mut would_go = Vec::new();
    if !ours.is_empty() {
        would_go.push(named(ours.iter().map(told).collect()));
    }
    if !others.is_empty() {
        let bytes = size(sum(&others));
        would_go.push(format!("{} of other namespaces ({bytes})", others.len()));
    }
    let what = if would_go.is_empty() {
        "nothing else".to_owned()
    } else {
        would_go.join(" and ")
    };
    Some(Room {
        bytes: limit.saturating_sub(kept).max(0),
        why: format!(
            "node {node} may keep {} of states, and keeps {} that nothing newer replaces: {what}; unpin or delete some of it, or let the node keep more (agent.keep.bytes)",
            size(limit),
            size(kept)
        ),
    })
}

/// Why it stays.
fn stays(one: &Generation<'_>) -> &'static str {
    if one.is_pinned() {
        "pinned"
    } else if one.may_go {
        "no newer one outlives it"
    } else {
        "its copies are not there yet"
    }
}
