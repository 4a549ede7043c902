//! DaemonSets' pods, for the leader alone: whether they have their share, and what the kubelet says of a resize.

use super::podspec::PodSpec;
use super::{Kind, Partial};
use crate::kit::names;
use crate::sizing::texts::Texts;
use crate::sizing::view::{PodView, Resize};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;

/// Pods.
#[derive(Debug, Clone)]
pub(crate) enum Pods {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    phase: String,
    observed_generation: Option<i64>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    of: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
    last_transition_time: Option<Time>,
}

impl Kind for Pods {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Pod";
    const PLURAL: &'static str = "pods";
    type Scope = NamespaceResourceScope;
    type Spec = PodSpec;
    type Status = Status;
    type View = PodView;

    fn view(object: &Partial<Self>, texts: &Texts) -> Option<PodView> {
        let owner = daemonset(&object.metadata)?;
        let (meta, status) = (&object.metadata, &object.status);
        let generation = object.label(names::TEMPLATE_GENERATION_LABEL);
        Some(PodView {
            uid: object.uid().into(),
            owner: texts.share(owner),
            node: object.spec.node().ok().map(|name| texts.share(name)),
            template_generation: generation.and_then(|number| number.parse().ok()),
            containers: object.spec.containers(texts),
            has_pod_resources: object.spec.has_pod_resources(),
            was_sized: object.annotation(names::SHARE_ANNOTATION).is_some(),
            created: meta
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
                .unwrap_or_default(),
            is_leaving: meta.deletion_timestamp.is_some(),
            is_over: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
            is_ready: status.condition("Ready").is_some(),
            resize: resize(meta.generation, status),
            resize_since: status
                .condition("PodResizePending")
                .or_else(|| status.condition("PodResizeInProgress"))
                .and_then(|condition| Some(condition.last_transition_time.as_ref()?.0)),
        })
    }
}

/// The uid of the DaemonSet that controls an object.
fn daemonset(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.iter().flatten();
    let mut ours = owners.filter(|owner| {
        owner.controller == Some(true)
            && owner.kind == "DaemonSet"
            && owner.api_version.starts_with("apps/")
    });
    ours.next().map(|owner| owner.uid.as_str())
}

impl Status {
    /// A condition that holds.
    fn condition(&self, of: &str) -> Option<&Condition> {
        let mut conditions = self.conditions.iter().flatten();
        conditions.find(|condition| condition.of == of && condition.status == "True")
    }
}

/// A resize that waits is newer than one that is being done, so it is told first.
fn resize(generation: Option<i64>, status: &Status) -> Resize {
    let told = |condition: &Condition| condition.message.as_deref().unwrap_or_default().into();
    if let Some(pending) = status.condition("PodResizePending") {
        return match pending.reason.as_deref() {
            Some("Infeasible") => Resize::Infeasible(told(pending)),
            Some("Deferred") => Resize::Deferred(told(pending)),
            // A reason that only a newer kubelet knows: it waits all the same.
            _ => Resize::InProgress,
        };
    }
    if let Some(doing) = status.condition("PodResizeInProgress") {
        return match doing.reason.as_deref() {
            Some("Error") => Resize::Failed(told(doing)),
            _ => Resize::InProgress,
        };
    }
    let is_unseen = match (generation, status.observed_generation) {
        (Some(wanted), Some(observed)) => observed < wanted,
        _ => false,
    };
    if is_unseen {
        Resize::InProgress
    } else {
        Resize::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn view(pod: &Value) -> Option<PodView> {
        Pods::view(
            &serde_json::from_value(pod.clone()).unwrap(),
            &Texts::default(),
        )
    }

    fn pod() -> Value {
        json!({
            "metadata": {
                "name": "agent-x7k2p", "namespace": "monitoring", "uid": "p1", "generation": 2, "resourceVersion": "9",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": { "pod-template-generation": "4", "app": "agent" },
                "annotations": { "holdfast.dev/share": "cpu=392m" },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Node", "name": "n", "uid": "other" },
                    { "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "5b0e", "controller": true, "blockOwnerDeletion": true },
                ],
            },
            "spec": {
                "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                    { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] },
                ] } } },
                "containers": [{ "name": "main", "resources": { "requests": { "cpu": "392m" } } }],
            },
            "status": {
                "phase": "Running", "observedGeneration": 2,
                "conditions": [{ "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" }],
            },
        })
    }

    #[test]
    fn reads_a_pod_of_a_daemonset() {
        let view = view(&pod()).unwrap();
        assert_eq!(
            (&*view.uid, &*view.owner, view.node.as_deref()),
            ("p1", "5b0e", Some("n1"))
        );
        assert_eq!(
            (view.template_generation, view.containers.len()),
            (Some(4), 1)
        );
        assert!(view.was_sized && view.is_ready && !view.is_leaving && !view.is_over);
        assert_eq!(view.created.as_second(), 1_767_225_600);
        assert_eq!(view.resize, Resize::None);
    }

    #[test]
    fn where_it_runs_counts_more_than_where_it_was_to_run() {
        let mut bound = pod();
        bound["spec"]["nodeName"] = json!("n2");
        assert_eq!(view(&bound).unwrap().node.as_deref(), Some("n2"));
    }

    #[test]
    fn resources_as_a_whole_that_say_nothing_are_none() {
        let mut whole = pod();
        for (resources, has_some) in [
            (json!({ "requests": { "cpu": "1" } }), true),
            (json!({ "requests": {} }), false),
            (json!({}), false),
        ] {
            whole["spec"]["resources"] = resources;
            assert_eq!(view(&whole).unwrap().has_pod_resources, has_some);
        }
    }

    #[test]
    fn pods_of_others_are_not_remembered() {
        for (key, value) in [
            ("controller", json!(false)),
            ("kind", json!("ReplicaSet")),
            ("apiVersion", json!("apps.example/v1")),
        ] {
            let mut other = pod();
            other["metadata"]["ownerReferences"][1][key] = value;
            assert_eq!(view(&other), None, "{key}");
        }
    }

    #[test]
    fn a_pod_that_ends_is_told() {
        let mut ended = pod();
        ended["status"] = json!({ "phase": "Failed" });
        ended["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        let view = view(&ended).unwrap();
        assert!(view.is_over && view.is_leaving && !view.is_ready);
    }

    #[test]
    fn reads_what_the_kubelet_says_of_a_resize() {
        let condition = |of: &str, status: &str, reason: Value| json!({ "type": of, "status": status, "reason": reason, "message": "why" });
        let why = || "why".into();
        let cases = [
            (
                vec![condition("PodResizePending", "True", json!("Deferred"))],
                Resize::Deferred(why()),
            ),
            (
                vec![condition("PodResizePending", "True", json!("Infeasible"))],
                Resize::Infeasible(why()),
            ),
            (
                vec![condition("PodResizePending", "False", json!("Infeasible"))],
                Resize::None,
            ),
            (
                vec![condition("PodResizeInProgress", "True", json!("Error"))],
                Resize::Failed(why()),
            ),
            (
                vec![condition("PodResizeInProgress", "True", json!(null))],
                Resize::InProgress,
            ),
            (
                vec![
                    condition("PodResizeInProgress", "True", json!(null)),
                    condition("PodResizePending", "True", json!("Deferred")),
                ],
                Resize::Deferred(why()),
            ),
        ];
        for (conditions, resize) in cases {
            let mut resized = pod();
            resized["status"]["conditions"] = json!(conditions);
            assert_eq!(view(&resized).unwrap().resize, resize, "{conditions:?}");
        }
    }

    #[test]
    fn a_change_that_the_kubelet_has_not_seen_is_in_progress() {
        let mut changed = pod();
        changed["metadata"]["generation"] = json!(3);
        assert_eq!(view(&changed).unwrap().resize, Resize::InProgress);
        // An older kubelet says nothing of generations.
        changed["status"]["observedGeneration"] = json!(null);
        assert_eq!(view(&changed).unwrap().resize, Resize::None);
    }
}
