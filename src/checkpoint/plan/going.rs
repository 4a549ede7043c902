//! How a Checkpoint is let go: its node forgets first.

use super::{ACTION, Observed, Step, copies};
use crate::agent::api::{CheckpointStanding, CheckpointWord, StateTask};
use crate::checkpoint::api::reasons;
use crate::kit::events::Notice;

/// The node deletes what it has; when it says so, or nobody can, the Checkpoint is let go.
pub(super) fn let_go(seen: &Observed<'_>) -> Vec<Step> {
    let release = seen.is_held().then_some(Step::Release);
    let Some(begun) = seen.begun() else {
        return release.into_iter().collect();
    };
    if !seen.copies.is_empty() {
        // All nodes at once; its own order stays until the others are gone, since without it all would seem to be over.
        let own = seen
            .own_task()
            .filter(|task| word(task) != Some(CheckpointWord::Forget));
        let own = own.filter(|_| !seen.node_is_gone);
        let own = own.map(|_| forget(seen, begun.1)).unwrap_or_default();
        return copies::forget(seen).into_iter().chain(own).collect();
    }
    let own = seen.own_task();
    let is_anothers = seen.task.is_some() && own.is_none();
    if seen.node_is_gone || is_anothers || own.is_some_and(is_forgotten) {
        let delete = own.map(|_| Step::DeleteTask);
        return delete.into_iter().chain(release).collect();
    }
    match own {
        // After a failure that was let go there is none, and nothing is held.
        None if release.is_none() => Vec::new(),
        None => {
            let order = seen.order(begun, CheckpointWord::Forget);
            vec![Step::CreateTask(Box::new(order))]
        }
        Some(task) if word(task) == Some(CheckpointWord::Forget) => Vec::new(),
        Some(_) => forget(seen, begun.1),
    }
}

/// A deletion may take a while: it is told whom it waits for.
fn forget(seen: &Observed<'_>, node: &str) -> Vec<Step> {
    let notice = Notice {
        is_warning: false,
        reason: reasons::FORGETTING,
        action: ACTION,
        note: format!("node {node} is asked to delete what it has"),
    };
    let told = seen.is_deleting().then_some(Step::Tell(notice));
    std::iter::once(Step::Forget).chain(told).collect()
}

fn word(task: &StateTask) -> Option<CheckpointWord> {
    task.spec.checkpoint.as_ref().map(|order| order.word)
}

/// Nothing is there any more, and nothing will be: a node that was told to take it could begin after it had forgotten.
fn is_forgotten(task: &StateTask) -> bool {
    let status = task.status.as_ref();
    let report = status.and_then(|status| status.checkpoint.as_ref());
    let says = report.is_some_and(|report| report.standing == CheckpointStanding::Forgotten);
    says && word(task) == Some(CheckpointWord::Forget)
}
