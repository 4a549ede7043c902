//! Where a pod could go.

use super::*;
use serde_json::{Value, json};

fn node(name: &str, change: Value) -> Node {
    let mut node = json!({
        "metadata": {
            "name": name,
            "labels": { RUNTIME_LABEL: "installed", "zone": "a" },
            "annotations": { "node.holdfast.dev/engine": "runc 1.4", "node.holdfast.dev/cpu": "x" },
        },
        "spec": {},
        "status": {
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": info("amd64", "6.1.0"),
            "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "10" },
        },
    });
    json_patch::merge(&mut node, &change);
    serde_json::from_value(node).unwrap()
}

fn info(architecture: &str, kernel: &str) -> Value {
    let rest = [
        "bootID",
        "containerRuntimeVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ];
    let mut info: Value = rest
        .into_iter()
        .map(|name| (name.to_owned(), json!("")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json_patch::merge(
        &mut info,
        &json!({ "architecture": architecture, "kernelVersion": kernel }),
    );
    info
}

#[test]
fn a_node_of_another_make_does_not_take_it() {
    for (change, why) in [
        (
            json!({ "status": { "nodeInfo": info("arm64", "6.1.0") } }),
            "n has the architecture arm64, and not amd64",
        ),
        (
            json!({ "status": { "nodeInfo": info("amd64", "5.15.0-1") } }),
            "n has an older kernel (5.15.0-1, and not 6.1.0)",
        ),
        (
            json!({ "metadata": { "annotations": { "node.holdfast.dev/cgroup": "v1 systemd" } } }),
            "n has another version of cgroups (v1 systemd, and not nothing known)",
        ),
    ] {
        let told = says(&pod(json!({})), &node("n", change), &[]);
        assert_eq!(told.as_deref(), Some(why));
    }
}

#[test]
fn a_newer_kernel_takes_it_and_a_kubelet_that_waits_less_is_known() {
    let newer = json!({ "status": { "nodeInfo": info("amd64", "6.12.3-arch1") } });
    assert_eq!(says(&pod(json!({})), &node("n", newer), &[]), None);
    let odd = json!({ "status": { "nodeInfo": info("amd64", "odd") } });
    assert_eq!(says(&pod(json!({})), &node("n", odd), &[]), None);
    let of = |said: Value| {
        let facts =
            json!({ "metadata": { "annotations": { "node.holdfast.dev/request-timeout": said } } });
        patience(&node("n", facts)).as_secs()
    };
    assert_eq!(
        [
            of(json!("2m0s")),
            of(json!("15m")),
            of(json!("odd")),
            of(Value::Null)
        ],
        [120, 900, 120, 120]
    );
}

fn pod(change: Value) -> Pod {
    let mut pod = json!({
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "500m", "memory": "1Gi" } } }] },
    });
    json_patch::merge(&mut pod, &change);
    serde_json::from_value(pod).unwrap()
}

fn says(pod: &Pod, node: &Node, pods: &[Pod]) -> Option<String> {
    why_not(
        pod,
        &self::node("from", json!({})),
        Candidate {
            node,
            pods,
            held: None,
        },
    )
}

#[test]
fn each_thing_that_keeps_a_pod_from_a_node_has_a_sentence() {
    let plain = pod(json!({}));
    let fine = node("n", json!({}));
    assert_eq!(says(&plain, &fine, &[]), None);
    let nodes = [
        (
            json!({ "metadata": { "labels": { RUNTIME_LABEL: null } } }),
            "n has no holdfast-runtime: see holdfast host check there",
        ),
        (
            json!({ "spec": { "unschedulable": true } }),
            "n is cordoned",
        ),
        (
            json!({ "status": { "conditions": [{ "type": "Ready", "status": "Unknown" }] } }),
            "n is not Ready",
        ),
        (
            json!({ "status": { "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "HoldfastReady", "status": "False", "message": "criu check: no ptrace" },
            ] } }),
            "n is not fit for states: criu check: no ptrace",
        ),
        (
            json!({ "metadata": { "annotations": { "node.holdfast.dev/cpu": "y" } } }),
            "n has another processor (y, and not x)",
        ),
        (
            json!({ "metadata": { "annotations": { "node.holdfast.dev/engine": null } } }),
            "n has another runtime (nothing known, and not runc 1.4)",
        ),
        (
            json!({ "spec": { "taints": [{ "key": "gpu", "value": "1", "effect": "NoSchedule" }] } }),
            "n has the taint gpu, which the pod does not tolerate",
        ),
        (
            json!({ "spec": { "taints": [{ "key": OUT_OF_SERVICE, "effect": "NoExecute" }] } }),
            "n is out of service, its taint says: take that away if it is back",
        ),
        (
            json!({ "status": { "allocatable": { "cpu": "499m" } } }),
            "n has not enough cpu left",
        ),
        (
            json!({ "status": { "allocatable": { "pods": "0" } } }),
            "n has 0 pods, and takes no more",
        ),
        (
            json!({ "metadata": { "name": "from" } }),
            "from is where it is",
        ),
        (
            json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            "n is being deleted",
        ),
    ];
    for (change, why) in nodes {
        assert_eq!(says(&plain, &node("n", change), &[]).as_deref(), Some(why));
    }
}

#[test]
fn what_a_pod_asks_for_keeps_it_from_a_node() {
    let (plain, fine) = (pod(json!({})), node("n", json!({})));
    let pods = [
        (
            json!({ "spec": { "nodeSelector": { "zone": "b" } } }),
            "n has not the label zone=b, which the pod selects",
        ),
        (
            required(
                json!([{ "matchExpressions": [{ "key": "zone", "operator": "NotIn", "values": ["a"] }] }]),
            ),
            "n does not match the pod's node affinity",
        ),
    ];
    for (change, why) in pods {
        assert_eq!(says(&pod(change), &fine, &[]).as_deref(), Some(why));
    }
    let there = vec![pod(json!({})); 4];
    assert_eq!(
        says(&plain, &fine, &there).as_deref(),
        Some("n has not enough cpu left")
    );
    assert_eq!(says(&plain, &fine, &there[..3]), None);
}

fn required(terms: Value) -> Value {
    json!({ "spec": { "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } } })
}

#[test]
fn what_is_tolerated_and_liked_keeps_no_pod_away() {
    let tainted = node(
        "n",
        json!({ "spec": { "taints": [
        { "key": "gpu", "value": "1", "effect": "NoSchedule" },
        { "key": "soft", "effect": "PreferNoSchedule" },
    ] } }),
    );
    for toleration in [
        json!({ "operator": "Exists" }),
        json!({ "key": "gpu", "operator": "Exists", "effect": "NoSchedule" }),
        json!({ "key": "gpu", "value": "1" }),
    ] {
        let tolerant = pod(json!({ "spec": { "tolerations": [toleration] } }));
        assert_eq!(says(&tolerant, &tainted, &[]), None, "{tolerant:?}");
    }
    for toleration in [
        json!({ "key": "gpu", "value": "2" }),
        json!({ "key": "gpu", "operator": "Exists", "effect": "NoExecute" }),
        json!({ "key": "other", "operator": "Exists" }),
    ] {
        let intolerant = pod(json!({ "spec": { "tolerations": [toleration] } }));
        assert!(says(&intolerant, &tainted, &[]).is_some(), "{intolerant:?}");
    }
    for terms in [
        json!([{ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["b"] }] }, { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] }]),
        json!([{ "matchExpressions": [{ "key": "zone", "operator": "Exists" }, { "key": "none", "operator": "DoesNotExist" }] }]),
    ] {
        assert_eq!(
            says(&pod(required(terms)), &node("n", json!({})), &[]),
            None
        );
    }
}

#[test]
fn what_runs_before_counts_where_it_is_more() {
    let init = |policy: Value, cpu: &str| json!({ "name": cpu, "restartPolicy": policy, "resources": { "requests": { "cpu": cpu } } });
    let with = |inits: Value| pod(json!({ "spec": { "initContainers": inits } }));
    let node = node("n", json!({ "status": { "allocatable": { "cpu": "1" } } }));
    let fits = |inits: Value| says(&with(inits), &node, &[]).is_none();
    assert!(fits(json!([init(Value::Null, "1")])));
    assert!(!fits(json!([init(Value::Null, "1001m")])));
    assert!(fits(json!([init(json!("Always"), "500m")])));
    assert!(!fits(json!([init(json!("Always"), "501m")])));
    assert!(!fits(json!([
        init(json!("Always"), "400m"),
        init(Value::Null, "700m")
    ])));
}

#[test]
fn the_emptiest_is_chosen_and_if_there_is_none_each_says_why() {
    let (plain, from) = (pod(json!({})), node("from", json!({})));
    let (a, b, c) = (
        node("a", json!({})),
        node("b", json!({})),
        node("c", json!({ "spec": { "unschedulable": true } })),
    );
    let one = [pod(json!({}))];
    let busy = Candidate {
        node: &a,
        pods: &one,
        held: None,
    };
    let free = Candidate {
        node: &b,
        pods: &[],
        held: None,
    };
    let cordoned = Candidate {
        node: &c,
        pods: &[],
        held: None,
    };
    assert_eq!(
        choose(&plain, &from, &[busy, free, cordoned])
            .unwrap()
            .name_any(),
        "b"
    );
    let none = choose(
        &plain,
        &from,
        &[
            cordoned,
            Candidate {
                node: &from,
                pods: &[],
                held: None,
            },
        ],
    );
    assert_eq!(
        none.unwrap_err(),
        "no node can take it: c is cordoned; from is where it is"
    );
}

#[test]
fn one_that_is_held_is_never_chosen_and_what_does_not_pass_is_said_first() {
    let (plain, from) = (pod(json!({})), node("from", json!({})));
    let held = |node| Candidate {
        node,
        pods: &[],
        held: Some("is held by NodeOp ops/up"),
    };
    let (a, b) = (node("a", json!({})), node("b", json!({})));
    let one = [pod(json!({}))];
    let free = Candidate {
        node: &b,
        pods: &one,
        held: None,
    };
    let chosen = choose(&plain, &from, &[held(&a), free]);
    assert_eq!(chosen.unwrap().name_any(), "b");
    let none = choose(&plain, &from, &[held(&a)]);
    assert_eq!(
        none.unwrap_err(),
        "no node can take it: a is held by NodeOp ops/up"
    );
    let cordoned = node("a", json!({ "spec": { "unschedulable": true } }));
    let why = why_not(&plain, &from, held(&cordoned));
    assert_eq!(why.as_deref(), Some("a is cordoned"));
}
