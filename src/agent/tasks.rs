//! The orders of this node: watched, done one act after the other, and answered. What is decided hangs on the records; an order that
//! cannot be seen stops nothing that protects a pod.

pub(crate) mod pass;

use crate::agent::api::StateTask;
use crate::agent::hands::Memory;
use crate::agent::host::Host;
use crate::agent::records::Records;
use crate::hold::record::{Record, Role};
use crate::kit::error::chain;
use futures::StreamExt;
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
    pub(crate) records: Records,
    pub(crate) host: Host,
    /// Where an installation may be.
    pub(crate) prefixes: &'static [&'static str],
}

/// An operation on this node: its order, or the record of it where that is gone.
struct Job {
    operation: String,
    order: Option<Arc<StateTask>>,
    record: Option<Record>,
}

/// Works until the stop.
pub(crate) async fn run(means: Means, stop: CancellationToken) {
    let means = Arc::new(means);
    let orders: Api<StateTask> = Api::all(means.client.clone());
    let (reader, writer) = reflector::store();
    let ours = watcher::Config::default().fields(&format!("spec.nodeName={}", means.node));
    let watch = reflector::reflector(writer, watcher(orders, ours));
    let mut watch = Box::pin(watch.default_backoff().touched_objects());
    let mut memories = HashMap::new();
    let mut work = JoinSet::new();
    loop {
        begin(&means, &reader, &mut memories, &mut work).await;
        tokio::select! {
            () = stop.cancelled() => break,
            seen = watch.next() => {
                if let Some(Err(error)) = seen {
                    tracing::warn!(error = %chain(&error), "the orders of this node are not seen; trying again");
                }
            }
            Some(_ended) = work.join_next() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // What is frozen is let go before this agent goes; if it is killed first, there is a guard.
    while work.join_next().await.is_some() {}
}

/// Each operation is worked at by one task at a time.
async fn begin(
    means: &Arc<Means>,
    reader: &Store<StateTask>,
    memories: &mut HashMap<String, Arc<Mutex<Memory>>>,
    work: &mut JoinSet<()>,
) {
    let jobs = jobs(means, reader).await;
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
async fn jobs(means: &Means, reader: &Store<StateTask>) -> Vec<Job> {
    let is_ours = |task: &Arc<StateTask>| task.spec.checkpoint.is_some();
    let orders = reader.state().into_iter().filter(is_ours);
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
        Ok(records) if is_whole => records,
        _ => return jobs,
    };
    for record in records.into_iter().filter_map(|(_, record)| record.ok()) {
        let hold = record.hold.as_ref();
        let Some(hold) = hold.filter(|hold| hold.role == Role::Checkpoint) else {
            continue;
        };
        if jobs.iter().all(|job| job.operation != hold.operation) {
            jobs.push(Job {
                operation: hold.operation.clone(),
                order: None,
                record: Some(record),
            });
        }
    }
    jobs
}
