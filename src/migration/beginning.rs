//! Whether a Migration can be done, before anything is touched; and what moves then.

use crate::kit::error::{Error, chain};
use crate::migration::affinity::widened;
use crate::migration::api::{Journey, Migration};
use crate::migration::bare::{manifest, rehearsed};
use crate::migration::equal::differs;
use crate::migration::journey::journey;
use crate::migration::observing::Eyes;
use crate::migration::plan::{Owner, refusal};
use crate::migration::preflight;
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
    if let Some(why) = refusal(&migration.spec, owner, is_ours).or_else(|| preflight::refusal(pod))
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
    let target = match target {
        Ok(target) => target,
        Err(why) => return refused(why),
    };
    let Some(mut journey) = journey(family, &target) else {
        return refused(format!(
            "pod {name} is about to change: make another Migration in a moment"
        ));
    };
    if owner == Owner::Nobody {
        match made_again(eyes, pod).await? {
            Ok(manifest) => journey.manifest = Some(manifest),
            Err(why) => return refused(why),
        }
    }
    Ok(Beginning::Begun(Box::new(journey)))
}

/// What a pod is made from again that nobody owns, if a pod like it is let in, and is made equal.
async fn made_again(eyes: &Eyes, pod: &Pod) -> Result<Result<String, String>, Error> {
    let kept = manifest(pod);
    let rehearsed = match eyes.rehearse(&rehearsed(&kept)).await {
        Ok(rehearsed) => rehearsed,
        Err(error) if error.is_refused() => {
            return Ok(Err(format!(
                "a pod like it would not be let in any more: {}",
                chain(&error)
            )));
        }
        Err(error) => return Err(error),
    };
    Ok(match differs(pod, &rehearsed) {
        Some(path) => Err(format!(
            "a pod made from it would not be equal ({path} would differ): its state would not fit"
        )),
        None => serde_json::to_string(&kept).map_err(|error| error.to_string()),
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
