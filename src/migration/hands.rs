//! What is written for a Migration, besides its own status: orders to nodes, and pods. Every write names what it was decided on, by
//! version or uid, and may be done twice.

use crate::agent::api::{StateTask, StateTaskSpec};
use crate::kit::error::{Error, unless_gone};
use crate::kit::names;
use crate::migration::api::Migration;
use crate::process::faults::Step;
use crate::process::writes;
use crate::write_steps;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

write_steps! {
    /// A node's orders are made.
    TASK,
    /// A node's orders are changed.
    ORDER,
    /// A pod is taken from its owner.
    DETACH,
    /// It is given back.
    ATTACH,
    /// A pod's gate is lifted.
    LIFT,
    /// The pod that got the state is marked as any other.
    SETTLE,
    /// A pod is deleted.
    POD,
    /// A pod of a node that is off is taken from the API.
    DROP,
    /// A pod is made that nobody else makes: one that nobody owned, again; or one that has images fetched.
    AGAIN,
    /// A node's orders are deleted.
    DELETE_TASK,
    /// A pod for which nobody has a state is let go.
    FREE,
    /// The Migration of one of many pods is made.
    CHILD,
    /// A pod that was given back is forgotten.
    FORGET,
}

/// What a change of a pod is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Detach,
    Attach,
    Lift,
    Settle,
    Free,
    Forget,
}

impl Change {
    fn step(self) -> &'static Step {
        match self {
            Self::Detach => &DETACH,
            Self::Attach => &ATTACH,
            Self::Lift => &LIFT,
            Self::Settle => &SETTLE,
            Self::Free => &FREE,
            Self::Forget => &FORGET,
        }
    }
}

/// Writes, in one namespace.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Hands {
    fn tasks(&self) -> Api<StateTask> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A pod is changed as it was seen: another uid, or another version, is another pod.
    pub(crate) async fn change(
        &self,
        change: Change,
        pod: &Pod,
        fields: Value,
    ) -> Result<(), Error> {
        writes::merge(&self.pods(), change.step().into(), pod, fields)
            .await
            .map(drop)
    }

    /// A pod that nobody else makes: a successor, or one that fetches images. Where one of that name is there, it is seen and told.
    pub(crate) async fn make_pod(&self, pod: &Pod) -> Result<(), Error> {
        unless_there(writes::create(&self.pods(), (&AGAIN).into(), pod).await)
    }

    /// This pod, and none of the same name.
    pub(crate) async fn delete_pod(&self, pod: &Pod) -> Result<(), Error> {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        unless_gone(writes::delete(&self.pods(), (&POD).into(), (&name, &uid)).await)
    }

    /// A pod that was seen. Where its node is off, nobody there will ever say that it has ended.
    pub(crate) async fn end_pod(&self, pod: Option<&Pod>, is_off: bool) -> Result<(), Error> {
        match pod {
            Some(pod) if is_off => self.drop_pod(pod).await,
            Some(pod) => self.delete_pod(pod).await,
            None => Ok(()),
        }
    }

    async fn drop_pod(&self, pod: &Pod) -> Result<(), Error> {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        unless_gone(writes::delete(&self.pods(), DROP.at_once(), (&name, &uid)).await)
    }

    /// Orders over those that were seen; made, as a part of `owner`, where there were none.
    pub(crate) async fn order(
        &self,
        spec: StateTaskSpec,
        seen: Option<&StateTask>,
        (name, owner): (&str, Option<OwnerReference>),
    ) -> Result<(), Error> {
        if let Some(task) = seen {
            let next = StateTask {
                spec,
                ..task.clone()
            };
            return writes::replace(&self.tasks(), (&ORDER).into(), &next)
                .await
                .map(drop);
        }
        let operation = spec.operation.clone();
        let mut task = StateTask::new(name, spec);
        task.metadata.namespace = Some(self.namespace.clone());
        task.metadata.owner_references = owner.map(|owner| vec![owner]);
        task.metadata.labels = Some([(names::OPERATION_LABEL.to_owned(), operation)].into());
        writes::create(&self.tasks(), (&TASK).into(), &task)
            .await
            .map(drop)
    }

    /// The Migration of one of many pods. One of that name was made before, by a pass that ended there.
    pub(crate) async fn make(&self, child: &Migration) -> Result<(), Error> {
        let api: Api<Migration> = Api::namespaced(self.client.clone(), &self.namespace);
        unless_there(writes::create(&api, (&CHILD).into(), child).await)
    }

    pub(crate) async fn delete_task(&self, task: &StateTask) -> Result<(), Error> {
        let (name, uid) = (task.name_any(), task.uid().unwrap_or_default());
        unless_gone(writes::delete(&self.tasks(), (&DELETE_TASK).into(), (&name, &uid)).await)
    }
}

fn unless_there<T>(done: Result<T, Error>) -> Result<(), Error> {
    match done {
        Err(error) if !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}
