//! What goes, and when; and what stays, whoever does not name it.

use super::*;
use crate::agent::api::{
    CheckpointOrder, CopyOrder, SourceOrder, StateTask, StateTaskSpec, TargetOrder,
};
use crate::agent::store::manifest::Manifest;
use crate::hold::change::{AdmissionStep, Change};
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::process::telemetry::Telemetry;
use crate::testkit::folder::Folder;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

struct Node {
    _folder: Folder,
    garbage: Garbage,
    telemetry: Telemetry,
    orders: Writer<StateTask>,
    since: Since,
}

impl Node {
    fn new() -> Self {
        let mut node = Self::unseen();
        node.orders.apply_watcher_event(&Event::Init);
        node.orders.apply_watcher_event(&Event::InitDone);
        node
    }

    /// Its orders were not listed yet.
    fn unseen() -> Self {
        let folder = Folder::new();
        let host = Host::at(folder.path().to_owned()).seen_from(Path::new("/"));
        let records = Records::open(&host.records()).unwrap();
        std::fs::create_dir_all(host.run().join("containers")).unwrap();
        let (reader, orders) = reflector::store();
        let telemetry = Telemetry::default();
        let garbage = Garbage {
            receiving: Arc::new(Receiving::new(host.checkpoints(), 0)),
            host,
            records,
            orders: Orders::of(reader),
            metrics: telemetry.agent.clone(),
            patience: HOUR,
        };
        Self {
            _folder: folder,
            garbage,
            telemetry,
            orders,
            since: Since::default(),
        }
    }

    fn generation(&self, name: &str) -> Generation {
        Generation::of(&self.garbage.host.checkpoints(), ("ns", "u1"), name).unwrap()
    }

    fn begun(&self, name: &str) -> Generation {
        let generation = self.generation(name);
        generation.begin().unwrap();
        std::fs::write(generation.part().join("pages-1.img"), b"memory").unwrap();
        generation
    }

    fn sealed(&self, name: &str, role: Role) -> Generation {
        let generation = self.begun(name);
        let manifest = Manifest {
            role,
            ..Manifest::of_web()
        };
        generation.seal(manifest, None).unwrap();
        generation
    }

    fn order(&mut self, name: &str, spec: StateTaskSpec) {
        let mut task = StateTask::new(name, spec);
        task.metadata.namespace = Some("ns".into());
        self.orders.apply_watcher_event(&Event::Apply(task));
    }

    fn is_gone(&mut self, name: &str) {
        let task = StateTask::new(name, StateTaskSpec::default());
        let mut task = task;
        task.metadata.namespace = Some("ns".into());
        self.orders.apply_watcher_event(&Event::Delete(task));
    }

    async fn look(&mut self) -> Result<(), String> {
        self.garbage.look(&mut self.since).await
    }

    /// Two looks, with an hour between them.
    async fn hour(&mut self) {
        self.look().await.unwrap();
        tokio::time::advance(HOUR).await;
        self.look().await.unwrap();
    }

    fn lying(&self) -> Vec<String> {
        let all = listing::all(&self.garbage.host.checkpoints()).unwrap();
        all.iter().map(|one| one.name().to_owned()).collect()
    }

    async fn change(&self, uid: &str, step: AdmissionStep) {
        let whose = Whose {
            namespace: "ns".into(),
            pod: "web".into(),
            uid: Uid::try_from(uid).unwrap(),
        };
        let change = Change::admit("op", step);
        self.garbage.records.change(&whose, &change).await.unwrap();
    }

    async fn has_record(&self, uid: &str) -> bool {
        let uid = Uid::try_from(uid).unwrap();
        self.garbage.records.read(&uid).await.unwrap().is_some()
    }
}

fn named(generation: &str) -> StateTaskSpec {
    StateTaskSpec {
        operation: "other".into(),
        checkpoint: Some(CheckpointOrder {
            generation: generation.into(),
            ..CheckpointOrder::default()
        }),
        ..StateTaskSpec::default()
    }
}

fn open() -> AdmissionStep {
    AdmissionStep::Open {
        attempt: 1,
        restores: ["c".to_owned()].into(),
        finished: [].into(),
        prepared: false,
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_names_goes_after_its_time_and_not_before() {
    let mut node = Node::new();
    node.sealed("whole", Role::Checkpoint);
    node.begun("part");
    let dumped = node.begun("dumped");
    let manifest = Manifest {
        role: Role::Checkpoint,
        ..Manifest::of_web()
    };
    dumped.cut(&manifest).unwrap();
    let coming = node.generation("coming");
    std::fs::create_dir_all(coming.incoming()).unwrap();
    node.generation("failed").fail("the disk is full").unwrap();
    // Its manifest went first, and then whoever deleted it died.
    let half = node.sealed("half", Role::Source);
    std::fs::remove_file(half.whole().join("manifest.json")).unwrap();
    for left in ["alone.released", "aside.releasing"] {
        std::fs::write(node.generation("x").whole().with_file_name(left), b"{}").unwrap();
    }
    assert_eq!(node.lying().len(), 8);
    node.look().await.unwrap();
    tokio::time::advance(HOUR.saturating_sub(Duration::from_secs(1))).await;
    node.look().await.unwrap();
    assert_eq!(node.lying().len(), 8, "it is not over yet");
    let text = node.telemetry.text();
    assert!(
        text.contains(r#"holdfast_agent_states{kind="unnamed"} 8"#),
        "{text}"
    );
    assert!(
        text.contains(r#"holdfast_agent_state_bytes{kind="unnamed"} "#),
        "{text}"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    node.look().await.unwrap();
    assert_eq!(node.lying(), Vec::<String>::new());
    let root = node.garbage.host.checkpoints();
    assert!(!root.join("ns").exists(), "nor do its folders stay");
    node.look().await.unwrap();
    assert!(
        node.since.is_empty(),
        "nothing is remembered of what is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_names_it_keeps_it() {
    let mut node = Node::new();
    let orders = [
        ("a", named("a")),
        (
            "b",
            StateTaskSpec {
                copy: Some(CopyOrder {
                    generation: "b".into(),
                    ..CopyOrder::default()
                }),
                ..StateTaskSpec::default()
            },
        ),
        (
            "c",
            StateTaskSpec {
                source: Some(SourceOrder {
                    generation: "c".into(),
                    ..SourceOrder::default()
                }),
                ..StateTaskSpec::default()
            },
        ),
        (
            "d",
            StateTaskSpec {
                target: Some(TargetOrder {
                    generation: "d".into(),
                    ..TargetOrder::default()
                }),
                ..StateTaskSpec::default()
            },
        ),
    ];
    for (name, spec) in orders {
        node.sealed(name, Role::Checkpoint);
        node.order(name, spec);
    }
    // By a record: a pod was restored from it, and may be so again.
    node.sealed("e", Role::Checkpoint);
    node.change("t1", open()).await;
    let claim = AdmissionStep::Claim {
        attempt: 1,
        what: What::Generation("e".into()),
    };
    node.change("t1", claim).await;
    node.hour().await;
    assert_eq!(node.lying(), ["a", "b", "c", "d", "e"]);
    let text = node.telemetry.text();
    assert!(
        text.contains(r#"holdfast_agent_states{kind="kept"} 5"#),
        "{text}"
    );
    node.is_gone("b");
    node.hour().await;
    assert_eq!(node.lying(), ["a", "c", "d", "e"]);
    assert!(
        node.has_record("t1").await,
        "what was restored here may be asked for after a boot"
    );
}

#[tokio::test(start_paused = true)]
async fn its_time_begins_anew_when_it_is_named_again() {
    let mut node = Node::new();
    node.sealed("a", Role::Checkpoint);
    node.look().await.unwrap();
    tokio::time::advance(HOUR / 2).await;
    node.order("a", named("a"));
    node.look().await.unwrap();
    node.is_gone("a");
    tokio::time::advance(HOUR / 2).await;
    node.look().await.unwrap();
    assert_eq!(node.lying(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_all_that_is_left_of_a_pod_stays() {
    let mut node = Node::new();
    node.sealed("moved", Role::Source);
    let dumped = node.begun("dumped");
    dumped.cut(&Manifest::of_web()).unwrap();
    let newer = node.sealed("newer", Role::Checkpoint);
    std::fs::write(newer.whole().join("manifest.json"), br#"{"version": 99}"#).unwrap();
    node.hour().await;
    assert_eq!(node.lying(), ["dumped", "moved", "newer"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_while_it_is_not_known_what_is_named() {
    let mut node = Node::unseen();
    node.sealed("a", Role::Checkpoint);
    node.hour().await;
    assert_eq!(node.lying(), ["a"], "no order was seen yet");
    let mut node = Node::new();
    node.sealed("a", Role::Checkpoint);
    std::fs::write(node.garbage.host.records().join("u9.json"), b"{").unwrap();
    assert!(node.look().await.is_err(), "a record cannot be read");
    assert_eq!(node.lying(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_writes_to_is_left_to_him() {
    let mut node = Node::new();
    let coming = node.generation("coming");
    std::fs::create_dir_all(coming.incoming()).unwrap();
    let expected = Expected {
        namespace: "ns".into(),
        uid: "u1".into(),
        digest: None,
        at_most: None,
    };
    let receiving = Arc::clone(&node.garbage.receiving);
    let turn = receiving.turn(expected, "coming");
    node.hour().await;
    assert_eq!(node.lying(), ["coming"]);
    drop(turn);
    node.look().await.unwrap();
    assert_eq!(node.lying(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_voided_pod_is_forgotten_when_it_is_not_here_and_nobody_asks() {
    let mut node = Node::new();
    node.change("t1", AdmissionStep::Revoke).await;
    node.change("t2", AdmissionStep::Revoke).await;
    node.change("t3", open()).await;
    let place = json!({ "id": "c1", "root": "/r", "bundle": "/b", "namespace": "ns", "pod": "web", "uid": "t2", "container": "c", "sandbox": false });
    let file = node.garbage.host.run().join("containers/c1");
    std::fs::write(&file, place.to_string()).unwrap();
    node.order(
        "op",
        StateTaskSpec {
            operation: "op".into(),
            ..StateTaskSpec::default()
        },
    );
    node.hour().await;
    assert!(node.has_record("t1").await, "its operation is not over");
    node.is_gone("op");
    node.look().await.unwrap();
    assert!(node.has_record("t1").await, "its time has just begun");
    node.hour().await;
    assert!(!node.has_record("t1").await);
    assert!(node.has_record("t2").await, "a container of it is here");
    assert!(node.has_record("t3").await, "it waits for a state");
    std::fs::remove_file(file).unwrap();
    node.hour().await;
    assert!(!node.has_record("t2").await);
}
