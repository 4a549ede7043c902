use super::*;
use crate::kit::documents;
use serde_json::json;

/// The cluster that the tests of the verbs look at.
pub(crate) fn cluster() -> Snapshot {
    let mut seen = Snapshot::default();
    let text = include_str!("../../../tests/fixtures/cluster.yaml");
    for value in documents::values(text).unwrap() {
        seen.add(value).unwrap();
    }
    seen
}

#[test]
fn a_list_of_kinds_is_taken_in_and_others_are_counted() {
    let seen = cluster();
    let nodes: Vec<_> = seen.nodes().map(|(name, _)| name.to_string()).collect();
    assert_eq!(nodes, ["gpu", "large", "medium", "small"]);
    let agent = seen.daemonset("apps", "agent").unwrap();
    assert_eq!(
        (agent.template.as_deref(), agent.template_generation),
        (Some("default"), Some(2))
    );
    assert_eq!(seen.limit_ranges("apps").len(), 1);
    assert_eq!(seen.limit_ranges("logging").len(), 0);
    assert_eq!(seen.pods().count(), 1);
    assert_eq!(seen.ignored(), 1, "the ConfigMap");
}

#[test]
fn a_list_of_one_kind_may_leave_the_kind_out() {
    let mut seen = Snapshot::default();
    let list = json!({ "apiVersion": "v1", "kind": "NodeList", "items": [{ "metadata": { "name": "n" }, "status": { "allocatable": { "cpu": "1" } } }] });
    seen.add(list).unwrap();
    assert!(seen.node("n").is_some());
    let empty = json!({ "apiVersion": "v1", "kind": "PodList", "items": [] });
    seen.add(empty).unwrap();
    assert_eq!(seen.ignored(), 0);
}

#[test]
fn an_object_that_cannot_be_read_is_named() {
    let mut seen = Snapshot::default();
    let odd =
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "odd", "labels": 7 } });
    let why = seen.add(odd).unwrap_err();
    assert!(why.starts_with("Node odd cannot be read: "), "{why}");
}

#[test]
fn only_core_nodes_are_nodes() {
    let mut seen = Snapshot::default();
    seen.add(json!({ "apiVersion": "other.io/v1", "kind": "Node", "metadata": { "name": "n" } }))
        .unwrap();
    assert_eq!((seen.nodes().count(), seen.ignored()), (0, 1));
}

#[test]
fn it_can_be_asked_what_if_a_daemonset_named_a_template() {
    let mut seen = cluster();
    seen.annotate(("kube-system", "network"), "default");
    let named = seen.daemonset("kube-system", "network").unwrap();
    assert_eq!(named.template.as_deref(), Some("default"));
    let sharing = seen
        .members()
        .iter()
        .filter(|(_, recipe)| recipe.is_some())
        .count();
    assert_eq!(sharing, 3);
}
