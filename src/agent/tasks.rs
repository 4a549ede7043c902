//! The orders of this node: watched, done one act after the other, and answered. What is decided hangs on the records; an order that
//! cannot be seen stops nothing that protects a pod.

pub(crate) mod pass;

use crate::agent::api::{CheckpointStanding, CheckpointWord, StateTask};
use crate::agent::copies::{give, keep};
use crate::agent::hands::Memory;
use crate::agent::host::Host;
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::running::Ways;
use crate::agent::records::Records;
use crate::hold::record::{Record, Role};
use crate::kit::error::chain;
use futures::StreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something is to be done, though nobody said so.
const LOOK: Duration = Duration::from_secs(1);

/// What the orders of a node are done with.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) node: String,
    /// What is seen of this node's orders.
    pub(crate) orders: Store<StateTask>,
    pub(crate) records: Records,
    pub(crate) host: Host,
    /// To other agents, where they are spoken with.
    pub(crate) ways: Option<Ways>,
    /// What comes from them.
    pub(crate) receiving: Arc<Receiving>,
    /// Where an installation may be.
    pub(crate) prefixes: &'static [&'static str],
    /// What takes long, and can be gone on with by the next agent, ends with it too.
    pub(crate) stop: CancellationToken,
}

/// An operation on this node: its order, or the record of it where that is gone.
struct Job {
    operation: String,
    order: Option<Arc<StateTask>>,
    record: Option<Record>,
}

/// Works until the stop. What is seen of the orders stands in the store.
pub(crate) async fn run(means: Means, writer: Writer<StateTask>) {
    let stop = means.stop.clone();
    let means = Arc::new(means);
    let orders: Api<StateTask> = Api::all(means.client.clone());
    let ours = watcher::Config::default().fields(&format!("spec.nodeName={}", means.node));
    let watch = reflector::reflector(writer, watcher(orders, ours));
    let mut watch = Box::pin(watch.default_backoff().touched_objects());
    let mut memories = HashMap::new();
    let mut work = JoinSet::new();
    'until_stopped: loop {
        begin(&means, &mut memories, &mut work).await;
        let mut look = std::pin::pin!(tokio::time::sleep(LOOK));
        loop {
            tokio::select! {
                () = stop.cancelled() => break 'until_stopped,
                seen = watch.next() => {
                    if let Some(Err(error)) = seen {
                        tracing::warn!(error = %chain(&error), "the orders of this node are not seen; trying again");
                    }
                    break;
                }
                // What has ended is looked at again at its time.
                Some(_ended) = work.join_next() => {}
                () = &mut look => break,
            }
        }
    }
    // What is frozen is let go before this agent goes; if it is killed first, there is a guard.
    while work.join_next().await.is_some() {}
}

/// Each operation is worked at by one task at a time.
async fn begin(
    means: &Arc<Means>,
    memories: &mut HashMap<String, Arc<Mutex<Memory>>>,
    work: &mut JoinSet<()>,
) {
    let jobs = jobs(means, memories).await;
    memories.retain(|operation, _| jobs.iter().any(|job| job.operation == *operation));
    for job in jobs {
        let memory = memories.entry(job.operation.clone()).or_default();
        if let Ok(memory) = Arc::clone(memory).try_lock_owned() {
            let means = Arc::clone(means);
            work.spawn(async move { pass::run(&means, &job, memory).await });
        }
    }
}

/// What there is to be done: orders, and holds of which the order is gone.
async fn jobs(means: &Means, memories: &HashMap<String, Arc<Mutex<Memory>>>) -> Vec<Job> {
    let reader = &means.orders;
    let orders = reader.state().into_iter().filter(|task| is_open(task));
    let mut jobs: Vec<_> = orders
        .map(|order| Job {
            operation: order.spec.operation.clone(),
            order: Some(order),
            record: None,
        })
        .collect();
    // Before the first list an order that is not seen is not known to be gone.
    let is_whole = futures::FutureExt::now_or_never(reader.wait_until_ready()).is_some();
    let records = match means.records.list().await {
        Ok(records) => records,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the records of this node cannot be read");
            return jobs;
        }
    };
    for record in records.into_iter().filter_map(|(_, record)| record.ok()) {
        let hold = record.hold.as_ref();
        let Some(hold) = hold.filter(|hold| hold.role == Role::Checkpoint) else {
            continue;
        };
        // What a former agent held is let go in any case, and that needs no order.
        let is_orphan = is_whole || !memories.contains_key(&hold.operation);
        if is_orphan && jobs.iter().all(|job| job.operation != hold.operation) {
            jobs.push(Job {
                operation: hold.operation.clone(),
                order: None,
                record: Some(record),
            });
        }
    }
    jobs
}

/// Whether there is something to do, or to say, about an order.
fn is_open(task: &StateTask) -> bool {
    if let Some(order) = &task.spec.copy {
        return keep::is_open(task, order);
    }
    let Some(order) = &task.spec.checkpoint else {
        return false;
    };
    let status = task.status.as_ref();
    let is_answered =
        status.and_then(|status| status.observed_generation) == task.metadata.generation;
    let report = status.and_then(|status| status.checkpoint.as_ref());
    let is_over = report.is_some_and(|report| match (order.word, report.standing) {
        (CheckpointWord::Take, CheckpointStanding::Failed) => true,
        (CheckpointWord::Take, CheckpointStanding::Kept) => give::is_done(order, &report.copies),
        _ => false,
    });
    !(is_over && is_answered) || task.metadata.deletion_timestamp.is_some()
}
