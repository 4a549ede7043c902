mod bounds;
mod oracle;
mod ranges;

use super::*;
use crate::sizing::testkit::{Cluster, container, patched, pod};
use crate::sizing::view::Role;
use serde_json::{Value, json};

fn plain() -> Value {
    json!({ "cpuPercentage": 10, "memoryPercentage": 15, "storagePercentage": 5, "minCPU": "100m", "minMemory": "128Mi" })
}

/// One DaemonSet `agent` with one container on nodes of several sizes.
fn cluster() -> Cluster {
    Cluster::default()
        .node("small", "cpu=2 memory=4Gi storage=20Gi")
        .node("n4", "cpu=3920m memory=16777216000 storage=100Gi")
        .node("n64", "cpu=64 memory=256Gi storage=1Ti")
        .template("default", plain())
        .daemonset(
            "agent",
            Some("default"),
            vec![container("agent", Role::Main, "")],
        )
}

fn one() -> Value {
    json!([{ "name": "agent", "image": "i" }])
}

fn resources(pod: &Value, at: usize) -> Value {
    pod["spec"]["containers"][at]["resources"].clone()
}

fn both(list: Value) -> Value {
    json!({ "requests": list, "limits": list })
}

#[test]
fn fx_01_a_pod_without_daemonset_or_annotation_is_left_alone_in_silence() {
    let cluster =
        cluster()
            .daemonset("plain", None, vec![])
            .daemonset("empty", Some("default"), vec![]);
    let mut orphan = pod("agent", "n4", one());
    orphan["metadata"]["ownerReferences"] = json!([]);
    let mut replica = pod("agent", "n4", one());
    replica["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
    let mut not_its_own = pod("agent", "n4", one());
    not_its_own["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    for (pod, verdict) in [
        (orphan, "not_daemonset"),
        (replica, "not_daemonset"),
        (not_its_own, "not_daemonset"),
        (pod("gone", "n4", one()), "no_daemonset"),
        (pod("plain", "n4", one()), "not_annotated"),
    ] {
        let judged = cluster.judge(&pod);
        assert_eq!(
            (judged.verdict, judged.answer),
            (verdict, Answer::default())
        );
    }
}

#[test]
fn fx_02_a_share_is_a_percentage_of_what_the_node_can_give() {
    let admitted = cluster().admit(&pod("agent", "n4", one()));
    let share = json!({ "cpu": "392m", "memory": "2400Mi", "ephemeral-storage": "5Gi" });
    assert_eq!(resources(&admitted, 0), both(share));
    assert_eq!(
        admitted["metadata"]["annotations"]["holdfast.dev/share"],
        "cpu=392m memory=2400Mi ephemeral-storage=5Gi of node n4 by template default"
    );
}

#[test]
fn fx_03_nodes_of_other_sizes_give_other_shares() {
    let admitted = cluster().admit(&pod("agent", "n64", one()));
    let requests = &resources(&admitted, 0)["requests"];
    assert_eq!(requests["cpu"], "6400m");
    assert_eq!(requests["memory"], "41231686041");
}

#[test]
fn fx_04_a_share_is_at_least_min_at_most_max_and_never_more_than_the_node_has() {
    let spec = json!({ "cpuPercentage": 10, "memoryPercentage": 10, "storagePercentage": 10, "minCPU": "300m", "maxMemory": "256Mi", "minStorage": "50Gi" });
    let cluster = cluster().template("default", spec);
    let judged = cluster.judge(&pod("agent", "small", one()));
    let requests =
        &resources(&patched(&pod("agent", "small", one()), &judged.answer), 0)["requests"];
    assert_eq!(
        requests,
        &json!({ "cpu": "300m", "memory": "256Mi", "ephemeral-storage": "20Gi" })
    );
    let [warning] = &judged.answer.warnings[..] else {
        panic!("{:?}", judged.answer.warnings)
    };
    assert!(
        warning.contains("minStorage 50Gi is more than the node has"),
        "{warning}"
    );
}

#[test]
fn fx_05_what_the_node_does_not_have_is_left_out() {
    let cluster = cluster().node("diskless", "cpu=4 memory=8Gi");
    let admitted = cluster.admit(&pod("agent", "diskless", one()));
    let requests = &resources(&admitted, 0)["requests"];
    assert_eq!(requests, &json!({ "cpu": "400m", "memory": "1288490188" }));
}

#[test]
fn fx_06_a_resource_without_a_percentage_is_not_touched() {
    let cluster = cluster().template("default", json!({ "memoryPercentage": 25, "minCPU": "1" }));
    let own = json!({ "requests": { "cpu": "50m", "memory": "1Mi" }, "limits": { "cpu": "70m" } });
    let containers = json!([{ "name": "agent", "resources": own }]);
    let admitted = cluster.admit(&pod("agent", "small", containers));
    let expected = json!({ "requests": { "cpu": "50m", "memory": "1Gi" }, "limits": { "cpu": "70m", "memory": "1Gi" } });
    assert_eq!(resources(&admitted, 0), expected);
}

#[test]
fn fx_07_containers_and_sidecars_share_one_share_and_an_init_container_fits_into_it() {
    let cluster = cluster()
        .template("default", json!({ "cpuPercentage": 10 }))
        .daemonset(
            "agent",
            Some("default"),
            vec![
                container("prepare", Role::Init, "cpu=2"),
                container("mesh", Role::Sidecar, "cpu=100m"),
                container("late", Role::Init, ""),
                container("agent", Role::Main, "cpu=200m"),
                container("logs", Role::Main, "cpu=100m"),
            ],
        );
    let containers = json!([
        { "name": "prepare", "init": true }, { "name": "mesh", "init": true, "restartPolicy": "Always" }, { "name": "late", "init": true },
        { "name": "agent" }, { "name": "logs" },
    ]);
    let admitted = cluster.admit(&pod("agent", "n64", containers));
    let cpu = |list: &str| {
        let all = admitted["spec"][list].as_array().unwrap().iter();
        all.map(|c| {
            c["resources"]["requests"]["cpu"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(cpu("containers"), ["3200m", "1600m"]);
    assert_eq!(cpu("initContainers"), ["2", "1600m", "4800m"]);
}

#[test]
fn fx_08_other_resources_and_fields_stay() {
    let own = json!({ "requests": { "cpu": "1m", "nvidia.com/gpu": "1" }, "limits": { "nvidia.com/gpu": "1", "hugepages-2Mi": "4Mi" }, "claims": [{ "name": "c" }] });
    let containers =
        json!([{ "name": "agent", "resources": own, "fieldOfTomorrow": { "a": [1] } }]);
    let given = pod("agent", "n4", containers);
    let admitted = cluster().admit(&given);
    let found = resources(&admitted, 0);
    assert_eq!(
        found["requests"],
        json!({ "cpu": "392m", "memory": "2400Mi", "ephemeral-storage": "5Gi", "nvidia.com/gpu": "1" })
    );
    assert_eq!(found["limits"]["hugepages-2Mi"], "4Mi");
    assert_eq!(found["claims"], json!([{ "name": "c" }]));
    assert_eq!(
        admitted["spec"]["containers"][0]["fieldOfTomorrow"],
        json!({ "a": [1] })
    );
}

#[test]
fn fx_09_a_template_that_is_missing_or_unusable_leaves_the_pod_alone_and_says_so() {
    let cluster = cluster()
        .template(
            "bad",
            json!({ "cpuPercentage": 10, "minCPU": "2", "maxCPU": "1" }),
        )
        .daemonset("lost", Some("nowhere"), vec![])
        .daemonset("spoilt", Some("bad"), vec![]);
    for (name, reason, says) in [
        (
            "lost",
            "template_missing",
            "no FlexDaemonsetTemplate nowhere",
        ),
        ("spoilt", "template_unusable", "minCPU 2 is above maxCPU 1"),
    ] {
        let judged = cluster.judge(&pod(name, "n4", one()));
        assert_eq!((judged.left, judged.answer.patch), (Some(reason), None));
        assert!(
            judged.answer.warnings[0].contains(says),
            "{:?}",
            judged.answer.warnings
        );
        assert_eq!(
            judged.answer.audit,
            [("sizing", format!("unchanged: {reason}"))]
        );
    }
}

#[test]
fn fx_10_a_node_that_is_unknown_unnamed_or_one_of_several_leaves_the_pod_alone() {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = |terms: Value| {
        let mut pod = pod("agent", "n4", one());
        pod["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"] = terms;
        pod
    };
    let field = |names: &[&str]| json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": names }] });
    let label = json!({ "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": ["n4"] }] });
    let mut free = pod("agent", "n4", one());
    free["spec"].as_object_mut().unwrap().remove("affinity");
    let mut not_in = terms(json!([field(&["n4"])]));
    not_in["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"][0]["matchFields"]
        [0]["operator"] = json!("NotIn");
    for (pod, reason) in [
        (pod("agent", "unheard-of", one()), "node_unknown"),
        (terms(json!([field(&["n4", "n64"])])), "node_several"),
        (
            terms(json!([field(&["n4"]), field(&["n64"])])),
            "node_several",
        ),
        (terms(json!([field(&["n4"]), label])), "node_unnamed"),
        (terms(json!([label])), "node_unnamed"),
        (terms(json!([])), "node_unnamed"),
        (not_in, "node_unnamed"),
        (free, "node_unnamed"),
    ] {
        let judged = cluster().judge(&pod);
        assert_eq!((judged.left, judged.answer.patch), (Some(reason), None));
        assert_eq!(judged.answer.warnings.len(), 1);
    }
    let mut bound = pod("agent", "n4", one());
    bound["spec"]["nodeName"] = json!("small");
    let admitted = cluster().admit(&bound);
    assert_eq!(
        resources(&admitted, 0)["requests"]["cpu"],
        "200m",
        "a pod that is bound is where it is bound"
    );
}

#[test]
fn fx_12_what_is_not_in_sight_is_asked_for_not_refused() {
    struct Blind;
    impl Sight for Blind {
        fn daemonset(&self, _: Claim) -> Option<Known<DaemonSetView>> {
            None
        }
        fn node(&self, _: &str) -> Option<Known<NodeView>> {
            None
        }
        fn template(&self, _: &str) -> Option<Known<TemplateView>> {
            None
        }
        fn limit_ranges(&self, _: &str) -> Vec<Arc<LimitRangeView>> {
            Vec::new()
        }
        fn load(&self, _: &str, _: &NodeView) -> Load {
            Load::default()
        }
    }
    let text = pod("agent", "n4", one()).to_string();
    let pod: Pod = serde_json::from_str(&text).unwrap();
    let missing = judge(&pod, "apps", &Blind).unwrap_err();
    let claim = Claim {
        namespace: "apps",
        name: "agent",
        uid: "d",
        generation: Some(1),
    };
    assert_eq!(missing, Missing::DaemonSet(claim));
}

#[test]
fn fx_13_a_hundred_millicores_times_29_percent_is_29() {
    let cluster = cluster()
        .node("tiny", "cpu=100m memory=1Gi")
        .template("default", json!({ "cpuPercentage": 29 }));
    let admitted = cluster.admit(&pod("agent", "tiny", one()));
    assert_eq!(resources(&admitted, 0), both(json!({ "cpu": "29m" })));
}

#[test]
fn fx_14_a_second_look_finds_nothing_to_do() {
    let limits = json!({ "cpuPercentage": 10, "memoryPercentage": 10, "limits": { "cpu": "None", "memory": "150%" } });
    for spec in [plain(), limits] {
        let cluster = cluster().template("default", spec);
        let own = json!({ "requests": { "cpu": "10m" }, "limits": { "cpu": "20m" } });
        let admitted = cluster.admit(&pod(
            "agent",
            "n4",
            json!([{ "name": "agent", "resources": own }]),
        ));
        let again = cluster.judge(&admitted);
        assert_eq!((again.verdict, again.answer.patch), ("already", None));
    }
}
