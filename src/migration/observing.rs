//! Reads what a pass over a Migration asks about.

use crate::agent::api::{Measured, StateTask};
use crate::kit::digest::Digest;
use crate::kit::error::Error;
use crate::migration::api::{Journey, Migration, MigrationStatus, OwnerNote, ProofKind, ProofNote};
use crate::migration::equal::{differs, digest};
use crate::migration::journey::{Family, controller};
use crate::migration::plan::{Candidate, SourcePod, TaskSeen};
use crate::migration::pods::{is_alive, is_detached, is_gated, is_source, moved_by, restored_by};
use crate::migration::summary::Aside;
use crate::node::select::OUT_OF_SERVICE;
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

/// What there is to be seen of a Migration that has begun.
pub(crate) struct Sight {
    pub(crate) source: Option<Pod>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) tasks: [Option<StateTask>; 2],
    pub(crate) target_node: Option<Node>,
    pub(crate) source_node: Option<Node>,
    /// Its owner wants no pods like it any more.
    pub(crate) is_unwanted: bool,
    pub(crate) has_replica_set: bool,
    /// Somebody else has made a pod of the name that ours is to have.
    pub(crate) is_name_taken: bool,
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
        let named: Option<Pod> = self.get(&journey.pod_name).await?;
        let (source, other) = match named {
            Some(pod) if is_source(&pod, journey) => (Some(pod), None),
            other => (None, other),
        };
        let (mut pods, mut has_replica_set, mut is_name_taken) = (Vec::new(), false, false);
        let mut is_unwanted = false;
        if journey.manifest.is_some() {
            let operation = migration.uid().unwrap_or_default();
            let is_ours = |pod: &Pod| {
                moved_by(pod) == Some(&operation) || restored_by(pod) == Some(&operation)
            };
            is_name_taken = other.as_ref().is_some_and(|pod| !is_ours(pod));
            pods.extend(other.filter(is_ours));
        }
        if let Some(owner) = &journey.owner {
            let set: Option<ReplicaSet> = self.get(&owner.replica_set).await?;
            is_unwanted = set.as_ref().is_none_or(wants_none);
            has_replica_set =
                set.is_some_and(|set| set.uid().as_deref() == Some(&owner.replica_set_uid));
            pods = self
                .pods_of(&owner.replica_set_uid, &owner.template_hash)
                .await?;
        }
        // One that was bound counts whoever owns it now.
        for bound in status(migration)
            .former
            .iter()
            .chain(&status(migration).target)
        {
            if pods
                .iter()
                .all(|pod| pod.uid().as_deref() != Some(&bound.pod_uid))
            {
                let pod: Option<Pod> = self.get(&bound.pod_name).await?;
                pods.extend(pod.filter(|pod| pod.uid().as_deref() == Some(&bound.pod_uid)));
            }
        }
        pods.retain(|pod| !is_source(pod, journey));
        let operation = migration.uid().unwrap_or_default();
        let [source_task, target_task] =
            [&journey.source_node, &journey.target_node].map(|node| task_name(&operation, node));
        Ok(Sight {
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

fn status(migration: &Migration) -> &MigrationStatus {
    static BLANK: std::sync::LazyLock<MigrationStatus> = std::sync::LazyLock::new(Default::default);
    migration.status.as_ref().unwrap_or(&BLANK)
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

impl Sight {
    /// A pod that was seen, by its uid.
    pub(crate) fn pod(&self, uid: &str) -> Option<&Pod> {
        let mut all = self.pods.iter().chain(&self.source);
        all.find(|pod| pod.uid().as_deref() == Some(uid))
    }

    /// The orders of a node, as they were seen.
    pub(crate) fn task(&self, node: &str) -> Option<&StateTask> {
        let mut tasks = self.tasks.iter().flatten();
        tasks.find(|task| task.spec.node_name == node)
    }

    /// What both nodes have measured.
    fn measured(&self) -> Measured {
        let of = |task: &Option<StateTask>| {
            let status = task.as_ref().and_then(|task| task.status.as_ref());
            status.and_then(|status| status.measured.clone())
        };
        let [source, target] = self
            .tasks
            .each_ref()
            .map(|task| of(task).unwrap_or_default());
        Measured {
            restored_at: target.restored_at,
            ..source
        }
    }

    pub(crate) fn source_pod(&self, operation: &str) -> SourcePod {
        self.source
            .as_ref()
            .map_or(SourcePod::Gone, |pod| SourcePod::Here {
                is_detached: is_detached(pod, operation),
            })
    }

    /// Pods that wait behind our gate and are equal to the source, and those that are bound.
    pub(crate) fn candidates(&self, migration: &Migration) -> Vec<Candidate> {
        let status = status(migration);
        let is_bound = |uid: &str| {
            let mut bound = status.former.iter().chain(&status.target);
            bound.any(|bound| bound.pod_uid == uid)
        };
        let fits = |uid: &str| {
            self.pod(uid)
                .is_some_and(|pod| self.unlike(pod, status).is_none())
        };
        let all = self.pods.iter().map(|pod| Candidate {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            is_gated: is_gated(pod),
            is_alive: is_alive(pod),
        });
        all.filter(|one| is_bound(&one.uid) || (one.is_gated && fits(&one.uid)))
            .collect()
    }

    /// What of a successor is not as in the pod before it.
    fn unlike(&self, pod: &Pod, status: &MigrationStatus) -> Option<String> {
        if let Some(before) = &self.source {
            return differs(before, pod);
        }
        let known = status.journey.as_ref()?.spec_digest.as_ref();
        (known != Some(&digest(pod))).then(|| "its spec".to_owned())
    }

    /// What people are told besides what was decided.
    pub(crate) fn aside(&self, migration: &Migration) -> Aside {
        let status = status(migration);
        let is_free = status.target.is_none() && !status.decision.is_final();
        let gated = self.pods.iter().filter(|pod| is_free && is_gated(pod));
        let unlike = gated.filter_map(|pod| Some((pod.name_any(), self.unlike(pod, status)?)));
        Aside {
            measured: self.measured(),
            name_taken: self.is_name_taken && !status.decision.is_final(),
            unlike: unlike.map(|(pod, path)| format!("{pod}: {path}")).next(),
            refused: None,
            said: self.tasks.iter().flatten().find_map(complaint),
        }
    }

    /// The target is known to be off.
    pub(crate) fn proof(&self) -> Option<ProofNote> {
        let node = self.target_node.as_ref()?;
        // The taint stays after the node is back, until somebody takes it away.
        (is_out_of_service(node) && is_silent(node)).then_some(ProofNote {
            kind: ProofKind::OutOfService,
            by: None,
        })
    }

    /// The pod's node is gone, or known to be off: nobody there will answer.
    pub(crate) fn is_source_lost(&self) -> bool {
        self.source_node
            .as_ref()
            .is_none_or(|node| is_silent(node) && is_out_of_service(node))
    }

    /// The target does not answer. That proves nothing.
    pub(crate) fn is_target_silent(&self) -> bool {
        self.target_node.as_ref().is_none_or(is_silent)
    }

    /// What the source's node, and the target's, were asked, and answer.
    pub(crate) fn answers(&self) -> [TaskSeen<'_>; 2] {
        self.tasks
            .each_ref()
            .map(|task| task.as_ref().map_or_else(TaskSeen::default, answer))
    }
}

pub(crate) fn answer(task: &StateTask) -> TaskSeen<'_> {
    let status = task.status.as_ref();
    TaskSeen {
        spec: Some(&task.spec),
        source: status.and_then(|status| status.source.as_ref()),
        target: status.and_then(|status| status.target.as_ref()),
        is_current: status.and_then(|status| status.observed_generation)
            == task.metadata.generation,
    }
}

/// Somebody has said that it is off.
fn is_out_of_service(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let mut taints = spec
        .and_then(|spec| spec.taints.as_ref())
        .into_iter()
        .flatten();
    taints.any(|taint| taint.key == OUT_OF_SERVICE)
}

fn is_silent(node: &Node) -> bool {
    let status = node.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    !conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

fn wants_none(set: &ReplicaSet) -> bool {
    set.spec.as_ref().and_then(|spec| spec.replicas) == Some(0)
}

/// Why a node says that a state does not go on.
fn complaint(task: &StateTask) -> Option<String> {
    let conditions = task.status.as_ref()?.conditions.iter();
    let mut failed = conditions.filter(|one| one.type_ == "Failed" && one.status == "True");
    failed.next().map(|one| one.message.clone())
}
