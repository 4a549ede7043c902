//! The nodes that a pod may be on: narrowed down to one while it moves, and as they were when it is to move again. Pure.

use crate::kit::names;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, Pod,
};
use kube::ResourceExt;
use serde_json::{Value, json};

/// The terms of a gated pod, each narrowed down to a node. That is all that the API server lets be changed of them.
pub(crate) fn narrowed(pod: &Pod, node: &str) -> Vec<Value> {
    let only = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    let terms: Vec<_> = required(pod).iter().map(|term| with(term, &only)).collect();
    if terms.is_empty() {
        return vec![json!({ "matchFields": [only] })];
    }
    terms
}

fn required(pod: &Pod) -> &[NodeSelectorTerm] {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let node = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let required = node.and_then(|node| {
        node.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    required.map_or(&[], |required| &required.node_selector_terms)
}

fn with(term: &NodeSelectorTerm, only: &Value) -> Value {
    let fields = term.match_fields.iter().flatten().map(|field| json!(field));
    let fields: Vec<_> = fields.chain([only.clone()]).collect();
    json!({ "matchExpressions": term.match_expressions, "matchFields": fields })
}

/// A pod as it was before [`narrowed`], if it came to its node by a move.
pub(crate) fn widened(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    if !pod.annotations().contains_key(names::RESTORE_ANNOTATION) {
        return pod;
    }
    let Some(spec) = &mut pod.spec else {
        return pod;
    };
    let node = spec.node_name.clone().unwrap_or_default();
    let Some(affinity) = &mut spec.affinity else {
        return pod;
    };
    let Some(nodes) = &mut affinity.node_affinity else {
        return pod;
    };
    let Some(required) = &mut nodes.required_during_scheduling_ignored_during_execution else {
        return pod;
    };
    for term in &mut required.node_selector_terms {
        widen(term, &node);
    }
    required.node_selector_terms.retain(|term| !is_empty(term));
    if required.node_selector_terms.is_empty() {
        nodes.required_during_scheduling_ignored_during_execution = None;
    }
    if *nodes == NodeAffinity::default() {
        affinity.node_affinity = None;
    }
    if *affinity == Affinity::default() {
        spec.affinity = None;
    }
    pod
}

fn widen(term: &mut NodeSelectorTerm, node: &str) {
    let Some(fields) = &mut term.match_fields else {
        return;
    };
    if fields.last().is_some_and(|last| is_only(last, node)) {
        fields.pop();
    }
    if fields.is_empty() {
        term.match_fields = None;
    }
}

fn is_only(field: &NodeSelectorRequirement, node: &str) -> bool {
    let values = field.values.as_deref().unwrap_or_default();
    field.key == "metadata.name" && field.operator == "In" && values == [node]
}

fn is_empty(term: &NodeSelectorTerm) -> bool {
    let is_none = |all: &Option<Vec<_>>| all.as_ref().is_none_or(Vec::is_empty);
    is_none(&term.match_expressions) && is_none(&term.match_fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(affinity: &Value) -> Pod {
        let spec = json!({ "containers": [], "nodeName": "b", "affinity": affinity });
        let metadata = json!({ "annotations": { names::RESTORE_ANNOTATION: "op" } });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn required(terms: &Value) -> Value {
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } })
    }

    #[test]
    fn what_was_narrowed_is_widened_to_what_it_was() {
        let zone =
            json!({ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }] });
        let not = json!({ "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["x"] }] });
        let other = json!({ "podAffinity": {} });
        for before in [
            Value::Null,
            required(&json!([zone.clone()])),
            required(&json!([zone, not])),
            other,
        ] {
            let original = pod(&before);
            let terms = narrowed(&original, "b");
            let mut narrow = before.clone();
            json_patch::merge(&mut narrow, &required(&json!(terms)));
            let narrow = pod(&narrow);
            assert_ne!(narrow.spec, original.spec);
            assert_eq!(widened(&narrow).spec, original.spec);
            // What its user has asked for stays, where we did not narrow it.
            let mut plain = narrow.clone();
            plain.metadata.annotations = None;
            assert_eq!(widened(&plain), plain);
        }
    }
}
