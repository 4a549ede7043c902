//! What is to be seen of a pod whose state goes elsewhere.

use super::Tools;
use crate::agent::api::{MOST_FROZEN, SourceOrder};
use crate::agent::pods::{self, Living};
use crate::agent::source::{Cut, Process};
use crate::agent::store::{Found, Generation};
use crate::hold::record::{Deadline, Held, Record, Role, What};
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::kit::error::chain;
use crate::oci::clock;
use crate::oci::failure::Failure;
use std::time::Duration;

/// A pod that is held here for an operation, or is to be.
pub(super) struct Subject {
    pub(super) whose: Whose,
    pub(super) generation: Generation,
    pub(super) order: SourceOrder,
}

/// What is to be seen of it, once.
pub(super) struct Sight {
    pub(super) record: Record,
    pub(super) living: Vec<Living>,
    pub(super) containers: Vec<(Held, Process)>,
    pub(super) found: Found,
    pub(super) cut: Cut,
    pub(super) older: Option<String>,
    pub(super) is_late: bool,
    pub(super) deadline: Deadline,
    pub(super) boot: String,
}

impl Tools<'_> {
    pub(super) async fn subject(&self, operation: &str) -> Result<Option<Subject>, String> {
        let ordered = self.targets.orders().get(operation);
        let order = ordered.order().and_then(|task| task.spec.source.clone());
        let namespace = ordered
            .order()
            .and_then(|task| task.metadata.namespace.clone());
        let record = self.held(operation, order.as_ref()).await?;
        let (whose, order) = match (record, order) {
            (Some(record), order) => {
                let mut order = order.unwrap_or_default();
                if let Some(hold) = record.hold_of(operation) {
                    order.generation.clone_from(&hold.generation);
                    if let Some(target) = &hold.target {
                        order.target_node.clone_from(&target.node);
                    }
                } else if order.generation.is_empty() {
                    let generation = home_from(&record, operation).unwrap_or_default();
                    generation.clone_into(&mut order.generation);
                }
                let whose = Whose {
                    namespace: record.namespace,
                    pod: record.pod,
                    uid: record.uid,
                };
                (whose, order)
            }
            (None, Some(order)) => {
                let whose = Whose {
                    namespace: namespace.unwrap_or_default(),
                    pod: order.pod.name.clone(),
                    uid: Uid::try_from(order.pod.uid.as_str())?,
                };
                (whose, order)
            }
            (None, None) => return Ok(None),
        };
        if order.generation.is_empty() {
            return Ok(None);
        }
        let place = (whose.namespace.as_str(), whose.uid.as_str());
        let generation = Generation::of(&self.host.checkpoints(), place, &order.generation);
        let generation = generation.map_err(|failure| failure.to_string())?;
        Ok(Some(Subject {
            whose,
            generation,
            order,
        }))
    }

    /// The record of the pod that an operation holds here, or that came home from it.
    async fn held(
        &self,
        operation: &str,
        order: Option<&SourceOrder>,
    ) -> Result<Option<Record>, String> {
        let listed = self.records.list().await.map_err(|error| chain(&error))?;
        let mut records = listed.into_iter().filter_map(|(_, record)| record.ok());
        Ok(records.find(|record| {
            let hold = record.hold_of(operation);
            let ended = record.ended.as_ref();
            hold.is_some_and(|hold| hold.role == Role::Source)
                || ended.is_some_and(|ended| ended.operation == operation)
                || order.is_some_and(|order| order.pod.uid == record.uid.as_str())
        }))
    }

    pub(super) async fn look(&self, operation: &str, subject: &Subject) -> Result<Sight, String> {
        let said = |failure: Failure| failure.to_string();
        let whose = &subject.whose;
        let record = self
            .records
            .of(whose)
            .await
            .map_err(|error| chain(&error))?;
        let looked = pods::held_by(self.host, &record, operation);
        let (living, containers) = looked.map_err(said)?;
        let boot = self.host.boot().map_err(said)?;
        let at = |time: Duration| Deadline {
            boot: boot.clone(),
            nanos: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        };
        let now = clock::since_boot();
        let found = subject.generation.look().map_err(said)?;
        let hold = record.hold_of(operation);
        Ok(Sight {
            is_late: hold.is_some_and(|hold| hold.deadline.has_passed(&at(now))),
            deadline: at(now.saturating_add(MOST_FROZEN)),
            cut: cut(&subject.generation, &found, &boot),
            older: subject.generation.older().map_err(said)?,
            found,
            record,
            living,
            containers,
            boot,
        })
    }
}

/// What a pod came home from, which may have to be tried again when nobody has an order for it any more.
pub(super) fn home_from<'a>(record: &'a Record, operation: &str) -> Option<&'a str> {
    let admission = record.admission.as_ref()?;
    match &admission.what {
        Some(What::Generation(name)) if admission.operation == operation => Some(name),
        _ => None,
    }
}

/// What of the generation lies here. What has only room was not begun.
fn cut(generation: &Generation, found: &Found, boot: &str) -> Cut {
    match found {
        Found::Sealed(..) => Cut::Whole,
        Found::Cut(manifest) if manifest.boot == boot => Cut::Whole,
        Found::Cut(_) => Cut::Begun,
        Found::Part if generation.is_dumping() => Cut::Begun,
        Found::Part | Found::Nothing | Found::Failed(_) => Cut::Nothing,
    }
}
