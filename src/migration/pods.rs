//! What a Migration changes in pods, as patches of what was seen. Pure.
//!
//! A pod that is *detached* has no owner that counts it: its owner makes another one, which waits behind our gate. Who counted it, and by
//! which label, is kept in an annotation, and the Deployment stays as an owner that does not control, so that who deletes the Deployment
//! deletes this pod too. Pods that are detached, or gated, are found by a label: what is left of them is swept by `strays.rs`.

use crate::kit::names;
use crate::migration::affinity::narrowed;
use crate::migration::api::{Binding, Journey, OwnerNote};
use crate::migration::journey::{TEMPLATE_HASH, controller};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

/// What a pod's owner deletes first when it has one too many.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const HIGHEST_COST: &str = "2147483647";
const LOW_COST: &str = "-1";

/// Whether a Migration took this pod from its owner.
pub(crate) fn is_detached(pod: &Pod, operation: &str) -> bool {
    moved_by(pod) == Some(operation) && controller(pod.owner_references()).is_none()
}

/// The Migration that took it from its owner, or gated it.
pub(crate) fn moved_by(pod: &Pod) -> Option<&str> {
    pod.labels().get(names::MIGRATION_LABEL).map(String::as_str)
}

/// The operation whose state it waits for, or got.
pub(crate) fn restored_by(pod: &Pod) -> Option<&str> {
    let by = pod.annotations().get(names::RESTORE_ANNOTATION);
    by.map(String::as_str)
}

/// Who counted a pod that is detached.
pub(crate) fn former_owner(pod: &Pod) -> Option<OwnerNote> {
    let text = pod.annotations().get(names::OWNER_ANNOTATION)?;
    serde_json::from_str(text).ok()
}

/// Whether it waits for us.
pub(crate) fn is_gated(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let mut gates = spec
        .and_then(|spec| spec.scheduling_gates.as_ref())
        .into_iter()
        .flatten();
    gates.any(|gate| gate.name == names::GATE)
}

/// Whether it can still run.
pub(crate) fn is_alive(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Failed" | "Succeeded"))
}

/// Taken from its owner.
pub(crate) fn detach(owner: &OwnerNote, operation: &str) -> Value {
    json!({ "metadata": {
        "labels": {
            TEMPLATE_HASH: format!("{}-moving", owner.template_hash),
            names::MIGRATION_LABEL: operation,
        },
        "annotations": { names::OWNER_ANNOTATION: json!(owner).to_string(), DELETION_COST: HIGHEST_COST },
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": owner.deployment, "uid": owner.deployment_uid,
        }],
    } })
}

/// Given back. `mark`: the operation, while something is left to be done about it.
pub(crate) fn attach(owner: &OwnerNote, mark: Option<&str>) -> Value {
    json!({ "metadata": {
        "labels": { TEMPLATE_HASH: owner.template_hash, names::MIGRATION_LABEL: mark },
        "annotations": { names::OWNER_ANNOTATION: null, DELETION_COST: owner.deletion_cost },
        // To block the deletion of an owner takes rights over it, which we have not, and a ReplicaSet does not ask for it.
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner.replica_set, "uid": owner.replica_set_uid,
            "controller": true,
        }],
    } })
}

/// Which of its owner's pods goes first, if its user has said so.
pub(crate) fn deletion_cost(pod: &Pod) -> Option<String> {
    pod.annotations().get(DELETION_COST).cloned()
}

/// Let go to its node, where it waits for the state of this operation. The API server lets nodes be narrowed down while a pod is gated,
/// in each of the terms that stand there.
pub(crate) fn lift(pod: &Pod, binding: &Binding, operation: &str) -> Value {
    let terms = narrowed(pod, &binding.node);
    json!({
        "metadata": {
            "labels": { names::MIGRATION_LABEL: null },
            "annotations": {
                names::RESTORE_ANNOTATION: operation,
                DELETION_COST: deletion_cost(pod).unwrap_or_else(|| LOW_COST.to_owned()),
            },
        },
        "spec": {
            "schedulingGates": other_gates(pod),
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } },
        },
    })
}

/// Let go to wherever it fits: nobody has a state for it.
pub(crate) fn free(pod: &Pod) -> Value {
    json!({
        "metadata": { "labels": { names::MIGRATION_LABEL: null } },
        "spec": { "schedulingGates": other_gates(pod) },
    })
}

/// Whether it was marked as the first to go, while it was made ready.
pub(crate) fn is_cheap(pod: &Pod) -> bool {
    pod.annotations().get(DELETION_COST).map(String::as_str) == Some(LOW_COST)
}

/// It runs with its state, and is worth as much as any other pod.
pub(crate) fn settled() -> Value {
    json!({ "metadata": { "annotations": { DELETION_COST: null } } })
}

/// Nothing of ours is left to be done about it.
pub(crate) fn forgotten() -> Value {
    json!({ "metadata": { "labels": { names::MIGRATION_LABEL: null } } })
}

/// The journey's pod, by its uid.
pub(crate) fn is_source(pod: &Pod, journey: &Journey) -> bool {
    pod.uid().is_some_and(|uid| uid == journey.pod_uid)
}

fn other_gates(pod: &Pod) -> Vec<Value> {
    let spec = pod.spec.as_ref();
    let gates = spec.and_then(|spec| spec.scheduling_gates.as_ref());
    let others = gates
        .into_iter()
        .flatten()
        .filter(|gate| gate.name != names::GATE);
    others.map(|gate| json!({ "name": gate.name })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_term_is_narrowed_to_the_node_and_other_gates_stay() {
        let gated = pod(json!({ "spec": {
            "containers": [],
            "schedulingGates": [{ "name": "example.com/mine" }, { "name": names::GATE }],
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }] },
                { "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["x"] }] },
            ] } } },
        } }));
        let binding = Binding {
            node: "n2".into(),
            pod_name: "web-2".into(),
            pod_uid: "u2".into(),
        };
        assert!(is_gated(&gated));
        let fields = lift(&gated, &binding, "op");
        assert_eq!(
            fields["spec"]["schedulingGates"],
            json!([{ "name": "example.com/mine" }])
        );
        let required = &fields["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let terms = required["nodeSelectorTerms"].as_array().unwrap();
        assert_eq!(terms.len(), 2);
        for term in terms {
            let last = term["matchFields"].as_array().unwrap().last().unwrap();
            assert_eq!(last["values"], json!(["n2"]));
        }
        assert_eq!(terms[0]["matchExpressions"][0]["key"], "zone");
        let plain = pod(
            json!({ "spec": { "containers": [], "schedulingGates": [{ "name": names::GATE }] } }),
        );
        let fields = lift(&plain, &binding, "op");
        let required = &fields["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            required["nodeSelectorTerms"][0]["matchFields"][0]["values"],
            json!(["n2"])
        );
    }

    #[test]
    fn what_is_detached_is_known_by_its_operation_and_comes_back_as_it_was() {
        let owner = OwnerNote {
            deployment: "web".into(),
            deployment_uid: "d".into(),
            replica_set: "web-abc".into(),
            replica_set_uid: "r".into(),
            template_hash: "abc".into(),
            deletion_cost: Some("7".into()),
        };
        let mut seen = json!({ "metadata": { "name": "web-1", "labels": { "app": "web", TEMPLATE_HASH: "abc" }, "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "r", "controller": true },
        ], "annotations": { DELETION_COST: "7" } } });
        let before = seen.clone();
        json_patch::merge(&mut seen, &detach(&owner, "op"));
        assert!(is_detached(&pod(seen.clone()), "op"));
        assert!(!is_detached(&pod(seen.clone()), "another"));
        assert_eq!(former_owner(&pod(seen.clone())), Some(owner.clone()));
        assert_eq!(seen["metadata"]["ownerReferences"][0]["kind"], "Deployment");
        json_patch::merge(&mut seen, &attach(&owner, None));
        assert!(!is_detached(&pod(seen.clone()), "op"));
        assert_eq!(seen, before);
    }
}
