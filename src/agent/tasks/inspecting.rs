//! Answers what keeps a pod where it is, once: whoever wants to know it again asks anew.

use super::{Means, pass};
use crate::agent::api::{InspectionReport, StateTask, StateTaskStatus};
use crate::agent::hands::Memory;
use crate::agent::inspect;
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
        Ok((findings, memory)) => InspectionReport {
            findings: told(findings),
            memory_bytes: i64::try_from(memory).unwrap_or(i64::MAX),
        },
        Err(failure) => InspectionReport {
            findings: vec![Finding::new(Item::NoAnswer, &failure.to_string())],
            memory_bytes: 0,
        },
    }
}
