//! Caches over an API server in memory, for the tests of whatever reads them.

use super::Caches;
use crate::process::telemetry::Telemetry;
use crate::testkit::api_server::ApiServer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const DAEMONSETS: &str = "/apis/apps/v1/daemonsets";
pub(crate) const TEMPLATES: &str = "/apis/flexdaemonsets.xai/v1alpha1/flexdaemonsettemplates";

/// Longer than anything here takes, on a clock that leaps.
pub(crate) const IN_TIME: Duration = Duration::from_secs(3600);

/// Caches over a server in memory.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) caches: Arc<Caches>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) stop: CancellationToken,
}

impl World {
    pub(crate) fn new() -> Self {
        let server = ApiServer::default();
        for empty in [
            NODES,
            DAEMONSETS,
            TEMPLATES,
            "/api/v1/limitranges",
            "/api/v1/namespaces",
            "/api/v1/pods",
        ] {
            server.serve_empty(empty);
        }
        let telemetry = Arc::<Telemetry>::default();
        Self {
            server,
            caches: Caches::new(Arc::clone(&telemetry), "own"),
            telemetry,
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn run(&self) {
        let caches = Arc::clone(&self.caches);
        tokio::spawn(caches.run(self.server.client(), self.stop.clone()));
    }

    pub(crate) async fn synced(self) -> Self {
        self.run();
        until(|| self.caches.are_synced().is_ok()).await;
        self
    }

    pub(crate) fn put_node(&self, name: &str, cpu: &str) {
        self.server.put(&format!("{NODES}/{name}"), node(name, cpu));
    }

    pub(crate) fn cpu(&self, node: &str) -> Option<String> {
        let cpu = self.caches.node(node)?.allocatable.cpu?;
        Some(cpu.decimal())
    }

    /// How often a collection was listed or watched.
    pub(crate) fn asked(&self, collection: &str) -> usize {
        let call = format!("GET {collection}");
        self.server
            .calls()
            .iter()
            .filter(|one| **one == call)
            .count()
    }

    /// The metric, in seconds.
    pub(crate) fn age(&self, kind: &str) -> f64 {
        let text = self.telemetry.text();
        let name = format!("holdfast_cache_age_seconds{{kind=\"{kind}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits, on a clock that leaps.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(IN_TIME, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    waited.await.unwrap();
}

pub(crate) fn node(name: &str, cpu: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/os": "linux", "kubernetes.io/hostname": name } },
        "status": { "allocatable": { "cpu": cpu, "memory": "16Gi" }, "images": [{ "names": ["a"], "sizeBytes": 5 }] },
    })
}

pub(crate) fn daemonset(uid: &str, generation: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": "agent", "namespace": "monitoring", "uid": uid, "annotations": { "deprecated.daemonset.template.generation": generation } },
        "spec": { "template": { "spec": { "containers": [{ "name": "main" }] } } },
    })
}

pub(crate) fn pod(name: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "monitoring", "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": owner, "controller": true },
        ] },
        "spec": { "nodeName": "n1" },
    })
}
