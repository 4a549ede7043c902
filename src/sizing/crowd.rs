//! All DaemonSets of a cluster as its nodes meet them: where their pods land, and whether these are given shares or keep what they ask
//! for by themselves. Pure.

use crate::sizing::recipe::Recipe;
use crate::sizing::view::{DaemonSetView, TemplateView};
use std::sync::Arc;

/// A DaemonSet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) daemonset: &'a DaemonSetView,
    /// Of its pods' shares; none: they keep their own resources, because it names no template, or one that cannot be used, or because
    /// its namespace is left out, or its pods have resources as a whole.
    pub(crate) recipe: Option<&'a Recipe>,
}

/// All DaemonSets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    daemonset: Arc<DaemonSetView>,
    /// The one that it names, if there is one.
    template: Option<Arc<TemplateView>>,
    /// Pods of its namespace are not sized.
    is_excluded: bool,
}

impl Entry {
    fn member(&self) -> Member<'_> {
        let is_sized = !self.is_excluded && self.daemonset.whole.is_none();
        let template = self.template.as_deref().filter(|_| is_sized);
        Member {
            daemonset: &self.daemonset,
            recipe: template.and_then(|template| template.recipe.as_ref().ok()),
        }
    }
}

impl Crowd {
    /// Takes a DaemonSet in, with the template that it names, if there is one, and whether pods of its namespace are not sized.
    pub(crate) fn add(
        &mut self,
        daemonset: Arc<DaemonSetView>,
        template: Option<Arc<TemplateView>>,
        is_excluded: bool,
    ) {
        self.0.push(Entry {
            daemonset,
            template,
            is_excluded,
        });
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> + Clone {
        self.0.iter().map(Entry::member)
    }

    /// The same, with this template as it is to be.
    pub(crate) fn with_template(mut self, name: &str, recipe: Recipe) -> Self {
        let template = Arc::new(TemplateView {
            uid: "".into(),
            generation: 0,
            recipe: Ok(recipe),
        });
        let entries = self.0.iter_mut();
        for entry in entries.filter(|entry| entry.daemonset.template.as_deref() == Some(name)) {
            entry.template = Some(Arc::clone(&template));
        }
        self
    }

    /// The same, with this DaemonSet as it is to be.
    pub(crate) fn with_daemonset(
        mut self,
        daemonset: DaemonSetView,
        template: Option<Arc<TemplateView>>,
        is_excluded: bool,
    ) -> Self {
        self.0.retain(|known| known.daemonset.uid != daemonset.uid);
        self.add(Arc::new(daemonset), template, is_excluded);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::amounts::Amounts;
    use crate::sizing::testkit::Cluster;
    use serde_json::json;

    /// A DaemonSet that names a template.
    fn named() -> (DaemonSetView, Arc<TemplateView>) {
        let cluster = Cluster::default()
            .template("t", json!({ "cpuPercentage": 10 }))
            .daemonset("d", Some("t"), Vec::new());
        let view = (*cluster.daemonsets["d"]).clone();
        (view, Arc::clone(&cluster.templates["t"]))
    }

    fn are_sized(crowd: &Crowd) -> bool {
        crowd.members().all(|member| member.recipe.is_some())
    }

    #[test]
    fn pods_that_are_never_sized_keep_their_own_whatever_becomes_of_the_template() {
        let (plain, template) = named();
        let mut whole = plain.clone();
        whole.whole = Some(Amounts::default());
        for (daemonset, is_excluded, is_sized) in [
            (&plain, false, true),
            (&plain, true, false),
            (&whole, false, false),
        ] {
            let mut crowd = Crowd::default();
            let known = Some(Arc::clone(&template));
            crowd.add(Arc::new(daemonset.clone()), known.clone(), is_excluded);
            assert_eq!(are_sized(&crowd), is_sized);
            let recipe = template.recipe.clone().unwrap();
            assert_eq!(
                are_sized(&crowd.clone().with_template("t", recipe)),
                is_sized
            );
            let again = crowd.with_daemonset(daemonset.clone(), known, is_excluded);
            assert_eq!((again.0.len(), are_sized(&again)), (1, is_sized));
        }
    }
}
