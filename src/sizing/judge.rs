//! The whole judgement over one pod under review, from what can be seen of the cluster. Pure: what is not in sight is named, and whoever
//! asked may look it up and ask again. The webhook sees its caches, a rehearsal sees files.
//!
//! ```text
//! no DaemonSet ─► not_daemonset     DaemonSet gone ─► no_daemonset     names no template ─► not_annotated
//! else: node ─► template ─► share ─► sized, or already, or left with a reason: unchanged, a warning, a note in the audit log
//! ```

use crate::sizing::admission::{Left, Sized, size};
use crate::sizing::load::{Load, Surroundings};
use crate::sizing::notes::Note;
use crate::sizing::pod::Pod;
use crate::sizing::recipe::Recipe;
use crate::sizing::share::Inputs;
use crate::sizing::view::{Claim, DaemonSetView, LimitRangeView, NodeView, TemplateView};
use crate::webhook::review::Answer;
use std::sync::Arc;

/// What is known of an object.
#[derive(Debug, Clone)]
pub(crate) enum Known<V> {
    There(Arc<V>),
    Absent,
    /// It could not be looked up, and why.
    Failed(&'static str),
}

/// An object that has to be looked up first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing<'a> {
    DaemonSet(Claim<'a>),
    Node(&'a str),
    Template(String),
}

/// What can be seen of the cluster; `None` where it has to be looked up.
pub(crate) trait Sight {
    fn daemonset(&self, claim: Claim) -> Option<Known<DaemonSetView>>;
    fn node(&self, name: &str) -> Option<Known<NodeView>>;
    fn template(&self, name: &str) -> Option<Known<TemplateView>>;
    fn limit_ranges(&self, namespace: &str) -> Vec<Arc<LimitRangeView>>;
    /// What all DaemonSets ask of a node; asked for only where a template depends on it.
    fn load(&self, name: &str, node: &NodeView) -> Load;
}

/// A judgement.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) answer: Answer,
    pub(crate) verdict: &'static str,
    /// Why a pod that should have a share keeps its own resources.
    pub(crate) left: Option<&'static str>,
}

const AUDIT_KEY: &str = "sizing";

/// Judges a pod in a namespace.
///
/// # Errors
/// What has to be looked up first.
pub(crate) fn judge<'a>(
    pod: &'a Pod,
    namespace: &'a str,
    sight: &impl Sight,
) -> Result<Judged, Missing<'a>> {
    let Some(owner) = pod.daemonset() else {
        return Ok(silent("not_daemonset"));
    };
    let claim = Claim {
        namespace,
        name: &owner.name,
        uid: &owner.uid,
        generation: pod.template_generation(),
    };
    let daemonset = match sight.daemonset(claim).ok_or(Missing::DaemonSet(claim))? {
        Known::There(daemonset) => daemonset,
        Known::Absent => return Ok(silent("no_daemonset")),
        Known::Failed(why) => return Ok(left(&Left::Unknown("DaemonSet", why))),
    };
    let Some(template) = daemonset.template.as_deref() else {
        return Ok(silent("not_annotated"));
    };
    let node = match pod.node() {
        Ok(node) => node,
        Err(none) => return Ok(left(&none.into())),
    };
    let found = sight
        .template(template)
        .ok_or_else(|| Missing::Template(template.to_owned()))?;
    let node_view = match sight.node(node).ok_or(Missing::Node(node))? {
        Known::There(view) => view,
        Known::Absent => return Ok(left(&Left::NodeUnknown(node.to_owned()))),
        Known::Failed(why) => return Ok(left(&Left::Unknown("node", why))),
    };
    let recipe = match found {
        Known::There(found) => found,
        Known::Absent => return Ok(left(&Left::TemplateMissing(template.to_owned()))),
        Known::Failed(why) => return Ok(left(&Left::Unknown("template", why))),
    };
    let recipe = match &recipe.recipe {
        Ok(recipe) => recipe,
        Err(why) => {
            let unusable = Left::TemplateUnusable(template.to_owned(), why.clone());
            return Ok(left(&unusable));
        }
    };
    let inputs = Inputs {
        recipe,
        node: &node_view,
        daemonset: &daemonset,
        limit_ranges: &sight.limit_ranges(namespace),
        surroundings: &Surroundings::in_sight(recipe, (node, &node_view), sight),
    };
    Ok(match size(pod, &inputs, template, node) {
        Ok(sized) => given(sized),
        Err(reason) => left(&reason),
    })
}

impl Surroundings {
    /// Of a node that can be seen.
    pub(crate) fn in_sight(
        recipe: &Recipe,
        (name, node): (&str, &NodeView),
        sight: &impl Sight,
    ) -> Self {
        Self::see(recipe, node, || Some(sight.load(name, node))).unwrap_or_default()
    }
}

fn silent(verdict: &'static str) -> Judged {
    Judged {
        answer: Answer::default(),
        verdict,
        left: None,
    }
}

fn left(reason: &Left) -> Judged {
    Judged {
        answer: Answer {
            warnings: vec![reason.sentence()],
            audit: vec![(AUDIT_KEY, format!("unchanged: {}", reason.reason()))],
            ..Answer::default()
        },
        verdict: "left",
        left: Some(reason.reason()),
    }
}

fn given(sized: Sized) -> Judged {
    let verdict = if sized.patch.is_some() {
        "sized"
    } else {
        "already"
    };
    let told = |note: &&Note| !matches!(note, Note::Absent(_) | Note::LimitRaised(..));
    let warnings = sized.desired.notes.iter().filter(told);
    Judged {
        answer: Answer {
            warnings: warnings.map(Note::to_string).collect(),
            audit: vec![(AUDIT_KEY, [verdict, ": ", &sized.summary].concat())],
            patch: sized.patch,
            refusal: None,
        },
        verdict,
        left: None,
    }
}

#[cfg(test)]
mod tests;
