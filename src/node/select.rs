//! Which nodes a pod could go to, in which order; and for each other one a sentence. Pure. What a scheduler would say stands here as far
//! as it keeps a pod from a node: the pod is bound to the one that is chosen, and would wait there for ever if it did not fit.

use super::fits;
use crate::kit::names::{FACTS, FIT_CONDITION, RUNTIME_LABEL};
use crate::process::flags::duration;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use kube::ResourceExt;
use std::time::Duration;

/// The taint of a node that is off: whoever put it there says so.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// A node, and the pods on it that have not ended.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The node.
    pub node: &'a Node,
    /// Pods that are bound to it.
    pub pods: &'a [Pod],
    /// By whom its Lease is held, if that keeps others away.
    pub held: Option<&'a str>,
}

/// The best node for a pod that leaves `from`: the one with the fewest pods, by its name where that is the same.
///
/// # Errors
/// A sentence that says of each node why it is none.
pub fn choose<'a>(
    pod: &Pod,
    from: &Node,
    candidates: &[Candidate<'a>],
) -> Result<&'a Node, String> {
    let (mut fit, mut reasons) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match why_not(pod, from, *candidate) {
            None => fit.push(candidate),
            Some(why) => reasons.push(why),
        }
    }
    let best = fit
        .into_iter()
        .min_by_key(|candidate| (candidate.pods.len(), candidate.node.name_any()));
    best.map(|candidate| candidate.node).ok_or_else(|| {
        reasons.sort();
        format!("no node can take it: {}", reasons.join("; "))
    })
}

/// Why a pod that leaves `from` cannot go to this node.
#[must_use]
pub fn why_not(pod: &Pod, from: &Node, candidate: Candidate<'_>) -> Option<String> {
    let node = candidate.node;
    let name = node.name_any();
    if name == from.name_any() {
        return Some(format!("{name} is where it is"));
    }
    let why = is_not_ours(node)
        .or_else(|| is_not_available(node))
        .or_else(|| differs(from, node))
        .or_else(|| fits::is_kept_away(pod, node))
        .or_else(|| fits::has_no_room(pod, candidate))
        // Last: what is in the way besides does not pass.
        .or_else(|| candidate.held.map(str::to_owned))?;
    Some(format!("{name} {why}"))
}

fn is_not_ours(node: &Node) -> Option<String> {
    let label = node.labels().get(RUNTIME_LABEL).map(String::as_str);
    (label != Some("installed"))
        .then(|| "has no holdfast-runtime: see holdfast host check there".to_owned())
}

fn is_not_available(node: &Node) -> Option<String> {
    if node.metadata.deletion_timestamp.is_some() {
        return Some("is being deleted".into());
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        return Some("is cordoned".into());
    }
    if is_out_of_service(node) {
        return Some("is out of service, its taint says: take that away if it is back".into());
    }
    if !is_ready(node) {
        return Some("is not Ready".into());
    }
    let unfit = condition(node, FIT_CONDITION).filter(|one| one.status == "False")?;
    let why = unfit.message.as_deref().unwrap_or("it does not say why");
    Some(format!("is not fit for states: {why}"))
}

/// What a node says of itself under this name.
#[must_use]
pub fn condition<'a>(node: &'a Node, name: &str) -> Option<&'a NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|one| one.type_ == name)
}

/// Its kubelet answers, and is well.
#[must_use]
pub fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|one| one.status == "True")
}

/// Somebody has said that it is off. The taint stays until somebody takes it away.
#[must_use]
pub fn is_out_of_service(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|spec| spec.taints.as_ref());
    let mut taints = taints.into_iter().flatten();
    taints.any(|taint| taint.key == OUT_OF_SERVICE)
}

/// For how long a kubelet waits for a container, where nobody has said otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// For how long the kubelet of this node waits for a container.
#[must_use]
pub fn patience(node: &Node) -> Duration {
    let said = node.annotations().get(&format!("{FACTS}request-timeout"));
    let read = said.and_then(|said| duration(said).ok());
    read.filter(|time| !time.is_zero()).unwrap_or(PATIENCE)
}

/// What must be the same on both nodes, and by which fact it is known.
const SAME: [(&str, &str); 3] = [
    ("engine", "runtime"),
    ("cpu", "processor"),
    ("cgroup", "version of cgroups"),
];

/// A state goes only where it can be read and run.
fn differs(from: &Node, node: &Node) -> Option<String> {
    let info = |node: &Node| node.status.as_ref()?.node_info.clone();
    if let (Some(here), Some(there)) = (info(from), info(node))
        && here.architecture != there.architecture
    {
        return Some(format!(
            "has the architecture {}, and not {}",
            there.architecture, here.architecture
        ));
    }
    if let (Some(here), Some(there)) = (info(from), info(node))
        && version(&there.kernel_version)
            .zip(version(&here.kernel_version))
            .is_some_and(|(there, here)| there < here)
    {
        return Some(format!(
            "has an older kernel ({}, and not {})",
            there.kernel_version, here.kernel_version
        ));
    }
    let (fact, what) = SAME.into_iter().find(|(fact, _)| {
        let key = format!("{FACTS}{fact}");
        from.annotations().get(&key) != node.annotations().get(&key)
    })?;
    let told = |node: &Node| {
        let told = node.annotations().get(&format!("{FACTS}{fact}"));
        told.cloned().unwrap_or_else(|| "nothing known".into())
    };
    Some(format!(
        "has another {what} ({}, and not {})",
        told(node),
        told(from)
    ))
}

/// Major and minor: what a program may have begun to use. One that is not told so is not compared.
fn version(kernel: &str) -> Option<(u32, u32)> {
    let mut parts = kernel.split(['.', '-', '+']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests;
