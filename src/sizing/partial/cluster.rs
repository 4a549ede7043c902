//! Nodes, namespaces, limits and templates: what a share depends on besides the DaemonSet.

use super::podspec::{ResourceList, labels};
use super::{Kind, Partial};
use crate::kit::names;
use crate::sizing::amounts::Each;
use crate::sizing::api::FlexDaemonsetTemplateSpec;
use crate::sizing::recipe::Recipe;
use crate::sizing::texts::Texts;
use crate::sizing::view::{Bounds, LimitRangeView, NamespaceView, NodeView, Taint, TemplateView};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// Nodes.
#[derive(Debug, Clone)]
pub(crate) enum Nodes {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpec {
    taints: Option<Vec<WrittenTaint>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct WrittenTaint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    allocatable: Option<ResourceList>,
}

impl Kind for Nodes {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
    const PLURAL: &'static str = "nodes";
    type Scope = ClusterResourceScope;
    type Spec = NodeSpec;
    type Status = NodeStatus;
    type View = NodeView;

    fn view(object: &Partial<Self>, texts: &Texts) -> Option<NodeView> {
        let taints = object.spec.taints.iter().flatten().map(|taint| Taint {
            key: texts.share(&taint.key),
            value: texts.share(&taint.value),
            effect: texts.share(&taint.effect),
        });
        Some(NodeView {
            allocatable: object.status.allocatable.unwrap_or_default().amounts,
            labels: labels(object.metadata.labels.as_ref(), object.name(), texts),
            taints: taints.collect(),
        })
    }
}

/// Namespaces.
#[derive(Debug, Clone)]
pub(crate) enum Namespaces {}

impl Kind for Namespaces {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Namespace";
    const PLURAL: &'static str = "namespaces";
    type Scope = ClusterResourceScope;
    type Spec = IgnoredAny;
    type Status = IgnoredAny;
    type View = NamespaceView;

    fn view(object: &Partial<Self>, texts: &Texts) -> Option<NamespaceView> {
        Some(NamespaceView {
            sizing: object
                .label(names::SIZING_LABEL)
                .map(|value| texts.share(value)),
        })
    }
}

/// Bounds of what may be asked for in a namespace.
#[derive(Debug, Clone)]
pub(crate) enum LimitRanges {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LimitRangeSpec {
    limits: Option<Vec<WrittenLimit>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenLimit {
    #[serde(rename = "type")]
    of: String,
    min: Option<ResourceList>,
    max: Option<ResourceList>,
    max_limit_request_ratio: Option<ResourceList>,
}

impl Kind for LimitRanges {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "LimitRange";
    const PLURAL: &'static str = "limitranges";
    type Scope = NamespaceResourceScope;
    type Spec = LimitRangeSpec;
    type Status = IgnoredAny;
    type View = LimitRangeView;

    fn view(object: &Partial<Self>, texts: &Texts) -> Option<LimitRangeView> {
        let bounds = |of: &str| {
            let mut limits = object.spec.limits.iter().flatten();
            let limit = limits.find(|limit| limit.of == of)?;
            let amounts =
                |list: Option<ResourceList>| list.map_or_else(Each::default, |list| list.amounts);
            Some(Bounds {
                min: amounts(limit.min),
                max: amounts(limit.max),
                ratio: amounts(limit.max_limit_request_ratio),
            })
        };
        Some(LimitRangeView {
            name: texts.share(object.metadata.name.as_deref().unwrap_or_default()),
            container: bounds("Container").unwrap_or_default(),
            pod: bounds("Pod").unwrap_or_default(),
        })
    }
}

/// Templates.
#[derive(Debug, Clone)]
pub(crate) enum Templates {}

/// A specification, or why it cannot be read: one that an older schema let in must not hide the others.
#[derive(Debug, Clone)]
pub(crate) struct Readable(Result<FlexDaemonsetTemplateSpec, String>);

impl Default for Readable {
    fn default() -> Self {
        Self(Ok(FlexDaemonsetTemplateSpec::default()))
    }
}

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = serde_json::Value::deserialize(deserializer)?;
        let read = serde_json::from_value(written);
        Ok(Self(
            read.map_err(|error| format!("spec cannot be read: {error}")),
        ))
    }
}

impl Kind for Templates {
    const GROUP: &'static str = "flexdaemonsets.xai";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "FlexDaemonsetTemplate";
    const PLURAL: &'static str = "flexdaemonsettemplates";
    type Scope = ClusterResourceScope;
    type Spec = Readable;
    type Status = IgnoredAny;
    type View = TemplateView;

    fn view(object: &Partial<Self>, _texts: &Texts) -> Option<TemplateView> {
        let spec = object.spec.0.as_ref();
        Some(TemplateView {
            uid: object.uid().into(),
            generation: object.metadata.generation.unwrap_or_default(),
            recipe: spec.map_err(String::clone).and_then(Recipe::read),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::api::FlexDaemonsetTemplate;
    use kube::Resource;
    use serde_json::{Value, json};

    fn view<K: Kind>(object: Value) -> K::View {
        K::view(&serde_json::from_value(object).unwrap(), &Texts::default()).unwrap()
    }

    #[test]
    fn reads_a_node() {
        let node = view::<Nodes>(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": "n1", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": { "kubernetes.io/hostname": "n1", "kubernetes.io/os": "linux" },
                "annotations": { "node.alpha.kubernetes.io/ttl": "0" },
                "managedFields": [{ "fieldsV1": { "f:status": { "f:conditions": {} } }, "time": "2026-01-01T00:00:00Z" }],
            },
            "spec": { "podCIDR": "10.0.0.0/24", "taints": [{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }] },
            "status": {
                "capacity": { "cpu": "4", "memory": "16Gi" },
                "allocatable": { "cpu": "3920m", "memory": "16384000Ki", "ephemeral-storage": "47093746742", "pods": "110", "hugepages-2Mi": "0" },
                "images": [{ "names": ["registry.k8s.io/pause:3.10"], "sizeBytes": 1 }],
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        }));
        let amount = |text: &str| Some(text.parse().unwrap());
        assert_eq!(node.allocatable.cpu, amount("3920m"));
        assert_eq!(node.allocatable.memory, amount("16384000Ki"));
        assert_eq!(node.allocatable.storage, amount("47093746742"));
        assert_eq!(node.labels.get("kubernetes.io/os"), Some("linux"));
        let [taint] = &node.taints[..] else {
            panic!("{:?}", node.taints)
        };
        assert_eq!((&*taint.value, &*taint.effect), ("", "NoSchedule"));
    }

    #[test]
    fn a_node_that_has_not_reported_yet_has_nothing_to_give() {
        let node =
            view::<Nodes>(json!({ "metadata": { "name": "new" }, "spec": {}, "status": {} }));
        assert_eq!(node, NodeView::default());
    }

    #[test]
    fn reads_limits() {
        let limits = view::<LimitRanges>(json!({
            "metadata": { "name": "bounds", "namespace": "ns" },
            "spec": { "limits": [
                { "type": "PersistentVolumeClaim", "max": { "storage": "1Gi" } },
                { "type": "Container", "default": { "cpu": "1" }, "defaultRequest": { "cpu": "500m" }, "max": { "cpu": "2" }, "min": { "memory": "64Mi" }, "maxLimitRequestRatio": { "cpu": "4" } },
                { "type": "Pod", "max": { "memory": 1_073_741_824 } },
            ] },
        }));
        let amount = |text: &str| Some(text.parse().unwrap());
        assert_eq!(&*limits.name, "bounds");
        assert_eq!(
            (limits.container.max.cpu, limits.container.min.memory),
            (amount("2"), amount("64Mi"))
        );
        assert_eq!(
            (limits.container.ratio.cpu, limits.container.ratio.memory),
            (amount("4"), None)
        );
        assert_eq!(
            (limits.pod.max.memory, limits.pod.max.cpu),
            (amount("1Gi"), None)
        );
    }

    #[test]
    fn reads_what_a_namespace_wants() {
        let labelled = json!({ "metadata": { "name": "kube-system", "labels": { "holdfast.dev/sizing": "enabled" } }, "spec": { "finalizers": ["kubernetes"] } });
        assert_eq!(
            view::<Namespaces>(labelled).sizing.as_deref(),
            Some("enabled")
        );
        assert_eq!(
            view::<Namespaces>(json!({ "metadata": { "name": "a" } })).sizing,
            None
        );
    }

    #[test]
    fn reads_a_template_or_says_why_not() {
        let template = |spec: Value| {
            view::<Templates>(
                json!({ "metadata": { "name": "t", "uid": "u", "generation": 2 }, "spec": spec }),
            )
        };
        let fine = template(json!({ "cpuPercentage": 10 }));
        assert_eq!((fine.generation, &*fine.uid), (2, "u"));
        assert_eq!(fine.recipe.unwrap().shares.cpu.percent, Some(10));
        let above = template(json!({ "cpuPercentage": 10, "minCPU": "2", "maxCPU": "1" }));
        assert!(above.recipe.unwrap_err().contains("above maxCPU"));
        let unreadable = template(json!({ "cpuPercentage": "ten" }));
        assert!(unreadable.recipe.unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn templates_are_found_where_their_type_says() {
        assert_eq!(
            Partial::<Templates>::url_path(&(), None),
            FlexDaemonsetTemplate::url_path(&(), None)
        );
    }
}
