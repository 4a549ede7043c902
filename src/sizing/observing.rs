//! What a pass over one template sees, from the caches alone.

use crate::sizing::cache::Caches;
use crate::sizing::load::Surroundings;
use crate::sizing::neighbours::Neighbours;
use crate::sizing::observed::{Crew, Place, Seen};
use crate::sizing::recipe::Recipe;
use crate::sizing::tried::Memory;
use crate::sizing::view::NodeView;
use std::sync::Arc;

/// The DaemonSets that name a template, with their pods, in the order of their names.
pub(crate) fn crews(
    (name, recipe): (&str, Option<&Recipe>),
    caches: &Caches,
    neighbours: &Neighbours,
    memory: &Memory,
) -> Vec<Crew> {
    let mut crews = Vec::new();
    caches.each_daemonset(|namespace, daemonset, view| {
        if view.template.as_deref() != Some(name) {
            return;
        }
        let exclusion = caches.exclusion(namespace);
        let mut pods: Vec<_> = caches
            .pods_of(&view.uid)
            .into_iter()
            .map(|pod| {
                let node = pod.view.node.clone();
                Seen {
                    place: node.and_then(|node| {
                        let place = place(recipe, &node, caches.node(&node)?, neighbours);
                        Some((node, place?))
                    }),
                    tried: memory.recall(&pod.view),
                    name: pod.name,
                    view: pod.view,
                }
            })
            .collect();
        pods.sort_by(|one, two| one.name.cmp(&two.name));
        crews.push(Crew {
            namespace: namespace.into(),
            name: daemonset.into(),
            view: Arc::clone(view),
            exclusion: exclusion.map(|exclusion| exclusion.sentence(namespace)),
            limit_ranges: caches.limit_ranges(namespace),
            pods,
        });
    });
    crews.sort_by(|one, two| (&one.namespace, &one.name).cmp(&(&two.namespace, &two.name)));
    crews
}

/// A node, and what else is there, if the template cares. Of a node that came a moment ago that may not be known yet: then it is left
/// alone, rather than taken for one that nobody else is on.
pub(crate) fn place(
    recipe: Option<&Recipe>,
    name: &str,
    node: Arc<NodeView>,
    neighbours: &Neighbours,
) -> Option<Place> {
    let surroundings = match recipe {
        Some(recipe) => Surroundings::see(recipe, &node, || neighbours.load(name).copied())?,
        None => Surroundings::default(),
    };
    Some(Place { node, surroundings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::crowd::Crowd;
    use crate::sizing::observed::scene::template;
    use serde_json::json;

    #[test]
    fn a_node_whose_neighbours_are_not_known_yet_is_no_place_where_these_matter() {
        let node = Arc::<NodeView>::default();
        let known = Neighbours::see(&[("n".into(), Arc::clone(&node))], &Crowd::default());
        for (spec, cares) in [
            (json!({ "cpuPercentage": 10 }), false),
            (json!({ "cpuPercentage": 10, "overcommit": "Scale" }), true),
            (
                json!({ "cpuPercentage": 10, "base": "AllocatableMinusDaemonSets" }),
                true,
            ),
        ] {
            let recipe = template(spec).recipe.unwrap();
            let is_placed = |neighbours: &Neighbours| {
                place(Some(&recipe), "n", Arc::clone(&node), neighbours).is_some()
            };
            assert_eq!(is_placed(&Neighbours::default()), !cares);
            assert!(is_placed(&known));
        }
    }
}
