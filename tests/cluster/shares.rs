//! Shares on a real cluster: through the API server, the DaemonSet controller, the scheduler and the kubelet.

use crate::world::{World, eventually, text, within, world};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;

/// A template and a DaemonSet that names it, in this order.
pub(crate) fn share(name: &str, spec: &str, containers: &str) -> String {
    format!(
        "{}---\n{}",
        template(name, spec),
        daemonset(name, name, containers)
    )
}

pub(crate) fn template(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

pub(crate) fn daemonset(name: &str, template: &str, containers: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, annotations: {{flexdaemonsets.xai/resource-template: {template}}}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      {containers}\n"
    )
}

pub(crate) const ONE: &str = "containers: [{name: c, image: 'registry.k8s.io/pause:3.10'}]";

pub(crate) fn applied(world: &World, yaml: &str) -> String {
    let output = world.apply(yaml);
    assert!(output.status.success(), "{yaml}{}", text(&output.stderr));
    text(&output.stderr)
}

/// The pods of a DaemonSet, by their node, when one runs on each of so many nodes, and no other is there.
pub(crate) async fn running(client: &Client, name: &str, nodes: usize) -> BTreeMap<String, Pod> {
    let found = within(90, || async {
        let there = not_going(client, name).await?;
        let is_one_each = there.len() == nodes && there.iter().all(|pod| phase(pod) == "Running");
        let by_node: BTreeMap<_, _> = there
            .into_iter()
            .filter_map(|pod| Some((pod.spec.as_ref()?.node_name.clone()?, pod)))
            .collect();
        (is_one_each && by_node.len() == nodes).then_some(by_node)
    })
    .await;
    if let Some(by_node) = found {
        return by_node;
    }
    let there = not_going(client, name).await.unwrap_or_default();
    panic!("{name} runs on {nodes} nodes: not within 90 s: {there:#?}")
}

async fn not_going(client: &Client, name: &str) -> Option<Vec<Pod>> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let list = ListParams::default().labels(&format!("app={name}"));
    let mut found = pods.list(&list).await.ok()?.items;
    found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Some(found)
}

fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// A request of a pod's container, in thousandths of a CPU or in bytes, read by hand.
pub(crate) fn request(pod: &Pod, container: usize, resource: &str) -> Option<u64> {
    let container = &pod.spec.as_ref()?.containers[container];
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    Some(number(resource, &requests.get(resource)?.0))
}

/// `cpu` in thousandths, anything else in ones.
pub(crate) fn number(resource: &str, text: &str) -> u64 {
    let units = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    if resource == "cpu" {
        return match text.strip_suffix('m') {
            Some(milli) => milli.parse().unwrap(),
            None => text.parse::<u64>().unwrap() * 1000,
        };
    }
    let unit = units.iter().find(|(suffix, _)| text.ends_with(suffix));
    let (digits, factor) = unit.map_or((text, 1), |(suffix, factor)| {
        (text.trim_end_matches(suffix), *factor)
    });
    digits.parse::<u64>().unwrap() * factor
}

pub(crate) async fn allocatable(client: &Client) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
    let nodes: Api<Node> = Api::all(client.clone());
    let list = nodes.list(&ListParams::default()).await.unwrap();
    let of = |node: &Node| {
        let given = node.status.as_ref().unwrap().allocatable.as_ref().unwrap();
        ["cpu", "memory", "ephemeral-storage"]
            .into_iter()
            .filter_map(|resource| Some((resource, number(resource, &given.get(resource)?.0))))
            .collect()
    };
    list.items
        .iter()
        .map(|node| (node.name_any(), of(node)))
        .collect()
}

pub(crate) async fn removed(client: &Client, name: &str) {
    let daemonsets: Api<DaemonSet> = Api::default_namespaced(client.clone());
    let _may_be_gone = daemonsets.delete(name, &DeleteParams::foreground()).await;
    eventually("the DaemonSet is gone", 60, || async {
        daemonsets.get_opt(name).await.ok()?.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn fx_02_03_05_f09_the_scheduler_and_the_kubelet_see_the_share_of_each_node() {
    let world = world().await;
    let client = world.install().await;
    // Two are as large as this machine; the third gives pods less.
    world.command(&["node", "add", "3", "--reserve", "cpu=1,memory=6Gi"]);
    let nodes = allocatable(&client).await;
    assert_eq!(nodes["node3"]["cpu"], nodes["node1"]["cpu"] - 1000);
    assert_eq!(
        nodes["node3"]["memory"],
        nodes["node1"]["memory"] - (6 << 30)
    );
    let spec = "{cpuPercentage: 10, memoryPercentage: 5, storagePercentage: 1}";
    applied(&world, &share("parts", spec, ONE));
    let pods = running(&client, "parts", nodes.len()).await;
    for (node, pod) in &pods {
        for (resource, percent) in [("cpu", 10), ("memory", 5), ("ephemeral-storage", 1)] {
            // A node that has none of it to give leaves it as it is.
            let share = nodes[node].get(resource).map(|has| has * percent / 100);
            assert_eq!(request(pod, 0, resource), share, "{resource} on {node}");
        }
        let status = pod.status.as_ref().unwrap();
        assert_eq!(
            status.qos_class.as_deref(),
            Some("Guaranteed"),
            "requests = limits"
        );
        assert!(pod.annotations()["holdfast.dev/share"].contains(node.as_str()));
        let told = world.kubectl(&format!("describe node {node}"));
        let reserved = told.lines().any(|line| {
            line.contains("parts-") && line.contains(&format!("{}m (", nodes[node]["cpu"] / 10))
        });
        assert!(reserved, "the scheduler counts it:\n{told}");
    }
    removed(&client, "parts").await;
    world.command(&["node", "kill", "3"]);
    world.kubectl("delete node node3");
}

#[tokio::test]
async fn fx_07_all_kinds_of_containers_start_with_their_parts() {
    let world = world().await;
    let client = world.install().await;
    let containers = "initContainers:\n      - {name: prepare, image: 'localhost/busybox:1', command: [/bin/true]}\n      - {name: side, image: 'registry.k8s.io/pause:3.10', restartPolicy: Always}\n      containers:\n      - {name: a, image: 'registry.k8s.io/pause:3.10', resources: {requests: {cpu: 30m}}}\n      - {name: b, image: 'registry.k8s.io/pause:3.10', resources: {requests: {cpu: 10m}}}";
    let nodes = allocatable(&client).await;
    let spec = "{cpuPercentage: 8, containers: [{name: side, fixed: {cpu: 20m}}]}";
    applied(&world, &share("kinds", spec, containers));
    for (node, pod) in running(&client, "kinds", nodes.len()).await {
        let before = pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap();
        let asked = |at: usize| before[at].resources.as_ref().unwrap().requests.as_ref();
        assert_eq!(asked(1).unwrap()["cpu"].0, "20m", "the sidecar's is fixed");
        // It runs before all others: whatever it asks for fits into what they have together.
        let first = asked(0).and_then(|requests| Some(number("cpu", &requests.get("cpu")?.0)));
        let rest = nodes[&node]["cpu"] * 8 / 100 - 20;
        assert_eq!(first, Some(rest + 20));
        let (a, b) = (
            request(&pod, 0, "cpu").unwrap(),
            request(&pod, 1, "cpu").unwrap(),
        );
        assert_eq!(a + b, rest, "{node}");
        assert!(a.abs_diff(b * 3) <= 3, "by their own requests: {a} and {b}");
    }
    removed(&client, "kinds").await;
}

#[tokio::test]
async fn fx_11_pods_start_and_nothing_hangs_while_no_manager_runs() {
    let world = world().await;
    let client = world.install().await;
    applied(&world, &template("idle", "{cpuPercentage: 10}"));
    world.kubectl("scale deployment/holdfast -n holdfast-system --replicas=0");
    world.kubectl("wait --for=delete pod -l app.kubernetes.io/component=manager -n holdfast-system --timeout=90s");
    applied(&world, &daemonset("idle", "idle", ONE));
    let nodes = allocatable(&client).await.len();
    for pod in running(&client, "idle", nodes).await.values() {
        assert_eq!(request(pod, 0, "cpu"), None, "admitted unsized");
    }
    world.kubectl("scale deployment/holdfast -n holdfast-system --replicas=2");
    world.kubectl("rollout status deployment/holdfast -n holdfast-system --timeout=120s");
    removed(&client, "idle").await;
}

#[tokio::test]
async fn fx_12_f07_daemonsets_and_templates_in_one_apply_leave_no_pod_unsized() {
    let world = world().await;
    let client = world.install().await;
    let names: Vec<_> = (0..10).map(|at| format!("many-{at}")).collect();
    let templates: Vec<_> = names
        .iter()
        .map(|name| template(name, "{cpuPercentage: 1}"))
        .collect();
    let daemonsets: Vec<_> = names
        .iter()
        .map(|name| daemonset(name, name, ONE))
        .collect();
    applied(&world, &[templates, daemonsets].concat().join("---\n"));
    let nodes = allocatable(&client).await;
    for name in &names {
        for (node, pod) in running(&client, name, nodes.len()).await {
            assert_eq!(
                request(&pod, 0, "cpu"),
                Some(nodes[&node]["cpu"] / 100),
                "{name}"
            );
        }
    }
    for name in &names {
        removed(&client, name).await;
    }
}

#[tokio::test]
async fn f02_kube_system_is_sized_only_where_somebody_says_so_and_told_how() {
    let world = world().await;
    let client = world.install().await;
    let inside = |yaml: String| {
        yaml.replace(
            "metadata: {name: sys,",
            "metadata: {namespace: kube-system, name: sys,",
        )
    };
    applied(&world, &template("sys", "{cpuPercentage: 10}"));
    let told = applied(&world, &inside(daemonset("sys", "sys", ONE)));
    assert!(
        told.contains("kubectl label namespace kube-system holdfast.dev/sizing=enabled"),
        "{told}"
    );
    let pods: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let nodes = allocatable(&client).await.len();
    let created = |wanted: bool| {
        let pods = pods.clone();
        move || {
            let pods = pods.clone();
            async move {
                let found = pods
                    .list(&ListParams::default().labels("app=sys"))
                    .await
                    .ok()?
                    .items;
                let fits = found.iter().filter(|pod| {
                    pod.metadata.deletion_timestamp.is_none()
                        && request(pod, 0, "cpu").is_some() == wanted
                });
                (fits.count() == nodes).then_some(())
            }
        }
    };
    eventually("its pods keep their own resources", 60, created(false)).await;
    world.kubectl("label namespace kube-system holdfast.dev/sizing=enabled");
    world.kubectl("delete pod -n kube-system -l app=sys --now");
    eventually("its new pods have their share", 60, created(true)).await;
    world.kubectl("label namespace kube-system holdfast.dev/sizing-");
    world.kubectl("delete daemonset -n kube-system sys");
}

#[tokio::test]
async fn fx_09_mistakes_are_refused_and_what_will_not_work_is_a_warning() {
    let world = world().await;
    let client = world.install().await;
    for (spec, says) in [
        (
            "{cpuPercentage: 10, minCPU: '2', maxCPU: '1'}",
            "minCPU must not be above maxCPU",
        ),
        (
            "{cpuPercentage: 10, minMemory: '-1Gi'}",
            "minMemory must be a quantity that is not below zero",
        ),
        (
            "{containers: [{name: c, weight: 0}]}",
            "greater than or equal to 1",
        ),
        (
            "{containers: [{name: c, weight: 2, exclude: true}]}",
            "neither weight nor fixed",
        ),
        ("{limits: {cpu: 50%}}", "limits.cpu"),
        ("{wave: 0}", "wave must be a number of at least 1"),
        ("{onChange: Explode}", "onChange"),
    ] {
        let output = world.apply(&template("refused", spec));
        let told = text(&output.stderr);
        assert!(
            !output.status.success() && told.contains(says),
            "{spec}: {told}"
        );
    }
    let told = applied(&world, &daemonset("hasty", "later", ONE));
    assert!(
        told.contains("there is no FlexDaemonsetTemplate later"),
        "{told}"
    );
    let spec = "{cpuPercentage: 60, containers: [{name: nobody, weight: 1}]}";
    let told = applied(&world, &template("later", spec));
    assert!(told.contains("names container nobody"), "{told}");
    let told = applied(&world, &share("greedy", "{cpuPercentage: 60}", ONE));
    assert!(
        told.contains("the shares of all DaemonSets come to"),
        "{told}"
    );
    let templates: Api<holdfast::sizing::api::FlexDaemonsetTemplate> = Api::all(client.clone());
    let refuse = Patch::Merge(json!({ "spec": { "overcommit": "Refuse", "cpuPercentage": 70 } }));
    let refused = templates
        .patch("greedy", &PatchParams::default(), &refuse)
        .await;
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("set overcommit to Warn or Scale"), "{told}");
    removed(&client, "hasty").await;
    removed(&client, "greedy").await;
}
