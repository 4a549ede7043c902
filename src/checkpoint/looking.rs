//! What is read for copies of a Checkpoint: who was asked to have one, and, while some are wanting, who could.

use crate::agent::api::StateTask;
use crate::checkpoint::api::{Checkpoint, Phase};
use crate::checkpoint::plan::{Copied, Seat, is_settled};
use crate::checkpoint::seats::seats;
use crate::kit::error::Error;
use crate::kit::names;
use crate::node::agents::{AGENTS, Agents};
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) copies: Vec<Copied>,
    pub(super) seats: Vec<Seat>,
}

impl Agents {
    /// Of a Checkpoint that wants no copies nothing is read.
    pub(super) async fn look(
        &self,
        client: &Client,
        checkpoint: &Checkpoint,
    ) -> Result<Copies, Error> {
        let status = checkpoint.status.clone().unwrap_or_default();
        if checkpoint.spec.copies == 0 || status.node.is_none() {
            return Ok(Copies::default());
        }
        let copies = copies(client, checkpoint).await?;
        let is_going = checkpoint.metadata.deletion_timestamp.is_some();
        let serving = copies.iter().filter(|copy| copy.serves()).count();
        let is_lost = u32::try_from(serving).is_ok_and(|some| some < checkpoint.spec.copies);
        let is_wanting = status.phase == Phase::Succeeded && (is_lost || !is_settled(&status));
        let seats = if is_wanting && !is_going {
            self.seats(client).await?
        } else {
            Vec::new()
        };
        Ok(Copies { copies, seats })
    }

    async fn seats(&self, client: &Client) -> Result<Vec<Seat>, Error> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let pods = list(
            &pods,
            "pods of agents",
            &ListParams::default().labels(AGENTS),
        )
        .await?;
        let all = ListParams::default();
        let nodes = list(&Api::<Node>::all(client.clone()), "nodes", &all).await?;
        let tasks = list(&Api::<StateTask>::all(client.clone()), "statetasks", &all).await?;
        Ok(seats(&pods, &nodes, &tasks, &self.account))
    }
}

async fn copies(client: &Client, checkpoint: &Checkpoint) -> Result<Vec<Copied>, Error> {
    let namespace = checkpoint.namespace().unwrap_or_default();
    let operation = checkpoint.uid().unwrap_or_default();
    let tasks: Api<StateTask> = Api::namespaced(client.clone(), &namespace);
    let ours = format!("{}={operation}", names::OPERATION_LABEL);
    let found = list(&tasks, "statetasks", &ListParams::default().labels(&ours)).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let mut copies = Vec::new();
    for task in found {
        if task.spec.copy.is_some() && task.spec.operation == operation {
            let node_is_gone = get(&nodes, "node", &task.spec.node_name).await?.is_none();
            copies.push(Copied { task, node_is_gone });
        }
    }
    Ok(copies)
}

/// All objects of a kind.
pub(super) async fn list<K>(api: &Api<K>, what: &str, params: &ListParams) -> Result<Vec<K>, Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let listed = bounded(CALL_LIMIT, "list", what.to_owned(), api.list(params)).await?;
    Ok(listed.items)
}

/// An object, if there is one.
pub(super) async fn get<K>(api: &Api<K>, kind: &str, name: &str) -> Result<Option<K>, Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    bounded(
        CALL_LIMIT,
        "get",
        format!("{kind} {name}"),
        api.get_opt(name),
    )
    .await
}
