//! Whole passes over an API server in memory: a target that falls silent after the release, and a person who says that it is off.

use super::*;
use crate::kit::names::OFF_ANNOTATION;
use crate::migration::observing::task_name;
use crate::testkit::api_server::ApiServer;
use kube::runtime::events::Reporter;
use serde_json::{Value, json};

const MIGRATION: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations/m";
const PODS: &str = "/api/v1/namespaces/apps/pods";
const EVENTS: &str = "POST /apis/events.k8s.io";
const SINCE: &str = "2026-01-01T00:00:00Z";

/// A Migration of the pod `web` from n1 to n2, where `web-2` has claimed what was released to it.
struct Scene(ApiServer);

impl Scene {
    fn new() -> Self {
        let scene = Self(ApiServer::default());
        let owner = json!({
            "deployment": "web", "deploymentUid": "d", "replicaSet": "web-h", "replicaSetUid": "rs", "templateHash": "h",
        });
        scene.0.put(
            MIGRATION,
            json!({
                "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
                "metadata": { "name": "m", "namespace": "apps", "uid": "op", "generation": 1, "finalizers": ["holdfast.dev/migration"] },
                "spec": { "podName": "web" },
                "status": {
                    "stage": "Begun",
                    "journey": { "podName": "web", "podUid": "s", "sourceNode": "n1", "targetNode": "n2", "owner": owner, "restores": ["c"] },
                    "decision": { "outcome": "Allowed", "attempt": 1, "podUid": "u1", "node": "n2", "generation": "op" },
                    "target": { "node": "n2", "podName": "web-2", "podUid": "u1" },
                },
            }),
        );
        scene.put_pods();
        scene.0.put(
            "/apis/apps/v1/namespaces/apps/replicasets/web-h",
            json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "web-h", "namespace": "apps", "uid": "rs" }, "spec": { "replicas": 1, "selector": {} } }),
        );
        scene.0.serve_empty("/api/v1/namespaces/holdfast/pods");
        scene
            .0
            .serve_empty("/apis/coordination.k8s.io/v1/namespaces/holdfast/leases");
        scene.node("n1", "True", SINCE);
        scene.node("n2", "True", SINCE);
        scene
    }

    fn put_pods(&self) {
        let spec = |node: &str| json!({ "nodeName": node, "containers": [{ "name": "c" }] });
        self.0.put(
            &format!("{PODS}/web"),
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "apps", "uid": "s", "labels": { "holdfast.dev/migration": "op" } }, "spec": spec("n1"), "status": { "phase": "Running" } }),
        );
        let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-h", "uid": "rs", "controller": true });
        self.0.put(
            &format!("{PODS}/web-2"),
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-2", "namespace": "apps", "uid": "u1", "ownerReferences": [owner] }, "spec": spec("n2"), "status": { "phase": "Pending" } }),
        );
    }

    fn node(&self, name: &str, ready: &str, since: &str) {
        self.0.put(
            &format!("/api/v1/nodes/{name}"),
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": since }] } }),
        );
    }

    async fn pass(&self) {
        let stored = self.0.stored(MIGRATION).expect("it is there");
        let migration: Migration = serde_json::from_value(stored).unwrap();
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        let client = self.0.client();
        let context = Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            agents: Agents {
                namespace: "holdfast".into(),
                account: "holdfast-agent".into(),
            },
            desk: Desk::new(self.0.client(), "holdfast"),
            limits: MoveFlags {
                moves: 8,
                moves_per_node: 2,
            },
            metrics: crate::process::telemetry::Telemetry::default().migrations,
            beginning: Mutex::default(),
        };
        reconcile(Arc::new(migration), Arc::new(context))
            .await
            .unwrap();
    }

    /// Until a pass writes nothing.
    async fn settle(&self) {
        for _pass in 0..12 {
            let before = self.writes();
            self.pass().await;
            if self.writes() == before {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.0.calls());
    }

    fn writes(&self) -> usize {
        let calls = self.0.calls();
        calls.iter().filter(|call| !call.starts_with("GET")).count()
    }

    /// What both nodes answer.
    fn answers(&self, source: &str, target: &str) {
        let source = json!({ "source": { "standing": source } });
        let target = json!({ "target": { "isVerified": true, "pods": [{ "uid": "u1", "attempt": 1, "standing": target }] } });
        for (node, answer) in [("n1", source), ("n2", target)] {
            let name = task_name("op", node);
            let path = format!("/apis/holdfast.dev/v1alpha1/namespaces/apps/statetasks/{name}");
            let mut task = self.0.stored(&path).expect("it was ordered");
            task["status"] = answer;
            self.0.put(&path, task);
        }
    }

    /// Released, claimed, and then nothing more is heard of n2.
    async fn silent() -> Self {
        let scene = Self::new();
        scene.settle().await;
        scene.answers("Released", "Claimed");
        scene.node("n2", "Unknown", SINCE);
        scene.settle().await;
        scene
    }

    fn status(&self) -> Value {
        self.0.stored(MIGRATION).unwrap()["status"].clone()
    }

    fn condition(&self, kind: &str) -> Value {
        let status = self.status();
        let mut conditions = status["conditions"].as_array().unwrap().iter();
        conditions.find(|one| one["type"] == kind).unwrap().clone()
    }

    /// As the policy of the chart lets it be written.
    fn say(&self, since: &str, by: &str) {
        let mut migration = self.0.stored(MIGRATION).unwrap();
        migration["metadata"]["annotations"] = json!({ OFF_ANNOTATION: format!("{since} {by}") });
        self.0.put(MIGRATION, migration);
    }

    fn told(&self, reason: &str) -> Vec<String> {
        let sent = self.0.sent(EVENTS);
        let ours = sent.iter().filter(|event| event["reason"] == reason);
        ours.map(|event| event["note"].as_str().unwrap().to_owned())
            .collect()
    }

    fn has_successor(&self) -> bool {
        self.0.stored(&format!("{PODS}/web-2")).is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_can_decide_names_the_command_that_decides_it() {
    let scene = Scene::silent().await;
    let undecided = scene.condition("Undecided");
    assert_eq!(undecided["status"], "True");
    let message = undecided["message"].as_str().unwrap();
    assert!(
        message.contains("holdfast resolve apps/m --target-is-off"),
        "{message}"
    );
    assert_eq!(scene.status()["silentSince"], SINCE);
    assert!(scene.has_successor());
    assert_eq!(scene.status()["decision"]["outcome"], "Allowed");
    // It is heard of again.
    scene.node("n2", "True", "2026-01-01T00:05:00Z");
    scene.settle().await;
    assert_eq!(scene.condition("Undecided")["status"], "False");
    assert_eq!(scene.status()["silentSince"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn by_a_persons_word_it_goes_back_and_the_person_is_named() {
    let scene = Scene::silent().await;
    scene.say(SINCE, "alice");
    scene.settle().await;
    let status = scene.status();
    assert_eq!(status["decision"]["outcome"], "RolledBack", "{status:#}");
    assert_eq!(
        status["decision"]["proof"],
        json!({ "kind": "TargetIsOff", "by": "alice" })
    );
    assert_eq!(status["resolvedBy"], "alice");
    // Nobody there will say that it has ended.
    let dropped = scene.0.sent(&format!("DELETE {PODS}/web-2"));
    assert_eq!(dropped[0]["gracePeriodSeconds"], 0, "{dropped:?}");
    assert_eq!(dropped[0]["preconditions"]["uid"], "u1");
    for reason in ["Resolved", "RolledBack"] {
        let told = scene.told(reason);
        assert_eq!(told.len(), 1, "{reason}: {told:?}");
        assert!(told[0].contains("alice"), "{told:?}");
    }
    scene.answers_back().await;
    assert_eq!(scene.status()["stage"], "Closed");
    assert_eq!(scene.status()["resolvedBy"], "alice");
}

impl Scene {
    /// The source runs again.
    async fn answers_back(&self) {
        let name = task_name("op", "n1");
        let path = format!("/apis/holdfast.dev/v1alpha1/namespaces/apps/statetasks/{name}");
        let mut task = self.0.stored(&path).expect("it was ordered");
        let proof = json!({ "kind": "TargetIsOff", "by": "alice" });
        task["status"] =
            json!({ "source": { "standing": "Returned", "isOver": true, "proof": proof } });
        self.0.put(&path, task);
        for _pass in 0..6 {
            self.pass().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_about_another_silence_counts_for_nothing() {
    let scene = Scene::silent().await;
    scene.node("n2", "Unknown", "2026-01-01T00:05:00Z");
    scene.say(SINCE, "alice");
    scene.settle().await;
    assert_eq!(scene.condition("Undecided")["status"], "True");
    assert_eq!(scene.status()["silentSince"], "2026-01-01T00:05:00Z");
    assert_eq!(scene.status()["calledOff"], Value::Null);
    assert!(scene.has_successor());
}

#[tokio::test(start_paused = true)]
async fn a_word_about_a_node_that_answers_counts_for_nothing() {
    let scene = Scene::silent().await;
    scene.node("n2", "True", SINCE);
    scene.say(SINCE, "alice");
    scene.settle().await;
    assert_eq!(scene.status()["decision"]["outcome"], "Allowed");
    assert!(scene.has_successor());
    assert!(scene.told("Resolved").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_object_is_gone_can_be_off_too() {
    let scene = Scene::silent().await;
    scene.0.remove("/api/v1/nodes/n2");
    scene.settle().await;
    assert_eq!(scene.condition("Undecided")["status"], "True");
    assert_eq!(scene.status()["silentSince"], SINCE);
    scene.say(SINCE, "alice");
    scene.settle().await;
    assert_eq!(scene.status()["decision"]["outcome"], "RolledBack");
}
