//! What a pass over one template sees, from the caches alone.

use crate::sizing::amounts::Amounts;
use crate::sizing::api::{Base, Overcommit};
use crate::sizing::cache::Caches;
use crate::sizing::findings;
use crate::sizing::load::Scale;
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
    own: &str,
) -> Vec<Crew> {
    let mut crews = Vec::new();
    caches.each_daemonset(|namespace, daemonset, view| {
        if view.template.as_deref() != Some(name) {
            return;
        }
        let labels = caches.namespace(namespace);
        let exclusion = labels.and_then(|labels| findings::excluded(namespace, &labels, own));
        let mut pods: Vec<_> = caches
            .pods_of(&view.uid)
            .into_iter()
            .map(|pod| {
                let node = pod.view.node.clone();
                Seen {
                    place: node.and_then(|node| {
                        let place = place(recipe, &node, caches.node(&node)?, neighbours);
                        Some((node, place))
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
            exclusion,
            limit_ranges: caches.limit_ranges(namespace),
            pods,
        });
    });
    crews.sort_by(|one, two| (&one.namespace, &one.name).cmp(&(&two.namespace, &two.name)));
    crews
}

/// A node, and what else is there, if the template cares.
pub(crate) fn place(
    recipe: Option<&Recipe>,
    name: &str,
    node: Arc<NodeView>,
    neighbours: &Neighbours,
) -> Place {
    let mut place = Place {
        node,
        others: Amounts::default(),
        scale: Scale::default(),
    };
    let Some(recipe) = recipe else { return place };
    let Some(load) = neighbours.load(name) else {
        return place;
    };
    if recipe.base == Base::AllocatableMinusDaemonSets {
        place.others = load.plain;
    }
    if recipe.overcommit == Overcommit::Scale {
        place.scale = load.scale(&place.node);
    }
    place
}
