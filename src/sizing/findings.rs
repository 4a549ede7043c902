//! What is to be said of a template or a DaemonSet before it is stored: mistakes, which refuse it, and warnings. The validating webhook,
//! the controller and `holdfast lint` all come here. Pure.

use crate::kit::error::Error;
use crate::kit::names;
use crate::kit::near::suggestion;
use crate::sizing::amounts::Resource;
use crate::sizing::api::FlexDaemonsetTemplateSpec;
use crate::sizing::recipe::Recipe;
use crate::sizing::view::DaemonSetView;

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

/// Why pods of a namespace are not sized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// It is the cluster's own, and nobody said otherwise.
    System,
    /// It is that of Holdfast itself.
    Own,
    /// By its label.
    Label,
}

/// Why pods of a namespace with this label are not sized; nothing where they are. Nothing is allocated: reviews of pods come here.
pub(crate) fn exclusion(name: &str, label: Option<&str>, own: &str) -> Option<Exclusion> {
    if name == SYSTEM && label != Some("enabled") {
        return Some(Exclusion::System);
    }
    if name == own {
        return Some(Exclusion::Own);
    }
    (label == Some("disabled")).then_some(Exclusion::Label)
}

impl Exclusion {
    /// That pods of this namespace are not sized, and what to do.
    pub(crate) fn sentence(self, name: &str) -> String {
        let label = names::SIZING_LABEL;
        match self {
            Self::System => format!(
                "pods of {name} get no share unless you say so: kubectl label namespace {name} {label}=enabled"
            ),
            Self::Own => format!(
                "pods of {name} get no share: Holdfast does not size its own namespace; put the DaemonSet into another one"
            ),
            Self::Label => format!(
                "pods of {name} get no share, by a label of the namespace; to take it away: kubectl label namespace {name} {label}-"
            ),
        }
    }
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
        let (none, enabled, disabled) = (None, Some("enabled"), Some("disabled"));
        for (name, label, says) in [
            (
                "kube-system",
                none,
                Some("namespace kube-system holdfast.dev/sizing=enabled"),
            ),
            (
                "kube-system",
                disabled,
                Some("namespace kube-system holdfast.dev/sizing=enabled"),
            ),
            ("kube-system", enabled, None),
            ("own", enabled, Some("put the DaemonSet into another one")),
            ("apps", none, None),
            (
                "apps",
                disabled,
                Some("kubectl label namespace apps holdfast.dev/sizing-"),
            ),
        ] {
            let found = exclusion(name, label, "own");
            assert_eq!(found.is_some(), says.is_some(), "{name} {label:?}");
            if let (Some(found), Some(says)) = (found, says) {
                let said = found.sentence(name);
                assert!(said.ends_with(says), "{said}");
            }
        }
    }
}
