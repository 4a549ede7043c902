//! Pods that are missing because a `ResourceQuota` has no room for their share. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::desire::{Slot, desire};
use crate::sizing::load::asked;
use crate::sizing::observed::{Crew, Place};
use crate::sizing::recipe::Recipe;
use k8s_openapi::api::core::v1::ResourceQuota;

/// A quota that has no room for a pod of this DaemonSet on this node, in a sentence.
pub(crate) fn refusal(
    quotas: &[ResourceQuota],
    crew: &Crew,
    recipe: &Recipe,
    place: &Place,
) -> Option<String> {
    let (requests, limits) = share(crew, recipe, place);
    quotas.iter().filter(|quota| is_for_all(quota)).find_map(|quota| {
        let name = quota.metadata.name.as_deref().unwrap_or_default();
        let status = quota.status.as_ref()?;
        let read = |list: &Option<std::collections::BTreeMap<String, _>>, key: &str| {
            let amount: &k8s_openapi::apimachinery::pkg::api::resource::Quantity =
                list.as_ref()?.get(key)?;
            amount.0.parse::<Quantity>().ok()
        };
        Resource::ALL.into_iter().find_map(|resource| {
            let plain = resource.key();
            [
                (plain.to_owned(), &requests),
                (format!("requests.{plain}"), &requests),
                (format!("limits.{plain}"), &limits),
            ]
            .into_iter()
            .find_map(|(key, share)| {
                let share = (*share.of(resource))?;
                let (hard, used) = (read(&status.hard, &key)?, read(&status.used, &key)?);
                (used.plus(share) > hard).then(|| {
                    format!(
                        "ResourceQuota {name} has no room for it: {key} is {} of {}, and its share is {}; raise the quota, or bound the share with max{}",
                        resource.text(used),
                        resource.text(hard),
                        resource.text(share),
                        resource.field().1
                    )
                })
            })
        })
    })
}

/// One that is for some pods only may not be for these.
fn is_for_all(quota: &ResourceQuota) -> bool {
    let spec = quota.spec.as_ref();
    spec.is_none_or(|spec| {
        let is_wide = |scope: &String| matches!(scope.as_str(), "NotTerminating" | "NotBestEffort");
        spec.scope_selector.is_none() && spec.scopes.iter().flatten().all(is_wide)
    })
}

/// What a pod of the DaemonSet would ask for there: requests, and limits.
fn share(crew: &Crew, recipe: &Recipe, place: &Place) -> (Amounts, Amounts) {
    let slots: Vec<Slot> = crew.view.containers.iter().map(Slot::from).collect();
    let desired = desire(&crew.inputs(recipe, place), &slots);
    let mut containers = desired.given_to(&crew.view.containers);
    let requests = asked(&containers);
    for container in &mut containers {
        container.requests = container.limits;
    }
    (requests, asked(&containers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::observed::scene::{crew, pod, template};
    use serde_json::{Value, json};

    /// What is said of a share of 1 CPU and 10Gi.
    fn said(quota: Value) -> Option<String> {
        let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
        let seen = template(json!({ "cpuPercentage": 10, "memoryPercentage": 10 }));
        let (_, place) = pod(1, "").place.unwrap();
        refusal(
            &[quota],
            &crew("d", "cpu=100m"),
            &seen.recipe.unwrap(),
            &place,
        )
    }

    fn quota(key: &str, hard: &str, used: &str) -> Value {
        json!({ "metadata": { "name": "q" }, "status": { "hard": { key: hard }, "used": { key: used } } })
    }

    #[test]
    fn a_quota_without_room_is_named_with_its_numbers() {
        for (key, hard, used, is_full) in [
            ("requests.cpu", "10", "9", false),
            ("requests.cpu", "10", "9001m", true),
            ("cpu", "10", "9500m", true),
            ("limits.memory", "20Gi", "11Gi", true),
            ("limits.memory", "20Gi", "10Gi", false),
            ("requests.ephemeral-storage", "1", "1", false),
            ("pods", "1", "1", false),
        ] {
            assert_eq!(
                said(quota(key, hard, used)).is_some(),
                is_full,
                "{key} {hard} {used}"
            );
        }
        let said = said(quota("limits.memory", "20Gi", "11Gi")).unwrap();
        assert!(
            said.starts_with("ResourceQuota q has no room for it: limits.memory is 11Gi of 20Gi, and its share is 10Gi;"),
            "{said}"
        );
    }

    #[test]
    fn a_quota_for_some_pods_only_is_not_blamed() {
        let mut scoped = quota("requests.cpu", "1", "1");
        for (spec, is_blamed) in [
            (json!({ "scopes": ["NotTerminating"] }), true),
            (json!({ "scopes": ["Terminating"] }), false),
            (
                json!({ "scopeSelector": { "matchExpressions": [] } }),
                false,
            ),
        ] {
            scoped["spec"] = spec;
            assert_eq!(said(scoped.clone()).is_some(), is_blamed, "{scoped}");
        }
    }
}
