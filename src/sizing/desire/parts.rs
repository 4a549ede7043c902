//! How the share of one resource is split over the containers of a pod, before LimitRanges of containers. Pure.

use super::Slot;
use super::bounds::most;
use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use crate::sizing::notes::Note;
use crate::sizing::share::{Inputs, Kept};
use crate::sizing::split::{Few, split};
use crate::sizing::view::{ContainerView, Role};

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

/// Excluded by the template, or neither the DaemonSet's own nor named by the template.
pub(super) fn keeps_its_own(inputs: &Inputs, slot: &Slot) -> bool {
    match inputs.recipe.container(slot.name) {
        Some(rule) => rule.is_excluded,
        None => own(inputs, slot).is_none(),
    }
}

/// The container as the DaemonSet's template has it: what a LimitRange put into the pod since is not there.
fn own<'a>(inputs: &Inputs<'a>, slot: &Slot) -> Option<&'a ContainerView> {
    inputs
        .daemonset
        .containers
        .iter()
        .find(|container| *container.name == *slot.name)
}

/// What a container asks for in the DaemonSet's template, in whole grains; to ask for 0 is to ask for nothing.
fn asked(inputs: &Inputs, slot: &Slot, resource: Resource) -> Option<Quantity> {
    let request = (*own(inputs, slot)?.requests.of(resource))?.ceil_to(resource.grain());
    (request > Quantity::ZERO).then_some(request)
}

/// What each container should ask for of one resource.
pub(super) fn requests(
    inputs: &Inputs,
    slots: &[Slot],
    resource: Resource,
    total: Quantity,
    notes: &mut Vec<Note>,
) -> Few<Option<Quantity>> {
    let parts = parts(inputs, slots, resource);
    let whole = Whole {
        inputs,
        slots,
        parts: &parts,
        resource,
    };
    let fixed = whole.fixed().sum::<Quantity>();
    let fitted = if fixed < total {
        fixed
    } else {
        whole.fitted(fixed, notes)
    };
    let is_cut = fitted < fixed;
    let pieces = if is_cut {
        whole.split(fitted, |part| match part {
            Part::Fixed(amount) => amount.grains(resource.grain()),
            _ => 0,
        })
    } else {
        whole.split(total.less(fixed), |part| match part {
            Part::Weighed(weight) => *weight,
            _ => 0,
        })
    };
    let (mut before, mut kept) = (Quantity::ZERO, Kept::default());
    let mut requests = Few::new();
    for ((part, slot), piece) in parts.iter().zip(slots).zip(pieces) {
        let request = match (part, slot.role) {
            (Part::Own, _) => Quantity::ZERO,
            (Part::Init(asked), _) => {
                let room = total.less(before);
                asked.map_or(room, |asked| asked.min(room))
            }
            (Part::Fixed(fixed), Role::Init) => {
                most(inputs, resource, &kept).fitted(*fixed, before, notes)
            }
            (Part::Fixed(fixed), _) if !is_cut => *fixed,
            (Part::Fixed(_) | Part::Weighed(_), _) => {
                Quantity::from_nanos(piece.saturating_mul(resource.grain().nanos()))
            }
        };
        let request = (request > Quantity::ZERO).then_some(request);
        if slot.role == Role::Sidecar {
            match request {
                Some(request) => before = before.plus(request),
                None => kept.add(slot),
            }
        }
        requests.push(request);
    }
    whole.tell(&requests, (fixed, total), notes);
    requests
}

/// All containers of a pod, with their parts.
struct Whole<'a> {
    inputs: &'a Inputs<'a>,
    slots: &'a [Slot<'a>],
    parts: &'a [Part],
    resource: Resource,
}

impl Whole<'_> {
    /// Those that run, with their parts.
    fn running(&self) -> impl Iterator<Item = (&Slot<'_>, &Part)> {
        let both = self.slots.iter().zip(self.parts);
        both.filter(|(slot, _)| slot.role != Role::Init)
    }

    /// The fixed amounts of those that run.
    fn fixed(&self) -> impl Iterator<Item = Quantity> {
        self.running().filter_map(|(_, part)| match part {
            Part::Fixed(amount) => Some(*amount),
            _ => None,
        })
    }

    /// Fixed amounts that take the whole share, as far as a pod may have them: nothing is left for the others, which keep what they have.
    fn fitted(&self, fixed: Quantity, notes: &mut Vec<Note>) -> Quantity {
        let others = self
            .running()
            .filter(|(_, part)| !matches!(part, Part::Fixed(_)));
        let kept = Kept::of(others.map(|(slot, _)| slot));
        most(self.inputs, self.resource, &kept).fitted(fixed, Quantity::ZERO, notes)
    }

    /// So many grains for each container, by weight. Init containers have none.
    fn split(&self, amount: Quantity, weight: impl Fn(&Part) -> i128) -> Few<i128> {
        let both = self.slots.iter().zip(self.parts);
        let weights: Few<_> = both
            .map(|(slot, part)| match slot.role {
                Role::Init => 0,
                Role::Main | Role::Sidecar => weight(part),
            })
            .collect();
        split(amount.grains(self.resource.grain()), &weights)
    }

    /// That some container gets nothing, and why.
    fn tell(
        &self,
        requests: &[Option<Quantity>],
        (fixed, total): (Quantity, Quantity),
        notes: &mut Vec<Note>,
    ) {
        let mut both = self.parts.iter().zip(requests);
        let is_too_small = both.any(|(part, request)| {
            request.is_none() && matches!(part, Part::Weighed(_) | Part::Init(_))
        });
        if fixed > total || (is_too_small && fixed == total) {
            notes.push(Note::FixedTakesAll(self.resource, fixed, total));
        } else if is_too_small {
            notes.push(Note::TooSmall(self.resource));
        }
    }
}

/// The part of each container in the split of one resource.
pub(crate) fn parts(inputs: &Inputs, slots: &[Slot], resource: Resource) -> Few<Part> {
    let (mut has_rules, mut all_ask) = (false, true);
    let part = |slot: &Slot| {
        if keeps_its_own(inputs, slot) {
            return Part::Own;
        }
        let rule = inputs.recipe.container(slot.name);
        if let Some(fixed) = rule.and_then(|rule| *rule.fixed.of(resource)) {
            return Part::Fixed(fixed.ceil_to(resource.grain()));
        }
        let asked = asked(inputs, slot, resource);
        if slot.role == Role::Init {
            return Part::Init(asked);
        }
        has_rules |= rule.is_some_and(|rule| rule.weight.is_some());
        all_ask &= asked.is_some();
        Part::Weighed(asked.map_or(1, |asked| asked.grains(resource.grain())))
    };
    let mut parts: Few<_> = slots.iter().map(part).collect();
    // What they ask for counts only where all of them do, and no rule gives a weight.
    if has_rules || !all_ask {
        for (part, slot) in parts.iter_mut().zip(slots) {
            if let Part::Weighed(weight) = part {
                let rule = inputs.recipe.container(slot.name);
                *weight = rule.and_then(|rule| rule.weight).map_or(1, i128::from);
            }
        }
    }
    parts
}
