//! Which pods are refused before anything is touched, and how that is cured. What only the node can see is judged there.

use crate::checkpoint::api::Checkpoint;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt;

/// The uid and the node of a pod that the node is asked about; else a sentence.
pub(super) fn judge(
    checkpoint: &Checkpoint,
    pod: Option<&Pod>,
) -> Result<(String, String), String> {
    let name = &checkpoint.spec.pod_name;
    let Some((pod, spec)) = pod.and_then(|pod| Some((pod, pod.spec.as_ref()?))) else {
        return Err(format!(
            "there is no pod {name} in this namespace: see kubectl get pods, and make a Checkpoint of one that is there"
        ));
    };
    let uid = pod.uid().unwrap_or_default();
    let reasons = [
        another(checkpoint, &uid),
        stands_in_the_way(pod),
        is_unprotected(spec),
        shares_with_its_node(spec),
        has_what_cannot_be_kept(spec),
        names_no_container(checkpoint, spec),
    ];
    if let Some(why) = reasons.into_iter().flatten().next() {
        return Err(format!("pod {name} {why}"));
    }
    match spec.node_name.clone().filter(|node| !node.is_empty()) {
        Some(node) => Ok((uid, node)),
        None => Err(format!(
            "pod {name} is on no node yet: wait until it runs, then make another Checkpoint"
        )),
    }
}

fn another(checkpoint: &Checkpoint, uid: &str) -> Option<String> {
    let meant = checkpoint.spec.pod_uid.as_deref()?;
    (meant != uid).then(|| {
        format!(
            "has the uid {uid}, not {meant}: the pod that was meant is gone; leave podUid out to take the one that is there"
        )
    })
}

/// Where the pod is in its life.
fn stands_in_the_way(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("is being deleted: make a Checkpoint of one that stays".into());
    }
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let phase = phase.unwrap_or("Pending");
    (phase != "Running").then(|| {
        format!("is {phase}, not Running: wait until it runs, then make another Checkpoint")
    })
}

fn is_unprotected(spec: &PodSpec) -> Option<String> {
    let class = spec.runtime_class_name.as_deref().unwrap_or_default();
    class.is_empty().then(|| {
        "has no RuntimeClass, so Holdfast does not stand between it and its node: set runtimeClassName: holdfast in its template, and let it be made anew".into()
    })
}

/// State that is not the pod's alone.
fn shares_with_its_node(spec: &PodSpec) -> Option<String> {
    let shared = [
        ("shareProcessNamespace", spec.share_process_namespace),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
        ("hostNetwork", spec.host_network),
    ];
    let (field, _) = shared
        .into_iter()
        .find(|(_, is_set)| *is_set == Some(true))?;
    Some(format!(
        "has {field}: true, and what it shares by that cannot be kept apart: take it out of its template, and let it be made anew"
    ))
}

fn has_what_cannot_be_kept(spec: &PodSpec) -> Option<String> {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    if let Some(volume) = volumes.iter().find(|volume| volume.host_path.is_some()) {
        return Some(format!(
            "has the hostPath volume {}, whose files are the node's: use an emptyDir or a claim instead",
            volume.name
        ));
    }
    let ephemeral = spec.ephemeral_containers.as_deref().unwrap_or_default();
    ephemeral.first().map(|one| {
        format!(
            "has the ephemeral container {}, which nobody could make again: it stays until the pod is made anew; delete the pod, and make a Checkpoint of the next one",
            one.name
        )
    })
}

/// Init containers have ended; those that never end are sidecars.
fn names_no_container(checkpoint: &Checkpoint, spec: &PodSpec) -> Option<String> {
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let is_sidecar = |policy: Option<&str>| policy == Some("Always");
    let sidecars = inits
        .iter()
        .filter(|one| is_sidecar(one.restart_policy.as_deref()));
    let known: Vec<_> = spec
        .containers
        .iter()
        .chain(sidecars)
        .map(|one| one.name.as_str())
        .collect();
    let mut named = checkpoint.spec.containers.iter();
    let missing = named.find(|name| !known.contains(&name.as_str()))?;
    Some(format!(
        "has no container {missing} that runs: it has {}; name one of them, or none for all",
        known.join(", ")
    ))
}
