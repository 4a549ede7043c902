//! What lies here and nobody names: states that no order of this node and no record of it speaks of, and records of pods that nothing
//! will ever run in. It goes when it was so at every look for a time, which begins anew with each agent.
//!
//! | unnamed, and | |
//! |---|---|
//! | a part, what came of one, why there is none | goes |
//! | whole, or dumped to its end, for a Checkpoint | goes: the leader names each that there is, and gives lost orders again |
//! | the same for a move | stays, and is counted: it may be all that is left of a pod |
//! | what cannot be read | stays |
//! | a record that voids a pod, which is not here, and whose operation is gone | goes: should the pod come all the same, its annotation says that it waits for a state, and nobody brings one |

use crate::agent::blocking::blocking;
use crate::agent::host::Host;
use crate::agent::orders::{Ordered, Orders};
use crate::agent::peers::desk::Expected;
use crate::agent::peers::receiving::Receiving;
use crate::agent::records::Records;
use crate::agent::store::{Found, Generation, listing};
use crate::agent::sweep::living;
use crate::hold::record::{AdmissionState, Record, Role, What};
use crate::kit::error::chain;
use crate::oci::failure::Failure;
use crate::oci::place::Places;
use crate::process::telemetry::AgentMetrics;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(60);
/// What there is of states.
const KINDS: [&str; 3] = ["kept", "coming", "unnamed"];

/// Where it is looked.
pub(crate) struct Garbage {
    pub(crate) host: Host,
    pub(crate) records: Records,
    pub(crate) orders: Orders,
    pub(crate) receiving: Arc<Receiving>,
    pub(crate) metrics: AgentMetrics,
    /// So long nobody must have named what goes.
    pub(crate) patience: Duration,
}

/// Since when nobody names what lies there.
type Since = HashMap<PathBuf, Instant>;

/// A generation, and what there is of it.
struct Lying {
    generation: Generation,
    found: Found,
    bytes: i64,
}

impl Garbage {
    /// Looks until the stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut since = Since::default();
        // A short patience is a test's, or somebody's whose disk is full.
        let period = PERIOD.min(self.patience.max(Duration::from_secs(1)));
        loop {
            if let Err(why) = self.look(&mut since).await {
                tracing::warn!(why, "what nobody names stays");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(period) => {}
            }
        }
    }

    /// Removes what nobody has named for long enough.
    async fn look(&self, since: &mut Since) -> Result<(), String> {
        // What is not seen yet may name anything.
        if !self.orders.are_whole() {
            return Ok(());
        }
        let root = self.host.checkpoints();
        // Before the names: what is begun after this is not looked at.
        let lying = blocking(move || lying(&root)).await;
        let lying = lying.map_err(|failure| failure.to_string())?;
        let records = self.records().await?;
        let named = names(&self.orders, &records);
        let now = Instant::now();
        let (mut unnamed, mut sizes) = (
            HashSet::new(),
            BTreeMap::from(KINDS.map(|kind| (kind, (0_i64, 0_i64)))),
        );
        for one in lying {
            let is_named = named.contains(one.generation.name());
            let (count, bytes) = sizes.entry(kind(&one, is_named)).or_default();
            *count = count.saturating_add(1);
            *bytes = bytes.saturating_add(one.bytes);
            if !is_named && is_worthless(&one) {
                let place = one.generation.whole();
                if self.is_over(since, &place, now) {
                    self.forget(one).await?;
                }
                unnamed.insert(place);
            }
        }
        for (kind, (count, bytes)) in sizes {
            self.metrics.states(kind, count, bytes);
        }
        unnamed.extend(self.void(&records, since, now).await?);
        since.retain(|place, _| unnamed.contains(place));
        Ok(())
    }

    /// Nobody has named it for long enough.
    fn is_over(&self, since: &mut Since, place: &Path, now: Instant) -> bool {
        let first = *since.entry(place.to_owned()).or_insert(now);
        now.saturating_duration_since(first) >= self.patience
    }

    /// All of them: one that cannot be read may name anything.
    async fn records(&self) -> Result<Vec<Record>, String> {
        let listed = self.records.list().await.map_err(|error| chain(&error))?;
        let records = listed.into_iter().map(|(_, record)| record);
        let records: Result<Vec<_>, _> = records.collect();
        records.map_err(|error| chain(&error))
    }

    async fn forget(&self, lying: Lying) -> Result<(), String> {
        let Lying {
            generation, bytes, ..
        } = lying;
        let name = generation.name().to_owned();
        let (namespace, uid) = generation.pod();
        let expected = Expected {
            namespace: namespace.clone(),
            uid: uid.clone(),
            digest: None,
            at_most: None,
        };
        // Somebody writes to it: it is looked at again.
        let Ok(turn) = self.receiving.turn(expected, &name) else {
            return Ok(());
        };
        if names(&self.orders, &[]).contains(&name) {
            return Ok(());
        }
        let forgotten = blocking(move || {
            generation.forget()?;
            turn.has_room();
            Ok::<_, Failure>(())
        });
        forgotten.await.map_err(|failure| failure.to_string())?;
        tracing::info!(
            namespace,
            uid,
            generation = name,
            bytes,
            "a state that nobody names was deleted"
        );
        Ok(())
    }

    /// Records of pods that nothing will ever run in, and that are not here: the files that they lie in, while they wait to go.
    async fn void(
        &self,
        records: &[Record],
        since: &mut Since,
        now: Instant,
    ) -> Result<Vec<PathBuf>, String> {
        let places = Places::below(&self.host.run());
        let here = living(&places)?;
        let mut waiting = Vec::new();
        for record in records {
            if !is_void(record, &self.orders) || here.contains(record.uid.as_str()) {
                continue;
            }
            let place = self.host.records().join(format!("{}.json", record.uid));
            if self.is_over(since, &place, now) {
                let forgotten = self.records.forget(record.clone()).await;
                forgotten.map_err(|error| chain(&error))?;
            }
            waiting.push(place);
        }
        Ok(waiting)
    }
}

fn lying(root: &Path) -> Result<Vec<Lying>, Failure> {
    let mut all = Vec::new();
    for generation in listing::all(root)? {
        let found = generation.look()?;
        let bytes = generation.bytes(&found)?;
        all.push(Lying {
            generation,
            found,
            bytes,
        });
    }
    Ok(all)
}

/// Every generation that an order or a record speaks of.
fn names(orders: &Orders, records: &[Record]) -> HashSet<String> {
    let mut named = HashSet::new();
    for task in orders.all() {
        let spec = &task.spec;
        named.insert(spec.operation.clone());
        named.extend(spec.decision.generation.clone());
        named.extend(
            spec.checkpoint
                .as_ref()
                .map(|order| order.generation.clone()),
        );
        named.extend(spec.copy.as_ref().map(|order| order.generation.clone()));
        named.extend(spec.source.as_ref().map(|order| order.generation.clone()));
        named.extend(spec.target.as_ref().map(|order| order.generation.clone()));
    }
    for record in records {
        named.extend(record.hold.as_ref().map(|hold| hold.generation.clone()));
        let what = record
            .admission
            .as_ref()
            .and_then(|admission| admission.what.clone());
        if let Some(What::Generation(name)) = what {
            named.insert(name);
        }
    }
    named
}

fn kind(one: &Lying, is_named: bool) -> &'static str {
    match one.found {
        _ if !is_named => "unnamed",
        Found::Sealed(..) => "kept",
        _ => "coming",
    }
}

/// Nobody can want it who does not name it.
fn is_worthless(one: &Lying) -> bool {
    match &one.found {
        Found::Sealed(manifest, _) | Found::Cut(manifest) => manifest.role == Role::Checkpoint,
        // Its manifest cannot be read: a newer program may.
        Found::Failed(_) => !one.generation.whole().exists(),
        Found::Part | Found::Nothing => true,
    }
}

/// Nothing will ever run in its pod, and nobody asks about it any more.
fn is_void(record: &Record, orders: &Orders) -> bool {
    let admission = record.admission.as_ref().filter(|_| record.hold.is_none());
    admission.is_some_and(|admission| {
        let is_gone = matches!(orders.get(&admission.operation), Ordered::Gone);
        let is_named = orders
            .naming(&record.namespace, record.uid.as_str())
            .is_some();
        admission.state == AdmissionState::Revoked && is_gone && !is_named
    })
}

#[cfg(test)]
mod tests;
