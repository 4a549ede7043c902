//! What a pass over one template sees, from the caches alone.

use crate::kit::names;
use crate::sizing::amounts::Amounts;
use crate::sizing::api::{Base, Overcommit};
use crate::sizing::cache::Caches;
use crate::sizing::load::Scale;
use crate::sizing::neighbours::Neighbours;
use crate::sizing::observed::{Crew, Place, Seen};
use crate::sizing::recipe::Recipe;
use crate::sizing::tried::Memory;
use crate::sizing::view::{NamespaceView, NodeView};
use std::sync::Arc;

/// The namespace of the cluster's own parts, which is sized only where somebody says so.
const SYSTEM: &str = "kube-system";

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
        let exclusion = labels.and_then(|labels| exclusion(namespace, &labels, own));
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

/// Why pods of a namespace are not sized.
fn exclusion(name: &str, namespace: &NamespaceView, own: &str) -> Option<String> {
    let label = namespace.sizing.as_deref();
    if name == SYSTEM && label != Some("enabled") {
        return Some(format!(
            "pods of {SYSTEM} get no share unless you say so: kubectl label namespace {SYSTEM} {}=enabled",
            names::SIZING_LABEL
        ));
    }
    if name == own {
        return Some(format!(
            "pods of {own} get no share: Holdfast does not size its own namespace"
        ));
    }
    (label == Some("disabled")).then(|| {
        format!(
            "pods of {name} get no share, by a label of the namespace; to take it away: kubectl label namespace {name} {}-",
            names::SIZING_LABEL
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_left_out_by_name_or_label() {
        for (name, label, is_excluded) in [
            ("apps", None, false),
            ("apps", Some("enabled"), false),
            ("apps", Some("disabled"), true),
            ("kube-system", None, true),
            ("kube-system", Some("enabled"), false),
            ("kube-system", Some("disabled"), true),
            ("own", None, true),
            ("own", Some("enabled"), true),
        ] {
            let view = NamespaceView {
                sizing: label.map(Into::into),
            };
            let found = exclusion(name, &view, "own");
            assert_eq!(found.is_some(), is_excluded, "{name} {label:?}");
        }
    }
}
