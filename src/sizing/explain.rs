//! How the share of one DaemonSet's pod on one node comes about, from the webhook's own code: what it depends on, each step of the
//! formula, what each container gets and why, the patch, and, where a pod runs there, what it has now. Pure.

mod pods;
mod resources;
#[cfg(test)]
mod tests;

pub(crate) use pods::RunningPod;
pub(crate) use resources::{ContainerAmount, ContainerPart, ResourceShare};

use crate::kit::error::Error;
use crate::kit::names;
use crate::sizing::api::Base;
use crate::sizing::desire::desire;
use crate::sizing::findings;
use crate::sizing::judge::{Judged, Sight, judge};
use crate::sizing::load::Surroundings;
use crate::sizing::newborn;
use crate::sizing::pod::Pod;
use crate::sizing::share::Inputs;
use crate::sizing::snapshot::Snapshot;
use crate::sizing::view::{DaemonSetView, NodeView};
use serde::Serialize;
use serde_json::Value;

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) node: &'a str,
}

/// How a share comes about.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    #[serde(rename = "daemonSet")]
    pub(crate) daemonset: String,
    pub(crate) node: String,
    pub(crate) template: String,
    /// What the webhook does: `sized`, `already`, `left`, or `excluded`, where it is not asked.
    pub(crate) verdict: &'static str,
    /// Why the pod keeps its own resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Whether a pod of the DaemonSet lands on this node.
    pub(crate) lands: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) obstacle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Base>,
    /// The entry of the template that counts on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overridden_by: Option<String>,
    pub(crate) limit_ranges: Vec<String>,
    pub(crate) resources: Vec<ResourceShare>,
    pub(crate) containers: Vec<ContainerPart>,
    pub(crate) notes: Vec<String>,
    /// The line that the pod's annotation says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<String>,
    /// What the webhook changes in the pod that the DaemonSet controller makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patch: Option<Value>,
    /// The pod that is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<RunningPod>,
}

/// Explains a share.
///
/// # Errors
/// There is no such DaemonSet or node, or the DaemonSet names no template: what to change.
pub(crate) fn explain(snapshot: &Snapshot, asked: &Question) -> Result<Explanation, Error> {
    let (daemonset, node) = find(snapshot, asked)?;
    let Some(template) = daemonset.template.as_deref() else {
        return Err(no_template(snapshot, asked));
    };
    let written = snapshot.daemonset_as_written(asked.namespace, asked.name);
    let limit_ranges = snapshot.limit_ranges_as_written(asked.namespace);
    let born = newborn::pod(written.unwrap_or(&Value::Null), asked.node, &limit_ranges);
    let text = born.to_string();
    let pod: Pod = serde_json::from_str(&text).map_err(|error| Error::Invalid {
        what: format!("the pod template of {}/{}", asked.namespace, asked.name),
        why: error.to_string(),
    })?;
    let judged = judge(&pod, asked.namespace, snapshot).map_err(|missing| Error::Invalid {
        what: "the cluster".into(),
        why: format!("{missing:?} is not in it"),
    })?;
    let obstacle = daemonset.landing.obstacle(asked.node, node);
    let mut explanation = Explanation {
        daemonset: format!("{}/{}", asked.namespace, asked.name),
        node: asked.node.to_owned(),
        template: template.to_owned(),
        lands: obstacle.is_none(),
        obstacle,
        ..Explanation::default()
    };
    explanation.judged(&judged);
    if let Some(exclusion) = snapshot.exclusion(asked.namespace) {
        explanation.verdict = "excluded";
        explanation.reason = Some(exclusion.sentence(asked.namespace));
        explanation.patch = None;
        explanation.share = None;
    }
    explanation.tell(snapshot, asked, &pod);
    Ok(explanation)
}

/// The DaemonSet and the node, or what may have been meant.
pub(crate) fn find<'a>(
    snapshot: &'a Snapshot,
    asked: &Question,
) -> Result<(&'a DaemonSetView, &'a NodeView), Error> {
    let Some(daemonset) = snapshot.daemonset(asked.namespace, asked.name) else {
        let known: Vec<_> = snapshot
            .daemonsets()
            .map(|((namespace, name), _)| format!("{namespace}/{name}"))
            .collect();
        let path = format!("{}/{}", asked.namespace, asked.name);
        return Err(findings::absent("DaemonSet", &path, &known));
    };
    let Some(node) = snapshot.node(asked.node) else {
        let known: Vec<_> = snapshot.nodes().map(|(name, _)| name.to_string()).collect();
        return Err(findings::absent("Node", asked.node, &known));
    };
    Ok((daemonset, node))
}

fn no_template(snapshot: &Snapshot, asked: &Question) -> Error {
    let mut known: Vec<_> = snapshot
        .templates()
        .map(|(name, _)| name.as_ref())
        .collect();
    known.truncate(5);
    let known = if known.is_empty() {
        "TEMPLATE".to_owned()
    } else {
        known.join("|")
    };
    Error::Invalid {
        what: format!("DaemonSet {}/{}", asked.namespace, asked.name),
        why: format!(
            "it names no template, so its pods keep their own resources; to give them a share: kubectl annotate daemonset {} -n {} {}={known}",
            asked.name,
            asked.namespace,
            names::TEMPLATE_ANNOTATION
        ),
    }
}

impl Explanation {
    /// What the webhook answers.
    fn judged(&mut self, judged: &Judged) {
        self.verdict = judged.verdict;
        if judged.left.is_some() {
            self.reason = judged.answer.warnings.first().cloned();
        } else {
            self.share = judged.answer.audit.first().map(|(_, line)| {
                let said = line.split_once(": ").map_or(&**line, |(_, said)| said);
                said.to_owned()
            });
        }
        let patch = judged.answer.patch.as_deref();
        self.patch = patch.and_then(|patch| serde_json::from_str(patch).ok());
    }

    /// How the answer comes about, where the template can be used.
    fn tell(&mut self, snapshot: &Snapshot, asked: &Question, pod: &Pod) {
        let recipe = snapshot.recipe(&self.template);
        let daemonset = snapshot.daemonset(asked.namespace, asked.name);
        let (Some(recipe), Some(daemonset), Some(node)) =
            (recipe, daemonset, snapshot.node(asked.node))
        else {
            return;
        };
        if daemonset.whole.is_some() {
            return;
        }
        let limit_ranges = snapshot.limit_ranges(asked.namespace);
        let inputs = Inputs {
            recipe,
            node,
            daemonset,
            limit_ranges: &limit_ranges,
            surroundings: &Surroundings::in_sight(recipe, (asked.node, node), snapshot),
        };
        let slots = pod.slots();
        let desired = desire(&inputs, &slots);
        self.base = Some(recipe.base);
        self.overridden_by = recipe
            .override_on(&node.labels)
            .map(|at| format!("nodeOverrides[{at}]"));
        self.limit_ranges = limit_ranges
            .iter()
            .map(|one| one.name.to_string())
            .collect();
        self.resources = resources::shares(&inputs, &desired);
        self.containers = resources::containers(&inputs, &slots, &desired);
        self.notes = desired.notes.iter().map(ToString::to_string).collect();
        let unknown = findings::unknown_containers(recipe, daemonset).into_iter();
        self.notes.extend(unknown.map(|container| {
            format!("the template names container {container}, which the DaemonSet does not have")
        }));
        self.pod = pods::running(snapshot, asked, &inputs);
    }
}
