//! What bounds the amounts of a pod's containers beside its share: LimitRanges, and what the node has. A pod that breaks a LimitRange
//! is refused by the API server, which is worse than any amount. Pure.

use super::{Slot, Wanted};
use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::load::together;
use crate::sizing::notes::Note;
use crate::sizing::recipe::LimitRule;
use crate::sizing::share::{Inputs, Kept, within};
use crate::sizing::view::{Bounds, LimitRangeView};
use std::sync::Arc;

/// The most that the containers of a pod may ask for together, and which LimitRange says so; none: the node has no more.
pub(super) struct Most {
    resource: Resource,
    amount: Quantity,
    range: Option<Arc<str>>,
}

/// The most that a pod may ask for beside what some containers keep.
pub(super) fn most(inputs: &Inputs, resource: Resource, kept: &Kept) -> Most {
    let grain = resource.grain();
    let has = inputs.node.allocatable.of(resource).unwrap_or_default();
    let mut most = Most {
        resource,
        amount: has.floor_to(grain),
        range: None,
    };
    for range in inputs.limit_ranges {
        let Some(max) = *range.pod.max.of(resource) else {
            continue;
        };
        let amount = max.less(kept.at_most(resource)).floor_to(grain);
        if amount < most.amount {
            (most.amount, most.range) = (amount, Some(Arc::clone(&range.name)));
        }
    }
    most
}

impl Most {
    /// Fixed amounts, as far as they fit in beside what else was given.
    pub(super) fn fitted(
        self,
        fixed: Quantity,
        given: Quantity,
        notes: &mut Vec<Note>,
    ) -> Quantity {
        let room = self.amount.less(given);
        if fixed > room {
            notes.push(Note::FixedTooLarge(self.resource, self.range, room));
        }
        fixed.min(room)
    }
}

/// What the container may ask for, where a LimitRange says it.
pub(super) fn within_bounds(
    inputs: &Inputs,
    slot: &Slot,
    resource: Resource,
    request: Quantity,
    notes: &mut Vec<Note>,
) -> Quantity {
    let of = |range: &LimitRangeView| {
        let bounds = &range.container;
        (*bounds.min.of(resource), *bounds.max.of(resource))
    };
    let grain = resource.grain();
    within(inputs.limit_ranges, of, (request, grain), |range, bound| {
        let (range, name) = (Arc::clone(range), slot.name.to_owned());
        notes.push(Note::ContainerBound(resource, range, name, bound));
    })
}

/// The limit that goes with a request; none: it is left as it is.
pub(super) fn limit(
    inputs: &Inputs,
    slot: &Slot,
    resource: Resource,
    request: Quantity,
    notes: &mut Vec<Note>,
) -> Option<Quantity> {
    let now = *slot.limits.of(resource);
    let limit = match *inputs.recipe.limits.of(resource) {
        LimitRule::Equal => return Some(request),
        LimitRule::Percent(percent) => request.percent(percent).floor_to(resource.grain()),
        LimitRule::Untouched => now?.max(request),
    };
    let mut bounded = limit;
    for range in inputs.limit_ranges {
        let bounds = &range.container;
        let by_ratio = times(request, *bounds.ratio.of(resource));
        let by_ratio = by_ratio.map(|most| most.floor_to(resource.grain()));
        let most = [*bounds.max.of(resource), by_ratio]
            .into_iter()
            .flatten()
            .min();
        if let Some(most) = most.filter(|most| bounded > *most) {
            let range = Arc::clone(&range.name);
            notes.push(Note::LimitBound(resource, range, slot.name.to_owned()));
            bounded = most.max(request);
        }
    }
    if now.is_some_and(|now| now < request) && bounded == request {
        notes.push(Note::LimitRaised(resource, slot.name.to_owned(), bounded));
    }
    Some(bounded)
}

/// Where limits of all containers come to more than a LimitRange allows a pod, or are too far from the requests, they are the requests.
pub(super) fn keep_pod_limit(
    inputs: &Inputs,
    slots: &[Slot],
    resource: Resource,
    containers: &mut [Wanted],
    notes: &mut Vec<Note>,
) {
    if *inputs.recipe.limits.of(resource) == LimitRule::Equal {
        return;
    }
    let (requests, limits) = sums(slots, containers, resource);
    let (requests, limits) = (requests.unwrap_or_default(), limits.unwrap_or_default());
    let is_broken = |range: &&Arc<LimitRangeView>| {
        let by_ratio = times(requests, *range.pod.ratio.of(resource));
        let most = range.pod.max.of(resource).iter().chain(&by_ratio).min();
        most.is_some_and(|most| limits > *most)
    };
    if let Some(range) = inputs.limit_ranges.iter().find(is_broken) {
        notes.push(Note::PodLimitBound(resource, Arc::clone(&range.name)));
        for wanted in containers {
            *wanted.limits.of_mut(resource) = *wanted.requests.of(resource);
        }
    }
}

fn times(amount: Quantity, ratio: Option<Quantity>) -> Option<Quantity> {
    let one = Quantity::from_nanos(1_000_000_000);
    ratio.map(|ratio| amount.scaled(ratio.nanos(), one.nanos()))
}

/// What the pod with these containers comes to, requests and limits.
fn sums(
    slots: &[Slot],
    containers: &[Wanted],
    resource: Resource,
) -> (Option<Quantity>, Option<Quantity>) {
    let sum = |of: fn(&Wanted) -> &Amounts, now: fn(&Slot) -> Amounts| {
        let both = slots.iter().zip(containers);
        together(both.map(|(slot, wanted)| {
            let amount = of(wanted).of(resource).or(*now(slot).of(resource));
            (slot.role, amount)
        }))
    };
    let requests = sum(|wanted| &wanted.requests, |slot| slot.requests);
    (requests, sum(|wanted| &wanted.limits, |slot| slot.limits))
}

/// A LimitRange that would refuse the pod with these amounts, where none refuses it as it is: for then it is better left as it is.
pub(super) fn refusing(
    inputs: &Inputs,
    slots: &[Slot],
    resource: Resource,
    containers: &[Wanted],
) -> Option<Arc<str>> {
    if inputs.limit_ranges.is_empty() {
        return None;
    }
    let (then, now) = (
        sums(slots, containers, resource),
        sums(slots, &vec![Wanted::default(); slots.len()], resource),
    );
    let mut ranges = inputs.limit_ranges.iter();
    let range = ranges.find(|range| range.pod.refuse(resource, then))?;
    let mut ranges = inputs.limit_ranges.iter();
    let is_refused_anyway = ranges.any(|range| range.pod.refuse(resource, now));
    (!is_refused_anyway).then(|| Arc::clone(&range.name))
}

impl Bounds {
    /// As the API server sees it, of a pod that asks for this much, and has these limits.
    fn refuse(
        &self,
        resource: Resource,
        (request, limit): (Option<Quantity>, Option<Quantity>),
    ) -> bool {
        let (min, max) = (*self.min.of(resource), *self.max.of(resource));
        let request = request.unwrap_or_default();
        let by_ratio = times(request, *self.ratio.of(resource));
        min.is_some_and(|min| request < min || limit.is_some_and(|limit| limit < min))
            || max.is_some_and(|max| request > max || limit.is_some_and(|limit| limit > max))
            || by_ratio.is_some_and(|most| limit.is_some_and(|limit| limit > most))
    }
}
