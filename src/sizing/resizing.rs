//! What a resize in place can do: which containers it changes and how, and whether the API server can allow it. Pure.
//!
//! Only cpu and memory of main containers and native sidecars can be changed, none of them can be taken away, and the pod's QoS class
//! has to stay. Init containers that end are done, or made anew with the pod: they are not compared.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each, Resource};
use crate::sizing::desire::Wanted;
use crate::sizing::view::{ContainerView, Role};
use serde_json::{Map, Value, json};

/// Less than one part in so many of what a pod has is not worth a change.
const WORTHWHILE: i128 = 100;
/// What can be changed in a running pod.
const MUTABLE: [Resource; 2] = [Resource::Cpu, Resource::Memory];

/// How a pod differs from what it should have.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that do not depend on each other"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Of cpu or memory.
    pub(crate) is_mutable: bool,
    /// Of ephemeral storage.
    pub(crate) is_of_storage: bool,
    /// Each change is less than a hundredth of what the pod has.
    pub(crate) is_small: bool,
    /// Nothing becomes more.
    pub(crate) is_decrease: bool,
}

impl Difference {
    pub(crate) const fn is_none(&self) -> bool {
        !self.is_mutable && !self.is_of_storage
    }

    /// There is nothing to do: what was sized is not changed for less than a hundredth.
    pub(crate) const fn is_settled(&self, was_sized: bool) -> bool {
        self.is_none() || (self.is_small && was_sized)
    }
}

/// How far a resize in place leads to what a pod should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// All the way.
    Whole,
    /// To all but ephemeral storage, which only a new pod has.
    Part,
    /// Nowhere: only ephemeral storage differs.
    Storage,
    /// Nowhere: the pod would be of another class.
    Class(Qos, Qos),
}

/// The way of a pod that differs so from what it should have.
pub(crate) fn way(containers: &[ContainerView], wanted: &[Wanted], found: &Difference) -> Way {
    if !found.is_mutable {
        return Way::Storage;
    }
    let (before, after) = (Qos::of(containers), Qos::of(&resized(containers, wanted)));
    match found.is_of_storage {
        _ if before != after => Way::Class(before, after),
        true => Way::Part,
        false => Way::Whole,
    }
}

/// Compares the containers of a pod with what they should have.
pub(crate) fn difference(containers: &[ContainerView], wanted: &[Wanted]) -> Difference {
    let mut difference = Difference {
        is_small: true,
        is_decrease: true,
        ..Difference::default()
    };
    for resource in Resource::ALL {
        for is_limit in [false, true] {
            let change = change(containers, wanted, resource, is_limit);
            if !change.differs {
                continue;
            }
            if MUTABLE.contains(&resource) {
                difference.is_mutable = true;
            } else {
                difference.is_of_storage = true;
            }
            // Both amounts were rounded down to grains: a change of a whole percent may have lost one of them.
            let moved = change.moved.plus(resource.grain());
            let is_small = moved.nanos().saturating_mul(WORTHWHILE) < change.now.nanos();
            difference.is_small &= is_small && !change.is_new;
            difference.is_decrease &= change.now >= change.then;
        }
    }
    difference
}

/// How one resource of a pod changes.
#[derive(Default)]
struct Change {
    differs: bool,
    /// Some container had none.
    is_new: bool,
    /// What moves, whichever way.
    moved: Quantity,
    now: Quantity,
    then: Quantity,
}

fn change(
    containers: &[ContainerView],
    wanted: &[Wanted],
    resource: Resource,
    is_limit: bool,
) -> Change {
    let mut change = Change::default();
    for (container, wanted) in containers.iter().zip(wanted) {
        if container.role == Role::Init {
            continue;
        }
        let (now, then) = if is_limit {
            (&container.limits, &wanted.limits)
        } else {
            (&container.requests, &wanted.requests)
        };
        let (now, then) = (*now.of(resource), *then.of(resource));
        let then = then.or(now);
        change.differs |= now != then;
        change.is_new |= now.is_none() && then.is_some();
        let (now, then) = (now.unwrap_or_default(), then.unwrap_or_default());
        change.moved = change.moved.plus(now.less(then)).plus(then.less(now));
        change.now = change.now.plus(now);
        change.then = change.then.plus(then);
    }
    change
}

/// The QoS class of a pod, by the rules of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }

    /// Of a pod with these containers, init containers included.
    pub(crate) fn of(containers: &[ContainerView]) -> Self {
        let is_there = |amount: &Option<Quantity>| amount.is_some_and(|some| some > Quantity::ZERO);
        let sum = |amount: fn(&ContainerView, Resource) -> Option<Quantity>, of| {
            let all = containers.iter().filter_map(|one| amount(one, of));
            all.sum::<Quantity>()
        };
        let is_asked_for = containers.iter().any(|one| {
            MUTABLE.into_iter().any(|resource| {
                is_there(one.requests.of(resource)) || is_there(one.limits.of(resource))
            })
        });
        if !is_asked_for {
            return Self::BestEffort;
        }
        let is_guaranteed = MUTABLE.into_iter().all(|resource| {
            let is_limited = containers
                .iter()
                .all(|one| is_there(one.limits.of(resource)));
            let requests = sum(|one, of| *one.requests.of(of), resource);
            is_limited && requests == sum(|one, of| *one.limits.of(of), resource)
        });
        if is_guaranteed {
            Self::Guaranteed
        } else {
            Self::Burstable
        }
    }
}

/// The containers as they are after a resize.
fn resized(containers: &[ContainerView], wanted: &[Wanted]) -> Vec<ContainerView> {
    let both = containers.iter().zip(wanted);
    let after = both.map(|(container, wanted)| {
        let of = |amounts: &Amounts| {
            Each::from_fn(|resource| {
                let can_be = container.role != Role::Init && MUTABLE.contains(&resource);
                amounts.of(resource).filter(|_| can_be)
            })
        };
        let changes = Wanted {
            requests: of(&wanted.requests),
            limits: of(&wanted.limits),
        };
        changes.given_to(container)
    });
    after.collect()
}

/// The strategic merge patch that resizes: lists of containers are merged by their names, so only what changes is named.
pub(crate) fn patch(containers: &[ContainerView], wanted: &[Wanted]) -> Value {
    let (mut init, mut main) = (Vec::new(), Vec::new());
    for (container, wanted) in containers.iter().zip(wanted) {
        let list = match container.role {
            Role::Main => &mut main,
            Role::Sidecar => &mut init,
            Role::Init => continue,
        };
        let mut resources = Map::new();
        for (key, amounts, known) in [
            ("requests", &wanted.requests, &container.requests),
            ("limits", &wanted.limits, &container.limits),
        ] {
            let changed = MUTABLE.into_iter().filter_map(|resource| {
                let amount = (*amounts.of(resource))?;
                let is_new = *known.of(resource) != Some(amount);
                is_new.then(|| (resource.key().to_owned(), resource.text(amount).into()))
            });
            let changed: Map<String, Value> = changed.collect();
            if !changed.is_empty() {
                resources.insert(key.to_owned(), changed.into());
            }
        }
        if !resources.is_empty() {
            list.push(json!({ "name": &*container.name, "resources": resources }));
        }
    }
    let mut spec = Map::new();
    for (key, list) in [("initContainers", init), ("containers", main)] {
        if !list.is_empty() {
            spec.insert(key.to_owned(), list.into());
        }
    }
    json!({ "spec": spec })
}

#[cfg(test)]
mod tests;
