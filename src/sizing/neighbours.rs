//! What all DaemonSets together ask of each node: the rest that a share may be of, by how much shares are made smaller, and where they
//! come to more than there is. For the controller, which looks at it again and again. Pure.

use crate::sizing::crowd::Crowd;
use crate::sizing::excess::{self, Excess};
use crate::sizing::kinds::kinds;
use crate::sizing::load::{Load, load};
use crate::sizing::view::NodeView;
use std::collections::HashMap;
use std::sync::Arc;

/// All nodes, by what is asked of them.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    loads: Vec<Load>,
    /// Each node's load, by its place.
    nodes: HashMap<Arc<str>, usize>,
    /// One for each kind of nodes and resource.
    excesses: Vec<Excess>,
}

impl Neighbours {
    /// Computes what is asked of each node.
    pub(crate) fn see(nodes: &[(Arc<str>, Arc<NodeView>)], crowd: &Crowd) -> Self {
        let kinds = kinds(nodes.iter().map(|(name, node)| (name, node)), crowd);
        let names = nodes.iter().map(|(name, _)| Arc::clone(name));
        let mut seen = Self {
            nodes: names.zip(kinds.of_nodes).collect(),
            ..Self::default()
        };
        for kind in &kinds.all {
            let load = load(&kind.name, &kind.node, crowd);
            seen.excesses.extend(excess::on(kind, &load, crowd));
            seen.loads.push(load);
        }
        seen
    }

    /// What is asked of a node.
    pub(crate) fn load(&self, node: &str) -> Option<&Load> {
        self.loads.get(*self.nodes.get(node)?)
    }

    /// Where a template's shares are part of what is too much, in a sentence about the worst node.
    pub(crate) fn overcommitment(&self, template: &str) -> Option<String> {
        let all = self.excesses.iter();
        let own = all.filter(|excess| excess.templates.contains(template));
        let by_resource = excess::worst(own.cloned()).into_iter();
        let worst = by_resource.reduce(|worst, one| {
            if one.is_worse_than(&worst) {
                one
            } else {
                worst
            }
        })?;
        Some(format!(
            "{}; lower {}Percentage of one of them, or set overcommit: Scale",
            worst.sentence(),
            worst.resource.field().0
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::observed::scene::{amounts, crew, template};
    use crate::sizing::view::{DaemonSetView, Labels, Requirement, TemplateView, Term};
    use serde_json::{Value, json};

    type Neighbour = (Arc<DaemonSetView>, Option<Arc<TemplateView>>);

    fn node(name: &str, allocatable: &str, pool: &str) -> (Arc<str>, Arc<NodeView>) {
        let labels = [("pool", pool), ("kubernetes.io/hostname", name)];
        let view = NodeView {
            allocatable: amounts(allocatable),
            labels: Labels::new(labels.map(|(key, value)| (key.into(), value.into())).into()),
            ..NodeView::default()
        };
        (name.into(), Arc::new(view))
    }

    fn neighbour(name: &str, own: &str, spec: Option<Value>) -> Neighbour {
        let view = crew(name, own)
            .with(|view| view.template = spec.is_some().then(|| name.into()))
            .view;
        let template = spec.map(|spec| {
            Arc::new(TemplateView {
                uid: name.into(),
                generation: 1,
                recipe: template(spec).recipe,
            })
        });
        (view, template)
    }

    fn see(nodes: &[(Arc<str>, Arc<NodeView>)], all: &[Neighbour]) -> Neighbours {
        let mut crowd = Crowd::default();
        for (daemonset, template) in all {
            crowd.add(Arc::clone(daemonset), template.clone(), false);
        }
        Neighbours::see(nodes, &crowd)
    }

    fn percent(percent: u32) -> Value {
        json!({ "cpuPercentage": percent })
    }

    #[test]
    fn nodes_that_are_alike_are_computed_once() {
        let nodes: Vec<_> = (0..100)
            .map(|number| node(&format!("n{number}"), "cpu=10", ["a", "b"][number % 2]))
            .collect();
        let plain = neighbour("plain", "cpu=1", None);
        let seen = see(&nodes, std::slice::from_ref(&plain));
        assert_eq!(seen.loads.len(), 1, "nobody looks at the pool");
        assert_eq!(seen.load("n7").unwrap().plain.cpu, amounts("cpu=1").cpu);
        assert!(seen.load("unheard-of").is_none());
        let mut choosy = plain;
        Arc::make_mut(&mut choosy.0).landing.node_selector =
            Labels::new(vec![("pool".into(), "a".into())]);
        let seen = see(&nodes, &[choosy]);
        let cpu = |node| seen.load(node).unwrap().plain.cpu;
        assert_eq!(
            (seen.loads.len(), cpu("n0"), cpu("n1")),
            (2, amounts("cpu=1").cpu, None)
        );
    }

    #[test]
    fn a_node_that_is_named_is_a_kind_of_its_own() {
        let nodes = ["n1", "n2", "n3"].map(|name| node(name, "cpu=10", "a"));
        let mut one = neighbour("one", "cpu=1", None);
        Arc::make_mut(&mut one.0).landing.terms = vec![Term {
            labels: Vec::new(),
            names: vec![Requirement {
                key: "metadata.name".into(),
                operator: "In".into(),
                values: vec!["n2".into()],
            }],
        }];
        let seen = see(&nodes, &[one]);
        let has = ["n1", "n2", "n3"].map(|name| seen.load(name).unwrap().plain.cpu.is_some());
        assert_eq!((seen.loads.len(), has), (2, [false, true, false]));
    }

    #[test]
    fn what_is_too_much_names_the_worst_node_and_who_shares_it() {
        let nodes = [
            node("small", "cpu=1000m", "a"),
            node("large", "cpu=10", "a"),
            node("same", "cpu=10", "a"),
        ];
        let min = Some(json!({ "cpuPercentage": 60, "minCPU": "900m" }));
        let all = [
            neighbour("a", "", Some(percent(60))),
            neighbour("b", "", min),
            neighbour("memory", "", Some(json!({ "memoryPercentage": 90 }))),
        ];
        let seen = see(&nodes, &all);
        let said = seen.overcommitment("a").unwrap();
        assert_eq!(
            said,
            "on node small, the worst of 3 nodes, the shares of all DaemonSets come to 1500m of cpu, and it has 1; templates that share it: a, b; lower cpuPercentage of one of them, or set overcommit: Scale"
        );
        assert_eq!(seen.overcommitment("memory"), None);
        let fits = see(&nodes, &[neighbour("a", "", Some(percent(100)))]);
        assert_eq!(fits.overcommitment("a"), None);
    }
}
