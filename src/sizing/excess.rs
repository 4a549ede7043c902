//! Where the shares of all DaemonSets come to more than nodes have. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use crate::sizing::crowd::Crowd;
use crate::sizing::kinds::Kind;
use crate::sizing::load::{Load, load};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Shares that come to more than nodes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) resource: Resource,
    /// On so many nodes.
    pub(crate) nodes: usize,
    /// The node on which it is worst, in proportion; all that follows is about this one.
    pub(crate) worst: Arc<str>,
    pub(crate) shared: Quantity,
    pub(crate) has: Quantity,
    /// The templates whose shares these are.
    pub(crate) templates: BTreeSet<Arc<str>>,
}

impl Excess {
    /// In a sentence.
    pub(crate) fn sentence(&self) -> String {
        let more = match self.nodes {
            0 | 1 => String::new(),
            nodes => format!(", the worst of {nodes} nodes,"),
        };
        let templates: Vec<&str> = self.templates.iter().map(|name| &**name).collect();
        format!(
            "on node {}{more} the shares of all DaemonSets come to {} of {}, and it has {}; templates that share it: {}",
            self.worst,
            self.resource.text(self.shared),
            self.resource.key(),
            self.resource.text(self.has),
            templates.join(", ")
        )
    }

    /// How much too much it is, in proportion: two of them can be compared.
    pub(crate) fn is_worse_than(&self, other: &Self) -> bool {
        self.thousandths() > other.thousandths()
    }

    fn thousandths(&self) -> i128 {
        self.shared.scaled(1000, 1).grains(self.has)
    }
}

/// Where shares come to more than there is, resource by resource.
pub(crate) fn excess(kinds: &[Kind], crowd: &Crowd) -> Vec<Excess> {
    if cannot_exceed(crowd) {
        return Vec::new();
    }
    let all = kinds
        .iter()
        .flat_map(|kind| on(kind, &load(&kind.name, &kind.node, crowd), crowd));
    worst(all)
}

/// The same on nodes of one kind, of which it is known what is asked of them.
pub(crate) fn on(kind: &Kind, load: &Load, crowd: &Crowd) -> Vec<Excess> {
    let too_much = load.excess(&kind.node);
    let mut found = Vec::new();
    for resource in Resource::ALL {
        let (Some(shared), Some(has)) =
            (*too_much.of(resource), *kind.node.allocatable.of(resource))
        else {
            continue;
        };
        let sharing = crowd.members().filter(|member| {
            let rules = member
                .recipe
                .map(|recipe| recipe.shares_on(&kind.node.labels));
            rules.is_some_and(|rules| rules.of(resource).percent.is_some())
                && member.daemonset.landing.is_on(&kind.name, &kind.node)
        });
        let templates = sharing.filter_map(|member| member.daemonset.template.clone());
        found.push(Excess {
            resource,
            nodes: kind.count,
            worst: Arc::clone(&kind.name),
            shared,
            has,
            templates: templates.collect(),
        });
    }
    found
}

/// Those of several kinds of nodes together, one for each resource.
pub(crate) fn worst(excesses: impl Iterator<Item = Excess>) -> Vec<Excess> {
    let mut all: Vec<Excess> = Vec::new();
    for here in excesses {
        let known = all.iter_mut().find(|known| known.resource == here.resource);
        let Some(known) = known else {
            all.push(here);
            continue;
        };
        let nodes = known.nodes.saturating_add(here.nodes);
        if here.is_worse_than(known) {
            *known = here;
        }
        known.nodes = nodes;
    }
    all
}

/// No node has to be looked at where all percentages together are at most 100 and nothing raises a share above its percentage.
fn cannot_exceed(crowd: &Crowd) -> bool {
    Resource::ALL.into_iter().all(|resource| {
        let mut sum = 0_u32;
        for recipe in crowd.members().filter_map(|member| member.recipe) {
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
    use crate::sizing::kinds::kinds;
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
        let nodes: Vec<(Arc<str>, _)> = cluster
            .nodes
            .iter()
            .map(|(name, node)| (name.as_str().into(), Arc::clone(node)))
            .collect();
        let crowd = cluster.crowd();
        let kinds = kinds(nodes.iter().map(|(name, node)| (name, node)), &crowd);
        assert_eq!((kinds.all.len(), kinds.of_nodes), (2, vec![0, 0, 1]));
        excess(&kinds.all, &crowd)
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
            "on node a1, the worst of 2 nodes, the shares of all DaemonSets come to 2100m of cpu, and it has 2; templates that share it: t0, t1"
        );
    }
}
