//! The pod that a DaemonSet's controller makes for a node, as a webhook sees it: with the API server's defaults, and with what a
//! LimitRange puts into containers that say nothing, which happens before any webhook is asked. Pure.

use crate::kit::documents::part;
use crate::kit::names;
use serde_json::{Map, Value, json};

/// The pod of a DaemonSet for a node of a cluster with these LimitRanges, all as the API server has them.
pub(crate) fn pod(daemonset: &Value, node: &str, limit_ranges: &[Value]) -> Value {
    let (meta, template) = (
        part(daemonset, &["metadata"]),
        part(daemonset, &["spec", "template"]),
    );
    let mut labels = object(part(template, &["metadata", "labels"]));
    let generation = part(
        meta,
        &["annotations", names::TEMPLATE_GENERATION_ANNOTATION],
    );
    if generation.is_string() {
        let label = names::TEMPLATE_GENERATION_LABEL;
        labels.insert(label.into(), generation.clone());
    }
    let mut metadata = json!({
        "generateName": format!("{}-", meta["name"].as_str().unwrap_or_default()),
        "namespace": meta["namespace"],
        "labels": labels,
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": meta["name"],
            "uid": meta["uid"].as_str().unwrap_or_default(), "controller": true, "blockOwnerDeletion": true,
        }],
    });
    let annotations = object(part(template, &["metadata", "annotations"]));
    if let (Some(metadata), false) = (metadata.as_object_mut(), annotations.is_empty()) {
        metadata.insert("annotations".into(), annotations.into());
    }
    let mut spec = object(&template["spec"]);
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            complete(container, limit_ranges);
        }
    }
    bind(&mut spec, node);
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The controller replaces whatever node affinity is required by the one node.
fn bind(spec: &mut Map<String, Value>, node: &str) {
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    let required = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
    let mut affinity = object(spec.get("affinity").unwrap_or(&Value::Null));
    let mut of_nodes = object(affinity.get("nodeAffinity").unwrap_or(&Value::Null));
    of_nodes.insert(
        "requiredDuringSchedulingIgnoredDuringExecution".into(),
        required,
    );
    affinity.insert("nodeAffinity".into(), of_nodes.into());
    spec.insert("affinity".into(), affinity.into());
}

/// What the API server and its LimitRanges put into a container.
fn complete(container: &mut Value, limit_ranges: &[Value]) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    let resources = container.entry("resources").or_insert(Value::Null);
    if resources.is_null() {
        *resources = json!({});
    }
    let mut requests = object(&resources["requests"]);
    let mut limits = object(&resources["limits"]);
    fill(&mut requests, &limits);
    for item in limit_ranges.iter().flat_map(of_containers) {
        let (of_requests, of_limits) = defaults(item);
        fill(&mut requests, &of_requests);
        fill(&mut limits, &of_limits);
    }
    if let Some(resources) = resources.as_object_mut() {
        for (name, list) in [("requests", requests), ("limits", limits)] {
            if !list.is_empty() {
                resources.insert(name.into(), list.into());
            }
        }
    }
}

fn of_containers(range: &Value) -> impl Iterator<Item = &Value> {
    let items = part(range, &["spec", "limits"])
        .as_array()
        .into_iter()
        .flatten();
    items.filter(|item| item["type"] == "Container")
}

/// What is not there is taken from another list.
fn fill(list: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, amount) in from {
        list.entry(key.clone()).or_insert_with(|| amount.clone());
    }
}

/// The requests and limits that a LimitRange gives by default; what it does not say follows from what it says, as the API server
/// writes it down when a LimitRange is stored.
fn defaults(item: &Value) -> (Map<String, Value>, Map<String, Value>) {
    let mut limits = object(&item["default"]);
    fill(&mut limits, &object(&item["max"]));
    let mut requests = object(&item["defaultRequest"]);
    fill(&mut requests, &limits);
    fill(&mut requests, &object(&item["min"]));
    (requests, limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::pod::Pod;

    fn daemonset(container: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": { "name": "agent", "namespace": "apps", "uid": "u", "annotations": { "deprecated.daemonset.template.generation": "3" } },
            "spec": { "template": {
                "metadata": { "labels": { "app": "agent" }, "annotations": { "note": "kept" } },
                "spec": {
                    "affinity": { "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1 }],
                        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "a", "operator": "Exists" }] }] },
                    } },
                    "containers": [container],
                },
            } },
        })
    }

    #[test]
    fn the_pod_is_the_one_that_the_controller_makes() {
        let pod = pod(&daemonset(json!({ "name": "c" })), "n1", &[]);
        let text = pod.to_string();
        let read: Pod = serde_json::from_str(&text).unwrap();
        let owner = read.daemonset().unwrap();
        assert_eq!((&*owner.name, &*owner.uid), ("agent", "u"));
        assert_eq!(
            (read.node(), read.template_generation()),
            (Ok("n1"), Some(3))
        );
        assert_eq!(pod["metadata"]["annotations"], json!({ "note": "kept" }));
        assert_eq!(pod["metadata"]["labels"]["app"], "agent");
        let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
        let preferred = &affinity["preferredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(preferred[0]["weight"], 1);
    }

    fn resources(own: Value, range: Value) -> Value {
        let ranges = [json!({ "spec": { "limits": [range] } })];
        let container = json!({ "name": "c", "resources": own });
        pod(&daemonset(container), "n1", &ranges)["spec"]["containers"][0]["resources"].clone()
    }

    #[test]
    fn a_limit_without_a_request_is_the_request() {
        let none = json!({ "type": "Pod" });
        assert_eq!(
            resources(json!({ "limits": { "cpu": "1", "gpu": "2" } }), none),
            json!({ "requests": { "cpu": "1", "gpu": "2" }, "limits": { "cpu": "1", "gpu": "2" } })
        );
    }

    #[test]
    fn a_limit_range_fills_in_what_is_not_said() {
        let range = json!({
            "type": "Container", "default": { "cpu": "2" }, "defaultRequest": { "cpu": "500m" },
            "max": { "cpu": "4", "memory": "1Gi" }, "min": { "ephemeral-storage": "1Mi" },
        });
        assert_eq!(
            resources(json!({ "requests": { "cpu": "100m" } }), range.clone()),
            json!({
                "requests": { "cpu": "100m", "memory": "1Gi", "ephemeral-storage": "1Mi" },
                "limits": { "cpu": "2", "memory": "1Gi" },
            })
        );
        assert_eq!(resources(Value::Null, range)["requests"]["cpu"], "500m");
    }
}
