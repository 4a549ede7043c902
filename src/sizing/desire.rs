//! What each container of a pod should ask for: the pod's shares, split. The webhook, the controller and the verbs that explain all
//! come here. Pure, and from inputs alone: what the pod has now counts only for containers that keep it, where a limit is to be left as
//! it is, and where the pod is better left as it is; so a second look finds nothing to change.
//!
//! | container | request | limit |
//! |---|---|---|
//! | main, native sidecar | its part of the share, by weight | as the template's `limits` say |
//! | with a fixed amount | that amount, taken from the share first; less only where a pod may not have as much | the same |
//! | plain init container | what it asks for, at most the share less the sidecars before it; all of that where it asks for nothing | the same |
//! | excluded, or put into the pod by somebody else | left as it is, on top of the share | left as it is |

mod bounds;
mod parts;

pub(crate) use parts::{Part, parts};

use crate::sizing::amounts::{Amounts, Each, Resource};
use crate::sizing::load::together;
use crate::sizing::notes::Note;
use crate::sizing::share::{Inputs, Kept, Share, shares};
use crate::sizing::view::{ContainerView, Role};
use bounds::{keep_pod_limit, limit, refusing, within_bounds};
use parts::{keeps_its_own, requests};

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

impl Wanted {
    /// A container that has it.
    pub(crate) fn given_to(&self, container: &ContainerView) -> ContainerView {
        ContainerView {
            requests: self.requests.or(&container.requests),
            limits: self.limits.or(&container.limits),
            ..container.clone()
        }
    }
}

/// What a pod should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) shares: Each<Share>,
    /// For each slot, in its order.
    pub(crate) containers: Vec<Wanted>,
    pub(crate) notes: Vec<Note>,
}

impl Desired {
    /// What the containers that are given something come to, as a scheduler adds them up.
    pub(crate) fn sum(&self, slots: &[Slot]) -> Amounts {
        Each::from_fn(|resource| {
            let both = slots.iter().zip(&self.containers);
            together(both.map(|(slot, wanted)| (slot.role, *wanted.requests.of(resource))))
        })
    }

    /// The containers that have it.
    pub(crate) fn given_to(&self, containers: &[ContainerView]) -> Vec<ContainerView> {
        let both = self.containers.iter().zip(containers);
        both.map(|(wanted, container)| wanted.given_to(container))
            .collect()
    }
}

/// What the pod with these containers should have.
pub(crate) fn desire(inputs: &Inputs, slots: &[Slot]) -> Desired {
    let mut notes = Vec::new();
    let running = slots.iter().filter(|slot| slot.role != Role::Init);
    let kept = Kept::of(running.filter(|slot| keeps_its_own(inputs, slot)));
    let mut desired = Desired {
        shares: shares(inputs, &kept, &mut notes),
        containers: vec![Wanted::default(); slots.len()],
        notes,
    };
    for resource in Resource::ALL {
        desired.split(inputs, slots, resource);
    }
    desired
}

impl Desired {
    /// Gives the share of one resource to the containers.
    fn split(&mut self, inputs: &Inputs, slots: &[Slot], resource: Resource) {
        let Some(total) = self.shares.of(resource).amount else {
            return;
        };
        let notes = &mut self.notes;
        let requests = requests(inputs, slots, resource, total, notes);
        for ((slot, wanted), request) in slots.iter().zip(&mut self.containers).zip(requests) {
            let Some(request) = request else { continue };
            let request = within_bounds(inputs, slot, resource, request, notes);
            *wanted.requests.of_mut(resource) = Some(request);
            *wanted.limits.of_mut(resource) = limit(inputs, slot, resource, request, notes);
        }
        keep_pod_limit(inputs, slots, resource, &mut self.containers, notes);
        if let Some(range) = refusing(inputs, slots, resource, &self.containers) {
            notes.push(Note::WouldBeRefused(resource, range));
            self.shares.of_mut(resource).amount = None;
            for wanted in &mut self.containers {
                *wanted.requests.of_mut(resource) = None;
                *wanted.limits.of_mut(resource) = None;
            }
        }
    }
}
