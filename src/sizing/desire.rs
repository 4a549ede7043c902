//! What each container of a pod should ask for: the pod's shares, split. The webhook, the controller and the verbs that explain all
//! come here. Pure, and from inputs alone: what the pod asks for now counts only where a limit is to be left as it is, so that a second
//! look finds nothing to change.
//!
//! | container | request | limit |
//! |---|---|---|
//! | main, native sidecar | its part of the share, by weight | as the template's `limits` say |
//! | with a fixed amount | that amount, taken from the share first | the same |
//! | plain init container | what it asks for, at most the share less the sidecars before it; all of that where it asks for nothing | the same |
//! | excluded, or put into the pod by somebody else | left as it is, on top of the share | left as it is |

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each, Resource};
use crate::sizing::load::together;
use crate::sizing::notes::Note;
use crate::sizing::recipe::{ContainerRule, LimitRule};
use crate::sizing::share::{Inputs, Share, shares};
use crate::sizing::split::{Few, split};
use crate::sizing::view::{ContainerView, LimitRangeView, Role};
use std::sync::Arc;

/// A container of the pod, as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
}

impl<'a> From<&'a ContainerView> for Slot<'a> {
    fn from(container: &'a ContainerView) -> Self {
        Self {
            name: &container.name,
            role: container.role,
            requests: container.requests,
            limits: container.limits,
        }
    }
}

/// What a container should have; what is absent is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
}

/// What a pod should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) shares: Each<Share>,
    /// For each slot, in its order.
    pub(crate) containers: Vec<Wanted>,
    pub(crate) notes: Vec<Note>,
}

/// What part a container has in the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Weighed(i128),
    Fixed(Quantity),
    /// With what it asks for by itself.
    Init(Option<Quantity>),
    /// It keeps what it has.
    Own,
}

/// What the pod with these containers should have.
pub(crate) fn desire(inputs: &Inputs, slots: &[Slot]) -> Desired {
    let mut notes = Vec::new();
    let said = Said::of(inputs, slots);
    let excluded = slots
        .iter()
        .zip(&said)
        .filter(|(slot, said)| slot.role != Role::Init && said.keeps_its_own())
        .fold(Amounts::default(), |sum, (slot, _)| {
            sum.plus(&slot.requests)
        });
    let shares = shares(inputs, &excluded, &mut notes);
    let mut containers = vec![Wanted::default(); slots.len()];
    for resource in Resource::ALL {
        let Some(total) = shares.of(resource).amount else {
            continue;
        };
        let requests = requests((slots, &said), resource, total, &mut notes);
        for ((slot, wanted), request) in slots.iter().zip(&mut containers).zip(requests) {
            let Some(request) = request else { continue };
            let request = within_bounds(inputs, slot, resource, request, &mut notes);
            *wanted.requests.of_mut(resource) = Some(request);
            *wanted.limits.of_mut(resource) = limit(inputs, slot, resource, request, &mut notes);
        }
        keep_pod_limit(inputs, slots, resource, &mut containers, &mut notes);
    }
    Desired {
        shares,
        containers,
        notes,
    }
}

/// What the template and the DaemonSet say of a container.
#[derive(Clone, Copy)]
struct Said<'a> {
    rule: Option<&'a ContainerRule>,
    /// The container as the DaemonSet's template has it: what a LimitRange put into the pod since is not there.
    own: Option<&'a ContainerView>,
}

impl<'a> Said<'a> {
    fn of(inputs: &Inputs<'a>, slots: &[Slot]) -> Few<Self> {
        let own = |slot: &Slot| {
            let mut containers = inputs.daemonset.containers.iter();
            containers.find(|container| *container.name == *slot.name)
        };
        let all = slots.iter().map(|slot| Self {
            rule: inputs.recipe.container(slot.name),
            own: own(slot),
        });
        all.collect()
    }

    /// Excluded by the template, or neither the DaemonSet's own nor named by the template.
    fn keeps_its_own(&self) -> bool {
        self.rule
            .map_or(self.own.is_none(), |rule| rule.is_excluded)
    }

    /// What the container asks for in the DaemonSet's template, in whole grains; to ask for 0 is to ask for nothing.
    fn asked(&self, resource: Resource) -> Option<Quantity> {
        let request = (*self.own?.requests.of(resource))?.ceil_to(resource.grain());
        (request > Quantity::ZERO).then_some(request)
    }
}

/// What each container should ask for of one resource, before LimitRanges.
fn requests(
    (slots, said): (&[Slot], &[Said]),
    resource: Resource,
    total: Quantity,
    notes: &mut Vec<Note>,
) -> Few<Option<Quantity>> {
    let parts = parts_of(slots, said, resource);
    let fixed: Quantity = parts
        .iter()
        .zip(slots)
        .filter(|(_, slot)| slot.role != Role::Init)
        .map(|(part, _)| match part {
            Part::Fixed(amount) => *amount,
            _ => Quantity::ZERO,
        })
        .sum();
    let weights: Few<_> = parts
        .iter()
        .map(|part| match part {
            Part::Weighed(weight) => *weight,
            _ => 0,
        })
        .collect();
    let grain = resource.grain();
    let rest = total.less(fixed);
    let pieces = split(rest.grains(grain), &weights);
    let mut before = Quantity::ZERO;
    let mut is_too_small = false;
    let requests = parts
        .iter()
        .zip(slots)
        .zip(pieces)
        .map(|((part, slot), piece)| {
            let request = match part {
                Part::Weighed(_) => Quantity::from_nanos(piece.saturating_mul(grain.nanos())),
                Part::Fixed(amount) => *amount,
                Part::Init(asked) => {
                    let room = total.less(before);
                    asked.map_or(room, |asked| asked.min(room))
                }
                Part::Own => return None,
            };
            if slot.role == Role::Sidecar {
                before = before.plus(request);
            }
            is_too_small |= request == Quantity::ZERO && !matches!(part, Part::Fixed(_));
            (request > Quantity::ZERO).then_some(request)
        })
        .collect();
    if is_too_small && rest == Quantity::ZERO {
        notes.push(Note::FixedTakesAll(resource, fixed));
    } else if is_too_small {
        notes.push(Note::TooSmall(resource));
    }
    requests
}

/// The part of each container in the split of one resource.
pub(crate) fn parts(inputs: &Inputs, slots: &[Slot], resource: Resource) -> Few<Part> {
    parts_of(slots, &Said::of(inputs, slots), resource)
}

fn parts_of(slots: &[Slot], said: &[Said], resource: Resource) -> Few<Part> {
    let (mut has_rules, mut all_ask) = (false, true);
    let mut part = |slot: &Slot, said: &Said| {
        if said.keeps_its_own() {
            return Part::Own;
        }
        if let Some(fixed) = said.rule.and_then(|rule| *rule.fixed.of(resource)) {
            return Part::Fixed(fixed.ceil_to(resource.grain()));
        }
        let asked = said.asked(resource);
        if slot.role == Role::Init {
            return Part::Init(asked);
        }
        has_rules |= said.rule.is_some_and(|rule| rule.weight.is_some());
        all_ask &= asked.is_some();
        Part::Weighed(asked.map_or(1, |asked| asked.grains(resource.grain())))
    };
    let both = slots.iter().zip(said);
    let mut parts: Few<_> = both.map(|(slot, said)| part(slot, said)).collect();
    // What they ask for counts only where all of them do, and no rule gives a weight.
    if has_rules || !all_ask {
        for (part, said) in parts.iter_mut().zip(said) {
            if let Part::Weighed(weight) = part {
                let rule = said.rule.and_then(|rule| rule.weight);
                *weight = rule.map_or(1, i128::from);
            }
        }
    }
    parts
}

/// What the container may ask for, where a LimitRange says it.
fn within_bounds(
    inputs: &Inputs,
    slot: &Slot,
    resource: Resource,
    request: Quantity,
    notes: &mut Vec<Note>,
) -> Quantity {
    let mut request = request;
    for range in inputs.limit_ranges {
        let (min, max) = (
            range.container.min.of(resource),
            range.container.max.of(resource),
        );
        let clamped = match (min, max) {
            (_, Some(max)) if request > *max => max.floor_to(resource.grain()),
            (Some(min), _) if request < *min => min.ceil_to(resource.grain()),
            _ => continue,
        };
        let range = Arc::clone(&range.name);
        notes.push(Note::ContainerBound(
            resource,
            range,
            slot.name.to_owned(),
            clamped,
        ));
        request = clamped;
    }
    request
}

/// The limit that goes with a request; none: it is left as it is.
fn limit(
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
        let by_ratio = bounds.ratio.of(resource).map(|ratio| {
            let one = Quantity::from_nanos(1_000_000_000);
            request
                .scaled(ratio.nanos(), one.nanos())
                .floor_to(resource.grain())
        });
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
fn keep_pod_limit(
    inputs: &Inputs,
    slots: &[Slot],
    resource: Resource,
    containers: &mut [Wanted],
    notes: &mut Vec<Note>,
) {
    if *inputs.recipe.limits.of(resource) == LimitRule::Equal {
        return;
    }
    let sum = |of: fn(&Wanted) -> &Amounts, now: fn(&Slot) -> Amounts| {
        let all = slots.iter().zip(&*containers).map(|(slot, wanted)| {
            let amount = of(wanted).of(resource).or(*now(slot).of(resource));
            (slot.role, amount)
        });
        together(all).unwrap_or_default()
    };
    let limits = sum(|wanted| &wanted.limits, |slot| slot.limits);
    let requests = sum(|wanted| &wanted.requests, |slot| slot.requests);
    let is_broken = |range: &&Arc<LimitRangeView>| {
        let by_ratio = range.pod.ratio.of(resource).map(|ratio| {
            let one = Quantity::from_nanos(1_000_000_000);
            requests.scaled(ratio.nanos(), one.nanos())
        });
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
