use super::*;
use crate::sizing::snapshot::tests::cluster;
use serde_json::{Value, json};

/// What applying a template would do.
fn tried(name: &str, spec: &Value, prepare: impl Fn(&mut Snapshot)) -> Forecast {
    let mut before = cluster();
    prepare(&mut before);
    let mut after = before.clone();
    after.add(template(name, spec)).unwrap();
    forecast(&trial(&before, &after, name))
}

fn template(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "flexdaemonsets.xai/v1alpha1", "kind": "FlexDaemonsetTemplate", "metadata": { "name": name }, "spec": spec })
}

fn trial<'a>(before: &'a Snapshot, after: &'a Snapshot, name: &str) -> Trial<'a> {
    Trial {
        before,
        after,
        templates: [name.to_owned()].into(),
        daemonsets: BTreeSet::new(),
        node: None,
    }
}

fn row<'a>(forecast: &'a Forecast, node: &str, daemonset: &str) -> &'a Row {
    let mut rows = forecast.rows.iter();
    let is_it = |row: &&Row| row.node == node && row.daemonset == daemonset;
    rows.find(is_it)
        .unwrap_or_else(|| panic!("{node} {daemonset}: {:?}", forecast.rows))
}

fn cpu(row: &Row) -> (Option<&str>, Option<&str>) {
    (
        row.requests[0].before.as_deref(),
        row.requests[0].after.as_deref(),
    )
}

fn nothing(_: &mut Snapshot) {}

#[test]
fn every_node_on_which_a_pod_lands_has_a_row_before_and_after() {
    let forecast = tried(
        "default",
        &json!({ "cpuPercentage": 20, "maxCPU": "2" }),
        nothing,
    );
    let nodes: Vec<_> = forecast.rows.iter().map(|row| row.node.as_str()).collect();
    assert_eq!(
        nodes,
        ["large", "medium", "small"],
        "not on gpu, whose taint it does not tolerate"
    );
    assert_eq!(
        cpu(row(&forecast, "small", "apps/agent")),
        (Some("300m"), Some("400m"))
    );
    assert_eq!(
        cpu(row(&forecast, "medium", "apps/agent")),
        (Some("392m"), Some("784m"))
    );
    let large = row(&forecast, "large", "apps/agent");
    assert_eq!(
        (cpu(large), &*large.remarks),
        ((Some("4"), Some("2")), &["cpu at max".to_owned()][..])
    );
    assert!(forecast.rows.iter().all(|row| row.is_changed));
}

#[test]
fn a_template_as_it_is_changes_nothing() {
    let same = json!({ "cpuPercentage": 10, "memoryPercentage": 15, "storagePercentage": 5, "minCPU": "300m", "minMemory": "128Mi" });
    let forecast = tried("default", &same, nothing);
    assert_eq!(forecast.rows.len(), 3);
    assert!(
        forecast.rows.iter().all(|row| !row.is_changed),
        "{:?}",
        forecast.rows
    );
}

#[test]
fn limits_alone_are_a_change_too() {
    let limits = json!({ "cpuPercentage": 10, "memoryPercentage": 15, "storagePercentage": 5, "minCPU": "300m", "minMemory": "128Mi", "limits": { "cpu": "200%" } });
    let forecast = tried("default", &limits, nothing);
    let medium = row(&forecast, "medium", "apps/agent");
    assert!(
        medium.is_changed
            && medium
                .remarks
                .contains(&"requests stay, parts or limits change".to_owned()),
        "{medium:?}"
    );
}

#[test]
fn a_daemonset_that_did_not_name_it_is_tried_from_its_own_requests() {
    let mut after = cluster();
    after.annotate(("kube-system", "network"), "new");
    after
        .add(template("new", &json!({ "cpuPercentage": 5 })))
        .unwrap();
    let labelled = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system", "labels": { "holdfast.dev/sizing": "enabled" } } });
    let before = cluster();
    let left_out = forecast(&trial(&before, &after, "new"));
    assert_eq!(
        cpu(row(&left_out, "gpu", "kube-system/network")),
        (Some("100m"), Some("100m"))
    );
    // It goes on asking for itself, and so what others are given of the rest stays.
    assert_eq!(
        left_out
            .rows
            .iter()
            .map(|row| (&*row.daemonset, row.is_changed))
            .collect::<BTreeSet<_>>(),
        BTreeSet::from([("kube-system/network", false)])
    );
    assert!(
        left_out.warnings[0].contains("kubectl label namespace kube-system"),
        "{:?}",
        left_out.warnings
    );
    after.add(labelled).unwrap();
    let sized = forecast(&trial(&before, &after, "new"));
    assert_eq!(
        cpu(row(&sized, "gpu", "kube-system/network")),
        (Some("100m"), Some("1600m"))
    );
    // Those that are given of the rest get more, for nobody asks without a template any more.
    assert_eq!(
        cpu(row(&sized, "medium", "logging/logs")),
        (Some("764m"), Some("784m"))
    );
}

#[test]
fn only_one_node_can_be_asked_for() {
    let (before, mut after) = (cluster(), cluster());
    after
        .add(template("default", &json!({ "cpuPercentage": 20 })))
        .unwrap();
    let mut trial = trial(&before, &after, "default");
    trial.node = Some("small");
    assert_eq!(forecast(&trial).rows.len(), 1);
}

#[test]
fn shares_that_come_to_too_much_are_told_before_and_after() {
    let forecast = tried("default", &json!({ "cpuPercentage": 95 }), nothing);
    assert_eq!(forecast.excess.before, [""; 0]);
    assert!(
        forecast.excess.after[0].contains("of cpu"),
        "{:?}",
        forecast.excess
    );
}

#[test]
fn containers_that_are_not_there_are_told() {
    let spec = json!({ "cpuPercentage": 10, "containers": [{ "name": "helper" }] });
    let forecast = tried("default", &spec, nothing);
    assert_eq!(
        forecast.warnings,
        ["DaemonSet apps/agent: template default names container helper, which it does not have"]
    );
}

#[test]
fn running_pods_are_counted_by_what_would_become_of_them() {
    let fates = |spec: Value| tried("default", &spec, nothing).pods.unwrap();
    let (resized, anew) = (
        json!({ "cpuPercentage": 20 }),
        json!({ "storagePercentage": 20 }),
    );
    assert_eq!(fates(resized).resized, 1);
    assert_eq!(fates(anew.clone()).needs_recreate, 1);
    let with = |mut spec: Value, remedy: &str| {
        spec["onChange"] = json!(remedy);
        spec
    };
    assert_eq!(fates(with(anew.clone(), "Recreate")).recreated, 1);
    assert_eq!(fates(with(anew, "Keep")).kept, 1);
    assert_eq!(fates(json!({ "memoryPercentage": 15 })).unchanged, 1);
}

#[test]
fn what_the_controller_would_not_touch_is_no_change() {
    let fates = |spec: Value, prepare: fn(&mut Value)| {
        let with_pod = |seen: &mut Snapshot| {
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "agent-x7k2p", "namespace": "apps", "uid": "p1", "labels": { "pod-template-generation": "2" },
                    "annotations": { "holdfast.dev/share": "before" },
                    "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "d1", "controller": true }],
                },
                "spec": { "nodeName": "medium", "containers": [{ "name": "agent", "resources": { "requests": { "cpu": "391m" }, "limits": { "cpu": "391m" } } }] },
            });
            prepare(&mut pod);
            seen.add(pod).unwrap();
        };
        tried("default", &spec, with_pod).pods.unwrap()
    };
    let tenth = || json!({ "cpuPercentage": 10, "repair": "Keep" });
    let unsized_pod: fn(&mut Value) = |pod| pod["metadata"]["annotations"] = json!({});
    assert_eq!(fates(tenth(), |_| {}).unchanged, 1, "not worth it");
    assert_eq!(fates(tenth(), unsized_pod).kept, 1, "it has no share yet");
    let fifth = json!({ "cpuPercentage": 20, "repair": "Keep" });
    assert_eq!(fates(fifth.clone(), |_| {}).resized, 1);
    assert_eq!(fates(fifth, unsized_pod).kept, 1);
}
