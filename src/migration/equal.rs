//! Whether a pod is made as the one was whose state it is to get. A state is restored only into its equal. Pure.

use crate::kit::digest::Digest;
use crate::migration::affinity::widened;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

/// The volume of its service account's token has a name of its own in each pod.
const TOKEN_VOLUME: &str = "kube-api-access-";
/// What differs though it is equal: where it is, and that it waits.
const IGNORED: [&str; 3] = ["nodeName", "schedulingGates", "ephemeralContainers"];

/// What of a successor is not as in the pod before it: the path of the first such field.
pub(crate) fn differs(before: &Pod, successor: &Pod) -> Option<String> {
    difference("spec", &normal(before), &normal(successor))
}

/// By which equals are known when one of them is gone.
pub(crate) fn digest(pod: &Pod) -> String {
    let spec = normal(pod).to_string();
    Digest::of(spec.as_bytes()).text().to_string()
}

/// What is empty says as much as what is not there.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(drop_empty),
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_empty);
            fields.retain(|_, value| !is_empty(value));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn normal(pod: &Pod) -> Value {
    let spec = widened(pod).spec.unwrap_or_default();
    let mut spec = serde_json::to_value(spec).unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        for name in IGNORED {
            fields.remove(name);
        }
    }
    name_alike(&mut spec);
    drop_empty(&mut spec);
    spec
}

/// Wherever the token's volume is named.
fn name_alike(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(name_alike),
        Value::Object(fields) => {
            if let Some(Value::String(name)) = fields.get_mut("name")
                && name.starts_with(TOKEN_VOLUME)
            {
                TOKEN_VOLUME.clone_into(name);
            }
            fields.values_mut().for_each(name_alike);
        }
        _ => {}
    }
}

fn difference(path: &str, before: &Value, after: &Value) -> Option<String> {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys());
            keys.into_iter().find_map(|key| {
                let at = |fields: &serde_json::Map<String, Value>| {
                    fields.get(key).cloned().unwrap_or_default()
                };
                difference(&format!("{path}.{key}"), &at(one), &at(other))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let both = one.iter().zip(other).enumerate();
            both.into_iter().find_map(|(index, (one, other))| {
                difference(&format!("{path}[{index}]"), one, other)
            })
        }
        _ => (before != after).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, image: &str, more: &Value) -> Pod {
        let token = format!("{TOKEN_VOLUME}{name}");
        let mut spec = json!({
            "nodeName": name,
            "containers": [{ "name": "c", "image": image, "volumeMounts": [{ "name": token, "mountPath": "/t" }] }],
            "volumes": [{ "name": token, "projected": {} }],
        });
        json_patch::merge(&mut spec, more);
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    #[test]
    fn pods_of_one_template_are_equal_and_the_first_difference_is_named() {
        let before = pod("a", "web:1", &json!({}));
        let gated = json!({ "schedulingGates": [{ "name": "g" }], "nodeName": null });
        let empty = json!({ "affinity": { "nodeAffinity": {} }, "tolerations": [] });
        for equal in [gated, empty] {
            let equal = pod("b", "web:1", &equal);
            assert_eq!(differs(&before, &equal), None);
            assert_eq!(digest(&before), digest(&equal));
        }
        for (other, path) in [
            (pod("b", "web:2", &json!({})), "spec.containers[0].image"),
            (
                pod("b", "web:1", &json!({ "hostNetwork": true })),
                "spec.hostNetwork",
            ),
            (pod("b", "web:1", &json!({ "volumes": [] })), "spec.volumes"),
        ] {
            assert_ne!(digest(&before), digest(&other));
            assert_eq!(differs(&before, &other).as_deref(), Some(path));
            assert_eq!(differs(&other, &before).as_deref(), Some(path));
        }
    }
}
