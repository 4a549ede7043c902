//! What a change would mean for the pods that run: which could be resized in place, and which only a new pod could have. The API server
//! lets cpu and memory of what runs be changed, and nothing that changes the pod's `QoS` class.

use super::Trial;
use super::given::{Memory, desired, resized};
use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use crate::sizing::api::Remedy;
use crate::sizing::snapshot::Named;
use crate::sizing::view::{ContainerView, DaemonSetView, NodeView, PodView, Role};
use serde::Serialize;

/// How many pods come to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fates {
    /// They have what they should have.
    pub(crate) unchanged: usize,
    /// They would be resized in place.
    pub(crate) resized: usize,
    /// They would be deleted, and made anew, as the template allows.
    pub(crate) recreated: usize,
    /// Only new pods could have it, and the template does not say that pods are to be deleted for it.
    pub(crate) needs_recreate: usize,
    /// The template says that running pods stay as they are.
    pub(crate) kept: usize,
}

/// Counts the pods of a DaemonSet on a node.
pub(super) fn count(
    fates: &mut Fates,
    trial: &Trial,
    after: &Memory,
    (named, now): (&Named, &DaemonSetView),
    (name, node): (&str, &NodeView),
) {
    let former = trial.before.daemonset(&named.0, &named.1);
    let uid = former.map_or(&now.uid, |former| &former.uid);
    let is_here = |pod: &PodView| {
        pod.owner == *uid && pod.node.as_deref() == Some(name) && !pod.is_over && !pod.is_leaving
    };
    let remedy = now.template.as_deref().and_then(|template| {
        let recipe = trial.after.recipe(template)?;
        Some(recipe.on_change)
    });
    let pods = trial.after.pods();
    for (_, pod) in pods.filter(|((namespace, _), pod)| *namespace == named.0 && is_here(pod)) {
        let wanted = desired(
            after,
            trial.own,
            (named, now),
            (name, node),
            &pod.containers,
        );
        let then = match wanted {
            Ok(Some(desired)) if !pod.has_pod_resources => resized(&pod.containers, &desired),
            _ => pod.containers.clone(),
        };
        let place = match (change(&pod.containers, &then), remedy.unwrap_or_default()) {
            (Way::None, _) => &mut fates.unchanged,
            (_, Remedy::Keep) => &mut fates.kept,
            (Way::InPlace, _) => &mut fates.resized,
            (Way::Anew, Remedy::Recreate) => &mut fates.recreated,
            (Way::Anew, Remedy::Resize) => &mut fates.needs_recreate,
        };
        *place = place.saturating_add(1);
    }
}

/// How a running pod could get what it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    None,
    InPlace,
    Anew,
}

/// The way from what containers have to what they should have. Init containers that end are done.
pub(super) fn change(now: &[ContainerView], then: &[ContainerView]) -> Way {
    let running = || {
        let both = now.iter().zip(then);
        both.filter(|(now, _)| now.role != Role::Init)
    };
    let differs = |resource: Resource| {
        running().any(|(now, then)| {
            now.requests.of(resource) != then.requests.of(resource)
                || now.limits.of(resource) != then.limits.of(resource)
        })
    };
    if !Resource::ALL.into_iter().any(differs) {
        return Way::None;
    }
    let reached: Vec<_> = now
        .iter()
        .zip(then)
        .map(|(now, then)| if now.role == Role::Init { now } else { then }.clone())
        .collect();
    if differs(Resource::Storage) || class(now) != class(&reached) {
        return Way::Anew;
    }
    Way::InPlace
}

/// The `QoS` class of a pod, as the API server computes it: of cpu and memory of all its containers.
fn class(containers: &[ContainerView]) -> &'static str {
    let set = |amount: &Option<Quantity>| amount.is_some_and(|amount| amount > Quantity::ZERO);
    let both = [Resource::Cpu, Resource::Memory];
    let asks = |one: &ContainerView| {
        both.into_iter()
            .any(|resource| set(one.requests.of(resource)) || set(one.limits.of(resource)))
    };
    if !containers.iter().any(asks) {
        return "BestEffort";
    }
    let is_guaranteed = |one: &ContainerView| {
        both.into_iter().all(|resource| {
            set(one.limits.of(resource)) && one.requests.of(resource) == one.limits.of(resource)
        })
    };
    if containers.iter().all(is_guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
