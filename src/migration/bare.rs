//! What a pod's successor is made from. One that nobody owns is made again by us: its manifest is kept in the Migration's status before
//! anything is touched. Pure.

use crate::kit::names;
use crate::migration::affinity::widened;
use crate::migration::api::Journey;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodSchedulingGate};
use kube::ResourceExt;

/// What a pod is made from again: all that its user has said, and nothing of where and when it was.
pub(crate) fn manifest(pod: &Pod) -> Pod {
    let mut made = widened(pod);
    made.status = None;
    let metadata = std::mem::take(&mut made.metadata);
    made.metadata.name = metadata.name;
    made.metadata.generate_name = metadata.generate_name;
    made.metadata.namespace = metadata.namespace;
    made.metadata.labels = metadata.labels;
    made.metadata.annotations = metadata.annotations;
    made.metadata.owner_references = metadata.owner_references;
    made.annotations_mut().remove(names::RESTORE_ANNOTATION);
    if let Some(spec) = &mut made.spec {
        spec.node_name = None;
        spec.ephemeral_containers = None;
        spec.scheduling_gates = None;
    }
    made
}

/// A pod as a ReplicaSet makes it.
pub(crate) fn of_template(set: &ReplicaSet) -> Option<Pod> {
    let template = set.spec.as_ref()?.template.clone()?;
    let mut pod = Pod {
        metadata: template.metadata.unwrap_or_default(),
        spec: template.spec,
        status: None,
    };
    pod.metadata.name.clone_from(&set.metadata.name);
    pod.metadata.namespace.clone_from(&set.metadata.namespace);
    Some(pod)
}

/// The same under a name that nobody has: whether it would be let in.
pub(crate) fn rehearsed(pod: &Pod) -> Pod {
    let mut other = pod.clone();
    let name: String = pod.name_any().chars().take(50).collect();
    other.metadata.generate_name = Some(format!("{name}-"));
    other.metadata.name = None;
    other
}

/// As it is made for an operation: it waits behind our gate.
pub(crate) fn successor(journey: &Journey, operation: &str) -> Option<Pod> {
    let text = journey.manifest.as_deref()?;
    let mut pod: Pod = serde_json::from_str(text).ok()?;
    pod.labels_mut()
        .insert(names::MIGRATION_LABEL.to_owned(), operation.to_owned());
    let spec = pod.spec.as_mut()?;
    let gate = PodSchedulingGate {
        name: names::GATE.to_owned(),
    };
    spec.scheduling_gates.get_or_insert_default().push(gate);
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::equal::differs;
    use crate::migration::pods::{is_gated, moved_by};
    use serde_json::json;

    #[test]
    fn it_is_made_again_as_its_user_had_it_and_waits() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "web", "namespace": "ns", "uid": "u", "resourceVersion": "5", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "app": "web" },
                "annotations": { "a": "b", names::RESTORE_ANNOTATION: "before" },
            },
            "spec": {
                "nodeName": "a", "containers": [{ "name": "c", "image": "web:1" }], "priority": 0,
                "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                    { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["a"] }] },
                ] } } },
            },
            "status": { "phase": "Running" },
        }))
        .unwrap();
        let kept = manifest(&pod);
        let text = serde_json::to_value(&kept).unwrap();
        assert_eq!(
            text["metadata"],
            json!({ "name": "web", "namespace": "ns", "labels": { "app": "web" }, "annotations": { "a": "b" } })
        );
        assert_eq!(text["status"], json!(null));
        assert_eq!(text["spec"]["affinity"], json!(null));
        let journey = Journey {
            manifest: Some(text.to_string()),
            ..Journey::default()
        };
        let made = successor(&journey, "op").unwrap();
        assert!(is_gated(&made));
        assert_eq!(moved_by(&made), Some("op"));
        assert_eq!(differs(&pod, &made), None);
        let other = rehearsed(&kept);
        assert_eq!(other.metadata.generate_name.as_deref(), Some("web-"));
        assert_eq!(other.metadata.name, None);
    }
}
