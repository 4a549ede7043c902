//! What is answered to the review of a pod: the patch that gives it its share, or why it is left as it is. Pure.

use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::desire::{Desired, Wanted, desire};
use crate::sizing::notes::Note;
use crate::sizing::patch::patch;
use crate::sizing::pod::{MOST_CONTAINERS, Pod};
use crate::sizing::share::Inputs;
use crate::sizing::target::NoNode;

/// Why a pod of a DaemonSet that names a template is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Left {
    NodeUnnamed,
    NodeSeveral,
    NodeUnknown(String),
    TemplateMissing(String),
    TemplateUnusable(String, String),
    PodResources,
    TooManyContainers,
    /// Something could not be looked up in time: what, and why.
    Unknown(&'static str, &'static str),
    /// None of the shares can be given, and why.
    NothingToGive(Vec<Note>),
}

impl Left {
    /// In a word, for metrics and the audit log.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NodeUnnamed => "node_unnamed",
            Self::NodeSeveral => "node_several",
            Self::NodeUnknown(_) => "node_unknown",
            Self::TemplateMissing(_) => "template_missing",
            Self::TemplateUnusable(..) => "template_unusable",
            Self::PodResources => "pod_resources",
            Self::TooManyContainers => "too_many_containers",
            Self::Unknown(..) => "lookup_failed",
            Self::NothingToGive(_) => "nothing_to_give",
        }
    }

    /// In a sentence, for whoever made the pod.
    pub(crate) fn sentence(&self) -> String {
        let why = match self {
            Self::NodeUnnamed => "its affinity names no node".into(),
            Self::NodeSeveral => "its affinity names several nodes".into(),
            Self::NodeUnknown(node) => format!("node {node} is not known"),
            Self::TemplateMissing(template) => {
                format!("there is no FlexDaemonsetTemplate {template}")
            }
            Self::TemplateUnusable(template, why) => {
                format!("FlexDaemonsetTemplate {template} cannot be used: {why}")
            }
            Self::PodResources => "it has resources for the pod as a whole".into(),
            Self::TooManyContainers => format!("it has more than {MOST_CONTAINERS} containers"),
            Self::Unknown(what, why) => format!("its {what} could not be looked up ({why})"),
            Self::NothingToGive(notes) => {
                let told: Vec<_> = notes.iter().map(Note::to_string).collect();
                format!("there is nothing to give: {}", told.join("; "))
            }
        };
        format!("this pod keeps its own resources instead of a share of its node: {why}")
    }
}

impl From<NoNode> for Left {
    fn from(none: NoNode) -> Self {
        match none {
            NoNode::Unnamed => Self::NodeUnnamed,
            NoNode::Several => Self::NodeSeveral,
        }
    }
}

/// A pod with its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sized {
    /// None where the pod has its share already.
    pub(crate) patch: Option<String>,
    pub(crate) desired: Desired,
    /// The share in a line.
    pub(crate) summary: String,
}

/// Gives a pod its share.
///
/// # Errors
/// Why it is left as it is.
pub(crate) fn size(pod: &Pod, inputs: &Inputs, template: &str, node: &str) -> Result<Sized, Left> {
    if pod.has_pod_resources() {
        return Err(Left::PodResources);
    }
    if pod.containers().count() > MOST_CONTAINERS {
        return Err(Left::TooManyContainers);
    }
    let slots = pod.slots();
    let desired = desire(inputs, &slots);
    if desired
        .containers
        .iter()
        .all(|wanted| *wanted == Wanted::default())
    {
        return Err(Left::NothingToGive(desired.notes));
    }
    let summary = summary(&desired.sum(&slots), template, node);
    let patch = patch(pod, &slots, &desired, &summary);
    Ok(Sized {
        patch,
        desired,
        summary,
    })
}

/// Such as `cpu=392m memory=2400Mi of node n1 by template default`.
fn summary(given: &Amounts, template: &str, node: &str) -> String {
    let mut line = String::with_capacity(160);
    for resource in Resource::ALL {
        if let Some(amount) = given.of(resource) {
            line.push_str(resource.key());
            line.push('=');
            resource.write(*amount, &mut line);
            line.push(' ');
        }
    }
    line.push_str("of node ");
    line.push_str(node);
    line.push_str(" by template ");
    line.push_str(template);
    line
}
