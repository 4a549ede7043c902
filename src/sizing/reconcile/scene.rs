//! A cluster in memory with caches over it, for tests of whole passes: one DaemonSet `apps/d` that names the template `t`.

use super::{Context, Means};
use crate::process::clients::Clients;
use crate::sizing::acting::Hands;
use crate::sizing::api::{FlexDaemonsetTemplate, FlexDaemonsetTemplateSpec};
use crate::sizing::cache::world::{World, until};
use crate::sizing::tried::Memory;
use kube::Api;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

pub(crate) const TEMPLATE: &str = "/apis/flexdaemonsets.xai/v1alpha1/flexdaemonsettemplates/t";
const DAEMONSET: &str = "/apis/apps/v1/namespaces/apps/daemonsets/d";

/// A cluster, and what is known of it.
pub(crate) struct Scene {
    pub(crate) world: World,
}

pub(crate) fn path(pod: &str) -> String {
    format!("/api/v1/namespaces/apps/pods/{pod}")
}

/// Resources of a container, limits equal to requests.
pub(crate) fn resources(cpu: &str, memory: &str) -> Value {
    let both = json!({ "cpu": cpu, "memory": memory });
    json!({ "requests": both, "limits": both })
}

fn recorder(world: &World) -> Recorder {
    let reporter = Reporter {
        controller: "test".into(),
        instance: None,
    };
    Recorder::new(world.server.client(), reporter)
}

impl Scene {
    /// Two nodes of 10 CPUs and 100Gi, and the template with this specification.
    pub(crate) fn new(spec: Value) -> Self {
        let world = World::new();
        world
            .server
            .serve_empty("/api/v1/namespaces/apps/resourcequotas");
        for name in ["n1", "n2"] {
            let mut node = crate::sizing::cache::world::node(name, "10");
            node["status"]["allocatable"]["memory"] = json!("100Gi");
            world.server.put(&format!("/api/v1/nodes/{name}"), node);
        }
        let spec: FlexDaemonsetTemplateSpec = serde_json::from_value(spec).unwrap();
        let mut template = FlexDaemonsetTemplate::new("t", spec);
        template.metadata.generation = Some(1);
        let scene = Self { world };
        scene
            .world
            .server
            .put(TEMPLATE, serde_json::to_value(template).unwrap());
        scene
    }

    /// The DaemonSet, with these resources in its pod template.
    pub(crate) fn daemonset(self, own: Value) -> Self {
        let daemonset = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": { "name": "d", "namespace": "apps", "uid": "uid-d", "annotations": {
                "deprecated.daemonset.template.generation": "1", "flexdaemonsets.xai/resource-template": "t",
            } },
            "spec": { "template": { "spec": { "containers": [{ "name": "main", "resources": own }] } } },
            "status": { "desiredNumberScheduled": 2, "currentNumberScheduled": 2 },
        });
        self.world.server.put(DAEMONSET, daemonset);
        self
    }

    /// A ready pod of the DaemonSet on the node with its number, made an hour ago without a share.
    pub(crate) fn pod(self, number: usize, now: Value) -> Self {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("d-{number}"), "namespace": "apps", "uid": format!("uid-{number}"),
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "pod-template-generation": "1" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "uid-d", "controller": true }],
            },
            "spec": { "nodeName": format!("n{number}"), "containers": [{ "name": "main", "resources": now }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        self.world.server.put(&path(&format!("d-{number}")), pod);
        self
    }

    /// Waits until everything is known.
    pub(crate) async fn synced(self) -> Self {
        self.world.run();
        let caches = Arc::clone(&self.world.caches);
        let client = self.world.server.client();
        tokio::spawn(caches.run_pods(client, self.world.stop.clone()));
        let caches = &self.world.caches;
        until(|| caches.are_synced().is_ok() && caches.are_pods_synced().is_ok()).await;
        self
    }

    pub(crate) fn context(&self) -> Arc<Context> {
        let client = self.world.server.client();
        Arc::new(Context {
            client: client.clone(),
            templates: Api::all(client.clone()),
            recorder: recorder(&self.world),
            caches: Arc::clone(&self.world.caches),
            neighbourhood: Arc::default(),
            hands: Hands {
                client,
                memory: Memory::default(),
                metrics: self.world.telemetry.sizing.clone(),
            },
            counts: Mutex::default(),
        })
    }

    pub(crate) fn means(&self) -> Means {
        let server = &self.world.server;
        Means {
            clients: Clients {
                api: server.client(),
                once: server.client(),
                farewell: server.carrier(),
            },
            recorder: recorder(&self.world),
            caches: Arc::clone(&self.world.caches),
        }
    }

    pub(crate) fn template(&self) -> FlexDaemonsetTemplate {
        serde_json::from_value(self.world.server.stored(TEMPLATE).unwrap()).unwrap()
    }

    /// Changes a stored object as somebody else would.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.world.server.stored(path).unwrap();
        change(&mut object);
        self.world.server.put(path, object);
    }

    /// The watch of pods breaks, and is silent until somebody waits.
    pub(crate) fn hear_nothing_of_pods(&self) {
        let server = &self.world.server;
        server.refuse_once("GET /api/v1/pods", http::StatusCode::SERVICE_UNAVAILABLE);
        server.cut_watches();
    }

    /// How often this was called.
    pub(crate) fn called(&self, call: &str) -> usize {
        let calls = self.world.server.calls();
        calls.iter().filter(|one| one.starts_with(call)).count()
    }

    /// The reasons of the events that were told, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        let sent = self.world.server.sent("POST /apis/events.k8s.io");
        let reasons = sent.iter().filter_map(|event| event["reason"].as_str());
        reasons.map(str::to_owned).collect()
    }
}
