//! The orders of this node, as they were seen last. Whoever answers asks no API server: what is not known is not known.

use crate::agent::api::StateTask;
use crate::agent::source::Task;
use futures::FutureExt;
use kube::runtime::reflector::Store;
use std::sync::Arc;

/// The orders of this node.
#[derive(Clone, Default)]
pub(crate) struct Orders(Option<Store<StateTask>>);

/// What is known of an operation.
#[derive(Debug, Clone)]
pub(crate) enum Ordered {
    /// This is its order.
    Known(Arc<StateTask>),
    /// There is none, says the API server.
    Gone,
    /// Orders were not seen since this process began.
    Unknown,
}

impl Ordered {
    /// For a plan.
    pub(crate) fn task(&self) -> Task<'_> {
        match self {
            Self::Known(task) => Task::Known(&task.spec),
            Self::Gone => Task::Gone,
            Self::Unknown => Task::Unknown,
        }
    }

    /// The order, if it is known.
    pub(crate) fn order(&self) -> Option<&StateTask> {
        match self {
            Self::Known(task) => Some(task),
            Self::Gone | Self::Unknown => None,
        }
    }
}

impl Orders {
    /// Those that a watch keeps here.
    pub(crate) fn of(store: Store<StateTask>) -> Self {
        Self(Some(store))
    }

    /// All that are known.
    pub(crate) fn all(&self) -> Vec<Arc<StateTask>> {
        self.0.as_ref().map(Store::state).unwrap_or_default()
    }

    /// They were listed: what is not among them is gone.
    pub(crate) fn are_whole(&self) -> bool {
        let store = self.0.as_ref();
        store.is_some_and(|store| store.wait_until_ready().now_or_never().is_some())
    }

    /// What is known of an operation.
    pub(crate) fn get(&self, operation: &str) -> Ordered {
        let is_it = |task: &Arc<StateTask>| task.spec.operation == operation;
        // Before they are looked through: they may get whole meanwhile.
        let are_whole = self.are_whole();
        match self.all().into_iter().find(is_it) {
            Some(task) => Ordered::Known(task),
            None if are_whole => Ordered::Gone,
            None => Ordered::Unknown,
        }
    }

    /// The operation that names this pod, in its own namespace, as one that is to get a state here, or never will.
    pub(crate) fn naming(&self, namespace: &str, uid: &str) -> Option<String> {
        let is_meant = |task: &Arc<StateTask>| {
            let target = task.spec.target.as_ref();
            let is_named = target.is_some_and(|target| {
                let pod = target.pod.iter().map(|pod| &pod.uid);
                pod.chain(&target.revoke).any(|named| named == uid)
            });
            is_named && task.metadata.namespace.as_deref() == Some(namespace)
        };
        let found = self.all().into_iter().find(is_meant);
        found.map(|task| task.spec.operation.clone())
    }
}
