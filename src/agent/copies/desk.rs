//! What other agents are answered about copies of Checkpoints: this node takes what its own order names, from the node that it names,
//! and nothing is ever released or revoked by them.

use crate::agent::api::{CheckpointWord, CopyOrder, StateTask, TargetPod};
use crate::agent::orders::Orders;
use crate::agent::peers::desk::{Desk, Expected, PeerStanding, Refusal};
use futures::future::{BoxFuture, ready};
use kube::ResourceExt;
use std::sync::Arc;

/// By the orders that are seen.
pub(crate) struct CopyDesk {
    orders: Orders,
}

impl CopyDesk {
    /// By these.
    pub(crate) fn new(orders: Orders) -> Self {
        Self { orders }
    }

    fn find(&self, operation: &str) -> Result<Arc<StateTask>, Refusal> {
        let is_it =
            |task: &Arc<StateTask>| task.spec.operation == operation && task.spec.copy.is_some();
        let unknown =
            || Refusal::Unexpected(format!("no copy of operation {operation} is to come here"));
        self.orders
            .all()
            .into_iter()
            .find(is_it)
            .ok_or_else(unknown)
    }
}

fn admitted(task: &StateTask, from_node: &str) -> Result<(), Refusal> {
    let Some(order) = task
        .spec
        .copy
        .as_ref()
        .filter(|order| order.source_node == from_node)
    else {
        return Err(Refusal::Unexpected(format!(
            "it does not come from node {from_node}"
        )));
    };
    if order.word == CheckpointWord::Take && task.metadata.deletion_timestamp.is_none() {
        return Ok(());
    }
    Err(Refusal::Unfit("this copy is not wanted any more".into()))
}

/// What an order expects.
pub(crate) fn expected(task: &StateTask, order: &CopyOrder) -> Expected {
    Expected {
        namespace: task.namespace().unwrap_or_default(),
        uid: order.pod.uid.clone(),
        digest: Some(order.digest.clone()),
        at_most: u64::try_from(order.bytes).ok(),
    }
}

fn expects(task: &StateTask, generation: &str) -> Result<Expected, Refusal> {
    let order = task.spec.copy.as_ref();
    let order = order.filter(|order| order.generation == generation);
    let other = || Refusal::Unexpected(format!("generation {generation} is not expected here"));
    order.map(|order| expected(task, order)).ok_or_else(other)
}

fn never<T>() -> Result<T, Refusal> {
    Err(Refusal::Unfit(
        "a copy is kept, and nothing is restored from it by its source's word".into(),
    ))
}

impl Desk for CopyDesk {
    fn admits<'a>(
        &'a self,
        operation: &'a str,
        from_node: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let found = self.find(operation);
        Box::pin(ready(found.and_then(|task| admitted(&task, from_node))))
    }

    fn expects<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a str,
    ) -> BoxFuture<'a, Result<Expected, Refusal>> {
        let found = self.find(operation);
        Box::pin(ready(found.and_then(|task| expects(&task, generation))))
    }

    fn is_ready<'a>(&'a self, _: &'a str, _: &'a str, _: u32) -> BoxFuture<'a, bool> {
        Box::pin(ready(false))
    }

    fn release<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(ready(never()))
    }

    fn revoke<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<TargetPod>, Refusal>> {
        Box::pin(ready(never()))
    }

    fn standing<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<PeerStanding, Refusal>> {
        Box::pin(ready(never()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::{PodName, StateTaskSpec};

    fn task() -> StateTask {
        let copy = CopyOrder {
            pod: PodName {
                name: "web".into(),
                uid: "u1".into(),
            },
            generation: "g".into(),
            source_node: "n1".into(),
            digest: "sha256:1".into(),
            bytes: 100,
            word: CheckpointWord::Take,
        };
        let spec = StateTaskSpec {
            node_name: "n2".into(),
            operation: "op".into(),
            copy: Some(copy),
            ..StateTaskSpec::default()
        };
        let mut task = StateTask::new("copy", spec);
        task.metadata.namespace = Some("ns".into());
        task
    }

    #[test]
    fn only_what_the_order_names_comes_and_only_from_the_node_that_it_names() {
        let mut task = task();
        assert_eq!(admitted(&task, "n1"), Ok(()));
        assert!(matches!(admitted(&task, "n3"), Err(Refusal::Unexpected(_))));
        let found = expects(&task, "g").unwrap();
        assert_eq!((found.namespace.as_str(), found.uid.as_str()), ("ns", "u1"));
        assert_eq!(
            (found.digest.as_deref(), found.at_most),
            (Some("sha256:1"), Some(100))
        );
        assert!(expects(&task, "other").is_err());
        task.spec.copy.as_mut().unwrap().word = CheckpointWord::Forget;
        assert!(matches!(admitted(&task, "n1"), Err(Refusal::Unfit(_))));
        task.spec.copy = None;
        assert!(matches!(admitted(&task, "n1"), Err(Refusal::Unexpected(_))));
    }
}
