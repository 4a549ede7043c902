//! What is seen in one pass: a template's DaemonSets, their pods and the nodes these run on. Values alone; `reconcile` fills them.

use crate::sizing::desire::Wanted;
use crate::sizing::load::Surroundings;
use crate::sizing::recipe::Recipe;
use crate::sizing::share::Inputs;
use crate::sizing::view::{DaemonSetView, LimitRangeView, NodeView, PodView};
use jiff::Timestamp;
use std::sync::Arc;

/// All that a pass over one template looks at.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    /// What the template says, or why it cannot be used.
    pub(crate) recipe: Result<Recipe, String>,
    /// When the template was made.
    pub(crate) created: Timestamp,
    /// In the order of namespaces and names.
    pub(crate) crews: Vec<Crew>,
    /// No pod can be resized now, and why.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) now: Timestamp,
}

/// A DaemonSet that names the template, and its pods.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crew {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) view: Arc<DaemonSetView>,
    /// Why pods of its namespace are not sized.
    pub(crate) exclusion: Option<String>,
    pub(crate) limit_ranges: Vec<Arc<LimitRangeView>>,
    pub(crate) pods: Vec<Seen>,
}

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) name: Arc<str>,
    pub(crate) view: Arc<PodView>,
    /// The name of its node, and the node, where that is known.
    pub(crate) place: Option<(Arc<str>, Place)>,
    pub(crate) tried: Option<Tried>,
}

/// A node, and what else is there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) node: Arc<NodeView>,
    pub(crate) surroundings: Surroundings,
}

/// What was asked of the API server for a pod a moment ago, and may not be seen yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// A resize, which was accepted.
    Asked(Vec<Wanted>),
    /// A resize, which was not.
    Refused(Vec<Wanted>, Refusal),
    Deleted,
}

/// Why the API server does not resize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Only a new pod can have other resources.
    pub(crate) is_final: bool,
}

impl Crew {
    /// All that the share of a pod depends on.
    pub(crate) fn inputs<'a>(&'a self, recipe: &'a Recipe, place: &'a Place) -> Inputs<'a> {
        Inputs {
            recipe,
            node: &place.node,
            daemonset: &self.view,
            limit_ranges: &self.limit_ranges,
            surroundings: &place.surroundings,
        }
    }
}

impl Seen {
    /// It is there, and goes on being there.
    pub(crate) fn is_here(&self) -> bool {
        !self.is_going() && !self.view.is_over
    }

    pub(crate) fn is_going(&self) -> bool {
        self.view.is_leaving || self.tried == Some(Tried::Deleted)
    }
}

#[cfg(test)]
pub(crate) mod scene;
