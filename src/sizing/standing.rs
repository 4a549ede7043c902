//! How one pod stands to its share, and what could be done about it. Pure.
//!
//! | the pod | it counts as | and |
//! |---|---|---|
//! | is in a namespace that is left out, or has resources for the pod as a whole | unsized | is never touched |
//! | is of another generation than its DaemonSet's pod template, its node is not known, its template cannot be used | as its annotation says | is left alone |
//! | has what it should have, and no resize is open | sized | |
//! | was sized, and differs by less than a hundredth everywhere | sized | |
//! | was sized, or has been repaired, and differs | stale | `onChange` says what is done |
//! | else | unsized | `repair` says what is done |

use crate::sizing::api::Remedy;
use crate::sizing::desire::{Desired, Slot, Wanted, desire};
use crate::sizing::notes::Note;
use crate::sizing::observed::{Crew, Observed, Refusal, Seen, Tried};
use crate::sizing::recipe::Recipe;
use crate::sizing::resizing::{Difference, Way, difference, way};
use crate::sizing::view::{DaemonSetView, PodView, Resize, Role};
use jiff::SignedDuration;

/// How long a resize that the node has no room for counts as one that will be done in a moment.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(3);

/// The words for what keeps a pod from its share.
pub(crate) mod reasons {
    pub(crate) const NAMESPACE_EXCLUDED: &str = "NamespaceExcluded";
    pub(crate) const POD_RESOURCES: &str = "PodResources";
    pub(crate) const ROLLING_OUT: &str = "RollingOut";
    pub(crate) const NODE_UNKNOWN: &str = "NodeUnknown";
    pub(crate) const TEMPLATE_UNUSABLE: &str = "TemplateUnusable";
    pub(crate) const KEPT: &str = "Kept";
    pub(crate) const WAITING: &str = "Waiting";
    pub(crate) const QOS_CLASS: &str = "QosClass";
    pub(crate) const STORAGE: &str = "StorageCannotBeResized";
    pub(crate) const DEFERRED: &str = "Deferred";
    pub(crate) const INFEASIBLE: &str = "Infeasible";
    pub(crate) const RESIZE_FAILED: &str = "ResizeFailed";
    pub(crate) const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// The API server refuses this change.
    pub(crate) const REFUSED: &str = "ResizeRefused";
    /// We lack the right.
    pub(crate) const FORBIDDEN: &str = "ResizeForbidden";
    /// The API server knows no resize.
    pub(crate) const UNSUPPORTED: &str = "ResizeUnsupported";
    /// A new pod has to wait for the roll-out of others.
    pub(crate) const NOT_RECREATED: &str = "WaitsToBeRecreated";
}

/// What a pod counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Sized,
    Unsized,
    Stale,
}

/// What could be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Course {
    Nothing,
    /// A resize in place, to this.
    Resize {
        wanted: Vec<Wanted>,
        is_decrease: bool,
    },
    /// The pod is deleted, and its DaemonSet makes it anew.
    Recreate,
}

/// Why, in a word and in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// How a pod stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// It is in the middle of a resize.
    pub(crate) is_resizing: bool,
    pub(crate) needs_recreate: bool,
    pub(crate) course: Course,
    pub(crate) why: Option<Why>,
    pub(crate) notes: Vec<Note>,
}

impl Standing {
    fn left(state: State, reason: &'static str, message: String) -> Self {
        let why = (state != State::Sized).then_some(Why { reason, message });
        Self {
            state,
            is_resizing: false,
            needs_recreate: false,
            course: Course::Nothing,
            why,
            notes: Vec::new(),
        }
    }

    fn because(mut self, reason: &'static str, message: impl Into<String>) -> Self {
        self.why = Some(Why {
            reason,
            message: message.into(),
        });
        self
    }
}

/// How a pod stands.
pub(crate) fn standing(seen: &Observed, crew: &Crew, pod: &Seen) -> Standing {
    let view = &pod.view;
    let by_annotation = if view.was_sized {
        State::Sized
    } else {
        State::Unsized
    };
    if let Some(exclusion) = &crew.exclusion {
        return Standing::left(
            State::Unsized,
            reasons::NAMESPACE_EXCLUDED,
            exclusion.clone(),
        );
    }
    if view.has_pod_resources {
        let message = "it has resources for the pod as a whole, which are left as they are";
        return Standing::left(State::Unsized, reasons::POD_RESOURCES, message.into());
    }
    let recipe = match &seen.recipe {
        Ok(recipe) => recipe,
        Err(why) => {
            return Standing::left(by_annotation, reasons::TEMPLATE_UNUSABLE, why.clone());
        }
    };
    if is_of_another_generation(crew, pod) {
        let message = "it is of an older generation of its DaemonSet's pod template, and about to be replaced by the roll-out";
        return Standing::left(by_annotation, reasons::ROLLING_OUT, message.into());
    }
    let Some((_, place)) = &pod.place else {
        let node = view.node.as_deref().unwrap_or("that it is to run on");
        let message = format!("the node {node} is not known");
        return Standing::left(by_annotation, reasons::NODE_UNKNOWN, message);
    };
    let slots: Vec<Slot> = view.containers.iter().map(Slot::from).collect();
    let desired = desire(&crew.inputs(recipe, place), &slots);
    compare(seen, crew, pod, recipe, desired)
}

/// Numbers of pod templates are told by labels and annotations that may be missing: then there is one generation.
pub(crate) fn is_of_another_generation(crew: &Crew, pod: &Seen) -> bool {
    match (crew.view.template_generation, pod.view.template_generation) {
        (Some(current), Some(own)) => current != own,
        _ => false,
    }
}

fn compare(
    seen: &Observed,
    crew: &Crew,
    pod: &Seen,
    recipe: &Recipe,
    desired: Desired,
) -> Standing {
    let view = &pod.view;
    let found = difference(&view.containers, &desired.containers);
    let was_sized = was_sized(&crew.view, view);
    let is_as_wanted = found.is_settled(was_sized);
    let standing = Standing {
        state: match was_sized {
            _ if is_as_wanted && view.resize == Resize::None => State::Sized,
            true => State::Stale,
            false => State::Unsized,
        },
        is_resizing: false,
        needs_recreate: false,
        course: Course::Nothing,
        why: None,
        notes: desired.notes,
    };
    if standing.state == State::Sized {
        return standing;
    }
    let (remedy, field) = recipe.remedy(was_sized);
    let standing = open_resize(standing, &view.resize);
    if !is_as_wanted && remedy == Remedy::Keep {
        return standing.because(reasons::KEPT, format!("the template says {field}: Keep"));
    }
    let mut standing = if is_as_wanted {
        standing
    } else {
        remedied(standing, seen, pod, found, desired.containers)
    };
    // A pod that cannot have its share in place is made anew, if that is allowed.
    let is_stuck = standing.needs_recreate && standing.course == Course::Nothing;
    if is_stuck && remedy == Remedy::Recreate {
        standing.course = Course::Recreate;
    }
    standing
}

/// What can be done for a pod that is not as it should be.
fn remedied(
    mut standing: Standing,
    seen: &Observed,
    pod: &Seen,
    found: Difference,
    wanted: Vec<Wanted>,
) -> Standing {
    match &pod.tried {
        Some(Tried::Asked(_)) => {
            standing.is_resizing = true;
            standing.needs_recreate = false;
            return standing;
        }
        Some(Tried::Refused(refused_before, refusal)) if *refused_before == wanted => {
            return refused(standing, refusal);
        }
        _ => {}
    }
    standing.needs_recreate = true;
    match way(&pod.view.containers, &wanted, &found) {
        Way::Storage => {
            let message = "its ephemeral storage cannot be resized in place: only a new pod has it";
            return standing.because(reasons::STORAGE, message);
        }
        Way::Class(before, after) => {
            let message = format!(
                "a resize cannot make a pod of QoS class {} one of class {}: only a new pod has its share",
                before.name(),
                after.name()
            );
            return standing.because(reasons::QOS_CLASS, message);
        }
        Way::Part | Way::Whole => {}
    }
    if let Some(refusal) = &seen.refusal {
        return refused(standing, refusal);
    }
    standing.needs_recreate = found.is_of_storage;
    standing.course = Course::Resize {
        wanted,
        is_decrease: found.is_decrease,
    };
    standing
}

/// What the kubelet says of a resize that was asked for before.
fn open_resize(mut standing: Standing, resize: &Resize) -> Standing {
    let said = |why: &str| {
        if why.is_empty() {
            "the kubelet does not say why".to_owned()
        } else {
            why.to_owned()
        }
    };
    match resize {
        Resize::None => standing,
        Resize::InProgress => {
            standing.is_resizing = true;
            standing
        }
        Resize::Deferred(why) => {
            standing.is_resizing = true;
            standing.because(reasons::DEFERRED, said(why))
        }
        Resize::Failed(why) => {
            standing.is_resizing = true;
            standing.because(reasons::RESIZE_FAILED, said(why))
        }
        Resize::Infeasible(why) => {
            standing.needs_recreate = true;
            standing.because(reasons::INFEASIBLE, said(why))
        }
    }
}

fn refused(mut standing: Standing, refusal: &Refusal) -> Standing {
    standing.needs_recreate = refusal.is_final;
    standing.because(refusal.reason, refusal.message.clone())
}

/// Whether a pod was given a share, at admission or since. A resize leaves no annotation: a pod whose resources are not those that its
/// DaemonSet states was given others since. What the DaemonSet does not state may be a default of a LimitRange, and tells nothing.
pub(crate) fn was_sized(daemonset: &DaemonSetView, pod: &PodView) -> bool {
    if pod.was_sized {
        return true;
    }
    let own = |name: &str| {
        let mut all = daemonset.containers.iter();
        all.find(|own| *own.name == *name)
    };
    let now = pod.containers.iter();
    let mut running = now.filter(|container| container.role != Role::Init);
    running.any(|now| {
        let Some(own) = own(&now.name) else {
            return false;
        };
        [(own.requests, now.requests), (own.limits, now.limits)]
            .into_iter()
            .any(|(own, now)| {
                let differs = |own: Option<_>, now| own.is_some() && own != now;
                differs(own.cpu, now.cpu) || differs(own.memory, now.memory)
            })
    })
}

#[cfg(test)]
mod tests;
