//! The orders of this node: watched, done one act after the other, and answered. What is decided hangs on the records; an order that
//! cannot be seen stops nothing that protects a pod.

mod inspecting;
pub(crate) mod moving;
pub(crate) mod pass;

use crate::agent::api::{CheckpointStanding, CheckpointWord, StateTask};
use crate::agent::carrying::Carriers;
use crate::agent::copies::{give, keep};
use crate::agent::hands::Memory;
use crate::agent::host::Host;
use crate::agent::orders::Orders;
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::running::Ways;
use crate::agent::records::Records;
use crate::agent::targets::Targets;
use crate::hold::record::{AdmissionState, Record, Role};
use crate::kit::error::chain;
use crate::oci::place::Places;
use crate::process::telemetry::AgentMetrics;
use futures::StreamExt;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something is to be done, though nobody said so.
const LOOK: Duration = Duration::from_secs(1);

/// The same while a container is on its way.
const HASTE: Duration = Duration::from_millis(50);

/// What the orders of a node are done with.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) records: Records,
    pub(crate) host: Host,
    /// To the targets of moves.
    pub(crate) carriers: Carriers,
    /// To other agents, where they are spoken with.
    pub(crate) ways: Option<Ways>,
    /// What comes from them.
    pub(crate) receiving: Arc<Receiving>,
    /// Where an installation may be.
    pub(crate) prefixes: &'static [&'static str],
    pub(crate) metrics: AgentMetrics,
    /// What takes long, and can be gone on with by the next agent, ends with it too.
    pub(crate) stop: CancellationToken,
    /// Pods that are to get a state, and the orders.
    pub(crate) targets: Targets,
}

/// An operation on this node: its order, or the record of it where that is gone.
struct Job {
    operation: String,
    kind: Kind,
    order: Option<Arc<StateTask>>,
    record: Option<Record>,
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A state is kept.
    Checkpoint,
    /// A state goes from here, or comes here.
    Move,
    /// It is asked what keeps a pod here.
    Inspection,
}

/// Whether it is worth to look again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Soon {
    Yes,
    No,
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
                () = means.targets.news() => break,
                // What has ended is looked at again at its time.
                Some(ended) = work.join_next() => {
                    if matches!(ended, Ok(Soon::Yes)) {
                        let (soon, usual) = (Instant::now().checked_add(HASTE), look.deadline());
                        look.as_mut().reset(soon.map_or(usual, |soon| soon.min(usual)));
                    }
                }
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
    work: &mut JoinSet<Soon>,
) {
    let jobs = jobs(means, memories).await;
    memories.retain(|operation, _| jobs.iter().any(|job| job.operation == *operation));
    for job in jobs {
        let memory = memories.entry(job.operation.clone()).or_default();
        if let Ok(memory) = Arc::clone(memory).try_lock_owned() {
            let means = Arc::clone(means);
            work.spawn(async move {
                match job.kind {
                    Kind::Checkpoint => {
                        pass::run(&means, &job, memory).await;
                        Soon::No
                    }
                    Kind::Move => moving::run(&means, &job.operation, memory).await,
                    Kind::Inspection => {
                        inspecting::run(&means, job.order.as_deref(), memory).await;
                        Soon::No
                    }
                }
            });
        }
    }
}

/// What there is to be done: orders, and records of operations of which the order is gone.
async fn jobs(means: &Means, memories: &HashMap<String, Arc<Mutex<Memory>>>) -> Vec<Job> {
    let reader = means.targets.orders();
    let orders = reader.all().into_iter().filter(|task| is_open(task));
    let mut jobs: Vec<_> = orders
        .map(|order| Job {
            operation: order.spec.operation.clone(),
            kind: kind(&order),
            order: Some(order),
            record: None,
        })
        .collect();
    let records = match means.records.list().await {
        Ok(records) => records,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the records of this node cannot be read");
            return jobs;
        }
    };
    let here = Here::of(&means.host);
    for record in records.into_iter().filter_map(|(_, record)| record.ok()) {
        let Some((operation, kind)) = subject(&record) else {
            continue;
        };
        if here.is_quiet(&record) {
            continue;
        }
        if !is_orphan(reader, kind, memories.contains_key(&operation))
            || jobs.iter().any(|job| job.operation == operation)
        {
            continue;
        }
        jobs.push(Job {
            operation,
            kind,
            order: None,
            record: Some(record),
        });
    }
    jobs
}

fn kind(order: &StateTask) -> Kind {
    if order.spec.inspect.is_some() {
        Kind::Inspection
    } else if order.spec.checkpoint.is_some() || order.spec.copy.is_some() {
        Kind::Checkpoint
    } else {
        Kind::Move
    }
}

/// The operation that a record is about.
fn subject(record: &Record) -> Option<(String, Kind)> {
    if let Some(hold) = &record.hold {
        let kind = match hold.role {
            Role::Checkpoint => Kind::Checkpoint,
            Role::Source => Kind::Move,
        };
        return Some((hold.operation.clone(), kind));
    }
    let admission = record.admission.as_ref()?;
    Some((admission.operation.clone(), Kind::Move))
}

/// The pods that have a sandbox here, and those that have containers.
#[derive(Default)]
struct Here {
    sandboxes: HashSet<String>,
    containers: HashSet<String>,
}

impl Here {
    fn of(host: &Host) -> Self {
        let mut here = Self::default();
        // Of what cannot be read whoever looks at it says so.
        let places = Places::below(&host.run()).all().unwrap_or_default();
        for place in places.into_iter().flatten() {
            let all = if place.sandbox {
                &mut here.sandboxes
            } else {
                &mut here.containers
            };
            all.insert(place.uid);
        }
        here
    }

    /// What became of it is known for good, and nothing of it is left that nobody else would kill.
    fn is_quiet(&self, record: &Record) -> bool {
        let uid = record.uid.as_str();
        let admission = record.admission.as_ref();
        let is_void = admission.is_some_and(|a| a.state == AdmissionState::Revoked);
        let is_orphaned = self.containers.contains(uid) && !self.sandboxes.contains(uid);
        record.hold.is_none() && (is_void || (record.is_whole() && !is_orphaned))
    }
}

/// Before the first list an order that is not seen is not known to be gone. What a former agent held for a checkpoint is let go in any
/// case, and that needs no order; of what moves the plans know what to do without one.
fn is_orphan(orders: &Orders, kind: Kind, is_remembered: bool) -> bool {
    kind == Kind::Move || orders.are_whole() || !is_remembered
}

/// Whether there is something to do, or to say, about an order.
fn is_open(task: &StateTask) -> bool {
    if let Some(order) = &task.spec.copy {
        return keep::is_open(task, order);
    }
    if task.spec.inspect.is_some() {
        return inspecting::is_open(task);
    }
    let Some(order) = &task.spec.checkpoint else {
        return task.spec.source.is_some() || task.spec.target.is_some();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::change::{AdmissionStep, Change};
    use crate::hold::record::What;
    use crate::hold::rules::Rules;
    use crate::hold::uid::Uid;

    fn record(steps: &[AdmissionStep]) -> Record {
        let open = AdmissionStep::Open {
            attempt: 1,
            restores: ["app".to_owned()].into(),
            finished: [].into(),
            prepared: false,
        };
        let blank = Record::blank("ns", "web", Uid::try_from("u1").unwrap());
        std::iter::once(&open)
            .chain(steps)
            .fold(blank, |record, step| {
                let change = Change::admit("op", step.clone());
                change.apply(record, Rules::ALL).unwrap()
            })
    }

    #[test]
    fn what_is_known_for_good_is_looked_at_only_while_orphans_are_left() {
        let claim = AdmissionStep::Claim {
            attempt: 1,
            what: What::Fresh,
        };
        let begin = AdmissionStep::Begin {
            attempt: 1,
            container: "app".into(),
            boot: "boot".into(),
            cgroup: "c".into(),
            id: "c1".into(),
        };
        let done = AdmissionStep::Done {
            attempt: 1,
            container: "app".into(),
        };
        let mut here = Here::default();
        assert!(!here.is_quiet(&record(&[])));
        assert!(here.is_quiet(&record(&[AdmissionStep::Revoke])));
        assert!(!here.is_quiet(&record(&[claim.clone(), begin.clone()])));
        let whole = record(&[claim, begin, done]);
        assert!(here.is_quiet(&whole));
        here.containers.insert("u1".into());
        assert!(!here.is_quiet(&whole), "its sandbox is gone");
        here.sandboxes.insert("u1".into());
        assert!(here.is_quiet(&whole));
    }
}
