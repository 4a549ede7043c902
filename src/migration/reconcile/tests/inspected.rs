//! The look at a new Migration, over an API server in memory.

use super::*;
use crate::process::telemetry::Telemetry;
use crate::testkit::api_server::ApiServer;
use http::StatusCode;
use kube::runtime::events::Reporter;
use serde_json::{Value, json};

pub(super) const MIGRATION: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations/m";
const TASK: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/statetasks/inspect-op";
pub(super) const POD: &str = "/api/v1/namespaces/apps/pods/web";

/// Two nodes, and a pod that nobody owns on the first.
pub(super) struct Scene(pub(super) ApiServer, Telemetry);

impl Scene {
    pub(super) fn new(spec: &Value) -> Self {
        let server = ApiServer::default();
        server.serve_empty("/apis/coordination.k8s.io/v1/namespaces/holdfast-system/leases");
        let mut whole = json!({ "podName": "web" });
        json_patch::merge(&mut whole, spec);
        server.put(
            MIGRATION,
            json!({
                "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
                "metadata": { "name": "m", "namespace": "apps", "uid": "op", "generation": 1 }, "spec": whole,
            }),
        );
        for node in ["n1", "n2"] {
            server.put(
                &format!("/api/v1/nodes/{node}"),
                json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": { "name": node, "labels": { "holdfast.dev/runtime": "installed" } },
                    "status": { "conditions": [{ "type": "Ready", "status": "True" }], "allocatable": { "cpu": "4", "memory": "4Gi", "pods": "110" } },
                }),
            );
        }
        server.put(
            POD,
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "apps", "uid": "uid-web" },
                "spec": { "nodeName": "n1", "runtimeClassName": "holdfast", "containers": [{ "name": "c" }] },
                "status": { "phase": "Running", "containerStatuses": [
                    { "name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": { "running": {} } },
                ] },
            }),
        );
        Self(server, Telemetry::default())
    }

    pub(super) async fn pass(&self) -> MigrationStatus {
        self.try_pass().await.unwrap();
        let stored: Migration = serde_json::from_value(self.0.stored(MIGRATION).unwrap()).unwrap();
        stored.status.unwrap_or_default()
    }

    pub(super) async fn try_pass(&self) -> Result<Action, Error> {
        self.try_pass_of(self.0.stored(MIGRATION).unwrap()).await
    }

    /// With what a watch has told, which may be older than what is so.
    pub(super) async fn try_pass_of(&self, seen: Value) -> Result<Action, Error> {
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        let context = Context {
            client: self.0.client(),
            recorder: Recorder::new(self.0.client(), reporter),
            agents: Agents {
                namespace: "holdfast-system".into(),
                account: "holdfast-agent".into(),
            },
            desk: Desk::new(self.0.client(), "holdfast-system"),
            limits: MoveFlags {
                moves: 8,
                moves_per_node: 2,
            },
            metrics: self.1.migrations.clone(),
            beginning: Mutex::default(),
        };
        let migration = serde_json::from_value(seen).unwrap();
        reconcile(Arc::new(migration), Arc::new(context)).await
    }

    /// The agent answers what it was asked.
    pub(super) fn answers(&self, findings: &Value) {
        let mut task = self.0.stored(TASK).expect("the agent is asked");
        assert_eq!(task["spec"]["nodeName"], "n1");
        assert_eq!(
            task["spec"]["inspect"]["pod"],
            json!({ "name": "web", "uid": "uid-web" })
        );
        assert_eq!(task["metadata"]["ownerReferences"][0]["uid"], "op");
        let images = json!([{ "container": "c", "id": "digest" }]);
        task["status"] = json!({ "inspection": { "findings": findings, "memoryBytes": 1000, "images": images } });
        self.0.put(TASK, task);
    }

    fn is_untouched(&self) {
        let touches = |call: &String| call.contains("/pods/") && !call.starts_with("GET");
        let calls = self.0.calls();
        assert!(!calls.iter().any(touches), "{calls:?}");
        assert!(self.0.stored(TASK).is_none(), "what was asked is done with");
    }
}

fn ring() -> Value {
    json!([{ "id": "io-uring", "sentence": "it has a ring", "cure": "take it away", "severity": "refuses" }])
}

fn warning() -> Value {
    json!([{ "id": "tcp-established", "sentence": "it is connected", "cure": "none", "severity": "warns" }])
}

pub(super) fn message(status: &MigrationStatus) -> &str {
    &status.conditions[0].message
}

#[tokio::test(start_paused = true)]
async fn a_migration_is_refused_by_what_the_pods_node_sees_and_nothing_is_touched() {
    let scene = Scene::new(&json!({}));
    let waits = scene.pass().await;
    assert_eq!((waits.stage, waits.phase), (Stage::New, Phase::Pending));
    assert!(
        message(&waits).contains("the agent of node n1 is asked"),
        "{waits:?}"
    );
    let waits = scene.pass().await;
    assert_eq!(waits.stage, Stage::New, "it has not answered");
    scene.answers(&ring());
    let refused = scene.pass().await;
    assert_eq!(
        (refused.stage, refused.phase),
        (Stage::Closed, Phase::Failed)
    );
    assert_eq!(refused.conditions[0].reason, "Refused");
    assert_eq!(message(&refused), "it has a ring: take it away");
    assert_eq!(refused.preflight.unwrap().findings.len(), 1);
    scene.pass().await;
    let counted = r#"holdfast_migrations_total{outcome="failed"} 1"#;
    assert!(scene.1.text().contains(counted), "once: {}", scene.1.text());
    scene.is_untouched();
}

#[tokio::test(start_paused = true)]
async fn what_warns_is_told_and_the_migration_begins() {
    let scene = Scene::new(&json!({}));
    scene.pass().await;
    scene.answers(&warning());
    // The finalizer comes first.
    assert_eq!(scene.pass().await.stage, Stage::New);
    let begun = scene.pass().await;
    assert_eq!(
        (begun.stage, begun.phase),
        (Stage::Begun, Phase::Preflighted)
    );
    assert_eq!(begun.preflight.unwrap().findings[0].id, "tcp-established");
    assert_eq!(begun.waiting, None);
    let images = begun.journey.unwrap().images;
    assert_eq!(images[0].id.as_deref(), Some("digest"));
    scene.is_untouched();
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_image_nobody_knows_is_not_touched() {
    let scene = Scene::new(&json!({}));
    scene.pass().await;
    scene.answers(&json!([]));
    let mut task = scene.0.stored(TASK).unwrap();
    task["status"]["inspection"]["images"] = json!([]);
    scene.0.put(TASK, task);
    let refused = scene.pass().await;
    assert_eq!(refused.phase, Phase::Failed);
    let why = "does not say which image container c runs";
    assert!(message(&refused).contains(why), "{refused:?}");
    scene.is_untouched();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_in_time_keeps_the_pod_where_it_is() {
    let scene = Scene::new(&json!({ "deadline": "1m" }));
    scene.pass().await;
    let asked = |ago: Duration| {
        let mut task = scene.0.stored(TASK).unwrap();
        let asked = crate::process::clock::now() - ago;
        task["metadata"]["creationTimestamp"] =
            json!(asked.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        scene.0.put(TASK, task);
    };
    asked(Duration::from_secs(50));
    assert_eq!(
        scene.pass().await.stage,
        Stage::New,
        "it has some time left"
    );
    asked(Duration::from_secs(70));
    let refused = scene.pass().await;
    assert_eq!(
        (refused.phase, refused.conditions[0].reason.as_str()),
        (Phase::Failed, "Refused")
    );
    let why = "the agent of node n1 does not say what the pod's processes do";
    assert!(message(&refused).contains(why), "{refused:?}");
    assert_eq!(refused.preflight.unwrap().findings[0].id, "no-answer");
    scene.is_untouched();
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_like_would_not_be_let_in_stays_where_it_is() {
    let scene = Scene::new(&json!({}));
    let rehearsal = "POST /api/v1/namespaces/apps/pods";
    scene.0.refuse_once(rehearsal, StatusCode::FORBIDDEN);
    let refused = scene.pass().await;
    assert_eq!(
        (refused.phase, refused.conditions[0].reason.as_str()),
        (Phase::Failed, "Refused")
    );
    assert!(
        message(&refused).contains("would not be let in any more"),
        "{refused:?}"
    );
    assert_eq!(refused.preflight.unwrap().findings[0].id, "successor");
    scene.is_untouched();
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_where_it_would_go_and_touches_nothing() {
    let scene = Scene::new(&json!({ "dryRun": true }));
    scene.pass().await;
    scene.answers(&warning());
    let told = scene.pass().await;
    assert_eq!(
        (told.stage, told.phase),
        (Stage::Closed, Phase::Preflighted)
    );
    assert_eq!(
        (
            told.conditions[0].status.as_str(),
            told.conditions[0].reason.as_str()
        ),
        ("True", "CanMove")
    );
    assert!(told.journey.is_none());
    let found = told.preflight.unwrap();
    assert_eq!(found.node.as_deref(), Some("n2"));
    assert_eq!(found.nodes[0].why.as_deref(), Some("is where it is"));
    assert_eq!(found.nodes[1].why, None);
    assert!(
        scene.0.finalizers(MIGRATION).is_empty(),
        "it goes when it is deleted"
    );
    scene.is_untouched();
    let again = scene.pass().await;
    assert_eq!(again.phase, Phase::Preflighted, "nothing follows");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_all_that_it_finds() {
    let scene = Scene::new(&json!({ "dryRun": true, "destinationNode": "n3" }));
    let mut pod = scene.0.stored(POD).unwrap();
    pod["spec"]["hostNetwork"] = json!(true);
    pod["spec"]["containers"][0]["livenessProbe"] =
        json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 1, "failureThreshold": 1 });
    scene.0.put(POD, pod);
    scene.pass().await;
    scene.answers(&ring());
    let told = scene.pass().await;
    assert_eq!((told.stage, told.phase), (Stage::Closed, Phase::Failed));
    let ids: Vec<_> = told
        .preflight
        .as_ref()
        .unwrap()
        .findings
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(
        ids,
        ["host-namespaces", "node", "io-uring", "liveness-probe"]
    );
    assert!(
        message(&told).contains("hostNetwork") && message(&told).contains("2 more"),
        "{told:?}"
    );
    scene.is_untouched();
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_a_namesake_counts_for_nothing() {
    let scene = Scene::new(&json!({}));
    scene.pass().await;
    scene.answers(&ring());
    let mut pod = scene.0.stored(POD).unwrap();
    pod["metadata"]["uid"] = json!("uid-other");
    scene.0.put(POD, pod);
    assert_eq!(scene.pass().await.stage, Stage::New);
    assert!(scene.0.stored(TASK).is_none(), "it is asked anew");
}

/// The watch may tell of a Migration later than it was written: the pass that follows asks its node once more.
#[tokio::test(start_paused = true)]
async fn a_question_that_a_late_pass_asked_again_is_taken_back_by_whoever_ends_it() {
    for is_refused in [false, true] {
        let scene = Scene::new(&json!({}));
        scene
            .0
            .serve_empty("/api/v1/namespaces/holdfast-system/pods");
        scene.pass().await;
        let before = scene.0.stored(MIGRATION).unwrap();
        scene.answers(&if is_refused { ring() } else { warning() });
        scene.pass().await;
        scene.pass().await;
        assert!(scene.0.stored(TASK).is_none());
        scene.try_pass_of(before).await.ok();
        assert!(scene.0.stored(TASK).is_some(), "it is asked again");
        let mut ended = scene.0.stored(MIGRATION).unwrap();
        ended["status"]["stage"] = json!("Closed");
        scene.0.put(MIGRATION, ended);
        // What is told of it is written over what the first pass saw, which has let it go.
        scene.try_pass().await.ok();
        scene.pass().await;
        assert!(scene.0.finalizers(MIGRATION).is_empty());
        scene.is_untouched();
    }
}
