//! Nodes that differ in nothing that a DaemonSet or template looks at are of one kind, and computed once: a cluster of thousands has few
//! kinds. Pure.

use crate::sizing::amounts::Amounts;
use crate::sizing::crowd::Crowd;
use crate::sizing::view::{NodeView, Taint};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Nodes that are alike.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kind {
    /// The first of them.
    pub(crate) name: Arc<str>,
    pub(crate) node: Arc<NodeView>,
    pub(crate) count: usize,
}

/// The kinds of some nodes.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    pub(crate) all: Vec<Kind>,
    /// The kind of each node, in the order in which they came, by its place among all.
    pub(crate) of_nodes: Vec<usize>,
}

/// What DaemonSets and templates look at in a node.
#[derive(Default)]
struct Interest<'a> {
    labels: BTreeSet<&'a str>,
    names: BTreeSet<&'a str>,
}

/// What tells kinds of nodes apart.
type Key<'n> = (Amounts, Vec<Option<&'n str>>, &'n [Taint], Option<&'n str>);

impl<'a> Interest<'a> {
    fn of(crowd: &'a Crowd) -> Self {
        let mut interest = Self::default();
        for member in crowd.members() {
            let landing = &member.daemonset.landing;
            let selected = landing.node_selector.iter().map(|(key, _)| key);
            interest.labels.extend(selected);
            for term in &landing.terms {
                let keys = term.labels.iter().map(|one| &*one.key);
                interest.labels.extend(keys);
                let names = term.names.iter().flat_map(|one| &one.values);
                interest.names.extend(names.map(|name| &**name));
            }
            let overrides = member
                .recipe
                .into_iter()
                .flat_map(|recipe| &recipe.overrides);
            let selectors = overrides.flat_map(|(selector, _)| selector);
            interest.labels.extend(selectors.map(|one| &*one.key));
        }
        interest
    }

    fn key<'n>(&self, name: &'n str, node: &'n NodeView) -> Key<'n> {
        let labels = self.labels.iter().map(|key| node.labels.get(key));
        let named = self.names.contains(name).then_some(name);
        (node.allocatable, labels.collect(), &node.taints, named)
    }
}

/// The kinds of these nodes, as these DaemonSets see them.
pub(crate) fn kinds<'n>(
    nodes: impl Iterator<Item = (&'n Arc<str>, &'n Arc<NodeView>)>,
    crowd: &Crowd,
) -> Kinds {
    let interest = Interest::of(crowd);
    let mut known: HashMap<Key<'n>, usize> = HashMap::new();
    let mut kinds = Kinds::default();
    for (name, node) in nodes {
        let next = kinds.all.len();
        let at = *known.entry(interest.key(name, node)).or_insert(next);
        match kinds.all.get_mut(at) {
            Some(kind) => kind.count = kind.count.saturating_add(1),
            None => kinds.all.push(Kind {
                name: Arc::clone(name),
                node: Arc::clone(node),
                count: 1,
            }),
        }
        kinds.of_nodes.push(at);
    }
    kinds
}
