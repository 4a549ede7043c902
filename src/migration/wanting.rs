//! Whether the ReplicaSet of a pod that moves will make another one in its place. Pure.

use crate::migration::pods::{is_alive, is_detached, is_gated};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

/// No pod waits to be the next, and none is going to: it is rolled out anew or scaled down to nothing, or it has all that it wants without
/// the one that it does not count for now.
///
/// `source`: the pod that moves. `pods`: the others that it controls. `bound`: those of them that were meant to be the next.
pub(crate) fn makes_none(
    set: &ReplicaSet,
    (source, operation): (Option<&Pod>, &str),
    pods: &[Pod],
    bound: &[&str],
) -> bool {
    let spec = set.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    if wanted == 0 || set.metadata.deletion_timestamp.is_some() {
        return true;
    }
    let is_meant = |pod: &&Pod| {
        is_gated(pod)
            || bound
                .iter()
                .any(|uid| pod.metadata.uid.as_deref() == Some(uid))
    };
    let is_uncounted = source.is_some_and(|source| is_detached(source, operation));
    let alive: Vec<_> = pods.iter().filter(|pod| is_alive(pod)).collect();
    let count = i32::try_from(alive.len()).unwrap_or(i32::MAX);
    is_uncounted && has_looked(set) && count >= wanted && !alive.iter().any(is_meant)
}

/// It knows what it is asked for now.
fn has_looked(set: &ReplicaSet) -> bool {
    let status = set.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    set.metadata.generation <= observed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::names;
    use serde_json::{Value, from_value, json};

    fn set(wanted: i32, observed: i64) -> ReplicaSet {
        let set = json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": wanted, "selector": {} },
            "status": { "replicas": 2, "observedGeneration": observed },
        });
        from_value(set).unwrap()
    }

    fn pod(uid: &str, more: &Value) -> Pod {
        let mut pod = json!({ "metadata": { "uid": uid } });
        for (key, value) in more.as_object().unwrap() {
            pod[key.as_str()] = value.clone();
        }
        from_value(pod).unwrap()
    }

    fn source() -> Pod {
        let labels = json!({ names::MIGRATION_LABEL: "op" });
        pod(
            "s",
            &json!({ "metadata": { "uid": "s", "labels": labels } }),
        )
    }

    #[test]
    fn who_has_enough_without_the_one_that_moves_makes_no_other() {
        let others = [pod("a", &json!({})), pod("b", &json!({}))];
        let moving = source();
        let makes_none = |set: &ReplicaSet, pods: &[Pod], bound: &[&str]| {
            makes_none(set, (Some(&moving), "op"), pods, bound)
        };
        assert!(makes_none(&set(2, 2), &others, &[]));
        assert!(makes_none(&set(0, 1), &[], &[]));
        let mut goes = set(3, 2);
        goes.metadata.deletion_timestamp = from_value(json!("2026-01-01T00:00:00Z")).ok();
        assert!(makes_none(&goes, &others, &[]), "it goes itself");
        assert!(!makes_none(&set(3, 2), &others, &[]), "it makes one");
        assert!(!makes_none(&set(2, 1), &others, &[]), "it has not looked");
        assert!(!makes_none(&set(2, 2), &others, &["b"]), "b is the next");

        let gate =
            json!({ "spec": { "containers": [], "schedulingGates": [{ "name": names::GATE }] } });
        let waits = [pod("a", &json!({})), pod("b", &gate)];
        assert!(!makes_none(&set(2, 2), &waits, &[]), "b is to be the next");

        let gone = [
            pod("a", &json!({})),
            pod("b", &json!({ "status": { "phase": "Failed" } })),
        ];
        assert!(!makes_none(&set(2, 2), &gone, &[]), "b counts for nothing");
    }

    #[test]
    fn while_it_counts_the_one_that_moves_it_wants_no_other_yet() {
        let others = [pod("a", &json!({})), pod("b", &json!({}))];
        let counted = pod("s", &json!({}));
        assert!(!makes_none(
            &set(2, 2),
            (Some(&counted), "op"),
            &others,
            &[]
        ));
    }
}
