//! Deletes Checkpoints that are not kept any more, one at a time. What the controller remembers of them says whether there is anything to
//! do; it is decided on what the API server has, and each deletion on what was decided on: whoever pins one meanwhile keeps it.

use crate::checkpoint::api::Checkpoint;
use crate::checkpoint::looking::list;
use crate::checkpoint::retention::{Removal, Room, Store, plan, room};
use crate::kit::error::{Error, unless_gone};
use crate::process::flags::KeepFlags;
use crate::process::telemetry::CheckpointMetrics;
use crate::process::writes;
use crate::write_steps;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::runtime::events::Recorder;
use kube::runtime::reflector;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use tokio::sync::Mutex;

write_steps! {
    /// A Checkpoint that newer ones replace.
    RETIRE,
    /// An event on it.
    EVENT,
}

/// So many go in one pass: what each deletes brings the next one.
const MOST: usize = 32;

/// What is kept, and who is asked and told.
pub(super) struct Keeping {
    client: Client,
    known: reflector::Store<Checkpoint>,
    limits: KeepFlags,
    /// Two that decide at once would decide on the same.
    turn: Mutex<()>,
}

impl Keeping {
    pub(super) fn new(
        client: Client,
        known: reflector::Store<Checkpoint>,
        limits: KeepFlags,
    ) -> Self {
        Self {
            client,
            known,
            limits,
            turn: Mutex::default(),
        }
    }

    /// What a node may keep more, for a state of this namespace.
    pub(super) fn room(&self, node: &str, namespace: &str) -> Option<Room> {
        if self.limits.keep_bytes == 0 {
            return None;
        }
        room(&self.store(&self.known.state()), node, namespace)
    }

    fn store<'a>(&self, all: &'a [Arc<Checkpoint>]) -> Store<'a> {
        Store {
            all,
            nodes: None,
            limits: self.limits,
        }
    }

    /// Whether there is anything to do, as far as is remembered.
    fn is_at_rest(&self) -> bool {
        self.limits.is_everything() || plan(&self.store(&self.known.state())).is_empty()
    }

    /// Deletes what is not kept any more.
    pub(super) async fn retire(
        &self,
        recorder: &Recorder,
        metrics: &CheckpointMetrics,
    ) -> Result<(), Error> {
        if self.is_at_rest() {
            return Ok(());
        }
        let _alone = self.turn.lock().await;
        for removal in self.decide().await?.into_iter().take(MOST) {
            let Removal { checkpoint, notice } = removal;
            let namespace = checkpoint.namespace().unwrap_or_default();
            let checkpoints: Api<Checkpoint> = Api::namespaced(self.client.clone(), &namespace);
            let call = (&RETIRE).into();
            let deleted = writes::delete_as_seen(&checkpoints, call, checkpoint.as_ref()).await;
            unless_gone(deleted)?;
            let name = checkpoint.name_any();
            tracing::info!(controller = "checkpoint", %namespace, %name, reason = notice.reason, "{}", notice.note);
            metrics.retired(notice.reason);
            writes::tell(recorder, (&EVENT).into(), checkpoint.as_ref(), &notice).await;
        }
        Ok(())
    }

    /// By what there is now: a newer one may have been deleted a moment ago, or its node.
    async fn decide(&self) -> Result<Vec<Removal>, Error> {
        let params = ListParams::default();
        let nodes: Api<Node> = Api::all(self.client.clone());
        let nodes = list(&nodes, "nodes", &params).await?;
        let nodes = nodes.iter().map(ResourceExt::name_any).collect();
        let all: Api<Checkpoint> = Api::all(self.client.clone());
        let all = list(&all, "checkpoints", &params).await?;
        let all: Vec<_> = all.into_iter().map(Arc::new).collect();
        let store = self.store(&all);
        Ok(plan(&Store {
            nodes: Some(&nodes),
            ..store
        }))
    }
}
