//! What keeps a pod from a node, as a scheduler sees it: selectors, affinity, taints, room. Pure.

use super::select::Candidate;
use crate::kit::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What the pod asks of nodes, and what the node asks of pods.
pub(super) fn is_kept_away(pod: &Pod, node: &Node) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let mut selector = spec.node_selector.iter().flatten();
    let unmet = selector.find(|(key, value)| node.labels().get(*key) != Some(value));
    if let Some((key, value)) = unmet {
        return Some(format!(
            "has not the label {key}={value}, which the pod selects"
        ));
    }
    if !is_liked(spec, node) {
        return Some("does not match the pod's node affinity".into());
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let mut taints = taints.into_iter().flatten();
    let taint =
        taints.find(|taint| taint.effect != "PreferNoSchedule" && !is_tolerated(spec, taint))?;
    Some(format!(
        "has the taint {}, which the pod does not tolerate",
        taint.key
    ))
}

fn is_liked(spec: &PodSpec, node: &Node) -> bool {
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| {
        node.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    required.is_none_or(|required| {
        required
            .node_selector_terms
            .iter()
            .any(|term| meets(term, node))
    })
}

fn meets(term: &NodeSelectorTerm, node: &Node) -> bool {
    let name = node.name_any();
    let mut labels = term.match_expressions.iter().flatten();
    let mut fields = term.match_fields.iter().flatten();
    labels.all(|one| is_met(one, node.labels().get(&one.key).map(String::as_str)))
        && fields.all(|one| is_met(one, (one.key == "metadata.name").then_some(name.as_str())))
}

fn is_met(asked: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = asked.values.as_deref().unwrap_or_default();
    let is_in = || value.is_some_and(|value| values.iter().any(|one| one == value));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = || number(values.first().map(String::as_str));
    match asked.operator.as_str() {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value)
            .zip(bound())
            .is_some_and(|(value, bound)| value > bound),
        "Lt" => number(value)
            .zip(bound())
            .is_some_and(|(value, bound)| value < bound),
        // One that a newer Kubernetes knows: not taken for met.
        _ => false,
    }
}

fn is_tolerated(spec: &PodSpec, taint: &Taint) -> bool {
    let mut tolerations = spec.tolerations.iter().flatten();
    tolerations.any(|one| tolerates(one, taint))
}

fn tolerates(one: &Toleration, taint: &Taint) -> bool {
    let key = one.key.as_deref().unwrap_or_default();
    let is_effect = one
        .effect
        .as_deref()
        .is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    let is_any = one.operator.as_deref() == Some("Exists");
    let is_key = (key.is_empty() && is_any) || key == taint.key;
    let value = one.value.as_deref().unwrap_or_default();
    is_effect && is_key && (is_any || value == taint.value.as_deref().unwrap_or_default())
}

/// What is counted; of pods there are only so many, too.
const COUNTED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Of one.
const NANOS: i128 = 1_000_000_000;

/// What the pod asks for is more than what is left.
pub(super) fn has_no_room(pod: &Pod, candidate: Candidate<'_>) -> Option<String> {
    let status = candidate.node.status.as_ref();
    let allocatable = status.and_then(|status| status.allocatable.as_ref());
    let all = |name: &str| amount(allocatable, name);
    let count = i128::try_from(candidate.pods.len()).unwrap_or(i128::MAX);
    if count.saturating_mul(NANOS) >= all("pods").nanos() {
        return Some(format!("has {count} pods, and takes no more"));
    }
    for name in COUNTED {
        let wanted = pod
            .spec
            .as_ref()
            .map_or(Quantity::ZERO, |spec| asks(spec, name));
        let specs = candidate.pods.iter().filter_map(|pod| pod.spec.as_ref());
        let used = specs.fold(Quantity::ZERO, |sum, spec| sum.plus(asks(spec, name)));
        let left = all(name).less(used);
        if wanted > left && wanted > Quantity::ZERO {
            return Some(format!("has not enough {name} left"));
        }
    }
    None
}

fn amount(amounts: Option<&BTreeMap<String, Written>>, name: &str) -> Quantity {
    let written = amounts.and_then(|amounts| amounts.get(name));
    let read = written.and_then(|written| written.0.parse().ok());
    read.unwrap_or(Quantity::ZERO)
}

/// What a pod asks for, as schedulers add it up: what runs together, or the largest of what runs before it.
fn asks(spec: &PodSpec, name: &str) -> Quantity {
    if let Some(resources) = &spec.resources
        && resources
            .requests
            .as_ref()
            .is_some_and(|requests| requests.contains_key(name))
    {
        return amount(resources.requests.as_ref(), name);
    }
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        let resources = container.resources.as_ref();
        amount(
            resources.and_then(|resources| resources.requests.as_ref()),
            name,
        )
    };
    let containers = spec
        .containers
        .iter()
        .fold(Quantity::ZERO, |sum, one| sum.plus(of(one)));
    let (mut sidecars, mut before) = (Quantity::ZERO, Quantity::ZERO);
    for init in spec.init_containers.iter().flatten() {
        if init.restart_policy.as_deref() == Some("Always") {
            sidecars = sidecars.plus(of(init));
            before = before.max(sidecars);
        } else {
            before = before.max(sidecars.plus(of(init)));
        }
    }
    let overhead = amount(spec.overhead.as_ref(), name);
    containers.plus(sidecars).max(before).plus(overhead)
}
