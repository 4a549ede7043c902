//! What all DaemonSets together ask of each node: the rest that a share may be of, by how much shares are made smaller, and where they
//! come to more than there is. Nodes that differ in nothing that a DaemonSet or template looks at are computed once: a cluster of
//! thousands has few kinds. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::load::{Load, load};
use crate::sizing::recipe::Recipe;
use crate::sizing::view::{DaemonSetView, NodeView, Taint, TemplateView};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A DaemonSet, and the template that it names, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    pub(crate) view: Arc<DaemonSetView>,
    pub(crate) template: Option<Arc<TemplateView>>,
}

impl Neighbour {
    fn member(&self) -> (&DaemonSetView, Option<&Recipe>) {
        let recipe = self.template.as_deref();
        let recipe = recipe.and_then(|template| template.recipe.as_ref().ok());
        (&self.view, recipe)
    }
}

/// All nodes, by what is asked of them.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    loads: Vec<Load>,
    /// Each node's load, by its place.
    nodes: HashMap<Arc<str>, usize>,
    excesses: Vec<Excess>,
}

/// Shares that come to more than nodes of one kind have.
#[derive(Debug)]
struct Excess {
    resource: Resource,
    node: Arc<str>,
    nodes: usize,
    shared: Quantity,
    has: Quantity,
    /// The templates whose shares these are.
    templates: BTreeSet<Arc<str>>,
}

/// Nodes that are alike.
struct Kind<'n> {
    name: &'n Arc<str>,
    node: &'n Arc<NodeView>,
    nodes: usize,
}

impl Neighbours {
    /// Computes what is asked of each node.
    pub(crate) fn see(nodes: &[(Arc<str>, Arc<NodeView>)], all: &[Neighbour]) -> Self {
        let interest = Interest::of(all);
        let mut found = HashMap::new();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut seen = Self::default();
        for (name, node) in nodes {
            let at = *found.entry(interest.key(name, node)).or_insert(kinds.len());
            seen.nodes.insert(Arc::clone(name), at);
            match kinds.get_mut(at) {
                Some(kind) => kind.nodes = kind.nodes.saturating_add(1),
                None => kinds.push(Kind {
                    name,
                    node,
                    nodes: 1,
                }),
            }
        }
        for kind in &kinds {
            let load = load(kind.name, kind.node, all.iter().map(Neighbour::member));
            seen.excesses.extend(excesses(kind, &load, all));
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
        let own = || {
            let excesses = self.excesses.iter();
            excesses.filter(|excess| excess.templates.contains(template))
        };
        let worst = own().reduce(|worst, one| {
            if one.ratio() > worst.ratio() {
                one
            } else {
                worst
            }
        })?;
        let nodes = own()
            .filter(|excess| excess.resource == worst.resource)
            .fold(0_usize, |sum, excess| sum.saturating_add(excess.nodes));
        let others = match nodes.saturating_sub(1) {
            0 => String::new(),
            1 => ", and on one more it is too much,".to_owned(),
            more => format!(", and on {more} more it is too much,"),
        };
        let templates: Vec<&str> = worst.templates.iter().map(|name| &**name).collect();
        let key = worst.resource.key();
        Some(format!(
            "on node {}{others} the shares of all DaemonSets come to {} of {key}, and it has {}; templates that share it: {}; lower {}Percentage of one of them, or set overcommit: Scale",
            worst.node,
            worst.resource.text(worst.shared),
            worst.resource.text(worst.has),
            templates.join(", "),
            worst.resource.field().0,
        ))
    }
}

impl Excess {
    /// How much too much, in thousandths.
    fn ratio(&self) -> i128 {
        self.shared.scaled(1000, 1).grains(self.has)
    }
}

fn excesses(kind: &Kind, load: &Load, all: &[Neighbour]) -> Vec<Excess> {
    let too_much = load.excess(kind.node);
    let mut found = Vec::new();
    for resource in Resource::ALL {
        let (Some(shared), Some(has)) =
            (*too_much.of(resource), *kind.node.allocatable.of(resource))
        else {
            continue;
        };
        let sharing = all.iter().filter(|one| {
            let (view, recipe) = one.member();
            let rules = recipe.map(|recipe| recipe.shares_on(&kind.node.labels));
            rules.is_some_and(|rules| rules.of(resource).percent.is_some())
                && view.landing.is_on(kind.name, kind.node)
        });
        let templates = sharing.filter_map(|one| one.view.template.clone());
        found.push(Excess {
            resource,
            node: Arc::clone(kind.name),
            nodes: kind.nodes,
            shared,
            has,
            templates: templates.collect(),
        });
    }
    found
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
    fn of(all: &'a [Neighbour]) -> Self {
        let mut interest = Self::default();
        for one in all {
            let (view, recipe) = one.member();
            let landing = &view.landing;
            let selected = landing.node_selector.iter().map(|(key, _)| key);
            interest.labels.extend(selected);
            for term in &landing.terms {
                let keys = term.labels.iter().map(|one| &*one.key);
                interest.labels.extend(keys);
                let names = term.names.iter().flat_map(|one| &one.values);
                interest.names.extend(names.map(|name| &**name));
            }
            let overrides = recipe.iter().flat_map(|recipe| &recipe.overrides);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::observed::scene::{amounts, crew, template};
    use crate::sizing::view::{Labels, Requirement, Term};
    use serde_json::{Value, json};

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
        Neighbour { view, template }
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
        let seen = Neighbours::see(&nodes, std::slice::from_ref(&plain));
        assert_eq!(seen.loads.len(), 1, "nobody looks at the pool");
        assert_eq!(seen.load("n7").unwrap().plain.cpu, amounts("cpu=1").cpu);
        assert!(seen.load("unheard-of").is_none());
        let mut choosy = plain;
        Arc::make_mut(&mut choosy.view).landing.node_selector =
            Labels::new(vec![("pool".into(), "a".into())]);
        let seen = Neighbours::see(&nodes, &[choosy]);
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
        Arc::make_mut(&mut one.view).landing.terms = vec![Term {
            labels: Vec::new(),
            names: vec![Requirement {
                key: "metadata.name".into(),
                operator: "In".into(),
                values: vec!["n2".into()],
            }],
        }];
        let seen = Neighbours::see(&nodes, &[one]);
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
        let seen = Neighbours::see(&nodes, &all);
        let said = seen.overcommitment("a").unwrap();
        assert!(said.starts_with("on node small, and on 2 more"), "{said}");
        assert!(said.contains("1500m of cpu, and it has 1;"), "{said}");
        assert!(said.contains("share it: a, b;"), "{said}");
        assert_eq!(seen.overcommitment("memory"), None);
        let fits = Neighbours::see(&nodes, &[neighbour("a", "", Some(percent(100)))]);
        assert_eq!(fits.overcommitment("a"), None);
    }
}
