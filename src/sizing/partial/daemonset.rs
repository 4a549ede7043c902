//! DaemonSets: what their pods ask for by themselves, where they land, and how far a roll-out is.

use super::meta::Annotations;
use super::podspec::PodSpec;
use super::{Kind, Partial};
use crate::kit::names;
use crate::sizing::texts::Texts;
use crate::sizing::view::{DaemonSetView, Rollout};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use std::sync::Arc;

/// DaemonSets.
#[derive(Debug, Clone)]
pub(crate) enum DaemonSets {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    template: PodTemplate,
    update_strategy: UpdateStrategy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PodTemplate {
    metadata: TemplateMeta,
    spec: PodSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct TemplateMeta {
    annotations: Option<Annotations>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    rolling_update: Option<RollingUpdate>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RollingUpdate {
    max_unavailable: Option<IntOrString>,
    max_surge: Option<IntOrString>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    desired_number_scheduled: i32,
    current_number_scheduled: i32,
    number_unavailable: i32,
}

impl Kind for DaemonSets {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "DaemonSet";
    const PLURAL: &'static str = "daemonsets";
    type Scope = NamespaceResourceScope;
    type Spec = Spec;
    type Status = Status;
    type View = DaemonSetView;

    fn view(object: &Partial<Self>, texts: &Texts) -> Option<DaemonSetView> {
        let template = &object.spec.template;
        let on_pods = template.metadata.annotations.as_ref();
        // One that is empty is there all the same: so a DaemonSet can leave what its pod template names.
        let named = object
            .annotation(names::TEMPLATE_ANNOTATION)
            .or_else(|| Some(on_pods?.0.get(names::TEMPLATE_ANNOTATION)?.as_str()))
            .filter(|name| !name.is_empty());
        let generation = object.annotation(names::TEMPLATE_GENERATION_ANNOTATION);
        let containers = template.spec.containers(texts);
        Some(DaemonSetView {
            uid: object.uid().into(),
            template: named.map(|name| texts.share(name)),
            template_generation: generation.and_then(|number| number.parse().ok()),
            whole: template.spec.whole(&containers),
            containers,
            landing: template.spec.landing(texts),
            rollout: rollout(object, texts),
        })
    }
}

fn rollout(object: &Partial<DaemonSets>, texts: &Texts) -> Rollout {
    let written = |number: &Option<IntOrString>| -> Option<Arc<str>> {
        Some(match number.as_ref()? {
            IntOrString::Int(number) => texts.share(&number.to_string()),
            IntOrString::String(text) => texts.share(text),
        })
    };
    let rolling = object.spec.update_strategy.rolling_update.as_ref();
    Rollout {
        max_unavailable: rolling.and_then(|rolling| written(&rolling.max_unavailable)),
        max_surge: rolling.and_then(|rolling| written(&rolling.max_surge)),
        desired: object.status.desired_number_scheduled,
        scheduled: object.status.current_number_scheduled,
        unavailable: object.status.number_unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::testkit::amounts;
    use crate::sizing::view::{ContainerView, Role};
    use serde_json::{Value, json};

    fn view(object: Value) -> DaemonSetView {
        DaemonSets::view(&serde_json::from_value(object).unwrap(), &Texts::default()).unwrap()
    }

    /// As `kubectl get -o json` shows it, shortened.
    fn agent() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {
                "name": "agent", "namespace": "monitoring", "uid": "5b0e", "generation": 4, "resourceVersion": "88",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {
                    "deprecated.daemonset.template.generation": "4",
                    "flexdaemonsets.xai/resource-template": "small",
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"much\": \"text\"}",
                },
                "managedFields": [{ "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:metadata": {} } }],
            },
            "spec": {
                "revisionHistoryLimit": 10,
                "selector": { "matchLabels": { "app": "agent" } },
                "template": {
                    "metadata": { "creationTimestamp": null, "labels": { "app": "agent" } },
                    "spec": {
                        "hostNetwork": true,
                        "nodeSelector": { "kubernetes.io/os": "linux" },
                        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{
                            "matchExpressions": [{ "key": "pool", "operator": "NotIn", "values": ["edge"] }, { "key": "gpu", "operator": "DoesNotExist" }],
                            "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["n9"] }],
                        }] } } },
                        "tolerations": [
                            { "operator": "Exists" },
                            { "key": "dedicated", "value": "infra", "effect": "NoSchedule" },
                            { "key": "load", "operator": "Gt", "value": "5" },
                        ],
                        "initContainers": [
                            { "name": "setup", "resources": {} },
                            { "name": "proxy", "restartPolicy": "Always", "resources": { "requests": { "cpu": "10m" } } },
                        ],
                        "containers": [{
                            "name": "main", "image": "agent:1", "env": [{ "name": "A", "value": "b" }],
                            "resources": {
                                "limits": { "cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1" },
                                "requests": { "cpu": "100m" },
                            },
                        }],
                    },
                },
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "10%" } },
            },
            "status": { "currentNumberScheduled": 2, "desiredNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 1, "numberUnavailable": 1 },
        })
    }

    #[test]
    fn reads_a_daemonset() {
        let view = view(agent());
        assert_eq!(
            (&*view.uid, view.template.as_deref()),
            ("5b0e", Some("small"))
        );
        assert_eq!(view.template_generation, Some(4));
        assert_eq!(view.whole, None);
        let named: Vec<_> = view
            .containers
            .iter()
            .map(|one| (&*one.name, one.role))
            .collect();
        let roles = [
            ("setup", Role::Init),
            ("proxy", Role::Sidecar),
            ("main", Role::Main),
        ];
        assert_eq!(named, roles);
        let rollout = Rollout {
            max_unavailable: Some("10%".into()),
            max_surge: Some("0".into()),
            desired: 3,
            scheduled: 2,
            unavailable: 1,
        };
        assert_eq!(view.rollout, rollout);
    }

    #[test]
    fn a_limit_without_a_request_is_the_request() {
        let view = view(agent());
        let ContainerView {
            requests, limits, ..
        } = &view.containers[2];
        assert_eq!(requests.cpu, Some("100m".parse().unwrap()));
        assert_eq!(limits.cpu, Some("500m".parse().unwrap()));
        assert_eq!(requests.memory, Some("1Gi".parse().unwrap()));
        assert_eq!(requests.storage, None);
        assert_eq!(view.containers[1].limits.cpu, None);
    }

    #[test]
    fn reads_where_pods_land() {
        let landing = view(agent()).landing;
        assert!(landing.is_on_host_network);
        assert_eq!(landing.node_selector.get("kubernetes.io/os"), Some("linux"));
        let [term] = &landing.terms[..] else {
            panic!("{:?}", landing.terms)
        };
        let seen: Vec<_> = term
            .labels
            .iter()
            .map(|one| (&*one.key, &*one.operator))
            .collect();
        assert_eq!(seen, [("pool", "NotIn"), ("gpu", "DoesNotExist")]);
        assert_eq!(term.names[0].values, ["n9".into()]);
        // The third has an operator that only a newer API server knows.
        let [all, one] = &landing.tolerations[..] else {
            panic!("{:?}", landing.tolerations)
        };
        assert_eq!((&all.key, &all.value, &all.effect), (&None, &None, &None));
        assert_eq!(
            (one.key.as_deref(), one.value.as_deref()),
            (Some("dedicated"), Some("infra"))
        );
    }

    #[test]
    fn f08_the_annotation_counts_on_the_pod_template_too() {
        let key = "flexdaemonsets.xai/resource-template";
        let mut daemonset = agent();
        daemonset["spec"]["template"]["metadata"]["annotations"] =
            json!({ key: "large", "other": "x" });
        assert_eq!(view(daemonset.clone()).template.as_deref(), Some("small"));
        daemonset["metadata"]["annotations"][key] = json!("");
        assert_eq!(view(daemonset.clone()).template, None);
        daemonset["metadata"]["annotations"] = json!(null);
        assert_eq!(view(daemonset).template.as_deref(), Some("large"));
    }

    #[test]
    fn fx_01_an_empty_annotation_names_no_template() {
        let key = "flexdaemonsets.xai/resource-template";
        let mut daemonset = agent();
        daemonset["metadata"]["annotations"][key] = json!("");
        assert_eq!(view(daemonset).template, None);
        let mut daemonset = agent();
        daemonset["metadata"]["annotations"] = json!({});
        daemonset["spec"]["template"]["metadata"] = json!({ "annotations": { key: "" } });
        assert_eq!(view(daemonset).template, None);
    }

    #[test]
    fn a_bare_one_is_read_too() {
        let view = view(
            json!({ "metadata": { "name": "d" }, "spec": { "template": { "spec": { "containers": null } } } }),
        );
        assert_eq!((view.containers.len(), view.template_generation), (0, None));
    }

    #[test]
    fn pods_have_resources_as_a_whole_where_these_say_something() {
        let with = |resources: Value| {
            let mut daemonset = agent();
            daemonset["spec"]["template"]["spec"]["resources"] = resources;
            view(daemonset).whole
        };
        // What it does not say is the containers' sum, before a limit.
        let whole = with(json!({ "requests": { "cpu": "2" }, "limits": { "memory": "4Gi" } }));
        assert_eq!(whole, Some(amounts("cpu=2 memory=1Gi")));
        let pages = with(json!({ "limits": { "hugepages-2Mi": "4Mi" } }));
        assert_eq!(pages, Some(amounts("cpu=110m memory=1Gi")));
        for nothing in [
            json!(null),
            json!({}),
            json!({ "requests": {}, "limits": null }),
        ] {
            assert_eq!(with(nothing.clone()), None, "{nothing}");
        }
    }
}
