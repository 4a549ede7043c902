use super::*;
use crate::agent::api::{
    ImageNote, ImagesReport, Order, SourceReport, StateTaskSpec, TargetOrder, TargetReport,
};
use crate::migration::api::{Journey, MigrationSpec, MigrationStatus};
use crate::migration::plan::{SourcePod, TaskSeen};

struct Scene {
    order: Order,
    status: MigrationStatus,
    source: SourceReport,
    target: TargetReport,
    /// For these the kubelet is to be asked.
    asked: Vec<&'static str>,
    spec: StateTaskSpec,
}

impl Scene {
    /// A pod of two containers, of which the target lacks these.
    fn lacking(lacks: &[&str]) -> Self {
        let lacks = lacks.iter().map(|name| (*name).to_owned()).collect();
        Self {
            order: Order::PrepareFirst,
            status: MigrationStatus {
                stage: Stage::Begun,
                ..MigrationStatus::default()
            },
            source: SourceReport::default(),
            target: TargetReport {
                images: Some(ImagesReport {
                    lacks,
                    ..ImagesReport::default()
                }),
                ..TargetReport::default()
            },
            asked: Vec::new(),
            spec: StateTaskSpec::default(),
        }
    }

    fn course(&self) -> Course {
        let note = |container: &str| ImageNote {
            container: container.into(),
            image: format!("{container}:1"),
            id: Some("id".into()),
            asked: self.asked.contains(&container),
        };
        let journey = Journey {
            order: self.order,
            target_node: "t".into(),
            images: vec![note("a"), note("b")],
            ..Journey::default()
        };
        journey.course("op", &MigrationSpec::default())
    }

    fn plan(&self, fetcher: Option<&Pod>) -> Option<Act> {
        let course = self.course();
        let (source, target) = (
            TaskSeen {
                source: Some(&self.source),
                ..TaskSeen::default()
            },
            TaskSeen {
                target: Some(&self.target),
                spec: Some(&self.spec),
                ..TaskSeen::default()
            },
        );
        let seen = Observed {
            source_pod: SourcePod::Here { is_detached: false },
            source,
            target,
            ..Observed::nothing(&course, &self.status)
        };
        plan(&seen, (Some(&source_pod()), fetcher), None)
    }

    fn made(&self) -> Pod {
        let Some(Act::Make(pod)) = self.plan(None) else {
            panic!("no pod is made");
        };
        *pod
    }
}

fn source_pod() -> Pod {
    let pod = json!({ "metadata": { "name": "web", "namespace": "apps" }, "spec": {
        "serviceAccountName": "shop", "imagePullSecrets": [{ "name": "key" }],
        "containers": [
            { "name": "a", "image": "a:1", "command": ["run"], "imagePullPolicy": "Always", "env": [{ "name": "A", "value": "b" }] },
            { "name": "b", "image": "b:1", "imagePullPolicy": "Never" },
        ],
    } });
    serde_json::from_value(pod).unwrap()
}

#[test]
fn what_is_missing_is_fetched_with_the_pods_own_secrets_and_nothing_is_run() {
    let made = Scene::lacking(&["a", "b"]).made();
    assert_eq!(made.name_any(), "holdfast-images-op");
    let spec = made.spec.unwrap();
    assert_eq!(spec.node_name.as_deref(), Some("t"));
    assert_eq!(spec.service_account_name.as_deref(), Some("shop"));
    assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "key");
    assert_eq!(spec.runtime_class_name, None);
    // What may never be got is not asked for.
    let [one] = &spec.containers[..] else {
        panic!("{:?}", spec.containers);
    };
    assert_eq!(one.image.as_deref(), Some("a:1"));
    assert_eq!(one.command.as_deref(), Some(&[NOTHING.to_owned()][..]));
    assert_eq!(one.env, None);
    assert_eq!(Scene::lacking(&["b"]).plan(None), None);
    assert_eq!(Scene::lacking(&[]).plan(None), None);
}

#[test]
fn the_pod_that_fetches_goes_when_nobody_needs_it() {
    let mut scene = Scene::lacking(&["a"]);
    let fetcher = scene.made();
    assert_eq!(scene.plan(Some(&fetcher)), None, "it is at it");
    assert_eq!(Scene::lacking(&[]).plan(Some(&fetcher)), Some(Act::Delete));
    // Something else is missing now: another one is made when this one is gone.
    let other = Scene::lacking(&["a", "b"]);
    assert_eq!(other.plan(Some(&fetcher)), Some(Act::Delete));
    let mut going = fetcher.clone();
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        jiff::Timestamp::UNIX_EPOCH,
    ));
    assert_eq!(other.plan(Some(&going)), None);
    scene.status.given_up = Some("TooLate".into());
    assert_eq!(scene.plan(Some(&fetcher)), Some(Act::Delete));
    assert_eq!(scene.plan(None), None);
}

#[test]
fn nothing_is_fetched_for_a_pod_that_stands_still() {
    let mut scene = Scene::lacking(&["a"]);
    scene.source.standing = SourceStanding::Frozen;
    assert_eq!(scene.plan(None), None);
    scene.source.standing = SourceStanding::Idle;
    scene.status.decision.outcome = Outcome::Allowed;
    assert_eq!(scene.plan(None), None);
    scene.status.decision.outcome = Outcome::Undecided;
    scene.order = Order::FreezeFirst;
    assert!(scene.plan(None).is_some());
}

#[test]
fn what_a_kubelet_is_asked_for_in_the_freeze_is_asked_for_before_it() {
    let mut scene = Scene::lacking(&[]);
    scene.asked = vec!["a"];
    let mut fetcher = scene.made();
    let one = fetcher.spec.as_ref().unwrap().containers[0].clone();
    assert_eq!(one.image_pull_policy.as_deref(), Some("Always"));
    assert!(!has_fetched(&scene.course(), Some(&fetcher)));
    let status = |state: Value| {
        let one = json!({ "name": "a", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": state });
        serde_json::from_value(json!({ "phase": "Pending", "containerStatuses": [one] })).ok()
    };
    for (state, has_it) in [
        (
            json!({ "waiting": { "reason": "ContainerCreating" } }),
            false,
        ),
        (json!({ "waiting": { "reason": "ErrImagePull" } }), false),
        // As CRI-O says it, and as containerd does.
        (
            json!({ "waiting": { "reason": "CreateContainerError" } }),
            true,
        ),
        (
            json!({ "terminated": { "exitCode": 128, "reason": "StartError" } }),
            true,
        ),
    ] {
        fetcher.status = status(state.clone());
        let found = has_fetched(&scene.course(), Some(&fetcher));
        assert_eq!(found, has_it, "{state}");
    }
    assert_eq!(
        scene.plan(Some(&fetcher)),
        None,
        "it is not written down yet"
    );
    scene.spec.target = Some(TargetOrder {
        asked: true,
        ..TargetOrder::default()
    });
    assert_eq!(scene.plan(Some(&fetcher)), Some(Act::Delete));
    // One that was made for another one tells nothing of this.
    scene.asked = vec!["b"];
    assert!(!has_fetched(&scene.course(), Some(&fetcher)));
}
