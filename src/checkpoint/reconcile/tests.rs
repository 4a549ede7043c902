//! Whole passes over an API server in memory.

mod copying;
mod keeping;

use super::*;
use crate::process::telemetry::Telemetry;
use crate::testkit::api_server::ApiServer;
use http::StatusCode;
use kube::runtime::events::Reporter;
use kube::runtime::reflector;
use serde_json::Value;

const CHECKPOINT: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints/c";
const TASK: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/statetasks/checkpoint-op";
const EVENTS: &str = "POST /apis/events.k8s.io";

/// A cluster with a pod, and a Checkpoint of it.
struct Scene {
    server: ApiServer,
    telemetry: Telemetry,
    limits: KeepFlags,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            server: ApiServer::default(),
            telemetry: Telemetry::default(),
            limits: KeepFlags::default(),
        };
        let put = |path: &str, object| scene.server.put(path, object);
        put(
            CHECKPOINT,
            json!({
                "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
                "metadata": { "name": "c", "namespace": "apps", "uid": "op", "generation": 1 },
                "spec": { "podName": "web" },
            }),
        );
        put(
            "/api/v1/namespaces/apps/pods/web",
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "web", "namespace": "apps", "uid": "uid-web" },
                "spec": { "nodeName": "n1", "runtimeClassName": "holdfast", "containers": [{ "name": "main" }] },
                "status": { "phase": "Running" },
            }),
        );
        put(
            "/api/v1/nodes/n1",
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } }),
        );
        scene
    }

    fn context(&self) -> Arc<Context> {
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        Arc::new(Context {
            keeping: Keeping::new(self.server.client(), self.known(), self.limits),
            client: self.server.client(),
            agents: Agents {
                namespace: "holdfast".into(),
                account: "holdfast-agent".into(),
            },
            recorder: Recorder::new(self.server.client(), reporter),
            metrics: self.telemetry.checkpoints.clone(),
        })
    }

    /// What a watch has brought so far: all there is.
    fn known(&self) -> reflector::Store<Checkpoint> {
        let (known, mut writer) = reflector::store();
        let all = self.server.all("/checkpoints/");
        for object in all {
            let checkpoint = serde_json::from_value(object).unwrap();
            writer.apply_watcher_event(&watcher::Event::Apply(checkpoint));
        }
        known
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let stored = self.server.stored(CHECKPOINT)?;
        Some(serde_json::from_value(stored).unwrap())
    }

    async fn pass(&self) -> Result<Action, Error> {
        let checkpoint = self.checkpoint().expect("it is there");
        reconcile(Arc::new(checkpoint), self.context()).await
    }

    /// Passes until one writes nothing. One that fails is one that died there: the next goes on from what was written.
    async fn settle(&self) {
        for _ in 0..12 {
            let before = self.writes();
            if self.checkpoint().is_none() {
                return;
            }
            let done = self.pass().await;
            if done.is_ok() && self.writes() == before {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.server.calls());
    }

    fn writes(&self) -> usize {
        let calls = self.server.calls();
        calls.iter().filter(|call| !call.starts_with("GET")).count()
    }

    fn answer(&self, report: &Value) {
        let mut task = self.server.stored(TASK).unwrap();
        task["status"] = json!({ "checkpoint": report });
        self.server.put(TASK, task);
    }

    fn vanish(&self) {
        let mut object = self.server.stored(CHECKPOINT).unwrap();
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.server.put(CHECKPOINT, object);
    }

    fn phase(&self) -> Phase {
        self.checkpoint().unwrap().status.unwrap().phase
    }

    fn told(&self) -> Vec<String> {
        let sent = self.server.sent(EVENTS);
        let reasons = sent.iter().filter_map(|event| event["reason"].as_str());
        reasons.map(str::to_owned).collect()
    }
}

fn kept() -> Value {
    json!({
        "standing": "Kept", "takenAt": "2026-01-01T00:00:00Z", "frozenMillis": 45, "bytes": 4096,
        "path": "/var/lib/holdfast/checkpoints/op", "digest": "sha256:1",
    })
}

/// All the way: asked, taken, deleted, forgotten.
async fn whole_life(scene: &Scene) {
    scene.settle().await;
    assert_eq!(scene.phase(), Phase::Asked);
    scene.answer(&kept());
    scene.settle().await;
    assert_eq!(scene.phase(), Phase::Succeeded);
    scene.vanish();
    scene.settle().await;
    let task = scene.server.stored(TASK).unwrap();
    assert_eq!(task["spec"]["checkpoint"]["word"], "Forget");
    scene.answer(&json!({ "standing": "Forgotten" }));
    scene.settle().await;
    // A pass that died between the two asks once more, so that nothing can be left; the node answers once more.
    if scene.server.stored(TASK).is_some() {
        scene.answer(&json!({ "standing": "Forgotten" }));
        scene.settle().await;
    }
    assert_eq!(
        (scene.checkpoint().is_none(), scene.server.stored(TASK)),
        (true, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_taken_told_and_forgotten() {
    let scene = Scene::new();
    whole_life(&scene).await;
    let writes: Vec<_> = scene
        .server
        .calls()
        .into_iter()
        .filter(|call| !call.starts_with("GET") && !call.starts_with(EVENTS))
        .collect();
    let status = format!("PUT {CHECKPOINT}/status");
    let (task, checkpoint) = (format!("PATCH {TASK}"), format!("PATCH {CHECKPOINT}"));
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    assert_eq!(
        writes,
        [
            checkpoint.clone(),
            status.clone(),
            format!("POST {tasks}"),
            status,
            task.clone(),
            task,
            format!("DELETE {TASK}"),
            checkpoint,
        ]
    );
    assert_eq!(scene.told(), ["Taken", "Forgetting"]);
    let counted = r#"holdfast_checkpoints_total{outcome="taken"} 1"#;
    assert!(scene.telemetry.text().contains(counted));
}

/// The next leader finishes what a dead one began, whichever write was its last.
#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_done_by_the_next_pass() {
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    for call in [
        format!("PATCH {CHECKPOINT}"),
        format!("PUT {CHECKPOINT}/status"),
        format!("POST {tasks}"),
        format!("PATCH {TASK}"),
        format!("DELETE {TASK}"),
    ] {
        for code in [StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR] {
            let scene = Scene::new();
            scene.server.refuse_once(&call, code);
            whole_life(&scene).await;
        }
    }
}

/// Everything in a namespace is deleted at once, and nothing can be made in it any more.
/// A cache is behind: what it shows may be gone, and its order with it.
#[tokio::test(start_paused = true)]
async fn what_is_gone_is_not_asked_for_once_more() {
    let scene = Scene::new();
    scene.settle().await;
    scene.answer(&kept());
    scene.settle().await;
    scene.vanish();
    let stale = Arc::new(scene.checkpoint().unwrap());
    scene.settle().await;
    scene.answer(&json!({ "standing": "Forgotten" }));
    scene.settle().await;
    assert_eq!(scene.server.stored(TASK), None);
    let before = scene.writes();
    reconcile(stale, scene.context()).await.unwrap();
    assert_eq!((scene.server.stored(TASK), scene.writes()), (None, before));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_goes_does_not_keep_a_node_from_forgetting() {
    let scene = Scene::new();
    scene.settle().await;
    scene.answer(&kept());
    scene.settle().await;
    let mut task = scene.server.stored(TASK).unwrap();
    task["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    scene.server.put(TASK, task);
    scene.vanish();
    let (tasks, _) = TASK.rsplit_once('/').unwrap();
    scene.server.forbid(&format!("POST {tasks}"));
    scene.settle().await;
    let task = scene.server.stored(TASK).unwrap();
    assert_eq!(task["spec"]["checkpoint"]["word"], "Forget");
    scene.answer(&json!({ "standing": "Forgotten" }));
    scene.settle().await;
    assert_eq!(
        (scene.checkpoint().is_none(), scene.server.stored(TASK)),
        (true, None)
    );
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_any_more_it_is_let_go() {
    for (code, said) in [
        (
            StatusCode::FORBIDDEN,
            "unable to create new content in namespace apps because it is being terminated",
        ),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            "create not allowed while custom resource definition is terminating",
        ),
        (
            StatusCode::NOT_FOUND,
            "the server could not find the requested resource",
        ),
    ] {
        let scene = Scene::new();
        scene.pass().await.unwrap();
        scene.pass().await.unwrap();
        let (tasks, _) = TASK.rsplit_once('/').unwrap();
        let call = format!("POST {tasks}");
        scene.server.refuse_saying(&call, code, said);
        assert!(
            scene.pass().await.is_err(),
            "as long as it is not being deleted"
        );
        scene.vanish();
        scene.server.refuse_saying(&call, code, said);
        scene.settle().await;
        assert!(scene.checkpoint().is_none(), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_no_reason_to_let_it_go() {
    let scene = Scene::new();
    scene.pass().await.unwrap();
    scene.pass().await.unwrap();
    scene.vanish();
    scene.server.forbid("POST /apis/holdfast.dev");
    assert!(scene.pass().await.unwrap_err().is_forbidden());
    assert!(!scene.server.finalizers(CHECKPOINT).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_last_write_may_fail_after_the_task_is_deleted() {
    let scene = Scene::new();
    scene.settle().await;
    scene.vanish();
    scene.settle().await;
    scene.answer(&json!({ "standing": "Forgotten" }));
    let release = format!("PATCH {CHECKPOINT}");
    scene.server.refuse_once(&release, StatusCode::CONFLICT);
    assert!(scene.pass().await.unwrap_err().is_conflict());
    scene.settle().await;
    scene.answer(&json!({ "standing": "Forgotten" }));
    scene.settle().await;
    assert!(scene.checkpoint().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_is_decided_on_what_was_seen() {
    let scene = Scene::new();
    scene.pass().await.unwrap();
    let stale = Arc::new(scene.checkpoint().unwrap());
    let mut changed = scene.server.stored(CHECKPOINT).unwrap();
    changed["metadata"]["labels"] = json!({ "a": "b" });
    scene.server.put(CHECKPOINT, changed);
    let refused = reconcile(stale, scene.context()).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
    assert_eq!(scene.server.stored(TASK), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_touches_nothing() {
    let scene = Scene::new();
    scene.server.remove("/api/v1/namespaces/apps/pods/web");
    scene.settle().await;
    assert_eq!(
        (scene.phase(), scene.told()),
        (Phase::Failed, vec!["Refused".to_owned()])
    );
    assert!(scene.server.finalizers(CHECKPOINT).is_empty());
    assert_eq!(scene.server.stored(TASK), None);
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_when_the_time_of_a_checkpoint_is_over() {
    let scene = Scene::new();
    scene.settle().await;
    let mut report = kept();
    report["takenAt"] = json!(clock::now().to_string());
    scene.answer(&report);
    scene.settle().await;
    let slowly = scene.pass().await.unwrap();
    assert_eq!(slowly, Action::requeue(slow_look("c")));
    let mut object = scene.server.stored(CHECKPOINT).unwrap();
    object["spec"]["ttlSeconds"] = json!(60);
    scene.server.put(CHECKPOINT, object.clone());
    let soon = scene.pass().await.unwrap();
    assert_ne!(soon, slowly);
    object["status"]["takenAt"] = json!("2020-01-01T00:00:00Z");
    scene.server.put(CHECKPOINT, object);
    scene.pass().await.unwrap();
    let held = scene.server.stored(CHECKPOINT).unwrap();
    assert!(
        held["metadata"]["deletionTimestamp"].is_string(),
        "and waits for its node"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_loses_it() {
    let scene = Scene::new();
    scene.settle().await;
    scene.answer(&kept());
    scene.settle().await;
    scene.server.remove("/api/v1/nodes/n1");
    scene.settle().await;
    assert_eq!(
        (scene.phase(), scene.told()),
        (Phase::Lost, vec!["Taken".to_owned(), "NodeGone".to_owned()])
    );
}

#[test]
fn finalizers_of_others_stay() {
    let mut checkpoint = Checkpoint::new("c", crate::checkpoint::api::CheckpointSpec::default());
    checkpoint.metadata.finalizers = Some(vec!["others.dev/x".into()]);
    let held = finalizers(&checkpoint, names::CHECKPOINT_FINALIZER, true);
    assert_eq!(
        held["metadata"]["finalizers"],
        json!(["others.dev/x", names::CHECKPOINT_FINALIZER])
    );
    checkpoint.metadata.finalizers =
        serde_json::from_value(held["metadata"]["finalizers"].clone()).unwrap();
    let released = finalizers(&checkpoint, names::CHECKPOINT_FINALIZER, false);
    assert_eq!(released["metadata"]["finalizers"], json!(["others.dev/x"]));
}
