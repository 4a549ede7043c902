//! A pod that asks the kubelet of the target for images before they are needed, as the pod that moves would: with its imagePullSecrets, its
//! service account, and its policies. What is not there is got; and what is there may be of somebody whose secrets are others, so that
//! this pod would not be given it. Nothing of these images is run. Pure.

use crate::agent::api::{ImageNote, SourceStanding};
use crate::kit::names;
use crate::migration::api::{Outcome, Stage};
use crate::migration::images::{come_first, containers, is_never_pulled};
use crate::migration::plan::{Course, Observed};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::{Value, json};

/// In no image: what is to be started of it fails, and says what it was for.
const NOTHING: &str = "/holdfast-has-this-image-fetched-and-runs-nothing-of-it";

/// What a kubelet says of a container that it has an image for, and that its runtime does not make or start; or that has ended.
const FAILS: [&str; 3] = [
    "CreateContainerError",
    "RunContainerError",
    "CreateContainerConfigError",
];

/// What is done about images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// A pod is made that has them fetched.
    Make(Box<Pod>),
    /// It has done so, or nobody needs it any more.
    Delete,
}

/// What the pod is called that fetches for an operation.
pub(crate) fn name(operation: &str) -> String {
    format!("holdfast-images-{operation}")
}

/// What is done now. `source`: the pod that moves; `fetcher`: the pod that fetches for it, if it is there.
pub(crate) fn plan(
    seen: &Observed<'_>,
    (source, fetcher): (Option<&Pod>, Option<&Pod>),
    owner: Option<OwnerReference>,
) -> Option<Act> {
    let wanted = wanted(seen);
    let Some(fetcher) = fetcher else {
        let made = made(seen, source?, &wanted, owner)?;
        return Some(Act::Make(Box::new(made)));
    };
    let is_useful = !wanted.is_empty() && wanted.iter().all(|note| fetches(fetcher, note));
    let is_going = fetcher.metadata.deletion_timestamp.is_some();
    (!is_useful && !is_going).then_some(Act::Delete)
}

/// It has got all that is to be asked for.
pub(crate) fn has_fetched(course: &Course, fetcher: Option<&Pod>) -> bool {
    let Some(fetcher) = fetcher else {
        return false;
    };
    let status = fetcher.status.as_ref();
    let statuses = status.and_then(|status| status.container_statuses.as_ref());
    let has_it = |note: &ImageNote| {
        let mut all = statuses.into_iter().flatten();
        all.any(|one| one.name == note.container && is_past_its_image(one))
    };
    let mut asked = course.images.iter().filter(|note| note.asked);
    asked.all(has_it)
}

/// What was to be started of it has failed, as it is meant to.
fn is_past_its_image(one: &ContainerStatus) -> bool {
    let Some(state) = &one.state else {
        return false;
    };
    let waiting = state.waiting.as_ref();
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    state.terminated.is_some() || reason.is_some_and(|reason| FAILS.contains(&reason))
}

/// The containers whose images are missing, or were not asked for yet, while nothing of the pod stands still.
fn wanted<'a>(seen: &Observed<'a>) -> Vec<&'a ImageNote> {
    let (status, course) = (seen.status, seen.course);
    let standing = seen.source.source.map(|report| report.standing);
    let is_early = matches!(standing, None | Some(SourceStanding::Idle));
    let is_open = status.stage == Stage::Begun
        && status.decision.outcome == Outcome::Undecided
        && status.given_up.is_none();
    let report = seen.target.target.and_then(|told| told.images.as_ref());
    let report = report.filter(|_| is_early && is_open && come_first(course.order, &course.images));
    let Some(report) = report else {
        return Vec::new();
    };
    let spec = seen.target.spec.and_then(|spec| spec.target.as_ref());
    let was_asked = spec.is_some_and(|order| order.asked);
    let is_wanted =
        |note: &&ImageNote| report.lacks.contains(&note.container) || (note.asked && !was_asked);
    course.images.iter().filter(is_wanted).collect()
}

fn fetches(fetcher: &Pod, note: &ImageNote) -> bool {
    let spec = fetcher.spec.as_ref();
    let is_it = |one: &Container| one.name == note.container;
    spec.is_some_and(|spec| spec.containers.iter().any(is_it))
}

fn made(
    seen: &Observed<'_>,
    source: &Pod,
    wanted: &[&ImageNote],
    owner: Option<OwnerReference>,
) -> Option<Pod> {
    let spec = source.spec.as_ref()?;
    let may = containers(spec).filter(|one| !is_never_pulled(one));
    let is_wanted = |one: &&Container| wanted.iter().any(|note| note.container == one.name);
    let missing: Vec<Value> = may
        .filter(is_wanted)
        .map(|one| {
            json!({
                "name": one.name, "image": one.image, "imagePullPolicy": one.image_pull_policy, "command": [NOTHING],
                "resources": { "requests": { "cpu": "1m", "memory": "1Mi" }, "limits": { "cpu": "500m", "memory": "64Mi" } },
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            })
        })
        .collect();
    if missing.is_empty() {
        return None;
    }
    let made = json!({
        "metadata": {
            "name": name(&seen.course.operation), "namespace": source.namespace(),
            "labels": { "app.kubernetes.io/managed-by": "holdfast", names::OPERATION_LABEL: seen.course.operation },
        },
        "spec": {
            "nodeName": seen.course.target_node, "containers": missing, "restartPolicy": "Never",
            "serviceAccountName": spec.service_account_name, "automountServiceAccountToken": false,
            "imagePullSecrets": spec.image_pull_secrets, "tolerations": spec.tolerations,
            "enableServiceLinks": false, "terminationGracePeriodSeconds": 0,
            // What no namespace refuses, however strict it is.
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": { "type": "RuntimeDefault" } },
        },
    });
    let mut made: Pod = serde_json::from_value(made).ok()?;
    made.metadata.owner_references = owner.map(|owner| vec![owner]);
    Some(made)
}

#[cfg(test)]
mod tests;
