//! Whether the shares of all DaemonSets fit on every node. Nodes that differ in nothing that matters are looked at once: a cluster of
//! thousands has few kinds. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::load::load;
use crate::sizing::recipe::Recipe;
use crate::sizing::view::{DaemonSetView, NodeView, Taint};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A DaemonSet and the template that it names, if that can be used.
pub(crate) type Member<'a> = (&'a DaemonSetView, Option<&'a Recipe>);

/// Nodes that are alike.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kind {
    /// One of them.
    pub(crate) name: Arc<str>,
    pub(crate) node: Arc<NodeView>,
    pub(crate) count: usize,
}

/// Shares that come to more than nodes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) resource: Resource,
    /// On so many nodes.
    pub(crate) nodes: usize,
    /// The node on which it is worst, in proportion.
    pub(crate) worst: Arc<str>,
    pub(crate) shared: Quantity,
    pub(crate) has: Quantity,
}

impl Excess {
    /// In a sentence.
    pub(crate) fn sentence(&self) -> String {
        let more = match self.nodes {
            0 | 1 => String::new(),
            nodes => format!(", the worst of {nodes} nodes"),
        };
        format!(
            "the shares of all DaemonSets on node {}{more} come to {} of {}, and it has {}",
            self.worst,
            self.resource.text(self.shared),
            self.resource.key(),
            self.resource.text(self.has)
        )
    }

    /// How much too much it is: two of them can be compared.
    pub(crate) fn is_worse_than(&self, other: &Self) -> bool {
        ratio_is_larger((self.shared, self.has), (other.shared, other.has))
    }
}

fn ratio_is_larger(one: (Quantity, Quantity), two: (Quantity, Quantity)) -> bool {
    // In thousandths, so that the products fit.
    let scaled = |(part, whole): (Quantity, Quantity)| part.scaled(1000, 1).grains(whole);
    scaled(one) > scaled(two)
}

/// What the DaemonSets look at in a node.
#[derive(Default)]
struct Interest<'a> {
    labels: BTreeSet<&'a str>,
    names: BTreeSet<&'a str>,
}

impl<'a> Interest<'a> {
    fn of(members: &[Member<'a>]) -> Self {
        let mut interest = Self::default();
        for (daemonset, recipe) in members {
            let landing = &daemonset.landing;
            interest
                .labels
                .extend(landing.node_selector.iter().map(|(key, _)| key));
            for term in &landing.terms {
                interest
                    .labels
                    .extend(term.labels.iter().map(|one| &*one.key));
                let names = term.names.iter().flat_map(|one| &one.values);
                interest.names.extend(names.map(|name| &**name));
            }
            let overrides = recipe.iter().flat_map(|recipe| &recipe.overrides);
            let selectors = overrides.flat_map(|(selector, _)| selector);
            interest.labels.extend(selectors.map(|one| &*one.key));
        }
        interest
    }
}

/// The kinds of nodes, as these DaemonSets see them.
pub(crate) fn kinds<'n>(
    nodes: impl Iterator<Item = (&'n Arc<str>, &'n Arc<NodeView>)>,
    members: &[Member],
) -> Vec<Kind> {
    type Key<'n> = (Amounts, Vec<Option<&'n str>>, &'n [Taint], Option<&'n str>);
    let interest = Interest::of(members);
    let mut found: HashMap<Key<'n>, usize> = HashMap::new();
    let mut kinds: Vec<Kind> = Vec::new();
    for (name, node) in nodes {
        let labels = interest.labels.iter().map(|key| node.labels.get(key));
        let named = interest.names.contains(&**name).then_some(&**name);
        let key = (node.allocatable, labels.collect(), &*node.taints, named);
        let at = *found.entry(key).or_insert(kinds.len());
        match kinds.get_mut(at) {
            Some(kind) => kind.count = kind.count.saturating_add(1),
            None => kinds.push(Kind {
                name: Arc::clone(name),
                node: Arc::clone(node),
                count: 1,
            }),
        }
    }
    kinds
}

/// Where shares come to more than there is, resource by resource.
pub(crate) fn excess(kinds: &[Kind], members: &[Member]) -> Vec<Excess> {
    let sharing: Vec<Member> = members
        .iter()
        .filter(|(_, recipe)| recipe.is_some())
        .copied()
        .collect();
    if cannot_exceed(&sharing) {
        return Vec::new();
    }
    let mut all: Vec<Excess> = Vec::new();
    for kind in kinds {
        let load = load(&kind.name, &kind.node, members.iter().copied());
        let too_much = load.excess(&kind.node);
        for resource in Resource::ALL {
            let (Some(shared), Some(has)) =
                (*too_much.of(resource), *kind.node.allocatable.of(resource))
            else {
                continue;
            };
            let here = Excess {
                resource,
                nodes: kind.count,
                worst: Arc::clone(&kind.name),
                shared,
                has,
            };
            match all.iter_mut().find(|known| known.resource == resource) {
                Some(known) => {
                    let nodes = known.nodes.saturating_add(here.nodes);
                    if here.is_worse_than(known) {
                        *known = here;
                    }
                    known.nodes = nodes;
                }
                None => all.push(here),
            }
        }
    }
    all
}

/// No node has to be looked at where all percentages together are at most 100 and nothing raises a share above its percentage.
fn cannot_exceed(sharing: &[Member]) -> bool {
    Resource::ALL.into_iter().all(|resource| {
        let mut sum = 0_u32;
        for recipe in sharing.iter().filter_map(|(_, recipe)| *recipe) {
            let rules = recipe.overrides.iter().map(|(_, shares)| shares);
            let rules = rules
                .chain([&recipe.shares])
                .map(|shares| shares.of(resource));
            let mut most = 0;
            for rule in rules {
                if rule.percent.is_some() && rule.min.is_some_and(|min| min > Quantity::ZERO) {
                    return false;
                }
                most = most.max(rule.percent.unwrap_or_default());
            }
            sum = sum.saturating_add(most);
        }
        sum <= 100
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::testkit::{Cluster, container};
    use crate::sizing::view::Role;
    use serde_json::{Value, json};

    fn crowd(templates: &[Value]) -> Cluster {
        let mut cluster = Cluster::default()
            .node("a1", "cpu=2 memory=4Gi")
            .node("a2", "cpu=2 memory=4Gi")
            .node("b", "cpu=4 memory=4Gi");
        for (at, spec) in templates.iter().enumerate() {
            let name = format!("t{at}");
            let containers = vec![container("c", Role::Main, "")];
            cluster = cluster.template(&name, spec.clone()).daemonset(
                &format!("d{at}"),
                Some(&name),
                containers,
            );
        }
        cluster
    }

    fn found(cluster: &Cluster) -> Vec<Excess> {
        let members = cluster.members();
        let nodes: Vec<(Arc<str>, Arc<NodeView>)> = cluster
            .nodes
            .iter()
            .map(|(name, node)| (name.as_str().into(), Arc::clone(node)))
            .collect();
        let kinds = kinds(nodes.iter().map(|(name, node)| (name, node)), &members);
        assert_eq!(kinds.len(), 2, "{kinds:?}");
        excess(&kinds, &members)
    }

    #[test]
    fn shares_that_fit_are_no_news() {
        assert_eq!(
            found(&crowd(&[
                json!({ "cpuPercentage": 60 }),
                json!({ "cpuPercentage": 40 })
            ])),
            []
        );
    }

    #[test]
    fn percentages_over_a_hundred_exceed_on_every_node() {
        let found = found(&crowd(&[
            json!({ "cpuPercentage": 60 }),
            json!({ "cpuPercentage": 41 }),
        ]));
        assert_eq!((found.len(), found[0].nodes), (1, 3));
        assert!(
            found[0].sentence().contains("the worst of 3 nodes"),
            "{}",
            found[0].sentence()
        );
    }

    #[test]
    fn a_least_amount_may_exceed_on_small_nodes_alone() {
        let found = found(&crowd(&[
            json!({ "cpuPercentage": 10, "minCPU": "1500m" }),
            json!({ "cpuPercentage": 30 }),
        ]));
        assert_eq!(
            (found.len(), found[0].nodes, &*found[0].worst),
            (1, 2, "a1")
        );
        assert_eq!(
            found[0].sentence(),
            "the shares of all DaemonSets on node a1, the worst of 2 nodes come to 2100m of cpu, and it has 2"
        );
    }
}
