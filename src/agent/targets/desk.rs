//! What the agent of the source is answered. It is known who asks: only the node that this node's own order names is let in.

use super::Targets;
use crate::agent::api::TargetPod;
use crate::agent::peer::PeerStanding;
use crate::agent::store::Found;
use crate::agent::target;
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::oci::failure::Failure;
use std::sync::PoisonError;

/// A state that is to come here, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The pod's namespace.
    pub(crate) namespace: String,
    /// The pod's uid.
    pub(crate) uid: String,
}

impl Targets {
    /// Whether an order of this node knows the operation, and names that node as its source.
    ///
    /// # Errors
    /// A sentence: whoever asks is sent away.
    pub(crate) fn admits(&self, operation: &str, from_node: &str) -> Result<(), Failure> {
        let ordered = self.0.orders.get(operation);
        let order = ordered.order().and_then(|task| task.spec.target.as_ref());
        if order.is_some_and(|order| order.source_node == from_node) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "no order of this node names node {from_node} as the source of operation {operation}"
        )))
    }

    /// Whose state this generation is, where one is expected.
    ///
    /// # Errors
    /// A sentence: it is refused.
    pub(crate) fn expects(&self, operation: &str, generation: &str) -> Result<Expected, Failure> {
        let ordered = self.0.orders.get(operation);
        let task = ordered.order();
        let order = task.and_then(|task| task.spec.target.as_ref());
        let order = order.filter(|order| order.generation == generation);
        let (Some(task), Some(order)) = (task, order) else {
            return Err(Failure::new(format!(
                "operation {operation} does not bring state {generation} to this node"
            )));
        };
        Ok(Expected {
            namespace: task.metadata.namespace.clone().unwrap_or_default(),
            uid: order.source_uid.clone(),
        })
    }

    /// Whether this pod waits for its state, in this attempt.
    pub(crate) async fn is_ready(&self, operation: &str, uid: &str, attempt: u32) -> bool {
        let Ok(Some(whose)) = self.whose(operation, uid).await else {
            return false;
        };
        let look = self.look(&whose, None).await;
        look.is_ok_and(|look| target::is_ready(&look.seen(), attempt))
    }

    /// The state may run, in this pod; none: in whichever the leader allows. It is on disk when this comes back.
    ///
    /// # Errors
    /// What is here is not what is meant, or the disk says no.
    pub(crate) async fn release(
        &self,
        operation: &str,
        uid: Option<&str>,
        manifest_digest: &str,
    ) -> Result<(), Failure> {
        let found = self.ordered_generation(operation).await?;
        let Some((generation, _)) = found else {
            return Err(Failure::new("it is not here, whole and read again"));
        };
        let (uid, digest) = (uid.map(str::to_owned), manifest_digest.to_owned());
        let released =
            tokio::task::spawn_blocking(move || generation.release(uid.as_deref(), &digest));
        released
            .await
            .map_err(|error| Failure::new(error.to_string()))??;
        self.0.news.notify_one();
        Ok(())
    }

    /// Nothing is to run in this pod, unless something did already; how it stands then.
    ///
    /// # Errors
    /// It could not be looked at.
    pub(crate) async fn revoke(
        &self,
        operation: &str,
        uid: &str,
    ) -> Result<Option<TargetPod>, Failure> {
        {
            let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert((operation.to_owned(), uid.to_owned()));
        }
        let Some(whose) = self.whose(operation, uid).await? else {
            return Ok(None);
        };
        let worked = self.work(&whose).await.map_err(Failure::new)?;
        Ok(worked.0)
    }

    /// How an operation stands here.
    ///
    /// # Errors
    /// It could not be looked at.
    pub(crate) async fn standing(&self, operation: &str) -> Result<PeerStanding, Failure> {
        let found = self.ordered_generation(operation).await?;
        let mut standing = PeerStanding::default();
        if let Some((generation, Found::Sealed(..))) = found {
            standing.has_verified = true;
            standing.released = generation.released()?;
        }
        for whose in self.pods(operation).await.map_err(Failure::new)? {
            let look = self.look(&whose, None).await.map_err(Failure::new)?;
            standing.pods.extend(target::standing(&look.seen()));
        }
        Ok(standing)
    }

    /// A pod that an operation knows here.
    async fn whose(&self, operation: &str, uid: &str) -> Result<Option<Whose>, Failure> {
        let uid = Uid::try_from(uid).map_err(Failure::new)?;
        let pods = self.pods(operation).await.map_err(Failure::new)?;
        Ok(pods.into_iter().find(|whose| whose.uid == uid))
    }
}
