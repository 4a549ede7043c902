//! What a Checkpoint is a generation of.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// The next pod of a StatefulSet that has the same name is the same workload. Which pod of a ReplicaSet follows which is known to nobody
/// yet: each is a workload of its own, so that those of one pod never stand for those of another.
pub(super) fn of(pod: &Pod) -> String {
    let mut owners = pod.owner_references().iter();
    let set = owners.find(|owner| {
        let is_ours = owner.api_version.starts_with("apps/") && owner.kind == "StatefulSet";
        is_ours && owner.controller == Some(true)
    });
    match set {
        Some(set) => format!("{}/{}", set.uid, pod.name_any()),
        None => pod.uid().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owned(kind: &str, is_controller: bool) -> String {
        let owner = json!({ "apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "set", "controller": is_controller });
        let pod =
            json!({ "metadata": { "name": "web-0", "uid": "pod", "ownerReferences": [owner] } });
        of(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn the_next_pod_of_a_name_in_a_statefulset_is_the_same_workload() {
        assert_eq!(owned("StatefulSet", true), "set/web-0");
        assert_eq!(owned("StatefulSet", false), "pod");
        assert_eq!(owned("ReplicaSet", true), "pod");
    }
}
