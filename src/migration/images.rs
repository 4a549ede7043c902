//! The images of a pod that moves: which its containers were made from, whether the target has them, and why it cannot get them. Pure.

use crate::agent::api::{ImageNote, ImagesReport, Order};
use crate::migration::api::Journey;
use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use std::time::Duration;

/// For so long a kubelet tries again before that counts: a registry may be away for a moment.
const PATIENCE: Duration = Duration::from_secs(30);
/// How a kubelet says that it has no image, and is about to try again.
const FAILING: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ImageInspectError",
];
/// The same where it will not.
const HOPELESS: [&str; 2] = ["ErrImageNeverPull", "InvalidImageName"];

/// All containers, in the order in which they are made.
pub(crate) fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let inits = spec.init_containers.iter().flatten();
    inits.chain(&spec.containers)
}

/// What its images are, by what its node says of them; or that one is not known.
pub(crate) fn known(
    pod: &Pod,
    journey: &Journey,
    said: &[ImageNote],
) -> Result<Vec<ImageNote>, Finding> {
    let Some(spec) = &pod.spec else {
        return Ok(Vec::new());
    };
    let order = journey.order;
    let mut notes = Vec::new();
    for container in containers(spec) {
        let name = &container.name;
        let found = said.iter().find(|note| note.container == *name);
        let id = found.and_then(|note| note.id.clone());
        let is_restored = journey.restores.contains(name);
        if is_restored && id.is_none() {
            let why =
                format!("the agent of its node does not say which image container {name} runs");
            return Err(Finding::new(Item::Image, &why));
        }
        // Init containers are not run again, but made; beside a pod that waits their images have all the time that they need.
        if is_restored || order == Order::FreezeFirst {
            notes.push(ImageNote {
                container: name.clone(),
                image: container.image.clone().unwrap_or_default(),
                id: id.filter(|_| is_restored),
                asked: !is_never_pulled(container),
            });
        }
    }
    if !come_first(order, &notes) {
        // Its own kubelet is asked for it, by the pod that waits.
        for note in &mut notes {
            note.asked = false;
        }
    }
    Ok(notes)
}

/// Its name means one image for ever.
pub(crate) fn is_pinned(container: &Container) -> bool {
    let image = container.image.as_deref();
    image.is_some_and(|image| image.contains('@'))
}

/// Its images have to be there before any pod waits: a kubelet gets that of a further container only when the one before it runs.
pub(crate) fn come_first(order: Order, images: &[ImageNote]) -> bool {
    let is_alone = order == Order::PrepareFirst && images.len() < 2;
    !images.is_empty() && !is_alone
}

/// What is to be seen of how images come.
pub(crate) struct Sight<'a> {
    /// What the target says.
    pub(crate) report: Option<&'a ImagesReport>,
    /// The pod that moves.
    pub(crate) source: Option<&'a Pod>,
    /// The pod that is to get its state, and the one that fetches images.
    pub(crate) pods: [Option<&'a Pod>; 2],
    /// When it was begun.
    pub(crate) began: Option<Timestamp>,
}

/// Why they do not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They may yet.
    Yet(String),
    /// It is not waited for.
    Over(String),
}

impl Fault {
    /// It may be cured yet: why.
    pub(crate) fn yet(&self) -> Option<&str> {
        match self {
            Self::Yet(why) => Some(why),
            Self::Over(_) => None,
        }
    }

    /// It is not waited for: why.
    pub(crate) fn over(&self) -> Option<&str> {
        match self {
            Self::Over(why) => Some(why),
            Self::Yet(_) => None,
        }
    }
}

/// Why the target has not the images that it needs, if there is a reason.
pub(crate) fn fault(seen: &Sight<'_>, target_node: &str, now: Timestamp) -> Option<Fault> {
    if let Some(why) = seen.report.and_then(|report| report.unlike.clone()) {
        return Some(Fault::Over(why));
    }
    if let Some(why) = never(seen, target_node) {
        return Some(Fault::Over(why));
    }
    let pods = seen.pods.into_iter().flatten();
    let mut told = pods.filter_map(|pod| failing(pod, target_node, now));
    told.next().or_else(|| {
        let why = seen.report?.unknown.clone()?;
        Some(waited(why, seen.began, now))
    })
}

fn waited(why: String, since: Option<Timestamp>, now: Timestamp) -> Fault {
    let age = since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
    if age.is_some_and(|age| age >= PATIENCE) {
        Fault::Over(why)
    } else {
        Fault::Yet(why)
    }
}

/// An image that is not there, and that nobody may get.
fn never(seen: &Sight<'_>, target_node: &str) -> Option<String> {
    let lacks = &seen.report?.lacks;
    let spec = seen.source?.spec.as_ref()?;
    let mut all = containers(spec).filter(|one| lacks.contains(&one.name));
    let one = all.find(|one| is_never_pulled(one))?;
    let (image, name) = (one.image.as_deref().unwrap_or_default(), &one.name);
    Some(format!(
        "{target_node} has no image {image}, which container {name} needs, and imagePullPolicy: Never keeps its kubelet from getting it: load it there, or set IfNotPresent"
    ))
}

pub(crate) fn is_never_pulled(container: &Container) -> bool {
    container.image_pull_policy.as_deref() == Some("Never")
}

/// What the kubelet of a pod says of an image that it cannot get.
fn failing(pod: &Pod, target_node: &str, now: Timestamp) -> Option<Fault> {
    let status = pod.status.as_ref()?;
    let inits = status.init_container_statuses.iter().flatten();
    let mut all = inits.chain(status.container_statuses.iter().flatten());
    let since = status.start_time.as_ref().map(|time| time.0);
    let said = all.find_map(|one| {
        let (reason, message) = waits(one)?;
        let why = format!(
            "{target_node} cannot get the image of container {}: {}: see that it is there, and that the pod's imagePullSecrets let it be read",
            one.name,
            message.trim_end_matches('.'),
        );
        if HOPELESS.contains(&reason) {
            return Some(Fault::Over(why));
        }
        FAILING
            .contains(&reason)
            .then(|| waited(why, since, now))
    });
    // A kubelet that does not take a pod says so at once.
    let refused = || {
        let reason = status
            .reason
            .as_ref()
            .filter(|_| status.phase.as_deref() == Some("Failed"))?;
        let message = status.message.as_deref().unwrap_or_default();
        Some(Fault::Over(format!(
            "{target_node} does not take a pod that is to get its images: {reason}: {message}"
        )))
    };
    said.or_else(refused)
}

fn waits(one: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = one.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    Some((reason, waiting.message.as_deref().unwrap_or(reason)))
}

#[cfg(test)]
mod tests;
