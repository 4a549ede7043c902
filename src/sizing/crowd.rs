//! All DaemonSets of a cluster as its nodes meet them: where their pods land, and whether these are given shares or keep what they ask
//! for by themselves. Pure.

use crate::sizing::recipe::Recipe;
use crate::sizing::view::{DaemonSetView, TemplateView};
use std::sync::Arc;

/// A DaemonSet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) daemonset: &'a DaemonSetView,
    /// Of its pods' shares; none: they keep their own resources.
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
}

impl Entry {
    fn member(&self) -> Member<'_> {
        let template = self.template.as_deref();
        Member {
            daemonset: &self.daemonset,
            recipe: template.and_then(|template| template.recipe.as_ref().ok()),
        }
    }
}

impl Crowd {
    /// Takes a DaemonSet in, with the template that it names, if there is one.
    pub(crate) fn add(
        &mut self,
        daemonset: Arc<DaemonSetView>,
        template: Option<Arc<TemplateView>>,
    ) {
        self.0.push(Entry {
            daemonset,
            template,
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
    ) -> Self {
        self.0.retain(|known| known.daemonset.uid != daemonset.uid);
        self.add(Arc::new(daemonset), template);
        self
    }
}
