//! Whether a Migration can be done, before anything is touched; and what moves then.

use crate::kit::error::Error;
use crate::migration::affinity::widened;
use crate::migration::api::{Journey, Migration};
use crate::migration::journey::journey;
use crate::migration::observing::Eyes;
use crate::migration::plan::{Owner, refusal};
use crate::node::select::{Candidate, choose, why_not};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;

/// The `RuntimeClass` of protected pods.
const HANDLER: &str = "holdfast";

/// What became of the look at a new Migration.
pub(crate) enum Beginning {
    /// It cannot be done, and why.
    Refused(String),
    /// This moves.
    Begun(Box<Journey>),
}

/// Looks at everything that a Migration asks for.
pub(crate) async fn begin(eyes: &Eyes, migration: &Migration) -> Result<Beginning, Error> {
    let refused = |why: String| Ok(Beginning::Refused(why));
    let Some(name) = &migration.spec.pod_name else {
        return refused("only podName is possible yet: name one pod".into());
    };
    let relatives = eyes.relatives(name).await?;
    let Some(family) = relatives.family() else {
        return refused(format!(
            "there is no pod {name} in this namespace: see kubectl get pods"
        ));
    };
    let (pod, owner) = (family.pod, family.owner());
    let spec = pod.spec.clone().unwrap_or_default();
    let is_ours = spec.runtime_class_name.as_deref() == Some(HANDLER);
    if let Some(why) = refusal(&migration.spec, owner, is_ours).or_else(|| cannot_move(pod, owner))
    {
        return refused(why);
    }
    let from = spec.node_name.unwrap_or_default();
    let Some(from) = eyes.node(&from).await? else {
        return refused(format!(
            "pod {name} is on no node that is there: wait until it runs"
        ));
    };
    // What keeps it on its node, because it came there by a move, keeps its successor nowhere.
    let free = widened(pod);
    let target = match &migration.spec.destination_node {
        Some(node) => given(eyes, &free, &from, node).await?,
        None => chosen(eyes, &free, &from).await?,
    };
    Ok(match target {
        Err(why) => Beginning::Refused(why),
        Ok(target) => journey(family, &target).map_or_else(
            || {
                Beginning::Refused(format!(
                    "pod {name} is about to change: make another Migration in a moment"
                ))
            },
            |journey| Beginning::Begun(Box::new(journey)),
        ),
    })
}

/// What of a pod cannot go elsewhere, or not now.
fn cannot_move(pod: &Pod, owner: Owner) -> Option<String> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("the pod is being deleted: name one that stays".into());
    }
    if phase != Some("Running") {
        return Some(format!(
            "the pod is {}, not Running: wait until it runs",
            phase.unwrap_or("Pending")
        ));
    }
    if owner == Owner::Nobody {
        return Some("pods that nobody owns cannot be moved yet: make a Deployment of it".into());
    }
    let spec = pod.spec.as_ref()?;
    let volumes = spec.volumes.iter().flatten();
    let tied = volumes.clone().find(|volume| volume.host_path.is_some());
    tied.map(|volume| {
        format!(
            "the hostPath volume {} belongs to its node: use an emptyDir or a claim instead",
            volume.name
        )
    })
}

async fn given(
    eyes: &Eyes,
    pod: &Pod,
    from: &Node,
    name: &str,
) -> Result<Result<String, String>, Error> {
    let Some(node) = eyes.node(name).await? else {
        return Ok(Err(format!(
            "there is no node {name}: see kubectl get nodes"
        )));
    };
    let pods = eyes.pods_on(name).await?;
    let candidate = Candidate {
        node: &node,
        pods: &pods,
    };
    Ok(why_not(pod, from, candidate).map_or_else(|| Ok(name.to_owned()), Err))
}

async fn chosen(eyes: &Eyes, pod: &Pod, from: &Node) -> Result<Result<String, String>, Error> {
    let mut there = Vec::new();
    for node in eyes.nodes().await? {
        let pods = eyes.pods_on(&node.name_any()).await?;
        there.push((node, pods));
    }
    let candidates: Vec<_> = there
        .iter()
        .map(|(node, pods)| Candidate { node, pods })
        .collect();
    Ok(choose(pod, from, &candidates).map(ResourceExt::name_any))
}
