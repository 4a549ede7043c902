//! What else a template may say, and what else bounds a share.

use super::*;
use crate::sizing::testkit::{container, patched, pod};
use crate::sizing::view::{Labels, Role};

#[test]
fn f05_the_share_is_split_by_weights_and_fixed_amounts_and_may_leave_a_container_out() {
    let spec = json!({ "cpuPercentage": 50, "containers": [
        { "name": "heavy", "weight": 3 }, { "name": "fixed", "fixed": { "cpu": "200m" } }, { "name": "own", "exclude": true },
    ] });
    let names = ["heavy", "light", "fixed", "own"];
    let containers = names
        .iter()
        .map(|name| container(name, Role::Main, ""))
        .collect();
    let cluster =
        cluster()
            .template("default", spec)
            .daemonset("agent", Some("default"), containers);
    let given = json!([{ "name": "heavy" }, { "name": "light" }, { "name": "fixed" }, { "name": "own", "resources": { "requests": { "cpu": "5m" } } }, { "name": "injected" }]);
    let admitted = cluster.admit(&pod("agent", "small", given));
    let cpu: Vec<_> = (0..5)
        .map(|at| resources(&admitted, at)["requests"]["cpu"].clone())
        .collect();
    assert_eq!(
        cpu,
        [
            json!("600m"),
            json!("200m"),
            json!("200m"),
            json!("5m"),
            Value::Null
        ]
    );
}

#[test]
fn f06_limits_follow_the_templates_policy() {
    let spec = json!({ "cpuPercentage": 10, "memoryPercentage": 10, "storagePercentage": 10, "limits": { "cpu": "None", "memory": "200%" } });
    let cluster = cluster().template("default", spec);
    let own = json!({ "limits": { "cpu": "1" } });
    let admitted = cluster.admit(&pod(
        "agent",
        "small",
        json!([{ "name": "agent", "resources": own }]),
    ));
    let expected = json!({
        "requests": { "cpu": "200m", "memory": "429496729", "ephemeral-storage": "2Gi" },
        "limits": { "cpu": "1", "memory": "858993458", "ephemeral-storage": "2Gi" },
    });
    assert_eq!(resources(&admitted, 0), expected);
    let low = json!({ "limits": { "cpu": "10m" } });
    let raised = cluster.admit(&pod(
        "agent",
        "small",
        json!([{ "name": "agent", "resources": low }]),
    ));
    assert_eq!(
        resources(&raised, 0)["limits"]["cpu"],
        "200m",
        "a limit below its request would refuse the pod"
    );
}

#[test]
fn f12_the_patch_touches_nothing_but_resources_and_the_share() {
    let given = pod(
        "agent",
        "n4",
        json!([{ "name": "agent" }, { "name": "injected" }]),
    );
    let judged = cluster().judge(&given);
    let patch: Vec<Value> = serde_json::from_str(&judged.answer.patch.unwrap()).unwrap();
    let paths: Vec<_> = patch
        .iter()
        .map(|operation| operation["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        ["/spec/containers/0/resources", "/metadata/annotations"]
    );
    assert!(patch.iter().all(|operation| operation["op"] == "add"));
}

#[test]
fn a_pod_with_resources_of_its_own_as_a_whole_is_left_alone() {
    let mut whole = pod("agent", "n4", one());
    for resources in [
        json!({ "requests": { "cpu": "1" } }),
        json!({ "requests": {}, "limits": { "hugepages-2Mi": "4Mi" } }),
    ] {
        whole["spec"]["resources"] = resources;
        assert_eq!(cluster().judge(&whole).left, Some("pod_resources"));
    }
}

#[test]
fn resources_of_a_pod_as_a_whole_that_say_nothing_are_none() {
    let given = pod("agent", "n4", one());
    let plain = cluster().admit(&given);
    for nothing in [
        json!({}),
        json!({ "requests": {}, "limits": {} }),
        json!({ "requests": null, "fieldOfTomorrow": { "cpu": "1" } }),
    ] {
        let (mut given, mut expected) = (given.clone(), plain.clone());
        given["spec"]["resources"] = nothing.clone();
        expected["spec"]["resources"] = nothing;
        assert_eq!(cluster().admit(&given), expected);
    }
}

#[test]
fn an_init_container_that_asks_for_0_or_for_parts_of_a_byte_gets_whole_bytes() {
    let containers = vec![
        container("nothing", Role::Init, "memory=0"),
        container("odd", Role::Init, "memory=1500m"),
        container("agent", Role::Main, ""),
    ];
    let cluster = cluster()
        .template("default", json!({ "memoryPercentage": 25 }))
        .daemonset("agent", Some("default"), containers);
    let given = json!([{ "name": "nothing", "init": true }, { "name": "odd", "init": true }, { "name": "agent" }]);
    let admitted = cluster.admit(&pod("agent", "small", given));
    let memory = |at: usize| {
        admitted["spec"]["initContainers"][at]["resources"]["requests"]["memory"].clone()
    };
    assert_eq!((memory(0), memory(1)), (json!("1Gi"), json!("2")));
}

#[test]
fn overrides_take_the_first_selector_that_matches() {
    let spec = json!({ "cpuPercentage": 10, "minCPU": "1", "nodeOverrides": [
        { "nodeSelector": { "matchLabels": { "size": "big" } }, "cpuPercentage": 5, "minCPU": "0" },
        { "nodeSelector": {}, "cpuPercentage": 20 },
    ] });
    let mut cluster = cluster().template("default", spec);
    let labels = Labels::new(vec![("size".into(), "big".into())]);
    let big = NodeView {
        labels,
        ..(*cluster.nodes["n64"]).clone()
    };
    cluster.nodes.insert("n64".into(), Arc::new(big));
    let cpu = |node: &str| {
        resources(&cluster.admit(&pod("agent", node, one())), 0)["requests"]["cpu"].clone()
    };
    assert_eq!((cpu("n64"), cpu("small")), (json!("3200m"), json!("1")));
}

#[test]
fn shares_that_may_be_scaled_give_way_on_a_full_node() {
    let cluster = cluster()
        .template("firm", json!({ "cpuPercentage": 80 }))
        .template(
            "soft",
            json!({ "cpuPercentage": 60, "overcommit": "Scale" }),
        )
        .daemonset(
            "firm",
            Some("firm"),
            vec![container("agent", Role::Main, "")],
        )
        .daemonset(
            "soft",
            Some("soft"),
            vec![container("agent", Role::Main, "")],
        );
    let mut cluster = cluster;
    cluster.daemonsets.remove("agent");
    let judged = cluster.judge(&pod("soft", "small", one()));
    let admitted = patched(&pod("soft", "small", one()), &judged.answer);
    assert_eq!(resources(&admitted, 0)["requests"]["cpu"], "400m");
    assert!(
        judged.answer.warnings[0].contains("more cpu than the node has"),
        "{:?}",
        judged.answer.warnings
    );
}

#[test]
fn a_pod_of_more_containers_than_anybody_has_is_left_alone() {
    let of = |count: usize| {
        let names: Vec<_> = (0..count).map(|at| format!("c{at}")).collect();
        let containers = names.iter().map(|name| container(name, Role::Main, ""));
        let cluster = cluster().daemonset("agent", Some("default"), containers.collect());
        let given: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        cluster.judge(&pod("agent", "n64", json!(given))).left
    };
    assert_eq!((of(1000), of(1001)), (None, Some("too_many_containers")));
}
