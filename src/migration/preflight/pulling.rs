//! What a pod's spec says of its images that matters to a move: which of them may be others by now, and which are asked for while it is
//! frozen. Pure.

use crate::migration::images::{containers, is_pinned};
use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
use k8s_openapi::api::core::v1::{Container, PodSpec};

/// `is_owned`: its first container waits beside it, before it is frozen.
pub(super) fn of_images(spec: &PodSpec, is_owned: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let restored = containers(spec).filter(|one| is_restored(spec, one));
    let tagged = restored.filter(|one| policy(one) != "Never" && !is_pinned(one));
    let tagged: Vec<_> = tagged.filter_map(|one| one.image.as_deref()).collect();
    if let Some(first) = tagged.first() {
        let more = match tagged.len() {
            1 => String::new(),
            all => format!(", and {} more,", all.saturating_sub(1)),
        };
        let sentence = format!(
            "the image {first}{more} is named by a tag: if that means another image by now, a node that has to get it gets the other one"
        );
        found.push(Finding::new(Item::ImageTag, &sentence));
    }
    let first = containers(spec).find(|one| is_restored(spec, one));
    let first = first.filter(|_| is_owned).map(|one| &one.name);
    let asking = containers(spec).filter(|one| policy(one) == "Always" && Some(&one.name) != first);
    // Beside a pod that waits all init containers before the first that is restored were made already.
    let mut asking = asking.filter(|one| !is_owned || is_restored(spec, one));
    if let Some(one) = asking.next() {
        let sentence = format!(
            "container {} has imagePullPolicy: Always, so that the registry is asked once more while the pod is frozen",
            one.name
        );
        found.push(Finding::new(Item::ImageAlways, &sentence));
    }
    found
}

fn policy(container: &Container) -> &str {
    container.image_pull_policy.as_deref().unwrap_or_default()
}

/// Init containers have ended, but for native sidecars.
fn is_restored(spec: &PodSpec, container: &Container) -> bool {
    spec.containers.iter().any(|one| one.name == container.name)
        || container.restart_policy.as_deref() == Some("Always")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(spec: Value, is_owned: bool) -> Vec<String> {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let found = of_images(&spec, is_owned).into_iter();
        found
            .map(|one| format!("{}: {}", one.id, one.sentence))
            .collect()
    }

    #[test]
    fn what_is_pinned_or_never_pulled_says_nothing() {
        let spec = json!({ "containers": [
            { "name": "a", "image": "web@sha256:abc", "imagePullPolicy": "IfNotPresent" },
            { "name": "b", "image": "web:1", "imagePullPolicy": "Never" },
        ] });
        assert_eq!(found(spec, true), [""; 0]);
    }

    #[test]
    fn tags_are_told_once() {
        let spec = json!({ "containers": [
            { "name": "a", "image": "web:1", "imagePullPolicy": "IfNotPresent" },
            { "name": "b", "image": "log:1", "imagePullPolicy": "IfNotPresent" },
        ] });
        let found = found(spec, true);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("image-tag: the image web:1, and 1 more, is"),
            "{found:?}"
        );
    }

    #[test]
    fn a_registry_that_is_asked_in_the_freeze_is_told() {
        let one = json!({ "initContainers": [{ "name": "i", "image": "i@x", "imagePullPolicy": "Always" }],
            "containers": [{ "name": "a", "image": "a@x", "imagePullPolicy": "Always" }] });
        assert_eq!(
            found(one.clone(), true),
            [""; 0],
            "the first one waits beside it"
        );
        let bare = found(one, false);
        assert!(
            bare[0].starts_with("image-always: container i has"),
            "{bare:?}"
        );
        let two = json!({ "containers": [
            { "name": "a", "image": "a@x", "imagePullPolicy": "Always" },
            { "name": "b", "image": "b@x", "imagePullPolicy": "Always" },
        ] });
        let two = found(two, true);
        assert!(
            two[0].starts_with("image-always: container b has"),
            "{two:?}"
        );
    }
}
