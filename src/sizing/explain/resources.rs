//! The steps of the formula for each resource, and what each container gets of it and why.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::api::Base;
use crate::sizing::desire::{Desired, Part, Slot, Wanted, parts};
use crate::sizing::share::{Bound, Inputs};
use crate::sizing::view::Role;
use serde::Serialize;

/// The share of one resource, step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceShare {
    pub(crate) resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocatable: Option<String>,
    /// What DaemonSets ask for on the node whose pods get no share, where that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) others: Option<String>,
    /// Of what the percentage is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percentage: Option<u32>,
    /// The percentage of it, rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) raw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<String>,
    /// `min` or `max`, where it made the share what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<&'static str>,
    /// Of shares that may be scaled, so much is left of so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<String>,
    /// What the pod gets; absent: the resource is left as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<String>,
}

/// What one container gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerPart {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) amounts: Vec<ContainerAmount>,
}

/// What one container gets of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerAmount {
    pub(crate) resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<String>,
    pub(crate) why: String,
}

pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::Main => "main",
        Role::Sidecar => "sidecar",
        Role::Init => "init",
    }
}

/// The steps for each resource.
pub(super) fn shares(inputs: &Inputs, desired: &Desired) -> Vec<ResourceShare> {
    let of = |resource: Resource| {
        let share = desired.shares.of(resource);
        let text = |amount: Quantity| resource.text(amount);
        let rest = inputs.recipe.base == Base::AllocatableMinusDaemonSets;
        let others = inputs.surroundings.others.of(resource).filter(|_| rest);
        ResourceShare {
            resource: resource.key(),
            allocatable: inputs.node.allocatable.of(resource).map(text),
            others: others.map(text),
            base: share.base.map(text),
            percentage: share.rule.percent,
            raw: share.base.map(|_| text(share.raw)),
            min: share.rule.min.map(text),
            max: share.rule.max.map(text),
            bound: match share.bound {
                Bound::None => None,
                Bound::Min => Some("min"),
                Bound::Max => Some("max"),
            },
            scale: inputs
                .surroundings
                .scale
                .of(resource)
                .map(|(part, whole)| format!("{} of {}", text(part), text(whole))),
            share: share.amount.map(text),
        }
    };
    Resource::ALL.into_iter().map(of).collect()
}

/// What each container gets, of the resources that are shared.
pub(super) fn containers(inputs: &Inputs, slots: &[Slot], desired: &Desired) -> Vec<ContainerPart> {
    let mut all: Vec<_> = slots
        .iter()
        .map(|slot| ContainerPart {
            name: slot.name.to_owned(),
            role: role(slot.role),
            amounts: Vec::new(),
        })
        .collect();
    for resource in Resource::ALL {
        if desired.shares.of(resource).amount.is_none() {
            continue;
        }
        let parts = parts(inputs, slots, resource);
        let whole = parts.iter().fold(0_i128, |sum, part| match part {
            Part::Weighed(weight) => sum.saturating_add(*weight),
            _ => sum,
        });
        let places = parts.iter().zip(slots).zip(&desired.containers);
        for (((part, slot), wanted), told) in places.zip(&mut all) {
            let text = |wanted: &Amounts, now: &Amounts| {
                let amount = wanted.of(resource).or(*now.of(resource));
                amount.map(|amount| resource.text(amount))
            };
            told.amounts.push(ContainerAmount {
                resource: resource.key(),
                request: text(&wanted.requests, &slot.requests),
                limit: text(&wanted.limits, &slot.limits),
                why: why(inputs, (slot, wanted), resource, *part, whole),
            });
        }
    }
    all
}

fn why(
    inputs: &Inputs,
    (slot, wanted): (&Slot, &Wanted),
    resource: Resource,
    part: Part,
    whole: i128,
) -> String {
    let request = *wanted.requests.of(resource);
    match part {
        Part::Weighed(weight) if weight == whole => "the whole share".into(),
        Part::Weighed(weight) => {
            let rule = inputs.recipe.containers.iter();
            let by_rule = rule.clone().any(|rule| rule.weight.is_some());
            let grains = |grains: i128| {
                resource.text(Quantity::from_nanos(
                    grains.saturating_mul(resource.grain().nanos()),
                ))
            };
            if by_rule || whole < 100 {
                format!("weight {weight} of {whole}")
            } else {
                format!("asks for {} of {}", grains(weight), grains(whole))
            }
        }
        Part::Fixed(fixed) if request < Some(fixed) => format!(
            "fixed by the template at {}, made smaller",
            resource.text(fixed)
        ),
        Part::Fixed(_) => "fixed by the template".into(),
        Part::Init(Some(asked)) => format!(
            "asks for {}, and may have what runs beside it leaves",
            resource.text(asked)
        ),
        Part::Init(None) => "may have all that runs beside it leaves".into(),
        Part::Own => match inputs.recipe.container(slot.name) {
            Some(_) => "excluded: keeps its own".into(),
            None => "not of the DaemonSet: keeps its own".into(),
        },
    }
}
