//! Reads what a pass over a Migration asks about.

use crate::agent::api::StateTask;
use crate::kit::digest::Digest;
use crate::kit::error::Error;
use crate::migration::api::{Binding, Journey, Migration, MigrationStatus, OwnerNote};
use crate::migration::fetching;
use crate::migration::images::come_first;
use crate::migration::journey::{Family, controller};
use crate::migration::pods::{is_alive, is_source, moved_by, restored_by};
use crate::migration::sight::Sight;
use crate::migration::wanting::makes_none;
use crate::process::writes;
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Reads, with a time limit.
#[derive(Clone)]
pub(crate) struct Eyes {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// The pod that is to move, and those above it.
pub(crate) struct Relatives {
    pub(crate) pod: Option<Pod>,
    pub(crate) replica_set: Option<ReplicaSet>,
    pub(crate) deployment: Option<Deployment>,
}

impl Relatives {
    pub(crate) fn family(&self) -> Option<Family<'_>> {
        Some(Family {
            pod: self.pod.as_ref()?,
            replica_set: self.replica_set.as_ref(),
            deployment: self.deployment.as_ref(),
        })
    }
}

impl Eyes {
    async fn get<K>(&self, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let what = format!("{} {}/{name}", K::kind(&()).to_lowercase(), self.namespace);
        bounded(CALL_LIMIT, "get", what, api.get_opt(name)).await
    }

    pub(crate) async fn node(&self, name: &str) -> Result<Option<Node>, Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        bounded(
            CALL_LIMIT,
            "get",
            format!("node {name}"),
            nodes.get_opt(name),
        )
        .await
    }

    /// All nodes.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let listed = bounded(
            CALL_LIMIT,
            "list",
            "nodes".into(),
            nodes.list(&ListParams::default()),
        )
        .await?;
        Ok(listed.items)
    }

    /// All Migrations of the namespace.
    pub(crate) async fn migrations(&self) -> Result<Vec<Migration>, Error> {
        let api: Api<Migration> = Api::namespaced(self.client.clone(), &self.namespace);
        let (what, all) = (
            format!("migrations of {}", self.namespace),
            ListParams::default(),
        );
        let listed = api.list(&all);
        Ok(bounded(CALL_LIMIT, "list", what, listed).await?.items)
    }

    /// A pod as it would be made, which is not.
    pub(crate) async fn rehearse(&self, pod: &Pod) -> Result<Pod, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        writes::rehearse(&pods, pod).await
    }

    /// The Migration of this name, as it is now.
    pub(crate) async fn migration(&self, name: &str) -> Result<Option<Migration>, Error> {
        self.get(name).await
    }

    /// Those of its pods.
    pub(crate) async fn children(&self, parent: &Migration) -> Result<Vec<Migration>, Error> {
        let uid = parent.uid();
        let mut all = self.migrations().await?;
        all.retain(|one| {
            let owner = controller(one.owner_references());
            owner.is_some_and(|owner| Some(&owner.uid) == uid.as_ref())
        });
        Ok(all)
    }

    pub(crate) async fn deployment(&self, name: &str) -> Result<Option<Deployment>, Error> {
        self.get(name).await
    }

    /// ReplicaSets whose labels these are.
    pub(crate) async fn replica_sets(&self, labels: &str) -> Result<Vec<ReplicaSet>, Error> {
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let alike = ListParams::default().labels(labels);
        let what = format!("replicasets of {labels}");
        let listed = bounded(CALL_LIMIT, "list", what, api.list(&alike)).await?;
        Ok(listed.items)
    }

    /// Pods whose labels these are.
    pub(crate) async fn pods_like(&self, labels: &str) -> Result<Vec<Pod>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let alike = ListParams::default().labels(labels);
        let what = format!("pods of {labels}");
        Ok(bounded(CALL_LIMIT, "list", what, pods.list(&alike))
            .await?
            .items)
    }

    /// All Migrations of the cluster.
    pub(crate) async fn all_migrations(&self) -> Result<Vec<Migration>, Error> {
        let api: Api<Migration> = Api::all(self.client.clone());
        let all = ListParams::default();
        let listed = api.list(&all);
        Ok(bounded(CALL_LIMIT, "list", "migrations".into(), listed)
            .await?
            .items)
    }

    /// A node's orders.
    pub(crate) async fn task(&self, name: &str) -> Result<Option<StateTask>, Error> {
        self.get(name).await
    }

    /// The same pod as it is now, if it is there.
    pub(crate) async fn again(&self, pod: &Pod) -> Result<Option<Pod>, Error> {
        let now: Option<Pod> = self.get(&pod.name_any()).await?;
        Ok(now.filter(|now| now.uid() == pod.uid()))
    }

    /// Whether the ReplicaSet that made a pod is there.
    pub(crate) async fn has_replica_set(&self, owner: &OwnerNote) -> Result<bool, Error> {
        let set: Option<ReplicaSet> = self.get(&owner.replica_set).await?;
        Ok(set.is_some_and(|one| one.uid().as_deref() == Some(&owner.replica_set_uid)))
    }

    /// The pods on a node that have not ended.
    pub(crate) async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, Error> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let there = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let listed = bounded(
            CALL_LIMIT,
            "list",
            format!("pods on {node}"),
            pods.list(&there),
        )
        .await?;
        Ok(listed.items.into_iter().filter(is_alive).collect())
    }

    /// The pod of this name, and those above it.
    pub(crate) async fn relatives(&self, pod: &str) -> Result<Relatives, Error> {
        let mut found = Relatives {
            pod: self.get(pod).await?,
            replica_set: None,
            deployment: None,
        };
        let set = found.pod.as_ref().and_then(|pod| above(pod, "ReplicaSet"));
        if let Some((name, uid)) = set {
            let set: Option<ReplicaSet> = self.get(&name).await?;
            found.replica_set = set.filter(|set| set.uid().as_deref() == Some(&uid));
        }
        let deployment = found
            .replica_set
            .as_ref()
            .and_then(|set| above(set, "Deployment"));
        if let Some((name, uid)) = deployment {
            let deployment: Option<Deployment> = self.get(&name).await?;
            found.deployment = deployment.filter(|one| one.uid().as_deref() == Some(&uid));
        }
        Ok(found)
    }

    /// Everything of a Migration that has begun.
    pub(crate) async fn sight(
        &self,
        migration: &Migration,
        journey: &Journey,
    ) -> Result<Sight, Error> {
        let operation = migration.uid().unwrap_or_default();
        let named: Option<Pod> = self.get(&journey.pod_name).await?;
        let (source, other) = match named {
            Some(pod) if is_source(&pod, journey) => (Some(pod), None),
            other => (None, other),
        };
        let (mut pods, mut has_replica_set, mut is_name_taken) = (Vec::new(), false, false);
        let mut is_unwanted = false;
        if journey.manifest.is_some() {
            let is_ours = |pod: &Pod| {
                moved_by(pod) == Some(&operation) || restored_by(pod) == Some(&operation)
            };
            is_name_taken = other.as_ref().is_some_and(|pod| !is_ours(pod));
            pods.extend(other.filter(is_ours));
        }
        if let Some(owner) = &journey.owner {
            let set: Option<ReplicaSet> = self.get(&owner.replica_set).await?;
            let set = set.filter(|set| set.uid().as_deref() == Some(&owner.replica_set_uid));
            pods = self
                .pods_of(&owner.replica_set_uid, &owner.template_hash)
                .await?;
            pods.retain(|pod| !is_source(pod, journey));
            has_replica_set = set.is_some();
            is_unwanted = set.as_ref().is_none_or(|set| {
                let bound: Vec<_> = bound(migration).map(|one| one.pod_uid.as_str()).collect();
                makes_none(set, (source.as_ref(), &operation), &pods, &bound)
            });
        }
        // One that was bound counts whoever owns it now.
        for bound in bound(migration) {
            if pods
                .iter()
                .all(|pod| pod.uid().as_deref() != Some(&bound.pod_uid))
            {
                let pod: Option<Pod> = self.get(&bound.pod_name).await?;
                pods.extend(pod.filter(|pod| pod.uid().as_deref() == Some(&bound.pod_uid)));
            }
        }
        let [source_task, target_task] =
            [&journey.source_node, &journey.target_node].map(|node| task_name(&operation, node));
        let fetcher = fetching::name(&operation);
        let fetcher = if come_first(journey.order, &journey.images) {
            self.get(&fetcher).await?
        } else {
            None
        };
        Ok(Sight {
            fetcher,
            source,
            pods,
            tasks: [self.get(&source_task).await?, self.get(&target_task).await?],
            target_node: self.node(&journey.target_node).await?,
            source_node: self.node(&journey.source_node).await?,
            has_replica_set,
            is_unwanted,
            is_name_taken,
        })
    }

    async fn pods_of(&self, replica_set: &str, hash: &str) -> Result<Vec<Pod>, Error> {
        let listed = self.pods_like(&format!("pod-template-hash={hash}")).await?;
        let is_its = |pod: &Pod| {
            controller(pod.owner_references()).is_some_and(|owner| owner.uid == replica_set)
        };
        Ok(listed.into_iter().filter(is_its).collect())
    }
}

pub(crate) fn status(migration: &Migration) -> &MigrationStatus {
    static BLANK: std::sync::LazyLock<MigrationStatus> = std::sync::LazyLock::new(Default::default);
    migration.status.as_ref().unwrap_or(&BLANK)
}

/// Pods that were meant to get the state.
fn bound(migration: &Migration) -> impl Iterator<Item = &Binding> {
    let status = status(migration);
    status.former.iter().chain(&status.target)
}

/// Name and uid of the owner that controls, if it is of this kind.
fn above(object: &impl ResourceExt, kind: &str) -> Option<(String, String)> {
    let owner = controller(object.owner_references()).filter(|owner| owner.kind == kind)?;
    Some((owner.name.clone(), owner.uid.clone()))
}

/// What the orders of a Migration to a node are called. Names of nodes may be long, and have dots.
pub(crate) fn task_name(operation: &str, node: &str) -> String {
    let digest = Digest::of(node.as_bytes());
    let short: String = digest.text().chars().take(8).collect();
    format!("migration-{operation}-{short}")
}
