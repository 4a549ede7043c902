//! What is read of a pod, against what the published types of Kubernetes read of the same bytes.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use crate::sizing::desire::Slot;
use crate::sizing::pod::Pod;
use crate::sizing::view::Role;
use k8s_openapi::api::core::v1::{Container, Pod as Typed};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
    object: Typed,
}

/// Panics where the two disagree on owner, node, containers or quantities. What the types refuse is not compared.
pub(super) fn agrees(body: &[u8], pod: &Pod) {
    let Ok(review) = serde_json::from_slice::<Review>(body) else {
        return;
    };
    assert!(!review.request.uid.is_empty());
    let typed = &review.request.object;
    let owner = pod.daemonset().map(|owner| (&*owner.name, &*owner.uid));
    assert_eq!(owner, daemonset(typed));
    assert_eq!(pod.node().ok(), node(typed));
    assert_eq!(pod.has_pod_resources(), has_pod_resources(typed));
    let places: Vec<_> = pod.containers().map(|(list, at, _)| (list, at)).collect();
    let expected = containers(typed);
    assert_eq!(
        places,
        expected
            .iter()
            .map(|(list, at, _)| (*list, *at))
            .collect::<Vec<_>>()
    );
    for (slot, (list, _, container)) in pod.slots().iter().zip(&expected) {
        compare(slot, list, container);
    }
}

fn has_pod_resources(pod: &Typed) -> bool {
    let whole = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let lists = whole.map(|whole| [&whole.requests, &whole.limits]);
    let mut lists = lists.into_iter().flatten().flatten();
    lists.any(|list| !list.is_empty())
}

fn daemonset(pod: &Typed) -> Option<(&str, &str)> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| {
        owner.controller == Some(true)
            && owner.kind == "DaemonSet"
            && owner.api_version.starts_with("apps/")
    })?;
    Some((&owner.name, &owner.uid))
}

/// The node that the pod is bound to, or the one name that every term of its affinity comes down to.
fn node(pod: &Typed) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let required = spec
        .affinity
        .as_ref()?
        .node_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let mut names = BTreeSet::new();
    for term in &required.node_selector_terms {
        let fields = term.match_fields.iter().flatten();
        let values = fields
            .filter(|field| field.key == "metadata.name" && field.operator == "In")
            .filter_map(|field| field.values.as_deref());
        let mut of_term: Vec<&[String]> = values.filter(|values| !values.is_empty()).collect();
        of_term.dedup();
        match of_term[..] {
            [[one]] => names.insert(one.as_str()),
            _ => return None,
        };
    }
    if names.len() == 1 {
        names.pop_first()
    } else {
        None
    }
}

fn containers(pod: &Typed) -> Vec<(&'static str, usize, &Container)> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .enumerate()
        .map(|(at, one)| ("initContainers", at, one));
    let main = spec
        .containers
        .iter()
        .enumerate()
        .map(|(at, one)| ("containers", at, one));
    init.chain(main).collect()
}

fn compare(slot: &Slot, list: &str, container: &Container) {
    assert_eq!(slot.name, container.name);
    let role = match (list, container.restart_policy.as_deref()) {
        ("containers", _) => Role::Main,
        (_, Some("Always")) => Role::Sidecar,
        _ => Role::Init,
    };
    assert_eq!(slot.role, role);
    let resources = container.resources.as_ref();
    let lists = [
        (
            slot.requests,
            resources.and_then(|resources| resources.requests.as_ref()),
        ),
        (
            slot.limits,
            resources.and_then(|resources| resources.limits.as_ref()),
        ),
    ];
    for (amounts, typed) in lists {
        for resource in Resource::ALL {
            assert_eq!(
                *amounts.of(resource),
                amount(typed, resource),
                "{}",
                resource.key()
            );
        }
    }
}

fn amount(list: Option<&BTreeMap<String, Text>>, resource: Resource) -> Option<Quantity> {
    list?.get(resource.key())?.0.parse().ok()
}
