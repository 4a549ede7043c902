//! What a change would mean for the pods that run, by the controller's own rules: which would be resized in place, and which only a new
//! pod could have.

use super::Trial;
use super::given::{Memory, desired};
use crate::sizing::api::Remedy;
use crate::sizing::desire::Wanted;
use crate::sizing::recipe::Recipe;
use crate::sizing::resizing::{Way, difference, way};
use crate::sizing::snapshot::Named;
use crate::sizing::standing::was_sized;
use crate::sizing::view::{DaemonSetView, NodeView, PodView};
use serde::Serialize;

/// How many pods come to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fates {
    /// They have what they should have.
    pub(crate) unchanged: usize,
    /// They would be resized in place.
    pub(crate) resized: usize,
    /// They would be deleted, and made anew, as the template allows.
    pub(crate) recreated: usize,
    /// Only new pods could have it, and the template does not say that pods are to be deleted for it.
    pub(crate) needs_recreate: usize,
    /// The template says that running pods stay as they are.
    pub(crate) kept: usize,
}

/// Counts the pods of a DaemonSet on a node.
pub(super) fn count(
    fates: &mut Fates,
    trial: &Trial,
    after: &Memory,
    (named, now): (&Named, &DaemonSetView),
    (name, node): (&str, &NodeView),
) {
    let former = trial.before.daemonset(&named.0, &named.1);
    let uid = former.map_or(&now.uid, |former| &former.uid);
    let is_here = |pod: &PodView| {
        pod.owner == *uid && pod.node.as_deref() == Some(name) && !pod.is_over && !pod.is_leaving
    };
    let recipe = now.template.as_deref();
    let recipe = recipe.and_then(|template| trial.after.recipe(template));
    let pods = trial.after.pods();
    for (_, pod) in pods.filter(|((namespace, _), pod)| *namespace == named.0 && is_here(pod)) {
        let place = (name, node);
        let wanted = desired(after, (named, now), place, &pod.containers);
        let count = match (wanted, recipe) {
            (Ok(Some(desired)), Some(recipe)) if !pod.has_pod_resources => {
                fates.of(pod, &desired.containers, recipe, was_sized(now, pod))
            }
            _ => &mut fates.unchanged,
        };
        *count = count.saturating_add(1);
    }
}

impl Fates {
    /// Where a pod counts that should have this.
    fn of(
        &mut self,
        pod: &PodView,
        wanted: &[Wanted],
        recipe: &Recipe,
        was_sized: bool,
    ) -> &mut usize {
        let found = difference(&pod.containers, wanted);
        if found.is_settled(was_sized) {
            return &mut self.unchanged;
        }
        let (remedy, _) = recipe.remedy(was_sized);
        match (way(&pod.containers, wanted, &found), remedy) {
            (_, Remedy::Keep) => &mut self.kept,
            (Way::Whole, _) => &mut self.resized,
            (Way::Part | Way::Storage | Way::Class(..), Remedy::Recreate) => &mut self.recreated,
            (Way::Part | Way::Storage | Way::Class(..), Remedy::Resize) => &mut self.needs_recreate,
        }
    }
}
