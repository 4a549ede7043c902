//! What moves, from where, and whereto: found out once, when a Migration begins, and kept in its status. Pure.

use crate::agent::api::Order;
use crate::migration::api::{Journey, MigrationSpec, OwnerNote};
use crate::migration::equal::digest;
use crate::migration::plan::{Course, Owner};
use crate::migration::pods::deletion_cost;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

/// The label by which a ReplicaSet knows its pods.
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";
/// How often a state that ran and was lost is restored again.
const RETRIES: u32 = 2;

/// A pod and those above it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) replica_set: Option<&'a ReplicaSet>,
    pub(crate) deployment: Option<&'a Deployment>,
}

impl Family<'_> {
    /// What owns the pod.
    pub(crate) fn owner(&self) -> Owner {
        let Some(owner) = controller(self.pod.owner_references()) else {
            return Owner::Nobody;
        };
        match owner.kind.as_str() {
            "ReplicaSet" if self.deployment.is_some() => Owner::Deployment,
            "ReplicaSet" => Owner::ReplicaSet,
            "StatefulSet" => Owner::StatefulSet,
            "Job" => Owner::Job,
            "DaemonSet" | "Node" => Owner::Node,
            _ => Owner::Other,
        }
    }

    fn note(&self) -> Option<OwnerNote> {
        let (set, deployment) = (self.replica_set?, self.deployment?);
        Some(OwnerNote {
            deployment: deployment.name_any(),
            deployment_uid: deployment.uid()?,
            replica_set: set.name_any(),
            replica_set_uid: set.uid()?,
            template_hash: self.pod.labels().get(TEMPLATE_HASH)?.clone(),
            deletion_cost: deletion_cost(self.pod),
        })
    }
}

/// The one that made an object and takes care of it.
pub(crate) fn controller(owners: &[OwnerReference]) -> Option<&OwnerReference> {
    owners.iter().find(|owner| owner.controller == Some(true))
}

/// What moves. None where the pod is on no node, or what stands above it says too little.
pub(crate) fn journey(family: Family<'_>, target_node: &str) -> Option<Journey> {
    let pod = family.pod;
    let spec = pod.spec.as_ref()?;
    let owner = family.owner();
    let note = family.note();
    if owner == Owner::Deployment && note.is_none() {
        return None;
    }
    Some(Journey {
        pod_name: pod.name_any(),
        pod_uid: pod.uid()?,
        source_node: spec.node_name.clone()?,
        target_node: target_node.to_owned(),
        order: owner.order(),
        owner: note,
        restores: restores(spec),
        images: Vec::new(),
        finished: finished(spec),
        fills_volumes: has_files_of_its_own(spec),
        spec_digest: Some(digest(pod)),
        manifest: None,
    })
}

fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// Containers that run, native sidecars among them.
fn restores(spec: &PodSpec) -> Vec<String> {
    let inits = spec.init_containers.iter().flatten();
    let sidecars = inits.filter(|one| is_sidecar(one));
    let all = sidecars.chain(&spec.containers);
    all.map(|one| one.name.clone()).collect()
}

/// Init containers that have ended by now, and are not run again.
fn finished(spec: &PodSpec) -> Vec<String> {
    let inits = spec.init_containers.iter().flatten();
    let ended = inits.filter(|one| !is_sidecar(one));
    ended.map(|one| one.name.clone()).collect()
}

fn has_files_of_its_own(spec: &PodSpec) -> bool {
    let mut volumes = spec.volumes.iter().flatten();
    volumes.any(|volume| volume.empty_dir.is_some())
}

impl Journey {
    /// It moves a pod of this ReplicaSet.
    pub(crate) fn is_of(&self, replica_set: &str) -> bool {
        let owner = self.owner.as_ref();
        owner.is_some_and(|owner| owner.replica_set_uid == replica_set)
    }

    /// As the plans want it.
    pub(crate) fn course(&self, operation: &str, spec: &MigrationSpec) -> Course {
        Course {
            operation: operation.to_owned(),
            order: self.order,
            pod_name: self.pod_name.clone(),
            pod_uid: self.pod_uid.clone(),
            source_node: self.source_node.clone(),
            target_node: self.target_node.clone(),
            target_address: None,
            // Nobody else names one so.
            generation: operation.to_owned(),
            older: None,
            is_bare: self.owner.is_none() && self.order == Order::FreezeFirst,
            restores: self.restores.clone(),
            images: self.images.clone(),
            finished: self.finished.clone(),
            fills_volumes: self.fills_volumes,
            retries: RETRIES,
            on_failure: spec.on_failure,
        }
    }
}
