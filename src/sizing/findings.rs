//! What is to be said of a template or a DaemonSet before it is stored: mistakes, which refuse it, and warnings. The validating webhook,
//! the controller and `holdfast lint` all come here. Pure.

use crate::kit::error::Error;
use crate::kit::names;
use crate::kit::near::suggestion;
use crate::sizing::amounts::Resource;
use crate::sizing::api::FlexDaemonsetTemplateSpec;
use crate::sizing::recipe::Recipe;
use crate::sizing::view::{DaemonSetView, NamespaceView};

/// The namespace of the cluster's own parts, which is sized only where somebody says so.
const SYSTEM: &str = "kube-system";

/// What a template alone says about itself.
///
/// # Errors
/// What in it cannot be used.
pub(crate) fn of_template(
    spec: &FlexDaemonsetTemplateSpec,
) -> Result<(Recipe, Vec<String>), String> {
    let recipe = Recipe::read(spec)?;
    let mut warnings = Vec::new();
    let all = || {
        recipe
            .overrides
            .iter()
            .map(|(_, shares)| shares)
            .chain([&recipe.shares])
    };
    let sizes = |resource| all().any(|shares| shares.of(resource).percent.is_some());
    if !Resource::ALL.into_iter().any(sizes) {
        warnings.push("this template has no percentage, and so gives no pod a share; set cpuPercentage, memoryPercentage or storagePercentage".into());
    }
    for resource in Resource::ALL {
        let (field, name) = resource.field();
        let is_bounded = all().any(|shares| {
            let rule = shares.of(resource);
            rule.min.is_some() || rule.max.is_some()
        });
        if is_bounded && !sizes(resource) {
            warnings.push(format!(
                "min{name} and max{name} do nothing without {field}Percentage"
            ));
        }
    }
    Ok((recipe, warnings))
}

/// Containers that a template names and a DaemonSet does not have.
pub(crate) fn unknown_containers(recipe: &Recipe, daemonset: &DaemonSetView) -> Vec<String> {
    let is_known = |name: &str| {
        daemonset
            .containers
            .iter()
            .any(|container| *container.name == *name)
    };
    let names = recipe.containers.iter().map(|rule| rule.name.clone());
    names.filter(|name| !is_known(name)).collect()
}

/// Why pods of a namespace are not sized, and what to do; nothing where they are.
pub(crate) fn excluded(name: &str, namespace: &NamespaceView, own: &str) -> Option<String> {
    let label = namespace.sizing.as_deref();
    if name == SYSTEM && label != Some("enabled") {
        return Some(format!(
            "pods of {SYSTEM} get no share unless you say so: kubectl label namespace {SYSTEM} {}=enabled",
            names::SIZING_LABEL
        ));
    }
    if name == own {
        return Some(format!(
            "pods of {own} get no share: Holdfast does not size its own namespace; put the DaemonSet into another one"
        ));
    }
    (label == Some("disabled")).then(|| {
        format!(
            "pods of {name} get no share, by a label of the namespace; to take it away: kubectl label namespace {name} {}-",
            names::SIZING_LABEL
        )
    })
}

/// That an object is not there, and what may have been meant; names are with their namespaces, where they have some.
pub(crate) fn absent(kind: &str, name: &str, known: &[String]) -> Error {
    let why = if known.is_empty() {
        "there is none of that name, nor any other".into()
    } else {
        let near = suggestion(name, known.iter().map(String::as_str));
        format!("there is none of that name{near}")
    };
    let what = format!("{kind} {name}");
    Error::Invalid { what, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::testkit::container;
    use crate::sizing::view::Role;
    use serde_json::{Value, json};

    fn of(spec: Value) -> Result<(Recipe, Vec<String>), String> {
        of_template(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_mistake_is_named_with_its_field() {
        for (spec, says) in [
            (json!({ "minCPU": "9999999999999999999999999E" }), "minCPU"),
            (json!({ "maxMemory": "-1" }), "maxMemory -1 is below zero"),
            (
                json!({ "minStorage": "2", "maxStorage": "1" }),
                "minStorage 2 is above maxStorage 1",
            ),
            (
                json!({ "cpuPercentage": 0 }),
                "cpuPercentage 0 is not from 1 to 100",
            ),
            (json!({ "limits": { "cpu": "99%" } }), "limits.cpu"),
            (json!({ "wave": 0 }), "wave"),
            (json!({ "wave": "0%" }), "wave"),
            (
                json!({ "containers": [{ "name": "c", "weight": 0 }] }),
                "containers[c].weight 0",
            ),
            (
                json!({ "containers": [{ "name": "c", "weight": 1, "exclude": true }] }),
                "excluded",
            ),
            (
                json!({ "containers": [{ "name": "c", "fixed": { "cpu": "x" } }] }),
                "containers[c].fixed.cpu",
            ),
            (
                json!({ "nodeOverrides": [{ "nodeSelector": {}, "minCPU": "x" }] }),
                "nodeOverrides[0]: minCPU",
            ),
            (
                json!({ "nodeOverrides": [{ "nodeSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } }] }),
                "\"Like\" is no operator",
            ),
            (
                json!({ "nodeOverrides": [{ "nodeSelector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } }] }),
                "In on a needs values",
            ),
        ] {
            let mistake = of(spec).unwrap_err();
            assert!(mistake.contains(says), "{mistake}");
        }
    }

    #[test]
    fn what_does_nothing_is_a_warning() {
        let (_, warnings) = of(json!({ "minCPU": "1" })).unwrap();
        assert!(
            warnings[0].contains("no percentage") && warnings[1].contains("cpuPercentage"),
            "{warnings:?}"
        );
        let (_, warnings) = of(json!({ "cpuPercentage": 10, "minCPU": "1" })).unwrap();
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn a_container_that_is_not_there_is_named() {
        let (recipe, _) = of(json!({ "containers": [{ "name": "a" }, { "name": "b" }] })).unwrap();
        let daemonset = DaemonSetView {
            containers: vec![container("a", Role::Main, "")],
            ..DaemonSetView::default()
        };
        assert_eq!(unknown_containers(&recipe, &daemonset), ["b"]);
    }

    #[test]
    fn an_excluded_namespace_comes_with_a_command() {
        let labelled = |value: &str| NamespaceView {
            sizing: Some(value.into()),
        };
        let none = NamespaceView::default();
        let said = excluded("kube-system", &none, "own").unwrap();
        assert!(
            said.ends_with("kubectl label namespace kube-system holdfast.dev/sizing=enabled"),
            "{said}"
        );
        assert_eq!(excluded("kube-system", &labelled("enabled"), "own"), None);
        assert!(excluded("own", &labelled("enabled"), "own").is_some());
        assert_eq!(excluded("apps", &none, "own"), None);
        let said = excluded("apps", &labelled("disabled"), "own").unwrap();
        assert!(
            said.ends_with("kubectl label namespace apps holdfast.dev/sizing-"),
            "{said}"
        );
    }
}
