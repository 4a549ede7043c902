//! Pods that a Migration left behind: it was removed by force, or did not need them. One that waits behind our gate, and for which nobody
//! has a state, is let go; one that was taken from its owner is given back, as `sweep.rs` has it.
//!
//! They are found by a label, so nobody else's pods are watched.

use crate::agent::api::StateTask;
use crate::hold::rules::Rules;
use crate::kit::error::{Error, unless_gone};
use crate::kit::names;
use crate::migration::api::Migration;
use crate::migration::hands::{Change, Hands};
use crate::migration::journey::controller;
use crate::migration::observing::{Eyes, task_name};
use crate::migration::plan::{Step, TaskSeen};
use crate::migration::pods::{self, former_owner, is_alive, is_detached, is_gated, moved_by};
use crate::migration::sight::answer;
use crate::migration::sweep::{Stray, sweep};
use crate::migration::turns::open_journey;
use crate::process::runner::{Runner, labelled};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::Action;
use kube::{Api, Client, Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "migration-strays";
/// How often one is looked at again that belongs to a Migration which is under way.
const LOOK: Duration = Duration::from_secs(5);

/// Runs until the runner stops.
pub(crate) async fn run(runner: Runner, client: Client) -> Result<(), Error> {
    let pods: Api<Pod> = Api::all(client.clone());
    let pods = labelled(pods, names::MIGRATION_LABEL);
    runner.run(NAME, pods, Arc::new(client), reconcile).await
}

async fn reconcile(pod: Arc<Pod>, client: Arc<Client>) -> Result<Action, Error> {
    let namespace = pod.namespace().unwrap_or_default();
    let eyes = Eyes {
        client: Client::clone(&client),
        namespace: namespace.clone(),
    };
    let hands = Hands {
        client: Client::clone(&client),
        namespace,
    };
    let migrations = eyes.migrations().await?;
    // Read after the Migrations, not from the watch: what one of them did to the pod before it ended is seen. A pod that is taken for
    // detached when it was given back would get orders that nobody takes back.
    let Some(pod) = eyes.again(&pod).await? else {
        return Ok(Action::await_change());
    };
    let Some(operation) = moved_by(&pod) else {
        return Ok(Action::await_change());
    };
    if is_gated(&pod) {
        let owner = controller(pod.owner_references()).map(|owner| owner.uid.as_str());
        let is_wanted = |one: &Migration| {
            is_begun(one) && one.uid().as_deref() == Some(operation)
                || owner.is_some_and(|owner| is_busy_with(one, owner))
        };
        if !migrations.iter().any(is_wanted) {
            unless_gone(hands.change(Change::Free, &pod, pods::free(&pod)).await)?;
        }
    } else if migrations
        .iter()
        .all(|one| one.uid().as_deref() != Some(operation) || !is_begun(one))
    {
        unless_gone(Box::pin(give_back(&pod, operation, &eyes, &hands)).await)?;
    }
    Ok(Action::requeue(LOOK))
}

fn is_begun(migration: &Migration) -> bool {
    open_journey(migration).is_some()
}

/// It may still bind, or void, pods of this ReplicaSet.
fn is_busy_with(migration: &Migration, replica_set: &str) -> bool {
    open_journey(migration).is_some_and(|journey| journey.is_of(replica_set))
}

async fn give_back(pod: &Pod, operation: &str, eyes: &Eyes, hands: &Hands) -> Result<(), Error> {
    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    let spec = pod.spec.as_ref();
    let node = spec
        .and_then(|spec| spec.node_name.clone())
        .unwrap_or_default();
    let owner = former_owner(pod);
    let has_set = match &owner {
        Some(owner) => eyes.has_replica_set(owner).await?,
        None => true,
    };
    let task_name = task_name(operation, &node);
    let task: Option<StateTask> = eyes.task(&task_name).await?;
    let stray = Stray {
        operation,
        pod_name: &name,
        pod_uid: &uid,
        node: &node,
        is_detached: is_alive(pod) && is_detached(pod, operation) && owner.is_some(),
        // A Deployment that was orphaned leaves its ReplicaSet; a pod of one that was rolled away is nobody's.
        has_owner: has_set,
        task: task.as_ref().map_or_else(TaskSeen::default, answer),
        rules: Rules::ALL,
    };
    let steps = sweep(&stray);
    if steps.is_empty() && !stray.is_detached {
        return hands.change(Change::Forget, pod, pods::forgotten()).await;
    }
    for step in steps {
        match (step, &owner, &task) {
            (Step::DeletePod(_), _, _) => hands.delete_pod(pod).await?,
            (Step::Task(spec), _, _) => {
                let above = pod.owner_ref(&());
                hands
                    .order(*spec, task.as_ref(), (&task_name, above))
                    .await?;
            }
            (Step::DeleteTask(_), _, Some(task)) => hands.delete_task(task).await?,
            // Its label stays until its node is asked nothing any more.
            (Step::Attach, Some(owner), _) => {
                let fields = pods::attach(owner, Some(operation));
                hands.change(Change::Attach, pod, fields).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::api::OwnerNote;
    use crate::testkit::api_server::ApiServer;
    use serde_json::{Value, json};

    const PODS: &str = "/api/v1/namespaces/apps/pods";
    const MIGRATIONS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations";
    const TASKS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/statetasks";

    fn owner() -> OwnerNote {
        serde_json::from_value(json!({
            "deployment": "web", "deploymentUid": "d", "replicaSet": "web-h", "replicaSetUid": "rs", "templateHash": "h",
        }))
        .unwrap()
    }

    /// A pod of a ReplicaSet, changed by these patches one after the other.
    fn pod(changes: &[Value]) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "web", "namespace": "apps", "uid": "s", "labels": { "pod-template-hash": "h" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-h", "uid": "rs", "controller": true }] },
            "spec": { "nodeName": "n1", "containers": [{ "name": "c" }] }, "status": { "phase": "Running" },
        });
        for change in changes {
            json_patch::merge(&mut pod, change);
        }
        pod
    }

    fn server(pod: Option<Value>) -> ApiServer {
        let server = ApiServer::default();
        server.serve_empty(MIGRATIONS);
        server.serve_empty(TASKS);
        server.put(
            "/apis/apps/v1/namespaces/apps/replicasets/web-h",
            json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "web-h", "namespace": "apps", "uid": "rs" }, "spec": { "replicas": 1, "selector": {} } }),
        );
        if let Some(pod) = pod {
            server.put(&format!("{PODS}/web"), pod);
        }
        server
    }

    async fn look(server: &ApiServer, seen: Value) -> Vec<String> {
        let seen: Pod = serde_json::from_value(seen).unwrap();
        reconcile(Arc::new(seen), Arc::new(server.client()))
            .await
            .unwrap();
        let mut calls = server.calls();
        calls.retain(|call| !call.starts_with("GET"));
        calls
    }

    fn detached() -> Value {
        pods::detach(&owner(), "op")
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_detached_gets_orders_of_its_own() {
        let server = server(Some(pod(&[detached()])));
        let calls = look(&server, pod(&[detached()])).await;
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert!(calls[0].starts_with(&format!("POST {TASKS}")), "{calls:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_given_back_since_it_was_seen_is_left_alone() {
        let now = pod(&[detached(), pods::attach(&owner(), None)]);
        let calls = look(&server(Some(now)), pod(&[detached()])).await;
        assert_eq!(calls, [""; 0], "orders that nobody takes back");
        let mut other = pod(&[detached()]);
        other["metadata"]["uid"] = json!("another");
        let calls = look(&server(Some(other)), pod(&[detached()])).await;
        assert_eq!(calls, [""; 0], "another pod of this name");
        let calls = look(&server(None), pod(&[detached()])).await;
        assert_eq!(calls, [""; 0], "it is gone");
    }
}
