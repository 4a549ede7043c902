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
    let sharing = |seen: &Snapshot| {
        let crowd = seen.crowd();
        let sharing = crowd.members().filter(|member| member.recipe.is_some());
        sharing.count()
    };
    assert_eq!(sharing(&seen), 2, "kube-system is left out");
    assert_eq!(sharing(&seen.clone().of_installation("apps".into())), 1);
    seen.add(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system", "labels": { "holdfast.dev/sizing": "enabled" } } }))
        .unwrap();
    assert_eq!(sharing(&seen), 3);
}

mod live {
    use super::*;
    use crate::testkit::api_server::ApiServer;

    /// A server with the cluster's objects where clients look for them; lists of all namespaces have places of their own.
    fn server() -> ApiServer {
        let server = ApiServer::default();
        let text = include_str!("../../../tests/fixtures/cluster.yaml");
        let list = documents::values(text).unwrap().remove(0);
        for object in list["items"].as_array().unwrap() {
            let name = object["metadata"]["name"].as_str().unwrap();
            let namespace = object["metadata"]["namespace"].as_str();
            let (root, plural) = match object["kind"].as_str().unwrap() {
                "Node" => ("/api/v1", "nodes"),
                "Namespace" => ("/api/v1", "namespaces"),
                "LimitRange" => ("/api/v1", "limitranges"),
                "Pod" => ("/api/v1", "pods"),
                "DaemonSet" => ("/apis/apps/v1", "daemonsets"),
                "FlexDaemonsetTemplate" => (
                    "/apis/flexdaemonsets.xai/v1alpha1",
                    "flexdaemonsettemplates",
                ),
                _ => continue,
            };
            server.put(&format!("{root}/{plural}/{name}"), object.clone());
            if let Some(namespace) = namespace {
                let path = format!("{root}/namespaces/{namespace}/{plural}/{name}");
                server.put(&path, object.clone());
            }
        }
        server
    }

    const AGENT: (&str, &str) = ("apps", "agent");

    #[tokio::test]
    async fn one_share_needs_no_list_of_nodes_nor_of_daemonsets() {
        let server = server();
        let seen = Snapshot::read_for(&server.client(), AGENT, "medium")
            .await
            .unwrap();
        assert_eq!(seen.nodes().count(), 1);
        assert!(seen.recipe("default").is_some() && seen.pods().count() == 1);
        assert!(seen.daemonset_as_written("apps", "agent").is_some());
        assert_eq!(seen.limit_ranges_as_written("apps").len(), 1);
        let lists: Vec<_> = server
            .calls()
            .into_iter()
            .filter(|call| call.ends_with('s'))
            .collect();
        let expected = [
            "GET /api/v1/namespaces/apps",
            "GET /api/v1/namespaces/apps/limitranges",
            "GET /api/v1/namespaces/apps/pods",
        ];
        assert_eq!(lists, expected);
    }

    #[tokio::test]
    async fn others_are_read_where_the_template_looks_at_them() {
        let server = server();
        server.put(
            "/api/v1/namespaces/logging",
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "logging" } }),
        );
        let elsewhere = json!({ "metadata": { "name": "elsewhere", "labels": { "holdfast.dev/sizing": "disabled" } } });
        server.put("/api/v1/namespaces/elsewhere", elsewhere);
        for (plural, kind) in [("limitranges", "LimitRange"), ("pods", "Pod")] {
            let path = format!("/api/v1/namespaces/logging/{plural}/x");
            server.put(&path, json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "x", "namespace": "logging" } }));
        }
        let seen = Snapshot::read_for(&server.client(), ("logging", "logs"), "medium").await;
        let seen = seen.unwrap();
        assert_eq!(
            (seen.daemonsets().count(), seen.templates().count()),
            (3, 2)
        );
        assert_eq!(seen.nodes().count(), 1);
        assert_eq!(seen.exclusion("elsewhere"), Some(Exclusion::Label));
    }

    #[tokio::test]
    async fn the_whole_cluster_is_what_the_files_say() {
        let server = server();
        let seen = Snapshot::read(&server.client()).await.unwrap();
        assert_eq!(seen.nodes, cluster().nodes);
        assert_eq!(seen.daemonsets.len(), cluster().daemonsets.len());
        assert_eq!(seen.limit_ranges, cluster().limit_ranges);
        assert_eq!(seen.templates().count(), 2);
    }

    #[tokio::test]
    async fn what_is_not_there_comes_with_what_was_meant() {
        let client = server().client();
        let mistake = Snapshot::read_for(&client, ("apps", "agnt"), "medium").await;
        let mistake = mistake.err().unwrap().to_string();
        assert!(mistake.contains("did you mean apps/agent?"), "{mistake}");
        let mistake = Snapshot::read_for(&client, AGENT, "mediun").await;
        let mistake = mistake.err().unwrap().to_string();
        assert!(mistake.contains("did you mean medium?"), "{mistake}");
    }

    #[tokio::test]
    async fn a_missing_right_is_named_with_verb_and_kind() {
        let server = server();
        server.forbid("GET /api/v1/nodes");
        let refused = Snapshot::read(&server.client()).await.err().unwrap();
        assert_eq!(refused.to_string(), "cannot list nodes");
        assert!(refused.is_forbidden());
        let refused = Snapshot::read_for(&server.client(), AGENT, "medium").await;
        assert_eq!(refused.err().unwrap().to_string(), "cannot get Node medium");
    }

    #[tokio::test]
    async fn a_cluster_without_our_crds_has_no_templates() {
        let server = server();
        for name in ["default", "logs"] {
            server.remove(&format!(
                "/apis/flexdaemonsets.xai/v1alpha1/flexdaemonsettemplates/{name}"
            ));
        }
        let seen = Snapshot::read(&server.client()).await.unwrap();
        assert_eq!(seen.templates().count(), 0);
    }
}
