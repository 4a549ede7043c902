//! Asks nodes for the state of their pods, and says what became of it: observe, plan, act.

use crate::agent::api::{CheckpointWord, StateTask};
use crate::checkpoint::api::{Checkpoint, Phase, reasons};
use crate::checkpoint::keeping::Keeping;
use crate::checkpoint::looking::{Copies, get};
use crate::checkpoint::plan::{
    Observed, Step, ends, has_too_few_nodes, is_settled, plan, task_name,
};
use crate::checkpoint::retention::Room;
use crate::kit::error::{Error, unless_gone};
use crate::kit::finalizers::finalizers;
use crate::kit::names;
use crate::node::agents::Agents;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::flags::KeepFlags;
use crate::process::runner::{Runner, every, slow_look};
use crate::process::telemetry::CheckpointMetrics;
use crate::process::writes;
use crate::write_steps;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

write_steps! {
    /// The finalizer that waits for the node.
    HOLD,
    /// The status of a Checkpoint.
    STATUS,
    /// An event on a Checkpoint.
    EVENT,
    /// What a node is asked.
    TASK,
    /// A node is asked to forget.
    FORGET,
    /// What a node was asked is let go.
    RELEASE_TASK,
    /// What a node was asked is deleted.
    DELETE_TASK,
    /// A node is told where copies are to go.
    SHIP,
    /// A node is asked to forget its copy.
    FORGET_COPY,
    /// What a node was asked about a copy is let go.
    RELEASE_COPY,
    /// What a node was asked about a copy is deleted.
    DELETE_COPY,
    /// The finalizer, when nothing is on the node any more.
    RELEASE,
    /// A Checkpoint whose time is over.
    EXPIRE,
}

const NAME: &str = "checkpoint";
/// How often it is looked again while copies are wanting.
const COPYING_LOOK: Duration = Duration::from_secs(10);
/// While no other node could have one: each look lists all nodes and all agents.
const SEAT_LOOK: Duration = Duration::from_secs(90);

/// What the controller works with.
pub(crate) struct Means {
    pub(crate) clients: Clients,
    pub(crate) recorder: Recorder,
    /// Where agents are.
    pub(crate) agents: Agents,
    /// How much is kept.
    pub(crate) limits: KeepFlags,
}

struct Context {
    client: Client,
    keeping: Keeping,
    agents: Agents,
    recorder: Recorder,
    metrics: CheckpointMetrics,
}

/// Everything that was read for a pass.
struct Seen {
    checkpoint: Arc<Checkpoint>,
    pod: Option<Pod>,
    node_is_gone: bool,
    task: Option<StateTask>,
    copies: Copies,
    room: Option<Room>,
    now: Timestamp,
}

impl Seen {
    fn observed(&self) -> Observed<'_> {
        Observed {
            checkpoint: &self.checkpoint,
            pod: self.pod.as_ref(),
            node_is_gone: self.node_is_gone,
            task: self.task.as_ref(),
            copies: &self.copies.copies,
            seats: &self.copies.seats,
            room: self.room.as_ref(),
            now: self.now,
        }
    }

    fn is_deleting(&self) -> bool {
        self.checkpoint.metadata.deletion_timestamp.is_some()
    }

    /// It was taken, and its order is gone: so may it be, and nobody would let an order go that was given once more.
    fn lacks_its_order(&self) -> bool {
        let status = self.checkpoint.status.as_ref();
        status.is_some_and(|status| status.phase == Phase::Succeeded) && self.task.is_none()
    }
}

/// Runs until the runner stops.
pub(crate) async fn run(runner: Runner, means: Means) -> Result<(), Error> {
    let Means {
        clients,
        recorder,
        agents,
        limits,
    } = means;
    let client = clients.api;
    let controller = every(Api::<Checkpoint>::all(client.clone()));
    let context = Arc::new(Context {
        keeping: Keeping::new(client.clone(), controller.store(), limits),
        client: client.clone(),
        agents,
        recorder,
        metrics: runner.telemetry.checkpoints.clone(),
    });
    let tasks: Api<StateTask> = Api::all(client);
    let controller = controller.owns(tasks, watcher::Config::default());
    runner.run(NAME, controller, context, reconcile).await
}

/// 1. Read what the plan asks about: the pod until something is begun, then the node and what it was asked.
/// 2. Do what the plan says, in its order.
/// 3. Where there was nothing to do, delete what newer ones replace.
/// 4. Come back when the Checkpoint's time is over, or slowly.
async fn reconcile(checkpoint: Arc<Checkpoint>, context: Arc<Context>) -> Result<Action, Error> {
    let key = checkpoint.name_any();
    let end = ends(&checkpoint);
    let Some(checkpoint) = context.as_it_is(checkpoint).await? else {
        return Ok(Action::await_change());
    };
    let seen = Box::pin(context.observe(checkpoint)).await?;
    if seen.lacks_its_order() && context.now(&seen.checkpoint).await?.is_none() {
        return Ok(Action::await_change());
    }
    let steps = plan(&seen.observed());
    let is_quiet = steps.is_empty();
    for step in steps {
        // Apart: each write has copies of its object in it.
        Box::pin(context.act(&seen, step)).await?;
    }
    if is_quiet {
        let retired = context.keeping.retire(&context.recorder, &context.metrics);
        Box::pin(retired).await?;
    }
    // A moment later, so that the time has surely come.
    let left = end.and_then(|end| Duration::try_from(end.duration_since(seen.now)).ok());
    let left = left.map(|left| left.saturating_add(Duration::from_secs(1)));
    let slow = copying_look(&seen.checkpoint).unwrap_or_else(|| slow_look(&key));
    Ok(Action::requeue(left.map_or(slow, |left| slow.min(left))))
}

/// Nothing tells of an agent that is made anew, or of a node that takes pods again.
fn copying_look(checkpoint: &Checkpoint) -> Option<Duration> {
    let status = checkpoint.status.as_ref()?;
    let lacks = status.phase == Phase::Succeeded && !is_settled(status);
    if checkpoint.spec.copies == 0 || !lacks {
        None
    } else if has_too_few_nodes(status) {
        Some(SEAT_LOOK)
    } else {
        Some(COPYING_LOOK)
    }
}

impl Context {
    /// What is being deleted may be gone since it was seen: then its order is gone too, and must not be given once more.
    async fn as_it_is(&self, seen: Arc<Checkpoint>) -> Result<Option<Arc<Checkpoint>>, Error> {
        if seen.metadata.deletion_timestamp.is_none() {
            return Ok(Some(seen));
        }
        self.now(&seen).await
    }

    async fn now(&self, seen: &Checkpoint) -> Result<Option<Arc<Checkpoint>>, Error> {
        let checkpoints = self.checkpoints(&seen.namespace().unwrap_or_default());
        let now = get(&checkpoints, "checkpoint", &seen.name_any()).await?;
        Ok(now.filter(|now| now.uid() == seen.uid()).map(Arc::new))
    }

    async fn observe(&self, checkpoint: Arc<Checkpoint>) -> Result<Seen, Error> {
        let status = checkpoint.status.clone().unwrap_or_default();
        let namespace = checkpoint.namespace().unwrap_or_default();
        let (mut pod, mut node_is_gone, mut task) = (None, false, None);
        if let (Some(_), Some(node)) = (&status.pod_uid, &status.node) {
            let nodes: Api<Node> = Api::all(self.client.clone());
            node_is_gone = get(&nodes, "node", node).await?.is_none();
            task = get(
                &self.tasks(&namespace),
                "statetask",
                &task_name(&checkpoint),
            )
            .await?;
        }
        // Until its node is asked: what is asked follows from it.
        let is_over = matches!(status.phase, Phase::Succeeded | Phase::Failed | Phase::Lost);
        if task.is_none() && !is_over {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
            pod = get(&pods, "pod", &checkpoint.spec.pod_name).await?;
        }
        let mut copies = self.agents.look(&self.client, &checkpoint).await?;
        let bytes = status.bytes.unwrap_or_default();
        for seat in &mut copies.seats {
            let room = self.keeping.room(&seat.node, &namespace);
            seat.is_full = room.is_some_and(|room| room.bytes < bytes);
        }
        let on_pod = || {
            pod.as_ref()
                .and_then(|pod| pod.spec.as_ref()?.node_name.clone())
        };
        let node = status.node.clone().or_else(on_pod);
        let node = node.filter(|_| task.is_none());
        let room = node.and_then(|node| self.keeping.room(&node, &namespace));
        Ok(Seen {
            copies,
            room,
            checkpoint,
            pod,
            node_is_gone,
            task,
            now: clock::now(),
        })
    }

    fn checkpoints(&self, namespace: &str) -> Api<Checkpoint> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn tasks(&self, namespace: &str) -> Api<StateTask> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn act(&self, seen: &Seen, step: Step) -> Result<(), Error> {
        let checkpoint = seen.checkpoint.as_ref();
        let namespace = checkpoint.namespace().unwrap_or_default();
        let (checkpoints, tasks) = (self.checkpoints(&namespace), self.tasks(&namespace));
        match step {
            Step::Hold => {
                let fields = finalizers(checkpoint, names::CHECKPOINT_FINALIZER, true);
                writes::merge(&checkpoints, (&HOLD).into(), checkpoint, fields).await?;
            }
            Step::Status(status) => {
                let mut next = checkpoint.clone();
                next.status = Some(*status);
                writes::replace_status(&checkpoints, (&STATUS).into(), &next).await?;
            }
            Step::Tell(notice) => {
                let name = checkpoint.name_any();
                tracing::info!(controller = NAME, %namespace, %name, reason = notice.reason, "{}", notice.note);
                if let Some(outcome) = outcome(notice.reason) {
                    self.metrics.ended(outcome);
                }
                writes::tell(&self.recorder, (&EVENT).into(), checkpoint, &notice).await;
            }
            Step::CreateTask(task) => match writes::create(&tasks, (&TASK).into(), &task).await {
                // What is left on the node, if anything was begun there, only its agent knows.
                Err(error) if seen.is_deleting() && error.is_of_what_goes() => {
                    release(&checkpoints, (&RELEASE).into(), checkpoint).await?;
                }
                made => drop(made?),
            },
            Step::Forget => {
                if let Some(task) = &seen.task {
                    let fields =
                        json!({ "spec": { "checkpoint": { "word": CheckpointWord::Forget } } });
                    writes::merge(&tasks, (&FORGET).into(), task, fields).await?;
                }
            }
            Step::Ship(_) | Step::ForgetCopy(_) | Step::DropCopy(_) => {
                act_on_copies(seen, step, &tasks).await?;
            }
            Step::DeleteTask => {
                if let Some(task) = &seen.task {
                    release(&tasks, (&RELEASE_TASK).into(), task).await?;
                    let (name, uid) = (task.name_any(), task.uid().unwrap_or_default());
                    let call = (&DELETE_TASK).into();
                    unless_gone(writes::delete(&tasks, call, (&name, &uid)).await)?;
                }
            }
            Step::Release => release(&checkpoints, (&RELEASE).into(), checkpoint).await?,
            Step::Expire => {
                let (name, uid) = (checkpoint.name_any(), checkpoint.uid().unwrap_or_default());
                let call = (&EXPIRE).into();
                unless_gone(writes::delete(&checkpoints, call, (&name, &uid)).await)?;
            }
        }
        Ok(())
    }
}

/// What is done about copies.
async fn act_on_copies(seen: &Seen, step: Step, tasks: &Api<StateTask>) -> Result<(), Error> {
    match step {
        Step::Ship(targets) => {
            if let Some(task) = &seen.task {
                let fields = json!({ "spec": { "checkpoint": { "copies": targets } } });
                writes::merge(tasks, (&SHIP).into(), task, fields).await?;
            }
        }
        Step::ForgetCopy(task) => {
            let fields = json!({ "spec": { "copy": { "word": CheckpointWord::Forget } } });
            writes::merge(tasks, (&FORGET_COPY).into(), task.as_ref(), fields).await?;
        }
        Step::DropCopy(task) => {
            release(tasks, (&RELEASE_COPY).into(), task.as_ref()).await?;
            let (name, uid) = (task.name_any(), task.uid().unwrap_or_default());
            let call = (&DELETE_COPY).into();
            unless_gone(writes::delete(tasks, call, (&name, &uid)).await)?;
        }
        _ => {}
    }
    Ok(())
}

/// Takes our finalizer from what has it.
async fn release<K>(api: &Api<K>, call: writes::Call<'_>, object: &K) -> Result<(), Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let held = object.finalizers();
    if !held.iter().any(|one| one == names::CHECKPOINT_FINALIZER) {
        return Ok(());
    }
    let fields = finalizers(object, names::CHECKPOINT_FINALIZER, false);
    unless_gone(writes::merge(api, call, object, fields).await)
}

/// What is counted when this is told.
fn outcome(reason: &'static str) -> Option<&'static str> {
    match reason {
        reasons::TAKEN => Some("taken"),
        reasons::REFUSED => Some("refused"),
        reasons::FAILED => Some("failed"),
        reasons::LOST => Some("lost"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
