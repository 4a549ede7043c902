//! What is decided and done in one pass.

mod copying;
mod ends;
mod failures;
mod refusals;

use super::*;
use crate::agent::api::{CheckpointOrder, ContainerReport, StateTaskStatus};
use crate::checkpoint::api::CheckpointSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

/// A Checkpoint of the pod `web` on node `n1`, and what there is of it.
struct Scene {
    checkpoint: Checkpoint,
    pod: Option<Pod>,
    node_is_gone: bool,
    task: Option<StateTask>,
    copies: Vec<Copied>,
    seats: Vec<Seat>,
    room: Option<Room>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn web() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "web", "namespace": "apps", "uid": "uid-web" },
        "spec": {
            "nodeName": "n1", "runtimeClassName": "holdfast",
            "initContainers": [{ "name": "prepare" }, { "name": "mesh", "restartPolicy": "Always" }],
            "containers": [{ "name": "main" }, { "name": "logs" }],
        },
        "status": { "phase": "Running" },
    })
}

impl Scene {
    fn new() -> Self {
        let spec = CheckpointSpec {
            pod_name: "web".into(),
            deadline_seconds: 120,
            ..CheckpointSpec::default()
        };
        let mut checkpoint = Checkpoint::new("c", spec);
        checkpoint.metadata.namespace = Some("apps".into());
        checkpoint.metadata.uid = Some("op".into());
        checkpoint.metadata.generation = Some(1);
        Self {
            checkpoint,
            pod: serde_json::from_value(web()).unwrap(),
            node_is_gone: false,
            task: None,
            copies: Vec::new(),
            seats: Vec::new(),
            room: None,
        }
    }

    /// Asked, and the node has answered this.
    fn answered(standing: CheckpointStanding) -> Self {
        let mut scene = Self::new();
        scene.settle();
        scene.answer(standing);
        scene.settle();
        scene
    }

    fn plan(&self) -> Vec<Step> {
        self.plan_at(100)
    }

    fn plan_at(&self, second: i64) -> Vec<Step> {
        plan(&Observed {
            checkpoint: &self.checkpoint,
            pod: self.pod.as_ref(),
            node_is_gone: self.node_is_gone,
            task: self.task.as_ref(),
            copies: &self.copies,
            seats: &self.seats,
            room: self.room.as_ref(),
            now: at(second),
        })
    }

    /// As an API server does it.
    fn write(&mut self, step: &Step) {
        let finalizers = &mut self.checkpoint.metadata.finalizers;
        match step {
            Step::Hold => *finalizers = Some(vec![names::CHECKPOINT_FINALIZER.into()]),
            Step::Release => *finalizers = None,
            Step::Status(status) => self.checkpoint.status = Some((**status).clone()),
            Step::CreateTask(task) if task.spec.copy.is_some() => self.copies.push(Copied {
                task: (**task).clone(),
                node_is_gone: false,
            }),
            Step::Ship(targets) => self.order().copies.clone_from(targets),
            Step::ForgetCopy(task) => {
                let copy = self.copy(&task.spec.node_name);
                copy.task.spec.copy.as_mut().unwrap().word = CheckpointWord::Forget;
            }
            Step::DropCopy(task) => {
                let node = &task.spec.node_name;
                self.copies.retain(|copy| copy.task.spec.node_name != *node);
            }
            Step::CreateTask(task) => {
                assert!(self.task.is_none(), "there is one");
                self.task = Some((**task).clone());
            }
            Step::Forget => self.order().word = CheckpointWord::Forget,
            Step::DeleteTask => self.task = None,
            Step::Tell(_) | Step::Expire => {}
        }
    }

    fn copy(&mut self, node: &str) -> &mut Copied {
        let mut copies = self.copies.iter_mut();
        copies
            .find(|copy| copy.task.spec.node_name == node)
            .unwrap()
    }

    fn order(&mut self) -> &mut CheckpointOrder {
        let task = self.task.as_mut().unwrap();
        task.spec.checkpoint.as_mut().unwrap()
    }

    /// Pass after pass, each dying after its first write, until there is nothing to do. The writes, in order.
    fn settle(&mut self) -> Vec<&'static str> {
        let mut written = Vec::new();
        while let Some(step) = self.plan().first() {
            self.write(step);
            written.push(name(step));
            assert!(written.len() < 10, "{written:?}");
            if *step == Step::Expire {
                break;
            }
        }
        written
    }

    fn answer(&mut self, standing: CheckpointStanding) {
        let is_done = standing == CheckpointStanding::Kept;
        let report = CheckpointReport {
            standing,
            why: (standing == CheckpointStanding::Failed).then(|| "the disk is full".into()),
            taken_at: is_done.then(|| Time(at(50))),
            frozen_millis: is_done.then_some(45),
            bytes: is_done.then_some(12_900_000),
            path: is_done.then(|| "/var/lib/holdfast/checkpoints/op".into()),
            digest: is_done.then(|| "sha256:1".into()),
            containers: vec![ContainerReport {
                name: "main".into(),
                memory_bytes: 12_000_000,
                ..ContainerReport::default()
            }],
            copies: Vec::new(),
        };
        self.task.as_mut().unwrap().status = Some(StateTaskStatus {
            checkpoint: Some(report),
            ..StateTaskStatus::default()
        });
    }

    fn status(&self) -> CheckpointStatus {
        self.checkpoint.status.clone().unwrap()
    }

    fn phase(&self) -> Phase {
        self.status().phase
    }

    fn reason(&self) -> String {
        self.status().conditions[0].reason.clone()
    }

    fn message(&self) -> String {
        self.status().conditions[0].message.clone()
    }

    fn is_held(&self) -> bool {
        !self.checkpoint.finalizers().is_empty()
    }

    fn vanish(&mut self) {
        self.checkpoint.metadata.deletion_timestamp = Some(Time(at(99)));
    }
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Hold => "hold",
        Step::Status(_) => "status",
        Step::Tell(_) => "tell",
        Step::CreateTask(_) => "create",
        Step::Forget => "forget",
        Step::DeleteTask => "delete the task",
        Step::Release => "release",
        Step::Expire => "expire",
        Step::Ship(_) => "ship",
        Step::ForgetCopy(_) => "forget-copy",
        Step::DropCopy(_) => "drop",
    }
}

fn told(steps: &[Step]) -> Vec<&'static str> {
    let told = steps.iter().filter_map(|step| match step {
        Step::Tell(notice) => Some(notice.reason),
        _ => None,
    });
    told.collect()
}

#[test]
fn it_is_held_and_written_down_before_the_node_is_asked() {
    let mut scene = Scene::new();
    assert_eq!(scene.settle(), ["hold", "status", "create"]);
    let status = scene.status();
    assert_eq!(
        (status.phase, status.observed_generation),
        (Phase::Asked, Some(1))
    );
    assert_eq!(
        (status.pod_uid.as_deref(), status.node.as_deref()),
        (Some("uid-web"), Some("n1"))
    );
    let task = scene.task.unwrap();
    let owners = task.metadata.owner_references.unwrap();
    assert_eq!(
        (owners[0].uid.as_str(), owners[0].block_owner_deletion),
        ("op", None)
    );
    assert_eq!(task.metadata.name.as_deref(), Some("checkpoint-op"));
    assert_eq!(task.metadata.namespace.as_deref(), Some("apps"));
    let spec = task.spec;
    assert_eq!(
        (spec.node_name.as_str(), spec.operation.as_str()),
        ("n1", "op")
    );
    let order = spec.checkpoint.unwrap();
    assert_eq!(
        (order.pod.name.as_str(), order.pod.uid.as_str()),
        ("web", "uid-web")
    );
    assert_eq!(
        (order.generation.as_str(), order.deadline_seconds),
        ("op", 120)
    );
    assert_eq!(order.word, CheckpointWord::Take);
}

#[test]
fn the_node_is_told_whose_probe_waits_the_least() {
    let probed = |period: u32, threshold: u32| json!({ "httpGet": { "port": 80 }, "periodSeconds": period, "failureThreshold": threshold });
    let probe = |change: &dyn Fn(&mut Value), named: &[&str]| {
        let (mut scene, mut pod) = (Scene::new(), web());
        change(&mut pod);
        scene.pod = serde_json::from_value(pod).unwrap();
        let named = named.iter().map(|name| (*name).to_owned());
        scene.checkpoint.spec.containers = named.collect();
        scene.settle();
        let order = scene.task.unwrap().spec.checkpoint.unwrap();
        order.probe.map(|probe| (probe.container, probe.seconds))
    };
    assert_eq!(probe(&|_| {}, &[]), None);
    let both = |pod: &mut Value| {
        pod["spec"]["containers"][0]["livenessProbe"] = probed(10, 3);
        pod["spec"]["initContainers"][1]["livenessProbe"] = probed(1, 2);
    };
    // All are frozen, whichever are kept.
    for named in [&[][..], &["main"], &["logs"]] {
        assert_eq!(probe(&both, named), Some(("mesh".to_owned(), 2)));
    }
    let program = |pod: &mut Value| {
        pod["spec"]["containers"][0]["livenessProbe"] =
            json!({ "exec": { "command": ["x"] }, "periodSeconds": 1 });
    };
    assert_eq!(probe(&program, &[]), None);
}

#[test]
fn the_pod_is_not_judged_again_once_it_is_begun() {
    let mut scene = Scene::new();
    scene.settle();
    scene.pod = None;
    assert_eq!(scene.plan(), []);
    scene.task = None;
    assert_eq!(scene.settle(), ["create"], "and the node is asked again");
}

#[test]
fn each_answer_is_said_once() {
    for (standing, phase, reason) in [
        (CheckpointStanding::Idle, Phase::Asked, reasons::RUNNING),
        (CheckpointStanding::Frozen, Phase::Frozen, reasons::RUNNING),
        (CheckpointStanding::Dumped, Phase::Dumped, reasons::RUNNING),
        (CheckpointStanding::Kept, Phase::Succeeded, reasons::TAKEN),
    ] {
        let mut scene = Scene::new();
        scene.settle();
        scene.answer(standing);
        let steps = scene.plan();
        let is_news = reason == reasons::TAKEN;
        assert_eq!(
            told(&steps),
            [reason][..usize::from(is_news)],
            "{standing:?}"
        );
        scene.settle();
        assert_eq!((scene.phase(), scene.reason().as_str()), (phase, reason));
        assert_eq!(scene.plan(), [], "{standing:?}");
        assert!(scene.is_held());
    }
}

#[test]
fn what_was_taken_is_in_the_status() {
    let scene = Scene::answered(CheckpointStanding::Kept);
    let status = scene.status();
    assert_eq!(status.taken_at, Some(Time(at(50))));
    assert_eq!(
        (status.frozen_millis, status.bytes),
        (Some(45), Some(12_900_000))
    );
    assert_eq!(status.containers[0].memory_bytes, 12_000_000);
    let place = &status.locations[0];
    assert_eq!(
        (
            place.node.as_str(),
            place.path.as_str(),
            place.digest.as_str()
        ),
        ("n1", "/var/lib/holdfast/checkpoints/op", "sha256:1")
    );
    assert_eq!(
        scene.message(),
        "it is on node n1: 12.3Mi; the pod was frozen for 45 ms"
    );
}

#[test]
fn an_answer_that_nobody_here_knows_changes_nothing() {
    let mut scene = Scene::answered(CheckpointStanding::Frozen);
    scene.answer(CheckpointStanding::Unknown);
    assert_eq!(scene.plan(), []);
}

#[test]
fn a_phase_that_nobody_here_knows_is_found_out_anew() {
    let mut scene = Scene::answered(CheckpointStanding::Dumped);
    scene.checkpoint.status.as_mut().unwrap().phase = Phase::Unknown;
    scene.settle();
    assert_eq!(scene.phase(), Phase::Dumped);
}
