//! Whether a Migration can be done, before anything is touched; and what moves then.

use crate::kit::error::{Error, chain};
use crate::migration::affinity::widened;
use crate::migration::api::{Journey, Migration};
use crate::migration::bare::{manifest, of_template, rehearsed};
use crate::migration::equal::differs;
use crate::migration::journey::{Family, journey};
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

/// Looks at everything that a Migration asks for. `installation`: our own namespace.
pub(crate) async fn begin(
    eyes: &Eyes,
    migration: &Migration,
    installation: &str,
) -> Result<Beginning, Error> {
    let refused = |why: String| Ok(Beginning::Refused(why));
    let Some(name) = &migration.spec.pod_name else {
        let why = refusal(&migration.spec, Owner::Deployment, true);
        return refused(why.unwrap_or_else(|| "name one pod".into()));
    };
    let relatives = eyes.relatives(name).await?;
    let Some(family) = relatives.family() else {
        return refused(format!(
            "there is no pod {name} in this namespace: see kubectl get pods"
        ));
    };
    let (pod, owner) = (family.pod, family.owner());
    let spec = pod.spec.clone().unwrap_or_default();
    let is_ours = |handler: Option<&String>| handler.is_some_and(|name| name == HANDLER);
    let why = refusal(
        &migration.spec,
        owner,
        is_ours(spec.runtime_class_name.as_ref()),
    )
    .or_else(|| preflight::refusal(pod))
    .or_else(|| not_gated(family, eyes, installation));
    if let Some(why) = why {
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
    let made = match relatives.replica_set.as_ref().and_then(of_template) {
        Some(made) => made,
        None => manifest(pod),
    };
    if let Some(why) = would_differ(eyes, pod, &made).await? {
        return refused(why);
    }
    if owner == Owner::Nobody {
        journey.manifest = serde_json::to_string(&made).ok();
    }
    Ok(Beginning::Begun(Box::new(journey)))
}

/// Its successor would not wait for its state, but run beside it: our webhook would not be asked about it.
fn not_gated(family: Family<'_>, eyes: &Eyes, installation: &str) -> Option<String> {
    let set = family.replica_set?;
    if ["kube-system", installation].contains(&eyes.namespace.as_str()) {
        return Some(format!(
            "pods of Deployments in the namespace {} are not asked about at their admission, and cannot be moved",
            eyes.namespace
        ));
    }
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let spec = template.and_then(|template| template.spec.as_ref());
    let handler = spec.and_then(|spec| spec.runtime_class_name.as_deref());
    (handler != Some(HANDLER)).then(|| {
        "its RuntimeClass does not stand in the template of its Deployment, but was put there by somebody else, so that a pod like it would not wait: set runtimeClassName: holdfast in the template".into()
    })
}

/// Whether a pod like it is let in, and is made equal.
async fn would_differ(eyes: &Eyes, pod: &Pod, made: &Pod) -> Result<Option<String>, Error> {
    Ok(match eyes.rehearse(&rehearsed(made)).await {
        Ok(rehearsed) => differs(pod, &rehearsed).map(|path| {
            format!(
                "a pod made after it would not be equal ({path} would differ), and its state would not fit: make it anew first, as its template has it"
            )
        }),
        Err(error) if error.is_refused() => Some(format!(
            "a pod like it would not be let in any more: {}",
            chain(&error)
        )),
        Err(error) => return Err(error),
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
