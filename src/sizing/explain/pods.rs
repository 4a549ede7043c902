//! The pod of the DaemonSet that is on the node now: what it has, beside what it should have.

use super::Question;
use super::resources::role;
use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use crate::sizing::desire::{Slot, desire};
use crate::sizing::share::Inputs;
use crate::sizing::snapshot::Snapshot;
use crate::sizing::view::{PodView, Resize, Role};
use serde::Serialize;

/// A pod that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunningPod {
    pub(crate) name: String,
    /// It has what it should have.
    pub(crate) is_as_it_should_be: bool,
    /// It was given its share when it was created.
    pub(crate) was_sized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resize: Option<String>,
    /// Why it cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) containers: Vec<PodAmount>,
}

/// What one container of it has of one resource, and should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodAmount {
    pub(crate) container: String,
    pub(crate) role: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) request: Amount,
    pub(crate) limit: Amount,
}

/// What is, and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Amount {
    pub(crate) now: Option<String>,
    pub(crate) should: Option<String>,
}

/// The pod on the node, the one that stays if there are two.
pub(super) fn running(
    snapshot: &Snapshot,
    asked: &Question,
    inputs: &Inputs,
) -> Option<RunningPod> {
    let of_ours = |pod: &PodView| {
        pod.owner == inputs.daemonset.uid && pod.node.as_deref() == Some(asked.node) && !pod.is_over
    };
    let (name, pod) = snapshot
        .pods()
        .filter(|((namespace, _), pod)| **namespace == *asked.namespace && of_ours(pod))
        .min_by_key(|(_, pod)| pod.is_leaving)
        .map(|((_, name), pod)| (name, pod))?;
    let slots: Vec<_> = pod.containers.iter().map(Slot::from).collect();
    let desired = desire(inputs, &slots);
    let mut containers = Vec::new();
    for resource in Resource::ALL {
        if desired.shares.of(resource).amount.is_none() {
            continue;
        }
        // An init container that ended asks for nothing any more.
        let running = slots.iter().zip(&desired.containers);
        for (slot, wanted) in running.filter(|(slot, _)| slot.role != Role::Init) {
            let amount = |now: Option<Quantity>, should: Option<Quantity>| Amount {
                now: now.map(|amount| resource.text(amount)),
                should: should.or(now).map(|amount| resource.text(amount)),
            };
            containers.push(PodAmount {
                container: slot.name.to_owned(),
                role: role(slot.role),
                resource: resource.key(),
                request: amount(*slot.requests.of(resource), *wanted.requests.of(resource)),
                limit: amount(*slot.limits.of(resource), *wanted.limits.of(resource)),
            });
        }
    }
    let is_same = |amount: &Amount| amount.now == amount.should;
    let reason = reason(pod, inputs);
    Some(RunningPod {
        name: name.to_string(),
        is_as_it_should_be: reason.is_none()
            && containers
                .iter()
                .all(|one| is_same(&one.request) && is_same(&one.limit)),
        was_sized: pod.was_sized,
        resize: resize(&pod.resize),
        reason,
        containers,
    })
}

fn reason(pod: &PodView, inputs: &Inputs) -> Option<String> {
    let (of_pod, now) = (
        pod.template_generation,
        inputs.daemonset.template_generation,
    );
    if pod.is_leaving {
        return Some("it is being deleted".into());
    }
    if pod.has_pod_resources {
        return Some("it has resources for the pod as a whole".into());
    }
    match (of_pod, now) {
        (Some(of_pod), Some(now)) if of_pod != now => Some(format!(
            "it was made from generation {of_pod} of the pod template, which is at {now} now"
        )),
        _ => None,
    }
}

fn resize(resize: &Resize) -> Option<String> {
    Some(match resize {
        Resize::None => return None,
        Resize::InProgress => "in progress".into(),
        Resize::Deferred(why) => format!("deferred: {why}"),
        Resize::Infeasible(why) => format!("infeasible: {why}"),
        Resize::Failed(why) => format!("failed: {why}"),
    })
}
