//! One look at one operation: acts until there is nothing to do, and then says how it stands.

use super::{Job, Means};
use crate::agent::api::{
    CheckpointOrder, CheckpointReport, CheckpointWord, StateTask, StateTaskStatus,
};
use crate::agent::checkpoint::{self, Act, Dumping, Seen};
use crate::agent::copies::give::{self, Given};
use crate::agent::copies::keep;
use crate::agent::cut::Engine;
use crate::agent::hands::{Hands, Memory};
use crate::agent::inspect::before_dump;
use crate::agent::pods::{self, Living};
use crate::agent::source::Process;
use crate::agent::store::{Found, Generation};
use crate::hold::record::{Deadline, Held, Record};
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::kit::error::{Error, chain};
use crate::oci::clock;
use crate::oci::failure::Failure;
use crate::process::writes;
use crate::write_steps;
use kube::{Api, ResourceExt};
use std::cell::OnceCell;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

write_steps! {
    /// The leader is told how it stands.
    STATUS,
}

const MANAGER: &str = "holdfast.dev/agent";
/// A look ends after so many acts, and the next one goes on.
const MOST_ACTS: u32 = 40;

pub(super) async fn run(means: &Means, job: &Job, memory: OwnedMutexGuard<Memory>) {
    let mut memory = memory;
    let copy = job.order.as_deref();
    let copy = copy.and_then(|task| Some((task, task.spec.copy.as_ref()?)));
    let failed = match copy {
        Some((task, order)) => keep::look(means, task, order).await.err(),
        None => work(means, job, &mut memory).await.err(),
    };
    // Said once, though it is tried again and again.
    if memory.said != failed {
        if let Some(why) = &failed {
            tracing::warn!(
                operation = job.operation,
                why,
                "a checkpoint does not go on; trying again"
            );
        }
        memory.said = failed;
    }
}

/// Whose pod, and which generation, by the order or by the record of its hold.
fn subject(job: &Job) -> Result<(Whose, String), String> {
    if let Some(record) = &job.record {
        let generation = record.hold.as_ref().map(|hold| hold.generation.clone());
        let whose = Whose {
            namespace: record.namespace.clone(),
            pod: record.pod.clone(),
            uid: record.uid.clone(),
        };
        return Ok((whose, generation.unwrap_or_default()));
    }
    let (task, order) = order(job).ok_or("there is neither an order nor a record")?;
    let whose = Whose {
        namespace: task.namespace().unwrap_or_default(),
        pod: order.pod.name.clone(),
        uid: Uid::try_from(order.pod.uid.as_str())?,
    };
    Ok((whose, order.generation.clone()))
}

/// An order that is being deleted is answered until nothing of it is here.
fn order(job: &Job) -> Option<(&StateTask, CheckpointOrder)> {
    let task = job.order.as_deref()?;
    let mut order = task.spec.checkpoint.clone()?;
    if task.metadata.deletion_timestamp.is_some() {
        order.word = CheckpointWord::Forget;
    }
    Some((task, order))
}

/// What is to be seen, once.
struct Sight {
    record: Record,
    living: Vec<Living>,
    containers: Vec<(Held, Process)>,
    found: Found,
    is_late: bool,
    deadline: Deadline,
}

async fn work(means: &Means, job: &Job, memory: &mut Memory) -> Result<(), String> {
    let (whose, name) = subject(job)?;
    let root = means.host.checkpoints();
    let said = |failure: crate::oci::failure::Failure| failure.to_string();
    let place = (whose.namespace.as_str(), whose.uid.as_str());
    let generation = Generation::of(&root, place, &name).map_err(said)?;
    let boot = means.host.boot().map_err(said)?;
    let ordered = order(job).map(|(_, order)| order);
    // Looked for once, and only where there is something to do.
    let engine = OnceCell::new();
    for _act in 0..MOST_ACTS {
        let sight = look(means, job, &whose, &generation, &boot).await?;
        let is_guarded = memory.is_guarded();
        let seen = Seen {
            operation: &job.operation,
            order: ordered.as_ref(),
            record: &sight.record,
            containers: &sight.containers,
            found: &sight.found,
            is_mine: memory.is_mine,
            failure: memory.failure.as_ref(),
            is_guarded,
            dumping: dumping(means, (memory, &sight), job, &generation),
            is_late: sight.is_late,
            boot: &boot,
            deadline: &sight.deadline,
        };
        let Some(act) = checkpoint::plan(&seen) else {
            let is_kept = matches!(sight.found, Found::Sealed(..));
            let wanted = ordered
                .as_ref()
                .filter(|order| order.word == CheckpointWord::Take);
            if let Some(order) = wanted.filter(|_| is_kept) {
                let what = (job.operation.as_str(), order);
                give::give(means, what, &generation, &mut memory.given).await;
            }
            let path = generation.on_node();
            let report = checkpoint::report(&seen, &path.to_string_lossy());
            return tell(means, job, report, &memory.given).await;
        };
        let engine = engine.get_or_init(|| Engine::find(&means.host, means.prefixes));
        if is_beginning(&act)
            && let Some(why) = in_the_way(means, engine, &sight.record, ordered.as_ref()).await
        {
            generation.fail(&why).map_err(said)?;
            continue;
        }
        let hands = Hands {
            host: &means.host,
            engine: engine.as_ref().ok(),
            records: &means.records,
            whose: &whose,
            node: &means.node,
            boot: &boot,
            generation: &generation,
            containers: &sight.living,
        };
        hands.act(act, &sight.record, &sight.found, memory).await?;
    }
    Ok(())
}

/// What is not begun needs more than what ends it.
fn is_beginning(act: &Act) -> bool {
    matches!(act, Act::Change(change) if change.is_beginning())
}

/// Why it is not even begun.
async fn in_the_way(
    means: &Means,
    engine: &Result<Engine, Failure>,
    record: &Record,
    order: Option<&CheckpointOrder>,
) -> Option<String> {
    if let Err(failure) = engine {
        return Some(failure.to_string());
    }
    before_dump(&means.host, record, order).await
}

/// Whether a former agent's dump goes on. What it was started with names where it writes.
fn dumping(
    means: &Means,
    (memory, sight): (&Memory, &Sight),
    job: &Job,
    generation: &Generation,
) -> Dumping {
    if memory.is_mine || sight.record.hold_of(&job.operation).is_none() {
        return Dumping::Not;
    }
    let names_it = |environment: &[u8]| {
        let place = means.host.without(&generation.part());
        let place = place.as_os_str().as_bytes();
        environment
            .windows(place.len())
            .any(|window| window == place)
    };
    if pods::environments().any(|environment| names_it(&environment)) {
        Dumping::Still
    } else {
        Dumping::Not
    }
}

async fn look(
    means: &Means,
    job: &Job,
    whose: &Whose,
    generation: &Generation,
    boot: &str,
) -> Result<Sight, String> {
    let said = |failure: crate::oci::failure::Failure| failure.to_string();
    let record = means
        .records
        .of(whose)
        .await
        .map_err(|error| chain(&error))?;
    let looked = pods::held_by(&means.host, &record, &job.operation);
    let (mut living, containers) = looked.map_err(said)?;
    let ordered = order(job).map(|(_, order)| order);
    let wanted = ordered.as_ref().map_or(&[][..], |order| &order.containers);
    if !wanted.is_empty() {
        living.retain(|one| wanted.contains(&one.held.name));
    }
    let now = clock::since_boot();
    let at = |time: Duration| Deadline {
        boot: boot.to_owned(),
        nanos: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
    };
    let seconds = ordered
        .as_ref()
        .map_or(0, |order| u64::from(order.deadline_seconds));
    let hold = record.hold_of(&job.operation);
    Ok(Sight {
        is_late: hold.is_some_and(|hold| hold.deadline.has_passed(&at(now))),
        deadline: at(now.saturating_add(Duration::from_secs(seconds))),
        found: generation.look().map_err(said)?,
        record,
        living,
        containers,
    })
}

/// Tells the leader, if it is not told that already.
async fn tell(
    means: &Means,
    job: &Job,
    report: Option<CheckpointReport>,
    given: &Given,
) -> Result<(), String> {
    let (Some(task), Some(mut report)) = (job.order.as_deref(), report) else {
        return Ok(());
    };
    if let Some(order) = &task.spec.checkpoint {
        report.copies = given.report(order);
    }
    let status = StateTaskStatus {
        checkpoint: Some(report),
        ..StateTaskStatus::default()
    };
    say(means, task, status).await
}

/// Tells the leader of one order, if it is not told that already.
pub(crate) async fn say(
    means: &Means,
    task: &StateTask,
    status: StateTaskStatus,
) -> Result<(), String> {
    let status = StateTaskStatus {
        observed_generation: task.metadata.generation,
        ..status
    };
    if task.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let namespace = task.namespace().unwrap_or_default();
    let api: Api<StateTask> = Api::namespaced(means.client.clone(), &namespace);
    let written =
        writes::apply_status(&api, (&STATUS).into(), MANAGER, &task.name_any(), status).await;
    match written {
        Ok(_) => Ok(()),
        // The order is gone meanwhile; there is nobody to tell.
        Err(error) if Error::is_not_found(&error) => Ok(()),
        Err(error) => Err(chain(&error)),
    }
}
