//! What a DaemonSet's pod gets on a node of one snapshot.

use crate::sizing::desire::{Desired, Slot, desire};
use crate::sizing::judge::{Known, Sight};
use crate::sizing::load::{Load, Surroundings};
use crate::sizing::share::Inputs;
use crate::sizing::snapshot::{Named, Snapshot};
use crate::sizing::view::{
    Claim, ContainerView, DaemonSetView, LimitRangeView, NodeView, TemplateView,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot that adds up what DaemonSets ask of a node only once.
pub(super) struct Memory<'a> {
    pub(super) snapshot: &'a Snapshot,
    loads: RefCell<BTreeMap<String, Load>>,
}

impl<'a> Memory<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            loads: RefCell::default(),
        }
    }
}

impl Sight for Memory<'_> {
    fn daemonset(&self, claim: Claim) -> Option<Known<DaemonSetView>> {
        Sight::daemonset(self.snapshot, claim)
    }

    fn node(&self, name: &str) -> Option<Known<NodeView>> {
        Sight::node(self.snapshot, name)
    }

    fn template(&self, name: &str) -> Option<Known<TemplateView>> {
        Sight::template(self.snapshot, name)
    }

    fn limit_ranges(&self, namespace: &str) -> Vec<Arc<LimitRangeView>> {
        self.snapshot.limit_ranges(namespace)
    }

    fn load(&self, name: &str, node: &NodeView) -> Load {
        let known = self.loads.borrow().get(name).copied();
        known.unwrap_or_else(|| {
            let load = self.snapshot.load(name, node);
            self.loads.borrow_mut().insert(name.to_owned(), load);
            load
        })
    }
}

/// What a DaemonSet's pod on a node gets.
pub(super) struct Given {
    pub(super) containers: Vec<ContainerView>,
    pub(super) desired: Option<Desired>,
    /// Why it keeps its own resources although it names a template.
    pub(super) left: Option<&'static str>,
}

impl Given {
    pub(super) fn of(
        memory: &Memory,
        (named, daemonset): (&Named, &DaemonSetView),
        node: (&str, &NodeView),
    ) -> Self {
        let containers = &daemonset.containers;
        match desired(memory, (named, daemonset), node, containers) {
            Ok(desired) => Self {
                containers: desired.as_ref().map_or_else(
                    || containers.clone(),
                    |desired| desired.given_to(containers),
                ),
                desired,
                left: None,
            },
            Err(why) => Self {
                containers: containers.clone(),
                desired: None,
                left: Some(why),
            },
        }
    }
}

/// What a pod with these containers should have; nothing if its DaemonSet names no template, and why it keeps its own.
pub(super) fn desired(
    memory: &Memory,
    (named, daemonset): (&Named, &DaemonSetView),
    (name, node): (&str, &NodeView),
    containers: &[ContainerView],
) -> Result<Option<Desired>, &'static str> {
    let Some(template) = daemonset.template.as_deref() else {
        return Ok(None);
    };
    if memory.snapshot.exclusion(&named.0).is_some() {
        return Err("its namespace is left out");
    }
    if daemonset.whole.is_some() {
        return Err("resources of the pod as a whole");
    }
    let recipe = memory.snapshot.recipe(template);
    let recipe = recipe.ok_or("no such template")?;
    let inputs = Inputs {
        recipe,
        node,
        daemonset,
        limit_ranges: &memory.limit_ranges(&named.0),
        surroundings: &Surroundings::in_sight(recipe, (name, node), memory),
    };
    let slots: Vec<_> = containers.iter().map(Slot::from).collect();
    Ok(Some(desire(&inputs, &slots)))
}
