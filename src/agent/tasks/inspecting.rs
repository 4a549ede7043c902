//! Answers what keeps a pod where it is, once: whoever wants to know it again asks anew.

use super::{Means, pass};
use crate::agent::api::{ImageNote, InspectionReport, StateTask, StateTaskStatus};
use crate::agent::hands::Memory;
use crate::agent::{inspect, pods};
use crate::preflight::finding::{Finding, told};
use crate::preflight::list::Item;
use tokio::sync::OwnedMutexGuard;

/// It is not answered yet.
pub(super) fn is_open(task: &StateTask) -> bool {
    let status = task.status.as_ref();
    let is_answered = status.is_some_and(|status| status.inspection.is_some());
    let seen = status.and_then(|status| status.observed_generation);
    !(is_answered && seen == task.metadata.generation)
}

pub(super) async fn run(means: &Means, order: Option<&StateTask>, memory: OwnedMutexGuard<Memory>) {
    let mut memory = memory;
    let Some(task) = order else {
        return;
    };
    let Some(order) = &task.spec.inspect else {
        return;
    };
    let status = StateTaskStatus {
        inspection: Some(report(means, &order.pod.uid).await),
        ..StateTaskStatus::default()
    };
    let failed = pass::say(means, task, status).await.err();
    // Said once, though it is tried again and again.
    if memory.said != failed {
        if let Some(why) = &failed {
            tracing::warn!(why, "what keeps a pod here cannot be told; trying again");
        }
        memory.said = failed;
    }
}

async fn report(means: &Means, uid: &str) -> InspectionReport {
    match inspect::findings(&means.host, means.prefixes, uid).await {
        Ok((mut findings, memory)) => {
            let (images, unknown) = images(means, uid).await;
            findings.extend(unknown);
            InspectionReport {
                findings: told(findings),
                memory_bytes: i64::try_from(memory).unwrap_or(i64::MAX),
                images,
            }
        }
        Err(failure) => InspectionReport {
            findings: vec![Finding::new(Item::NoAnswer, &failure.to_string())],
            ..InspectionReport::default()
        },
    }
}

/// The images of a pod's containers; one that nobody knows is told.
async fn images(means: &Means, uid: &str) -> (Vec<ImageNote>, Vec<Finding>) {
    let (mut images, mut unknown) = (Vec::new(), Vec::new());
    // What cannot be read of a pod is told with its processes.
    for living in pods::living(&means.host, uid).unwrap_or_default() {
        match means.targets.seen_images().of_living(&living).await {
            Ok(id) => images.push(ImageNote {
                container: living.held.name,
                id: Some(id),
                ..ImageNote::default()
            }),
            Err(failure) => unknown.push(Finding::new(
                Item::Image,
                &format!(
                    "the image of container {} is not known: {failure}",
                    living.held.name
                ),
            )),
        }
    }
    (images, unknown)
}
