//! Which nodes could have a copy: those where an agent is ready, and that take pods and have room. Pure.

use crate::agent::api::StateTask;
use crate::checkpoint::plan::Seat;
use crate::node::agents::agent;
use crate::node::select::condition;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// By what there is in the cluster. `account`: the agents' service account.
pub(super) fn seats(pods: &[Pod], nodes: &[Node], tasks: &[StateTask], account: &str) -> Vec<Seat> {
    let open: Vec<_> = nodes
        .iter()
        .filter(|node| takes_pods(node))
        .map(ResourceExt::name_any)
        .collect();
    let mut used = BTreeMap::<&str, i64>::new();
    for task in tasks {
        let bytes = used.entry(&task.spec.node_name).or_default();
        *bytes = bytes.saturating_add(size(task));
    }
    let agents = pods.iter().filter_map(|pod| agent(pod, account));
    let seats = agents
        .filter(|(node, _)| open.contains(node))
        .map(|(node, address)| Seat {
            bytes: used.get(node.as_str()).copied().unwrap_or_default(),
            address: address.to_string(),
            is_full: false,
            node,
        });
    seats.collect()
}

fn takes_pods(node: &Node) -> bool {
    let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable);
    let is = |kind: &str| condition(node, kind).is_some_and(|one| one.status == "True");
    // Pods are driven away there, and images collected: no place for more.
    let is_ready = is("Ready") && !is("DiskPressure");
    is_ready && is_cordoned != Some(true) && node.metadata.deletion_timestamp.is_none()
}

/// What states take on a node's disk for an order.
fn size(task: &StateTask) -> i64 {
    let copy = task.spec.copy.as_ref().map(|copy| copy.bytes);
    let report = task
        .status
        .as_ref()
        .and_then(|status| status.checkpoint.as_ref());
    copy.or_else(|| report?.bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read<T: serde::de::DeserializeOwned>(objects: Vec<Value>) -> Vec<T> {
        objects
            .into_iter()
            .map(|object| serde_json::from_value(object).unwrap())
            .collect()
    }

    fn pod(node: &str, ip: &str, ready: &str, account: &str) -> Value {
        json!({
            "metadata": { "name": format!("agent-{node}") },
            "spec": {
                "nodeName": node, "serviceAccountName": account,
                "containers": [{ "name": "agent", "ports": [
                    { "name": "health", "containerPort": 8081 }, { "name": "peers", "containerPort": 9447 },
                ] }],
            },
            "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    fn node(name: &str, cordoned: bool, ready: &str) -> Value {
        json!({
            "metadata": { "name": name }, "spec": { "unschedulable": cordoned },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    #[test]
    fn a_node_needs_an_agent_that_is_ready_and_room_and_must_take_pods() {
        let pods = read(vec![
            pod("n1", "10.0.0.1", "True", "holdfast-agent"),
            pod("n2", "fd00::2", "True", "holdfast-agent"),
            pod("n3", "10.0.0.3", "False", "holdfast-agent"),
            pod("n4", "10.0.0.4", "True", "somebody"),
            pod("n5", "10.0.0.5", "True", "holdfast-agent"),
            pod("n6", "10.0.0.6", "True", "holdfast-agent"),
            pod("n7", "10.0.0.7", "True", "holdfast-agent"),
            pod("n8", "10.0.0.8", "True", "holdfast-agent"),
        ]);
        let mut full = node("n8", false, "True");
        let pressure = json!({ "type": "DiskPressure", "status": "True" });
        let conditions = full["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(pressure);
        let nodes = read(vec![
            node("n1", false, "True"),
            node("n2", false, "True"),
            node("n3", false, "True"),
            node("n4", false, "True"),
            node("n5", true, "True"),
            node("n6", false, "Unknown"),
            full,
        ]);
        let task = |spec: Value| json!({ "apiVersion": "holdfast.dev/v1alpha1", "kind": "StateTask", "metadata": { "name": "t" }, "spec": spec });
        let copy = json!({ "pod": { "name": "p", "uid": "u" }, "generation": "g", "sourceNode": "n9", "digest": "d", "bytes": 7 });
        let tasks = read(vec![
            task(json!({ "nodeName": "n2", "operation": "a", "copy": copy })),
            task(json!({ "nodeName": "n2", "operation": "b", "copy": copy })),
        ]);
        let found = seats(&pods, &nodes, &tasks, "holdfast-agent");
        let found: Vec<_> = found
            .iter()
            .map(|one| (&*one.node, &*one.address, one.bytes))
            .collect();
        assert_eq!(
            found,
            [("n1", "10.0.0.1:9447", 0), ("n2", "[fd00::2]:9447", 14)]
        );
    }
}
