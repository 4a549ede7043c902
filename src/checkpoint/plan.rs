//! What the leader does for a Checkpoint in one pass. Pure: the time is an argument. A pass ends with the first thing that others
//! depend on; what it wrote brings the next one.
//!
//! ```text
//! refused ◄─ the pod ─► held (finalizer) ─► begun: pod, node (status) ─► StateTask: Take ─► Frozen ─► Dumped ─► Succeeded ─► Lost
//!                                                                             └─► Failed ─► StateTask: Forget ─► let go
//! Succeeded: StateTasks of copies ─► the node that has it sends ─► Copied
//! deleted: StateTask: Forget ─► Forgotten ─► StateTask deleted ─► let go
//! ```
//!
//! | what is known | then |
//! |---|---|
//! | the pod cannot be checkpointed, or its node may keep no more | `Failed`, nothing was touched, nothing is held |
//! | it was begun, and there is no `StateTask` | the node is asked, again if need be: an agent does for an operation nothing twice |
//! | the node's object is gone | `Failed` before it was kept, `Lost` after; nobody is waited for |
//! | it is being deleted, or failed | the node deletes what it has; held until it says so |
//! | its time is over | it is deleted |

mod copies;
mod going;
mod order;
mod refusal;
mod slot;
mod standing;

use crate::agent::api::{
    CheckpointReport, CheckpointStanding, CheckpointWord, CopyTarget, StateTask,
};
use crate::checkpoint::api::{Checkpoint, CheckpointStatus, Phase, reasons};
use crate::checkpoint::retention::Room;
use crate::kit::conditions::{Finding, merge};
use crate::kit::events::Notice;
use crate::kit::names;
pub(crate) use copies::{Copied, Seat, has_too_few_nodes, is_settled};
use going::let_go;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};
pub(crate) use standing::size;

/// What the controller does, in events.
const ACTION: &str = "Checkpointing";

/// Everything that one pass needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed<'a> {
    /// The Checkpoint.
    pub(crate) checkpoint: &'a Checkpoint,
    /// The pod of that name. Looked for until its node was asked.
    pub(crate) pod: Option<&'a Pod>,
    /// The node that the status names has no object any more.
    pub(crate) node_is_gone: bool,
    /// The object that has our `StateTask`'s name.
    pub(crate) task: Option<&'a StateTask>,
    /// Nodes that were asked to have a copy.
    pub(crate) copies: &'a [Copied],
    /// Nodes that could have one. Looked for while some are wanting.
    pub(crate) seats: &'a [Seat],
    /// What its node may keep more. Looked for until the node was asked; nothing where it may keep everything.
    pub(crate) room: Option<&'a Room>,
    /// The time of day.
    pub(crate) now: Timestamp,
}

/// What is done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Our finalizer is put up.
    Hold,
    /// The status, over the one that was seen.
    Status(Box<CheckpointStatus>),
    /// An event on the Checkpoint.
    Tell(Notice),
    /// The node is asked.
    CreateTask(Box<StateTask>),
    /// The node is asked to forget.
    Forget,
    /// The node is told where copies are to go.
    Ship(Vec<CopyTarget>),
    /// A node is asked to forget its copy.
    ForgetCopy(Box<StateTask>),
    /// What a node was asked about a copy is let go, and deleted, this uid alone.
    DropCopy(Box<StateTask>),
    /// The `StateTask` is let go, and deleted, this uid alone.
    DeleteTask,
    /// Our finalizer is taken away.
    Release,
    /// The Checkpoint is deleted, this uid alone.
    Expire,
}

/// What is done in one pass.
#[must_use]
pub(crate) fn plan(seen: &Observed<'_>) -> Vec<Step> {
    if seen.is_deleting() {
        // Without our finalizer nothing waits for us, and nothing would be gained by asking a node now.
        return if seen.is_held() {
            let_go(seen)
        } else {
            Vec::new()
        };
    }
    if seen.has_expired() {
        return vec![Step::Expire];
    }
    match seen.status().phase {
        Phase::Failed => or(let_go(seen), || acknowledge(seen)),
        Phase::Lost => lost(seen),
        Phase::Succeeded => kept(seen),
        _ if seen.begun().is_none() => begin(seen),
        _ => follow(seen),
    }
}

/// When the Checkpoint is to go, if nobody changes it.
#[must_use]
pub(crate) fn ends(checkpoint: &Checkpoint) -> Option<Timestamp> {
    let status = checkpoint.status.as_ref()?;
    let is_taken = matches!(status.phase, Phase::Succeeded | Phase::Lost);
    let taken = status.taken_at.as_ref().filter(|_| is_taken)?;
    checkpoint.spec.ends(taken).map(|end| end.0)
}

/// What the `StateTask` of a Checkpoint is called.
#[must_use]
pub(crate) fn task_name(checkpoint: &Checkpoint) -> String {
    format!("checkpoint-{}", checkpoint.uid().unwrap_or_default())
}

/// The first of two plans that has anything to do.
fn or(first: Vec<Step>, second: impl FnOnce() -> Vec<Step>) -> Vec<Step> {
    if first.is_empty() { second() } else { first }
}

impl<'a> Observed<'a> {
    fn is_deleting(&self) -> bool {
        self.checkpoint.meta().deletion_timestamp.is_some()
    }

    fn is_held(&self) -> bool {
        let held = self.checkpoint.finalizers();
        held.iter().any(|one| one == names::CHECKPOINT_FINALIZER)
    }

    fn has_expired(&self) -> bool {
        ends(self.checkpoint).is_some_and(|end| end <= self.now)
    }

    fn status(&self) -> CheckpointStatus {
        self.checkpoint.status.clone().unwrap_or_default()
    }

    /// The pod's uid and the node, if anything was begun.
    fn begun(&self) -> Option<(&'a str, &'a str)> {
        let status = self.checkpoint.status.as_ref()?;
        Some((status.pod_uid.as_deref()?, status.node.as_deref()?))
    }

    fn operation(&self) -> String {
        self.checkpoint.uid().unwrap_or_default()
    }

    fn own_task(&self) -> Option<&'a StateTask> {
        self.task
            .filter(|task| task.spec.operation == self.operation())
    }

    fn report(&self) -> Option<&'a CheckpointReport> {
        self.own_task()?.status.as_ref()?.checkpoint.as_ref()
    }

    /// A new status with what was found, and an event if that is news. Nothing where all is said already.
    fn say(&self, status: CheckpointStatus, found: Finding) -> Vec<Step> {
        self.say_all(status, &[found])
    }

    /// The same of several.
    fn say_all(&self, mut status: CheckpointStatus, found: &[Finding]) -> Vec<Step> {
        let former = self.status();
        let generation = self.checkpoint.metadata.generation;
        let is_news = |found: &&Finding| {
            let mut known = former.conditions.iter();
            let is_new = known.all(|one| one.type_ != found.kind || one.reason != found.reason);
            // That a node is at it is no news for anybody: what comes of it is.
            is_new && ![reasons::RUNNING, reasons::COPYING].contains(&found.reason)
        };
        let notices = found.iter().filter(is_news).map(|found| {
            Step::Tell(Notice {
                is_warning: ![reasons::TAKEN, reasons::COPIED].contains(&found.reason),
                reason: found.reason,
                action: ACTION,
                note: found.message.clone(),
            })
        });
        status.observed_generation = generation;
        status.conditions = merge(&former.conditions, found, generation, self.now);
        if self.checkpoint.status.as_ref() == Some(&status) {
            return Vec::new();
        }
        let told = std::iter::once(Step::Status(Box::new(status)));
        told.chain(notices).collect()
    }
}

/// The pod is looked at; then the Checkpoint is held; then it is written what is begun, and only then is the node asked.
fn begin(seen: &Observed<'_>) -> Vec<Step> {
    let mut status = seen.status();
    let (uid, node) = match refusal::judge(seen.checkpoint, seen.pod) {
        Ok(pod) => pod,
        Err(why) => {
            status.phase = Phase::Failed;
            return seen.say(status, standing::finding(reasons::REFUSED, why));
        }
    };
    if let Some(room) = seen.room.filter(|room| room.bytes == 0) {
        status.phase = Phase::Failed;
        let why = format!("there is no room for it: {}", room.why);
        return seen.say(status, standing::finding(reasons::REFUSED, why));
    }
    if !seen.is_held() {
        return vec![Step::Hold];
    }
    let message = standing::asked(&node);
    status.phase = Phase::Asked;
    status.slot = seen.pod.map(slot::of);
    status.pod_uid = Some(uid);
    status.node = Some(node);
    seen.say(status, standing::finding(reasons::RUNNING, message))
}

/// The node was asked, or is about to be.
fn follow(seen: &Observed<'_>) -> Vec<Step> {
    let Some((uid, node)) = seen.begun() else {
        return Vec::new();
    };
    if seen.node_is_gone {
        let why = format!(
            "node {node} is gone, and pod {} with it",
            seen.checkpoint.spec.pod_name
        );
        return fail(seen, why);
    }
    if !seen.is_held() {
        return vec![Step::Hold];
    }
    match (seen.task, seen.own_task()) {
        (None, _) => {
            let order = seen.order((uid, node), CheckpointWord::Take);
            vec![Step::CreateTask(Box::new(order))]
        }
        (Some(task), None) => fail(
            seen,
            format!(
                "StateTask {} belongs to operation {}, which is another one: delete it, and make another Checkpoint",
                task.name_any(),
                task.spec.operation
            ),
        ),
        (Some(_), Some(_)) => hear(seen, node),
    }
}

/// What the node answers.
fn hear(seen: &Observed<'_>, node: &str) -> Vec<Step> {
    let status = seen.status();
    let Some(report) = seen.report() else {
        let message = standing::asked(node);
        return seen.say(status, standing::finding(reasons::RUNNING, message));
    };
    match report.standing {
        CheckpointStanding::Failed => fail(seen, standing::why(report, node)),
        CheckpointStanding::Forgotten => fail(
            seen,
            format!("node {node} has nothing of it any more: make another Checkpoint"),
        ),
        CheckpointStanding::Unknown => Vec::new(),
        CheckpointStanding::Idle
        | CheckpointStanding::Frozen
        | CheckpointStanding::Dumped
        | CheckpointStanding::Kept => {
            let (status, found) = standing::told(status, report, (node, seen.now));
            seen.say(status, found)
        }
    }
}

fn fail(seen: &Observed<'_>, why: String) -> Vec<Step> {
    let mut status = seen.status();
    status.phase = Phase::Failed;
    status.locations.clear();
    seen.say(status, standing::finding(reasons::FAILED, why))
}

/// It lies on its node, which is told so again if its `StateTask` was lost.
fn kept(seen: &Observed<'_>) -> Vec<Step> {
    if let (true, Some((_, node))) = (seen.node_is_gone, seen.begun()) {
        if let Some(steps) = copies::outlives(seen, node) {
            return steps;
        }
        let why = format!("node {node}, which had it, is gone: take another one");
        let mut status = seen.status();
        status.phase = Phase::Lost;
        status.locations.clear();
        return seen.say(status, standing::finding(reasons::LOST, why));
    }
    if !seen.is_held() {
        return vec![Step::Hold];
    }
    or(copies::spread(seen), || {
        or(name_again(seen), || acknowledge(seen))
    })
}

/// A node deletes, in time, what no order names. To one that has it the order says no more than that.
fn name_again(seen: &Observed<'_>) -> Vec<Step> {
    let begun = seen.begun().filter(|_| seen.task.is_none());
    let order = begun.map(|begun| seen.order(begun, CheckpointWord::Take));
    let order = order.into_iter();
    order
        .map(|order| Step::CreateTask(Box::new(order)))
        .collect()
}

/// Nothing was left of it; a copy may have been read to its end since.
fn lost(seen: &Observed<'_>) -> Vec<Step> {
    let begun = seen.begun().filter(|_| seen.node_is_gone);
    let found = begun.and_then(|(_, node)| copies::outlives(seen, node));
    found.unwrap_or_else(|| acknowledge(seen))
}

/// What can be changed was changed: the status says that it was seen.
fn acknowledge(seen: &Observed<'_>) -> Vec<Step> {
    let generation = seen.checkpoint.metadata.generation;
    let mut status = seen.status();
    if status.observed_generation == generation {
        return Vec::new();
    }
    status.observed_generation = generation;
    for condition in &mut status.conditions {
        condition.observed_generation = generation;
    }
    vec![Step::Status(Box::new(status))]
}

#[cfg(test)]
mod tests;
