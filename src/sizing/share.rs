//! The share of one pod on one node, for each resource: percentage of the base, bounded by min and max and by what the node has. Pure.
//!
//! ```text
//! base = allocatable (less other DaemonSets)    raw = base × percent ÷ 100, rounded down to whole millicores or bytes
//! share = min ≤ raw ≤ max, not above allocatable, scaled where the node is over-committed, within the pod's LimitRange
//! ```

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each, Resource};
use crate::sizing::api::Base;
use crate::sizing::desire::Slot;
use crate::sizing::load::Surroundings;
use crate::sizing::notes::Note;
use crate::sizing::recipe::{Recipe, ShareRule};
use crate::sizing::view::{DaemonSetView, LimitRangeView, NodeView};
use std::sync::Arc;

/// All that a share depends on.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) node: &'a NodeView,
    pub(crate) daemonset: &'a DaemonSetView,
    pub(crate) limit_ranges: &'a [Arc<LimitRangeView>],
    pub(crate) surroundings: &'a Surroundings,
}

/// Which bound made a share what it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Bound {
    #[default]
    None,
    Min,
    Max,
}

/// A share, and how it came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// What the pod gets; none: the resource is left as it is.
    pub(crate) amount: Option<Quantity>,
    pub(crate) rule: ShareRule,
    pub(crate) base: Option<Quantity>,
    pub(crate) raw: Quantity,
    pub(crate) bound: Bound,
}

/// What containers have that keep their own resources.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kept {
    requests: Amounts,
    limits: Amounts,
}

impl Kept {
    pub(crate) fn of<'a>(slots: impl Iterator<Item = &'a Slot<'a>>) -> Self {
        let mut kept = Self::default();
        slots.for_each(|slot| kept.add(slot));
        kept
    }

    pub(crate) fn add(&mut self, slot: &Slot) {
        self.requests = self.requests.plus(&slot.requests);
        self.limits = self.limits.plus(&slot.limits);
    }

    /// What comes off the least that a pod may have: that holds for requests and limits alike.
    fn at_least(&self, resource: Resource) -> Quantity {
        let (requests, limits) = self.both(resource);
        requests.min(limits)
    }

    /// What comes off the most.
    pub(crate) fn at_most(&self, resource: Resource) -> Quantity {
        let (requests, limits) = self.both(resource);
        requests.max(limits)
    }

    fn both(&self, resource: Resource) -> (Quantity, Quantity) {
        let (requests, limits) = (self.requests.of(resource), self.limits.of(resource));
        (requests.unwrap_or_default(), limits.unwrap_or_default())
    }
}

/// The shares of a pod on a node. `kept`: what running containers have that keep their own resources.
pub(crate) fn shares(inputs: &Inputs, kept: &Kept, notes: &mut Vec<Note>) -> Each<Share> {
    let rules = inputs.recipe.shares_on(&inputs.node.labels);
    Each::from_fn(|resource| {
        let mut share = share(inputs, resource, *rules.of(resource), notes);
        if let Some(amount) = share.amount {
            let bounded = within_pod_bounds(inputs, resource, amount, kept, notes);
            share.amount = Some(bounded).filter(|amount| *amount > Quantity::ZERO);
        }
        share
    })
}

fn share(inputs: &Inputs, resource: Resource, rule: ShareRule, notes: &mut Vec<Note>) -> Share {
    let mut share = Share {
        rule,
        ..Share::default()
    };
    let Some(percent) = rule.percent else {
        return share;
    };
    let Some(allocatable) = *inputs.node.allocatable.of(resource) else {
        notes.push(Note::Absent(resource));
        return share;
    };
    let base = match inputs.recipe.base {
        Base::Allocatable => allocatable,
        Base::AllocatableMinusDaemonSets => {
            let others = *inputs.surroundings.others.of(resource);
            allocatable.less(others.unwrap_or_default())
        }
    };
    let grain = resource.grain();
    share.base = Some(base);
    share.raw = base.percent(percent).floor_to(grain);
    let mut amount = share.raw;
    if let Some(min) = rule
        .min
        .map(|min| min.ceil_to(grain))
        .filter(|min| *min > amount)
    {
        (amount, share.bound) = (min, Bound::Min);
    }
    if let Some(max) = rule
        .max
        .map(|max| max.floor_to(grain))
        .filter(|max| *max < amount)
    {
        (amount, share.bound) = (max, Bound::Max);
    }
    if amount > allocatable {
        notes.push(Note::MinAboveAllocatable(resource, amount));
        amount = allocatable.floor_to(grain);
    }
    if let Some((part, whole)) = *inputs.surroundings.scale.of(resource) {
        let scaled = amount
            .scaled(part.grains(grain), whole.grains(grain))
            .floor_to(grain);
        if scaled < amount {
            notes.push(Note::Scaled(resource, scaled));
            amount = scaled;
        }
    }
    if amount == Quantity::ZERO {
        notes.push(Note::TooSmall(resource));
        return share;
    }
    share.amount = Some(amount);
    share
}

/// What the pod may ask for, where a LimitRange says it, less what containers have that keep their own.
fn within_pod_bounds(
    inputs: &Inputs,
    resource: Resource,
    amount: Quantity,
    kept: &Kept,
    notes: &mut Vec<Note>,
) -> Quantity {
    let of = |range: &LimitRangeView| {
        let (min, max) = (*range.pod.min.of(resource), *range.pod.max.of(resource));
        (
            min.map(|min| min.less(kept.at_least(resource))),
            max.map(|max| max.less(kept.at_most(resource))),
        )
    };
    let grain = resource.grain();
    within(inputs.limit_ranges, of, (amount, grain), |range, bound| {
        notes.push(Note::PodBound(resource, Arc::clone(range), bound));
    })
}

/// An amount that is at least the least that LimitRanges allow, and then at most the most, in whole grains. What changes it is told.
pub(crate) fn within(
    ranges: &[Arc<LimitRangeView>],
    bounds: impl Fn(&LimitRangeView) -> (Option<Quantity>, Option<Quantity>),
    (mut amount, grain): (Quantity, Quantity),
    mut told: impl FnMut(&Arc<str>, Quantity),
) -> Quantity {
    for range in ranges {
        if let Some(min) = bounds(range).0.filter(|min| amount < *min) {
            amount = min.ceil_to(grain);
            told(&range.name, amount);
        }
    }
    for range in ranges {
        if let Some(max) = bounds(range).1.filter(|max| amount > *max) {
            amount = max.floor_to(grain);
            told(&range.name, amount);
        }
    }
    amount
}
