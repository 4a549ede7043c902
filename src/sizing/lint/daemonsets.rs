//! What will not work as meant in DaemonSets that name a template.

use super::templates::Read;
use super::{Finding, Item, Severity, metadata};
use crate::kit::documents::{Field, part};
use crate::kit::names;
use crate::kit::near::nearest;
use crate::sizing::amounts::Resource;
use crate::sizing::findings;
use crate::sizing::partial::{DaemonSets, Kind, Namespaces, Partial};
use crate::sizing::texts::Texts;
use crate::sizing::view::{DaemonSetView, NamespaceView};
use std::collections::BTreeMap;

/// Where an installation is by default.
const OWN: &str = "holdfast-system";
/// The group of the annotation.
const PREFIX: &str = "flexdaemonsets.xai/";

/// Checks DaemonSets against the templates and namespaces of the same files.
pub(super) fn check(
    daemonsets: &[Item],
    templates: &Read,
    namespaces: &[Item],
    told: &mut Vec<Finding>,
) {
    let namespaces = labels(namespaces);
    let mut everywhere = Vec::new();
    for item in daemonsets {
        if item.version() != "apps/v1" {
            let message = format!("{:?} has no DaemonSets: write apps/v1", item.version());
            told.push(item.finding(Severity::Error, &Field::of("apiVersion"), message));
            continue;
        }
        metadata(item, told);
        misspelt(item, told);
        let read = serde_json::from_value::<Partial<DaemonSets>>(item.value.clone());
        let view = match read {
            Ok(object) => DaemonSets::view(&object, &Texts::default()),
            Err(error) => {
                let message = format!("it cannot be read: {error}");
                told.push(item.finding(Severity::Error, &Field::default(), message));
                continue;
            }
        };
        let Some(view) = view.filter(|view| view.template.is_some()) else {
            continue;
        };
        one(item, &view, templates, told);
        let namespace = namespaces.get(item.namespace());
        let label = namespace.and_then(|namespace| namespace.sizing.as_deref());
        let field = Field::of("metadata").key("namespace");
        if let Some(excluded) = findings::exclusion(item.namespace(), label, OWN) {
            let why = excluded.sentence(item.namespace());
            told.push(item.finding(Severity::Warning, &field, why));
            continue;
        }
        let is_sized = view.whole.is_none();
        let landing = &view.landing;
        let is_everywhere =
            landing.node_selector.iter().next().is_none() && landing.terms.is_empty();
        if is_sized && is_everywhere {
            everywhere.push((item, view));
        }
    }
    together(&everywhere, templates, told);
}

fn labels(namespaces: &[Item]) -> BTreeMap<String, NamespaceView> {
    let view = |item: &Item| {
        let object = serde_json::from_value::<Partial<Namespaces>>(item.value.clone()).ok()?;
        Some((
            item.name().to_owned(),
            Namespaces::view(&object, &Texts::default())?,
        ))
    };
    namespaces.iter().filter_map(view).collect()
}

/// Annotations that look as if they were meant to name a template.
fn misspelt(item: &Item, told: &mut Vec<Finding>) {
    let meta = Field::of("metadata");
    let of_pods = Field::of("spec").key("template").key("metadata");
    let places = [
        (meta, part(item.value, &["metadata"])),
        (of_pods, part(item.value, &["spec", "template", "metadata"])),
    ];
    for (field, written) in places {
        for key in written["annotations"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            let is_right = key == names::TEMPLATE_ANNOTATION;
            let near = nearest(key, [names::TEMPLATE_ANNOTATION]);
            if !is_right && (key.starts_with(PREFIX) || !near.is_empty()) {
                let message = format!(
                    "nobody reads this annotation; did you mean {}?",
                    names::TEMPLATE_ANNOTATION
                );
                let field = field.key("annotations").key(key);
                told.push(item.finding(Severity::Warning, &field, message));
            }
        }
    }
}

/// Where the template is named.
fn annotation(item: &Item) -> Field {
    let is_own = part(
        item.value,
        &["metadata", "annotations", names::TEMPLATE_ANNOTATION],
    )
    .is_string();
    let meta = if is_own {
        Field::of("metadata")
    } else {
        Field::of("spec").key("template").key("metadata")
    };
    meta.key("annotations").key(names::TEMPLATE_ANNOTATION)
}

fn one(item: &Item, view: &DaemonSetView, templates: &Read, told: &mut Vec<Finding>) {
    if view.whole.is_some() {
        let field = Field::of("spec")
            .key("template")
            .key("spec")
            .key("resources");
        let message = "its pods have resources for the pod as a whole, and so get no share";
        told.push(item.finding(Severity::Warning, &field, message));
    }
    let template = view.template.as_deref().unwrap_or_default();
    let Some(recipe) = templates.get(template) else {
        let message = format!(
            "FlexDaemonsetTemplate {template} is not in these files: its pods keep their own resources until the cluster has it"
        );
        told.push(item.finding(Severity::Note, &annotation(item), message));
        return;
    };
    let Some(recipe) = recipe else { return };
    for container in findings::unknown_containers(recipe, view) {
        let own: Vec<_> = view.containers.iter().map(|one| &*one.name).collect();
        let message = format!(
            "FlexDaemonsetTemplate {template} names container {container}, which this DaemonSet does not have; it has {}",
            own.join(", ")
        );
        told.push(item.finding(Severity::Warning, &annotation(item), message));
    }
}

/// Whether the percentages of DaemonSets that are on every node fit.
fn together(everywhere: &[(&Item, DaemonSetView)], templates: &Read, told: &mut Vec<Finding>) {
    for resource in Resource::ALL {
        let shares: Vec<_> = everywhere
            .iter()
            .filter_map(|(item, view)| {
                let recipe = templates.get(view.template.as_deref()?)?.as_ref()?;
                Some((*item, recipe.shares.of(resource).percent?))
            })
            .collect();
        let sum: u32 = shares.iter().map(|(_, percent)| percent).sum();
        let Some((last, _)) = shares.last().filter(|_| sum > 100) else {
            continue;
        };
        let each: Vec<_> = shares
            .iter()
            .map(|(item, percent)| format!("{}/{} {percent} %", item.namespace(), item.name()))
            .collect();
        let message = format!(
            "the {} shares of the DaemonSets here that run on every node come to {sum} %: {}",
            resource.key(),
            each.join(", ")
        );
        told.push(last.finding(Severity::Warning, &annotation(last), message));
    }
}
