//! Whether a Migration can be done, before anything is touched; and what moves then.

use crate::kit::error::{Error, chain};
use crate::migration::affinity::widened;
use crate::migration::api::{Journey, Migration, NodeNote};
use crate::migration::bare::{manifest, of_template, rehearsed};
use crate::migration::equal::differs;
use crate::migration::journey::{Family, journey};
use crate::migration::observing::{Eyes, Relatives};
use crate::migration::plan::{Owner, refusal};
use crate::migration::preflight;
use crate::node::lease::plan::Held;
use crate::node::select::{self, Candidate, choose, why_not};
use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use std::time::Duration;

/// The `RuntimeClass` of protected pods.
const HANDLER: &str = "holdfast";
/// So many nodes are told of.
const MOST_NODES: usize = 1000;

/// What a look at a new Migration has found.
#[derive(Default)]
pub(crate) struct Looked {
    /// What matters to the move, from its spec, its owner and the nodes.
    pub(crate) findings: Vec<Finding>,
    /// The pod, where there is one.
    pub(crate) pod: Option<Pod>,
    /// Its node's agent can say what its processes do.
    pub(crate) is_ours: bool,
    /// Each node, where all were asked for.
    pub(crate) nodes: Vec<NodeNote>,
    /// The one that it goes to.
    pub(crate) target: Option<String>,
    /// For how long the kubelet there waits for a container.
    pub(crate) patience: Duration,
    /// Who is at work on its node, or on the only ones that could take it: a matter of time.
    pub(crate) held: Option<String>,
    /// What moves, where nothing is in its way.
    pub(crate) journey: Option<Box<Journey>>,
}

impl Looked {
    fn only(finding: Finding) -> Self {
        Self {
            findings: vec![finding],
            ..Self::default()
        }
    }

    fn is_refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// Somebody is at work where it is, or where it would go. A dry run waits for nobody, and says so.
    fn waits(&mut self, migration: &Migration, why: String) {
        if migration.spec.dry_run {
            let cure = "wait until that is over: kubectl get leases";
            self.findings.push(Finding::cured(Item::Node, &why, cure));
        } else {
            // One is named, or all are counted up.
            let is_list = why.contains(": ");
            let end = if is_list {
                "; who holds one goes"
            } else {
                ", which goes"
            };
            self.held = Some(format!("{why}{end} first"));
        }
    }
}

/// Looks at everything that a Migration asks for, but at processes. `installation`: our own namespace; `held`: nodes that are not to be had.
pub(crate) async fn look(
    eyes: &Eyes,
    migration: &Migration,
    installation: &str,
    held: &Held,
) -> Result<Looked, Error> {
    let Some(name) = &migration.spec.pod_name else {
        let why = refusal(&migration.spec, Owner::Deployment, true);
        let why = why.unwrap_or_else(|| "no pod is named: name one".into());
        return Ok(Looked::only(sentence(Item::Request, &why)));
    };
    let relatives = eyes.relatives(name).await?;
    let Some(family) = relatives.family() else {
        let why = format!("there is no pod {name} in this namespace: see kubectl get pods");
        return Ok(Looked::only(sentence(Item::NotRunning, &why)));
    };
    let pod = family.pod;
    let spec = pod.spec.clone().unwrap_or_default();
    let is_ours = spec.runtime_class_name.as_deref() == Some(HANDLER);
    let mut looked = Looked {
        findings: asked(migration, family.owner(), is_ours),
        pod: Some(pod.clone()),
        is_ours,
        patience: select::PATIENCE,
        ..Looked::default()
    };
    looked.findings.extend(preflight::findings(pod));
    looked
        .findings
        .extend(not_gated(family, eyes, installation));
    if looked.is_refused() && !migration.spec.dry_run {
        return Ok(looked);
    }
    let idle = Item::NotRunning.about().id;
    looked.is_ours &= looked.findings.iter().all(|one| one.id != idle);
    let from = match &spec.node_name {
        Some(from) => eyes.node(from).await?,
        None => None,
    };
    let Some(from) = from else {
        let why = format!("pod {name} is on no node that is there: wait until it runs");
        looked.findings.push(sentence(Item::NotRunning, &why));
        looked.is_ours = false;
        return Ok(looked);
    };
    if let Some(why) = held.why(&from.name_any()) {
        looked.waits(migration, format!("node {} {why}", from.name_any()));
    }
    if looked.held.is_none() {
        Box::pin(target(eyes, migration, (&from, held), &mut looked)).await?;
    }
    if !looked.is_refused() {
        begun(eyes, &relatives, &mut looked).await?;
    }
    Ok(looked)
}

/// A sentence with its cure behind a colon.
fn sentence(item: Item, why: &str) -> Finding {
    match why.rsplit_once(": ") {
        Some((what, cure)) => Finding::cured(item, what, cure),
        None => Finding::new(item, why),
    }
}

/// What of the request cannot be done, and whose pods are not moved.
fn asked(migration: &Migration, owner: Owner, is_ours: bool) -> Vec<Finding> {
    let spec = &migration.spec;
    let why = |owner, is_ours| refusal(spec, owner, is_ours);
    let found = if let Some(why) = why(Owner::Nobody, true) {
        vec![(Item::Request, Some(why))]
    } else {
        vec![
            (Item::RuntimeClass, why(Owner::Nobody, is_ours)),
            (Item::Owner, why(owner, true)),
        ]
    };
    let found = found.into_iter();
    found
        .filter_map(|(item, why)| Some(sentence(item, &why?)))
        .collect()
}

/// What moves; and that its successor would be its equal.
async fn begun(eyes: &Eyes, relatives: &Relatives, looked: &mut Looked) -> Result<(), Error> {
    let (Some(family), Some(target)) = (relatives.family(), &looked.target) else {
        return Ok(());
    };
    let pod = family.pod;
    let Some(mut journey) = journey(family, target) else {
        let name = pod.name_any();
        let why = format!("pod {name} is about to change: make another Migration in a moment");
        looked.findings.push(sentence(Item::NotRunning, &why));
        return Ok(());
    };
    let made = match relatives.replica_set.as_ref().and_then(of_template) {
        Some(made) => made,
        None => manifest(pod),
    };
    if let Some(finding) = would_differ(eyes, pod, &made).await? {
        looked.findings.push(finding);
        return Ok(());
    }
    if family.owner() == Owner::Nobody {
        journey.manifest = serde_json::to_string(&made).ok();
    }
    looked.journey = Some(Box::new(journey));
    Ok(())
}

/// Its successor would not wait for its state, but run beside it: our webhook would not be asked about it.
fn not_gated(family: Family<'_>, eyes: &Eyes, installation: &str) -> Option<Finding> {
    let set = family.replica_set?;
    if ["kube-system", installation].contains(&eyes.namespace.as_str()) {
        return Some(Finding::cured(
            Item::Owner,
            &format!(
                "pods of Deployments in the namespace {} are not asked about at their admission, and cannot be moved",
                eyes.namespace
            ),
            "run them in another namespace",
        ));
    }
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let spec = template.and_then(|template| template.spec.as_ref());
    let handler = spec.and_then(|spec| spec.runtime_class_name.as_deref());
    // Of a pod without it that is told already.
    let is_ours = family.pod.spec.as_ref()?.runtime_class_name.as_deref() == Some(HANDLER);
    (is_ours && handler != Some(HANDLER)).then(|| {
        Finding::cured(
            Item::RuntimeClass,
            "its RuntimeClass does not stand in the template of its Deployment, but was put there by somebody else, so that a pod like it would not wait",
            "set runtimeClassName: holdfast in the template",
        )
    })
}

/// Whether a pod like it is let in, and is made equal.
async fn would_differ(eyes: &Eyes, pod: &Pod, made: &Pod) -> Result<Option<Finding>, Error> {
    Ok(match eyes.rehearse(&rehearsed(made)).await {
        Ok(rehearsed) => differs(pod, &rehearsed).map(|path| {
            let what = format!("a pod made after it would not be equal ({path} would differ), and its state would not fit");
            Finding::new(Item::Successor, &what)
        }),
        Err(error) if error.is_refused() => Some(sentence(
            Item::Successor,
            &format!("a pod like it would not be let in any more: {}", chain(&error)),
        )),
        Err(error) => return Err(error),
    })
}

/// Where it goes: the node that is named, or the best one. A dry run is told of all.
async fn target(
    eyes: &Eyes,
    migration: &Migration,
    (from, held): (&Node, &Held),
    looked: &mut Looked,
) -> Result<(), Error> {
    // What keeps it on its node, because it came there by a move, keeps its successor nowhere.
    let Some(pod) = looked.pod.as_ref().map(widened) else {
        return Ok(());
    };
    let given = migration.spec.destination_node.as_ref();
    let nodes: Vec<Node> = match given {
        Some(name) if !migration.spec.dry_run => eyes.node(name).await?.into_iter().collect(),
        _ => eyes.nodes().await?,
    };
    let mut there = Vec::new();
    for node in nodes {
        let pods = eyes.pods_on(&node.name_any()).await?;
        there.push((node, pods));
    }
    let candidates: Vec<_> = there
        .iter()
        .map(|(node, pods)| Candidate {
            node,
            pods,
            held: held.why(&node.name_any()),
        })
        .collect();
    if migration.spec.dry_run {
        looked.nodes = notes(&pod, from, &candidates);
    }
    let chosen = |candidates: &[Candidate<'_>]| pick(&pod, from, given, candidates);
    match chosen(&candidates) {
        Ok((name, patience)) => {
            looked.target = Some(name);
            looked.patience = patience;
        }
        // Nothing but somebody who is at work is in its way.
        Err(why) if chosen(&free(&candidates)).is_ok() => looked.waits(migration, why),
        Err(why) => looked.findings.push(node_sentence(&why)),
    }
    Ok(())
}

/// The node that is named, or the best one: its name, and its kubelet's patience.
fn pick(
    pod: &Pod,
    from: &Node,
    given: Option<&String>,
    candidates: &[Candidate<'_>],
) -> Result<(String, Duration), String> {
    let node = match given {
        None => choose(pod, from, candidates)?,
        Some(name) => match candidates.iter().find(|one| one.node.name_any() == *name) {
            None => return Err(format!("there is no node {name}: see kubectl get nodes")),
            Some(one) => why_not(pod, from, *one).map_or(Ok(one.node), Err)?,
        },
    };
    Ok((node.name_any(), select::patience(node)))
}

/// As they would be if nobody held them.
fn free<'a>(candidates: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    let all = candidates.iter();
    all.map(|one| Candidate { held: None, ..*one }).collect()
}

/// What is said of a node has its cure in it, where there is one.
fn node_sentence(why: &str) -> Finding {
    match why.rsplit_once(": see ") {
        Some((what, cure)) => Finding::cured(Item::Node, what, &format!("see {cure}")),
        None => Finding::new(Item::Node, why),
    }
}

fn notes(pod: &Pod, from: &Node, candidates: &[Candidate<'_>]) -> Vec<NodeNote> {
    let note = |one: &Candidate<'_>| {
        let name = one.node.name_any();
        let why = why_not(pod, from, *one);
        let why = why.map(|why| {
            why.strip_prefix(&format!("{name} "))
                .unwrap_or(&why)
                .to_owned()
        });
        NodeNote { name, why }
    };
    candidates.iter().take(MOST_NODES).map(note).collect()
}
