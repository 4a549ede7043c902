//! What is told of a pod's review, and what a review that only asks leaves behind.

use crate::shares::{ONE, allocatable, applied, daemonset, removed, request, running, share};
use crate::world::{World, eventually, world};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::Value;
use std::future::ready;

/// As the DaemonSet controller would make one more like this one.
fn another(pod: &Pod) -> Pod {
    let mut again = pod.clone();
    again.metadata.name = None;
    again.metadata.generate_name = Some("again-".into());
    again.metadata.uid = None;
    again.metadata.resource_version = None;
    again.metadata.annotations = None;
    again.status = None;
    let spec = again.spec.as_mut().unwrap();
    spec.node_name = None;
    for container in &mut spec.containers {
        container.resources = None;
    }
    again
}

#[tokio::test]
async fn fx_14_a_dry_run_gets_the_same_share_and_leaves_nothing_behind() {
    let world = world().await;
    let client = world.install().await;
    let nodes = allocatable(&client).await.len();
    applied(&world, &share("dry", "{cpuPercentage: 10}", ONE));
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    for (node, pod) in running(&client, "dry", nodes).await {
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let told = pods.create(&dry, &another(&pod)).await.unwrap();
        assert_eq!(request(&told, 0, "cpu"), request(&pod, 0, "cpu"), "{node}");
        assert_eq!(
            told.annotations()["holdfast.dev/share"],
            pod.annotations()["holdfast.dev/share"]
        );
    }
    assert_eq!(running(&client, "dry", nodes).await.len(), nodes);
    let counted = world.kubectl("get fdt dry -o jsonpath={.status.pods.total}");
    assert!(
        counted.is_empty() || counted == nodes.to_string(),
        "{counted}"
    );
    removed(&client, "dry").await;
}

/// What the API server's audit log notes of our reviews of pods that the DaemonSet controller creates.
fn noted(world: &World) -> Vec<String> {
    let status: Value = serde_json::from_str(&world.command(&["status", "-o", "json"])).unwrap();
    let log = std::fs::read_to_string(status["auditLog"].as_str().unwrap()).unwrap();
    let calls = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let its = calls.filter(|call| {
        let who = &call["user"]["username"];
        call["verb"] == "create"
            && call["objectRef"]["resource"] == "pods"
            && who == "system:serviceaccount:kube-system:daemon-set-controller"
    });
    its.filter_map(|call| {
        let notes = call["annotations"].as_object()?;
        let (_, note) = notes.iter().find(|(key, _)| key.ends_with("/sizing"))?;
        note.as_str().map(str::to_owned)
    })
    .collect()
}

#[tokio::test]
async fn fx_09_the_audit_log_says_of_each_pod_what_became_of_it() {
    let world = world().await;
    let client = world.install().await;
    let nodes = allocatable(&client).await.len();
    let before = noted(&world).len();
    applied(&world, &share("audited", "{cpuPercentage: 10}", ONE));
    applied(&world, &daemonset("hasty", "that-is-not-there", ONE));
    for name in ["audited", "hasty"] {
        running(&client, name, nodes).await;
    }
    eventually("all are noted", 30, || {
        let all = noted(&world).split_off(before);
        let count = |is: &dyn Fn(&&String) -> bool| all.iter().filter(is).count();
        let sized = count(&|note| note.starts_with("sized: ") && note.contains("audited"));
        let unchanged = count(&|note| *note == "unchanged: template_missing");
        ready((sized == nodes && unchanged == nodes).then_some(()))
    })
    .await;
    for name in ["audited", "hasty"] {
        removed(&client, name).await;
    }
}
