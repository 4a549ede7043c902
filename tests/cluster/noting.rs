//! What is told of a pod's review, and what a review that only asks leaves behind.

use crate::shares::{ONE, allocatable, applied, daemonset, removed, request, running, share};
use crate::world::{World, eventually, world};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::Value;
use std::future::ready;
use std::io::{Read, Seek, SeekFrom};

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
    eventually(
        "those that are there are counted, and no others",
        60,
        || {
            let counted =
                world.kubectl("get fdt dry -o jsonpath={.status.pods.sized}/{.status.pods.total}");
            ready((counted == format!("{nodes}/{nodes}")).then_some(()))
        },
    )
    .await;
    removed(&client, "dry").await;
}

/// The API server's audit log, read on from where it was.
struct AuditLog {
    path: String,
    at: u64,
    /// The DaemonSet that a pod was created for, and what we noted of it.
    notes: Vec<(String, String)>,
}

impl AuditLog {
    fn from_now_on(world: &World) -> Self {
        let status = world.command(&["status", "-o", "json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let path = status["auditLog"].as_str().unwrap().to_owned();
        let at = std::fs::metadata(&path).unwrap().len();
        let notes = Vec::new();
        Self { path, at, notes }
    }

    /// Whole lines that came since the last time; of another file, where it was rotated, all of them.
    fn read_on(&mut self) {
        let mut file = std::fs::File::open(&self.path).unwrap();
        if file.metadata().unwrap().len() < self.at {
            self.at = 0;
        }
        file.seek(SeekFrom::Start(self.at)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.at += whole as u64;
        let calls = text[..whole].lines();
        let calls = calls.filter(|line| line.contains("daemon-set-controller"));
        for call in calls {
            let call: Value = serde_json::from_str(call).unwrap();
            let made = call["requestObject"]["metadata"]["generateName"].as_str();
            let notes = call["annotations"].as_object().into_iter().flatten();
            let ours = notes.filter(|(key, _)| key.ends_with("/sizing"));
            let told =
                ours.filter_map(|(_, note)| Some((made?.to_owned(), note.as_str()?.to_owned())));
            self.notes.extend(told);
        }
    }

    fn of(&self, daemonset: &str) -> Vec<&str> {
        let its = self.notes.iter();
        let its = its.filter(|(made, _)| made.trim_end_matches('-') == daemonset);
        its.map(|(_, note)| note.as_str()).collect()
    }
}

#[tokio::test]
async fn fx_09_the_audit_log_says_of_each_pod_what_became_of_it() {
    let world = world().await;
    let client = world.install().await;
    let nodes = allocatable(&client).await.len();
    let mut log = AuditLog::from_now_on(&world);
    applied(&world, &share("audited", "{cpuPercentage: 10}", ONE));
    applied(&world, &daemonset("hasty", "that-is-not-there", ONE));
    for name in ["audited", "hasty"] {
        running(&client, name, nodes).await;
    }
    eventually("all are noted", 30, || {
        log.read_on();
        let are_all = ["audited", "hasty"].map(|name| log.of(name).len() >= nodes);
        ready((are_all == [true; 2]).then_some(()))
    })
    .await;
    for note in log.of("audited") {
        assert!(
            note.starts_with("sized: ") && note.contains("audited"),
            "{note}"
        );
    }
    for note in log.of("hasty") {
        assert_eq!(note, "unchanged: template_missing");
    }
    for name in ["audited", "hasty"] {
        removed(&client, name).await;
    }
}
