//! The webhook that lets no successor of a moving pod start by itself: it gets a gate at its admission, and the leader lifts it when the
//! pod's node knows that it waits for a state.
//!
//! It asks the API server each time, and not a cache: a pod that is made because another one was taken from its owner comes after the
//! Migration's status says so. Only protected pods of ReplicaSets are asked about, and where it cannot be known, none is made: its owner
//! tries again.

use crate::kit::error::chain;
use crate::kit::names;
use crate::migration::api::{Migration, Outcome};
use crate::migration::turns::open_journey;
use crate::process::writes::bounded;
use crate::webhook::endpoint::{Endpoint, Reply};
use crate::webhook::review::{Answer, Malformed, Request, read};
use futures::future::BoxFuture;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::borrow::Cow;
use tokio::time::Instant;

/// Of a pod, what is looked at.
#[derive(Debug, Default, Deserialize)]
struct Pod<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    owner_references: Vec<Owner<'a>>,
    #[serde(default)]
    labels: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Owner<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    scheduling_gates: Option<Vec<Gate>>,
}

#[derive(Debug, Deserialize)]
struct Gate {
    #[serde(default)]
    name: String,
}

/// Gates successors.
pub(crate) struct Successors {
    client: Client,
}

impl Successors {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn answer(&self, body: &[u8], deadline: Instant) -> Result<Reply, Malformed> {
        let request: Request<'_, Pod<'_>> = read(body)?;
        let pod = request
            .object
            .as_ref()
            .ok_or_else(|| Malformed::new("the request has no object"))?;
        let owner = pod
            .metadata
            .owner_references
            .iter()
            .find(|owner| owner.controller == Some(true));
        let (answer, verdict) = match owner {
            None => (Answer::default(), "not_owned"),
            Some(owner) => {
                self.judge(&request.namespace, &owner.uid, pod, deadline)
                    .await
            }
        };
        Ok(Reply {
            body: answer.write(&request.uid),
            verdict,
        })
    }

    async fn judge(
        &self,
        namespace: &str,
        owner: &str,
        pod: &Pod<'_>,
        deadline: Instant,
    ) -> (Answer, &'static str) {
        let migrations: Api<Migration> = Api::namespaced(self.client.clone(), namespace);
        let limit = deadline.saturating_duration_since(Instant::now());
        let listed = bounded(
            limit,
            "list",
            format!("migrations of {namespace}"),
            migrations.list(&ListParams::default()),
        )
        .await;
        match listed {
            Err(error) => (unknown(&chain(&error)), "unknown"),
            Ok(listed) => match listed.items.iter().find(|one| waits_for(one, owner)) {
                Some(migration) => (gated(pod, &migration.uid().unwrap_or_default()), "gated"),
                None => (Answer::default(), "free"),
            },
        }
    }
}

/// A pod of this ReplicaSet is to get the state that moves.
fn waits_for(migration: &Migration, owner: &str) -> bool {
    let Some(status) = &migration.status else {
        return false;
    };
    let is_undecided = matches!(
        status.decision.outcome,
        Outcome::Undecided | Outcome::Allowed
    );
    is_undecided && open_journey(migration).is_some_and(|journey| journey.is_of(owner))
}

/// Nobody starts a pod that may have to wait.
fn unknown(why: &str) -> Answer {
    Answer {
        refusal: Some(format!(
            "it is not known whether this pod is to wait for a state that is on its way: {why}; its owner tries again"
        )),
        ..Answer::default()
    }
}

/// The gate, and the label by which such pods are found.
fn gated(pod: &Pod<'_>, operation: &str) -> Answer {
    let gates = pod.spec.scheduling_gates.as_deref();
    let gate = json!({ "name": names::GATE });
    let add = |path: &str, value: Value| json!({ "op": "add", "path": path, "value": value });
    let mut operations = Vec::new();
    match gates {
        Some(gates) if gates.iter().any(|gate| gate.name == names::GATE) => {}
        Some(_) => operations.push(add("/spec/schedulingGates/-", gate)),
        None => operations.push(add("/spec/schedulingGates", json!([gate]))),
    }
    if pod.metadata.labels.is_none() {
        operations.push(add("/metadata/labels", json!({})));
    }
    let label = names::MIGRATION_LABEL.replace('/', "~1");
    operations.push(add(&format!("/metadata/labels/{label}"), json!(operation)));
    Answer {
        patch: Some(Value::from(operations).to_string()),
        ..Answer::default()
    }
}

impl Endpoint for Successors {
    fn path(&self) -> &'static str {
        "/gate-v1-pod"
    }

    fn name(&self) -> &'static str {
        "successors"
    }

    fn review<'a>(
        &'a self,
        body: &'a [u8],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Reply, Malformed>> {
        Box::pin(self.answer(body, deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(stage: &str, outcome: &str) -> Migration {
        let owner = json!({ "deployment": "web", "deploymentUid": "d", "replicaSet": "web-1", "replicaSetUid": "r", "templateHash": "1" });
        let journey = json!({ "podName": "p", "podUid": "s", "sourceNode": "a", "targetNode": "b", "owner": owner });
        serde_json::from_value(json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": "m" },
            "spec": { "podName": "p" }, "status": { "stage": stage, "decision": { "outcome": outcome }, "journey": journey },
        }))
        .unwrap()
    }

    #[test]
    fn only_an_open_migration_of_the_same_replica_set_gates() {
        assert!(waits_for(&migration("Begun", "Undecided"), "r"));
        assert!(waits_for(&migration("Begun", "Allowed"), "r"));
        assert!(!waits_for(&migration("Begun", "Allowed"), "another"));
        for (stage, outcome) in [
            ("New", "Undecided"),
            ("Begun", "Restored"),
            ("Begun", "RolledBack"),
            ("Closed", "Failed"),
            ("Later", "Undecided"),
        ] {
            assert!(
                !waits_for(&migration(stage, outcome), "r"),
                "{stage} {outcome}"
            );
        }
    }

    #[test]
    fn a_gate_is_put_beside_others_and_once() {
        for (gates, whole) in [
            (Value::Null, json!([{ "name": names::GATE }])),
            (json!([]), json!([{ "name": names::GATE }])),
            (
                json!([{ "name": "a" }]),
                json!([{ "name": "a" }, { "name": names::GATE }]),
            ),
            (
                json!([{ "name": names::GATE }]),
                json!([{ "name": names::GATE }]),
            ),
        ] {
            let mut object = json!({ "metadata": {}, "spec": { "schedulingGates": gates } });
            if gates.is_null() {
                object["spec"]
                    .as_object_mut()
                    .unwrap()
                    .remove("schedulingGates");
            }
            let text = object.to_string();
            let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
            let patch = gated(&pod, "op").patch.unwrap();
            let patch: json_patch::Patch = serde_json::from_str(&patch).unwrap();
            json_patch::patch(&mut object, &patch).unwrap();
            assert_eq!(object["spec"]["schedulingGates"], whole);
            assert_eq!(
                object["metadata"]["labels"],
                json!({ names::MIGRATION_LABEL: "op" })
            );
        }
    }
}
