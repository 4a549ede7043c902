//! Who is told what of holds, and how often.

use super::*;
use crate::agent::api::{SourceOrder, StateTaskSpec};
use crate::hold::change::{AdmissionStep, Beginning, Change, HoldStep};
use crate::hold::record::{Deadline, Role, Target};
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::process::telemetry::Telemetry;
use crate::testkit::api_server::ApiServer;
use crate::testkit::folder::Folder;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::Value;

const NODE: &str = "/api/v1/nodes/n1";
const EVENTS: &str = "POST /apis/events.k8s.io";

/// A node, its records, and the orders that it sees.
struct Scene {
    folder: Folder,
    server: ApiServer,
    telemetry: Telemetry,
    view: View,
    orders: Writer<StateTask>,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let host = Host::at(folder.path().to_owned());
        let (reader, mut orders) = reflector::store();
        orders.apply_watcher_event(&Event::Init);
        orders.apply_watcher_event(&Event::InitDone);
        let server = ApiServer::default();
        server.put(
            NODE,
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } }),
        );
        let telemetry = Telemetry::default();
        let view = View {
            node: "n1".into(),
            records: Records::open(&host.records()).unwrap(),
            host,
            orders: Orders::of(reader),
            metrics: telemetry.agent.clone(),
            client: Some(server.client()),
        };
        Self {
            folder,
            server,
            telemetry,
            view,
            orders,
        }
    }

    async fn change(&self, uid: &str, changes: &[Change]) {
        let whose = Whose {
            namespace: "apps".into(),
            pod: format!("web-{uid}"),
            uid: Uid::try_from(uid).unwrap(),
        };
        for change in changes {
            self.view.records.change(&whose, change).await.unwrap();
        }
    }

    /// A pod whose state was released to the node n2.
    async fn released(&self, uid: &str) {
        let target = Uid::try_from("t1").unwrap();
        let begin = HoldStep::Begin(Beginning {
            role: Role::Source,
            target: Some(Target {
                node: "n2".into(),
                uid: Some(target.clone()),
            }),
            generation: "g".into(),
            deadline: Deadline {
                boot: "boot".into(),
                nanos: 9,
            },
            containers: Vec::new(),
        });
        let steps = [begin, HoldStep::Release(target)];
        let steps = steps.map(|step| Change::hold("op", step));
        self.change(uid, &steps).await;
    }

    /// What this node is asked of it; nothing where there is no word.
    fn orders(&mut self, word: Option<Word>) {
        let spec = StateTaskSpec {
            node_name: "n1".into(),
            operation: "op".into(),
            source: Some(SourceOrder {
                word: word.unwrap_or_default(),
                ..SourceOrder::default()
            }),
            ..StateTaskSpec::default()
        };
        let mut task = StateTask::new("task", spec);
        task.metadata.namespace = Some("apps".into());
        self.orders.apply_watcher_event(&if word.is_some() {
            Event::Apply(task)
        } else {
            Event::Delete(task)
        });
    }

    /// What is said after two looks.
    async fn left(&self) -> LeftHere {
        let (first, _) = self.view.look(&HashSet::new()).await.unwrap();
        self.view.look(&first).await.unwrap().1
    }

    fn voice(&self) -> Voice {
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        Voice {
            client: self.server.client(),
            recorder: Recorder::new(self.server.client(), reporter),
            node: "n1".into(),
        }
    }

    fn said(&self) -> Value {
        let node = self.server.stored(NODE).unwrap();
        let text = node["metadata"]["annotations"][HOLDS_ANNOTATION].as_str();
        text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }
}

#[tokio::test]
async fn what_somebody_orders_is_counted_and_not_told() {
    let mut scene = Scene::new();
    scene.released("u1").await;
    scene.orders(Some(Word::Freeze));
    assert_eq!(scene.left().await, LeftHere::default());
    scene.orders(Some(Word::Alone));
    assert_eq!(scene.left().await.holds.len(), 1, "its Migration is gone");
    scene.orders(None);
    let left = scene.left().await;
    assert_eq!(left.holds.len(), 1);
    let one = &left.holds[0];
    assert_eq!(
        (one.phase.as_str(), one.name().as_str()),
        ("released", "apps/web-u1")
    );
    assert_eq!(one.target.as_deref(), Some("n2"));
    assert!(one.since.is_some(), "its record lies on the disk");
    assert!(
        one.waits_for().contains("the word of n2"),
        "{}",
        one.waits_for()
    );
}

#[tokio::test]
async fn what_nobody_orders_at_one_look_may_just_end() {
    let scene = Scene::new();
    scene.released("u1").await;
    let (now, left) = scene.view.look(&HashSet::new()).await.unwrap();
    assert_eq!((now.len(), left.holds.len()), (1, 0));
}

#[tokio::test]
async fn a_record_of_a_pod_that_is_gone_holds_nobody_and_one_that_cannot_be_read_may() {
    let scene = Scene::new();
    let open = AdmissionStep::Open {
        attempt: 1,
        restores: ["c".to_owned()].into(),
        finished: [].into(),
        prepared: false,
    };
    scene.change("u1", &[Change::admit("op", open)]).await;
    assert_eq!(scene.left().await, LeftHere::default());
    let place = json!({ "id": "c1", "root": "/r", "bundle": "/b", "namespace": "apps", "pod": "web-u1", "uid": "u1", "container": null, "sandbox": true });
    scene
        .folder
        .write("run/holdfast/containers/c1", &place.to_string());
    assert_eq!(scene.left().await.holds[0].phase, "waiting");
    scene.folder.write("var/lib/holdfast/records/u2.json", "{");
    let phases: Vec<_> = scene
        .left()
        .await
        .holds
        .into_iter()
        .map(|one| one.phase)
        .collect();
    assert_eq!(phases, ["waiting", "unreadable"]);
}

#[tokio::test]
async fn too_many_are_counted() {
    let scene = Scene::new();
    for number in 0..MOST_LEFT + 2 {
        scene.released(&format!("u{number}")).await;
    }
    let left = scene.left().await;
    assert_eq!((left.holds.len(), left.more), (MOST_LEFT, 2));
    let text = scene.telemetry.text();
    for (state, count) in [("released", 42), ("orphaned", 42), ("frozen", 0)] {
        let line = format!("holdfast_agent_holds{{state=\"{state}\"}} {count}");
        assert!(text.contains(&line), "{line}: {text}");
    }
}

#[tokio::test]
async fn the_node_says_it_and_an_event_once() {
    let scene = Scene::new();
    scene.released("u1").await;
    let (left, voice) = (scene.left().await, scene.voice());
    voice.tell(&left).await.unwrap();
    assert_eq!(scene.said()["holds"][0]["uid"], "u1");
    // The next agent finds that it was told.
    scene.voice().tell(&left).await.unwrap();
    voice.tell(&left).await.unwrap();
    let events = scene.server.sent(EVENTS);
    assert_eq!(events.len(), 1, "{events:?}");
    let note = events[0]["note"].as_str().unwrap();
    assert!(note.contains("pod apps/web-u1 is released here"), "{note}");
    assert_eq!(events[0]["regarding"]["kind"], "Node");
    voice.tell(&LeftHere::default()).await.unwrap();
    assert_eq!(scene.said(), Value::Null);
    assert_eq!(
        scene.server.sent(EVENTS).len(),
        1,
        "that it is over is no news"
    );
}
