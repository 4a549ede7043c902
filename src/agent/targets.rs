//! Pods of this node that are to get a state: what is to be seen of them, what is done, and what is answered to the source's agent.

mod desk;
mod images;
mod states;

use crate::agent::api::{TargetPod, TargetReport};
use crate::agent::host::Host;
use crate::agent::images::Images;
use crate::agent::orders::{Ordered, Orders};
use crate::agent::records::Records;
use crate::agent::sights::{self, Sights};
use crate::agent::target::{self, Act, Release, Seen};
use crate::agent::waiting::Waiting;
use crate::engine::criu;
use crate::hold::change::{AdmissionStep, Change};
use crate::hold::record::{AdmissionState, Record, TokenState, What};
use crate::hold::rules::Rules;
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::kit::error::chain;
use crate::oci::failure::Failure;
use states::in_namespace;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OwnedMutexGuard};

/// A pod is looked at again after so many acts.
const MOST_ACTS: u32 = 40;

/// Pods of this node that are to get a state.
#[derive(Clone)]
pub(crate) struct Targets(Arc<Inner>);

struct Inner {
    host: Host,
    node: String,
    records: Records,
    orders: Orders,
    waiting: Waiting,
    /// What its runtime says of images.
    images: Images,
    /// Pods that the source asked to void, by operation. It asks again.
    asked: Mutex<HashSet<(String, String)>>,
    /// One at a time changes a pod.
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Something came that is worth a look.
    news: Notify,
}

/// What is to be seen of a pod, once.
pub(crate) struct Look {
    record: Record,
    ordered: Ordered,
    boot: String,
    verified: Vec<String>,
    release: Release,
    sights: Sights,
    is_asked: bool,
}

impl Look {
    /// For the plan.
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen {
            record: &self.record,
            task: self.ordered.task(),
            boot: &self.boot,
            verified: &self.verified,
            release: &self.release,
            containers: &self.sights.containers,
            has_sandbox: self.sights.has_sandbox,
            is_asked_to_revoke: self.is_asked,
            rules: Rules::ALL,
        }
    }

    /// Where the attempt that it is at was claimed from, and its number.
    pub(crate) fn claim(&self) -> Option<(u32, &What)> {
        let admission = self.record.admission.as_ref()?;
        Some((admission.attempt, admission.what.as_ref()?))
    }
}

impl Targets {
    /// Of this node.
    pub(crate) fn new(
        (host, node): (Host, String),
        records: Records,
        orders: Orders,
        waiting: Waiting,
    ) -> Self {
        Self(Arc::new(Inner {
            images: Images::of(host.clone()),
            host,
            node,
            records,
            orders,
            waiting,
            asked: Mutex::default(),
            locks: Mutex::default(),
            news: Notify::new(),
        }))
    }

    /// What this node's runtime says of images.
    pub(crate) fn seen_images(&self) -> &Images {
        &self.0.images
    }

    /// Who waits for an answer.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.0.waiting
    }

    /// The orders.
    pub(crate) fn orders(&self) -> &Orders {
        &self.0.orders
    }

    /// Something came from the source's agent.
    pub(crate) async fn news(&self) {
        self.0.news.notified().await;
    }

    /// One at a time changes a pod.
    pub(crate) async fn lock(&self, uid: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(uid.to_owned()).or_default())
        };
        lock.lock_owned().await
    }

    /// What is to be seen of a pod.
    ///
    /// # Errors
    /// Something is there and cannot be read.
    pub(crate) async fn look(&self, whose: &Whose, expects: Option<&str>) -> Result<Look, String> {
        let record = self.0.records.of(whose).await;
        let record = record.map_err(|error| chain(&error))?;
        let admission = record.admission.as_ref();
        let operation = admission
            .map(|admission| admission.operation.clone())
            .or_else(|| self.0.orders.naming(&whose.namespace, whose.uid.as_str()))
            .or_else(|| expects.map(str::to_owned));
        let ordered = operation
            .as_deref()
            .map_or(Ordered::Unknown, |operation| self.0.orders.get(operation));
        let ordered = in_namespace(ordered, &whose.namespace);
        let is_asked = operation.as_ref().is_some_and(|operation| {
            let asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.contains(&(operation.clone(), whose.uid.to_string()))
        });
        let this = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let boot = this.0.host.boot()?;
            let (verified, release) = this.states(&record, &ordered)?;
            let sights = sights::look(&this.0.host, &record, &boot, &this.0.waiting)?;
            Ok::<_, Failure>(Look {
                record,
                ordered,
                boot,
                verified,
                release,
                sights,
                is_asked,
            })
        });
        let looked = looked.await.map_err(|error| error.to_string())?;
        looked.map_err(|failure| failure.to_string())
    }

    /// Does what is to be done for a pod, until there is nothing, and says how it stands then. With it, whether something is on its
    /// way, so that it is worth to look again soon.
    ///
    /// # Errors
    /// A sentence. It is tried again.
    pub(crate) async fn work(&self, whose: &Whose) -> Result<(Option<TargetPod>, bool), String> {
        let _alone = self.lock(whose.uid.as_str()).await;
        for _act in 0..MOST_ACTS {
            let look = self.look(whose, None).await?;
            let Some(act) = target::plan(&look.seen()) else {
                sights::tidy(&self.0.host, &look.record);
                return Ok((target::standing(&look.seen()), is_on_its_way(&look.record)));
            };
            self.act(whose, &look, act).await?;
        }
        Ok((None, true))
    }

    async fn act(&self, whose: &Whose, look: &Look, act: Act) -> Result<(), String> {
        let (this, record) = (self.clone(), look.record.clone());
        match act {
            Act::Change(change) => {
                let changed = self.0.records.change(whose, &change).await;
                changed.map_err(|error| chain(&error))?;
                if is_failure(&change) {
                    self.say_why(&record);
                }
                Ok(())
            }
            Act::Kill => {
                let killed = tokio::task::spawn_blocking(move || {
                    sights::kill(&this.0.host, &record, &this.0.waiting)
                });
                let killed = killed.await.map_err(|error| error.to_string())?;
                killed.map_err(|failure| failure.to_string())
            }
        }
    }

    /// An attempt is over: what CRIU said of it is told.
    fn say_why(&self, record: &Record) {
        for (container, token) in &record.tokens {
            let id = token
                .id
                .as_deref()
                .filter(|_| token.state == TokenState::Begun);
            let why = id.and_then(|id| criu::why(&sights::log(&self.0.host, id)));
            if let Some(why) = why {
                tracing::warn!(
                    namespace = record.namespace,
                    pod = record.pod,
                    container,
                    why,
                    "a container was not restored"
                );
            }
        }
    }

    /// The pods that an operation knows here: by its order, or by their records.
    pub(crate) async fn pods(&self, operation: &str) -> Result<Vec<Whose>, String> {
        let listed = self.0.records.list().await.map_err(|error| chain(&error))?;
        let mut found = BTreeMap::new();
        for (uid, record) in listed {
            let Ok(record) = record else { continue };
            let is_ours = record
                .admission
                .as_ref()
                .is_some_and(|admission| admission.operation == operation);
            if is_ours && record.hold.is_none() {
                let (namespace, pod) = (record.namespace, record.pod);
                found.insert(
                    uid.clone(),
                    Whose {
                        namespace,
                        pod,
                        uid,
                    },
                );
            }
        }
        let ordered = self.0.orders.get(operation);
        if let Some(task) = ordered.order()
            && let Some(order) = &task.spec.target
        {
            let namespace = task.metadata.namespace.clone().unwrap_or_default();
            let named = order.pod.iter().map(|pod| (&pod.uid, &pod.name));
            // Of a pod that was never here nothing but its uid is known.
            let void = order.revoke.iter().map(|uid| (uid, uid));
            for (uid, pod) in named.chain(void) {
                let uid = Uid::try_from(uid.as_str())?;
                found.entry(uid.clone()).or_insert_with(|| Whose {
                    namespace: namespace.clone(),
                    pod: pod.clone(),
                    uid,
                });
            }
        }
        Ok(found.into_values().collect())
    }

    /// Works at all pods of an operation, and says how they stand; with it, whether it is worth to look again soon.
    ///
    /// # Errors
    /// A sentence. It is tried again.
    pub(crate) async fn pass(&self, operation: &str) -> Result<(TargetReport, bool), String> {
        let mut report = TargetReport {
            is_verified: self.is_verified(operation).await?,
            images: None,
            pods: Vec::new(),
        };
        let mut is_hasty = false;
        for whose in self.pods(operation).await? {
            let (pod, is_undecided) = self.work(&whose).await?;
            report.pods.extend(pod);
            is_hasty |= is_undecided;
        }
        // After the pods: that one waits, and what it was made from, is told at once.
        report.images = self.images(operation).await;
        self.tidy(operation, &report.pods).await?;
        Ok((report, is_hasty))
    }
}

/// It may run, and does not yet.
fn is_on_its_way(record: &Record) -> bool {
    let admission = record.admission.as_ref();
    admission.is_some_and(|admission| admission.state == AdmissionState::Claimed)
        && !record.is_whole()
        && !record.is_failed()
}

fn is_failure(change: &Change) -> bool {
    let Change::Admit { step, .. } = change else {
        return false;
    };
    matches!(step, AdmissionStep::Fail { .. })
}

#[cfg(test)]
mod tests;
