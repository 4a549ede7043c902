//! What is wrong in templates.

use super::{Finding, Item, Severity, metadata, schema};
use crate::kit::documents::{Field, part};
use crate::kit::near::suggestion;
use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use crate::sizing::api::{FlexDaemonsetTemplate, FlexDaemonsetTemplateSpec};
use crate::sizing::findings;
use crate::sizing::partial::{Kind, Templates};
use crate::sizing::recipe::Recipe;
use kube::CustomResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;

/// The keys of a template itself.
const KEYS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The templates of the files, by name; none where one cannot be used.
pub(super) type Read<'a> = BTreeMap<&'a str, Option<Recipe>>;

/// Checks templates, and hands them out.
pub(super) fn check<'a>(templates: &'a [Item<'a>], told: &mut Vec<Finding>) -> Read<'a> {
    let schema = spec_schema();
    let mut read = Read::new();
    let mut first: BTreeMap<&str, &Item> = BTreeMap::new();
    for item in templates {
        let before = told.len();
        metadata(item, told);
        told.extend(version(item));
        whole(item, &schema, told);
        if let Some(known) = first
            .insert(item.name(), item)
            .filter(|_| !item.name().is_empty())
        {
            let line = known.document.line(&Field::of("kind"));
            let message = format!(
                "a template of this name is in {}:{line} too: the one that is applied last counts",
                known.file
            );
            let field = Field::of("metadata").key("name");
            told.push(item.finding(Severity::Warning, &field, message));
        }
        spec(item, &schema, told);
        let is_usable = !told
            .iter()
            .skip(before)
            .any(|finding| finding.severity == Severity::Error);
        let recipe = is_usable.then(|| meaning(item, told)).flatten();
        read.insert(item.name(), recipe);
    }
    read
}

/// The schema of a template's specification, as the CRD has it.
fn spec_schema() -> Value {
    let crd = serde_json::to_value(FlexDaemonsetTemplate::crd()).unwrap_or_default();
    let versions = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    versions.cloned().unwrap_or_default()
}

fn version(item: &Item) -> Option<Finding> {
    let right = format!("{}/{}", Templates::GROUP, Templates::VERSION);
    (item.version() != right).then(|| {
        let message = match item.version() {
            "" => format!("it is missing: write {right}"),
            other => format!("{other} has no {}: write {right}", Templates::KIND),
        };
        item.finding(Severity::Error, &Field::of("apiVersion"), message)
    })
}

fn whole(item: &Item, schema: &Value, told: &mut Vec<Finding>) {
    for key in item
        .value
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys())
    {
        if KEYS.contains(&key.as_str()) {
            continue;
        }
        let is_of_spec = part(schema, &["properties", key]).is_object();
        let near = if is_of_spec {
            "; it belongs below spec".into()
        } else {
            suggestion(key, KEYS)
        };
        let message = format!("there is no such field{near}");
        told.push(item.finding(Severity::Error, &Field::of(key), message));
    }
    if item.value["spec"].is_null() {
        let message = "it is missing: a template without one gives no pod a share";
        told.push(item.finding(Severity::Error, &Field::of("spec"), message));
    }
}

fn spec(item: &Item, schema: &Value, told: &mut Vec<Finding>) {
    let mut found = Vec::new();
    schema::check(schema, &item.value["spec"], &Field::of("spec"), &mut found);
    for (field, message) in found {
        told.push(item.finding(Severity::Error, &field, message));
    }
}

/// What the template says about itself, where its form is right.
fn meaning(item: &Item, told: &mut Vec<Finding>) -> Option<Recipe> {
    let field = Field::of("spec");
    let mut say = |severity, message: String| {
        // Most sentences begin with the field that they are about.
        let word = message
            .split([' ', ':', '[', '.'])
            .next()
            .unwrap_or_default();
        let at = if part(item.value, &["spec", word]).is_null() {
            field.clone()
        } else {
            field.key(word)
        };
        told.push(item.finding(severity, &at, message));
    };
    let spec = serde_json::from_value::<FlexDaemonsetTemplateSpec>(item.value["spec"].clone());
    let spec = spec
        .map_err(|error| say(Severity::Error, error.to_string()))
        .ok()?;
    let (recipe, warnings) = findings::of_template(&spec)
        .map_err(|mistake| say(Severity::Error, mistake))
        .ok()?;
    for warning in warnings {
        say(Severity::Warning, warning);
    }
    let mut is_usable = true;
    for resource in Resource::ALL {
        if recipe.shares.of(resource).max == Some(Quantity::ZERO) {
            let (field, name) = resource.field();
            say(
                Severity::Error,
                format!("max{name} must be above zero; leave out {field}Percentage instead"),
            );
            is_usable = false;
        }
    }
    is_usable.then_some(recipe)
}
