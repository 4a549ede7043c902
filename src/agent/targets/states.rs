//! Which states are here for a pod, and to whom they were released.

use super::Targets;
use crate::agent::api::{StateTaskSpec, TargetOrder, TargetPod, TargetStanding};
use crate::agent::orders::Ordered;
use crate::agent::peer::Released;
use crate::agent::store::{Found, Generation};
use crate::agent::target::Release;
use crate::hold::record::{Record, What};
use crate::migration::api::Outcome;
use crate::oci::failure::Failure;
use std::collections::BTreeSet;

impl Targets {
    /// The generations that may be meant and are here, and to whom they were released.
    pub(super) fn states(
        &self,
        record: &Record,
        ordered: &Ordered,
    ) -> Result<(Vec<String>, Release), Failure> {
        let spec = ordered.order().map(|task| &task.spec);
        let claimed = record.admission.as_ref().and_then(|a| a.what.as_ref());
        let claimed = claimed.and_then(|what| match what {
            What::Generation(name) => Some(name.as_str()),
            What::Fresh => None,
        });
        let ordered = spec.and_then(|spec| Some(spec.target.as_ref()?.generation.as_str()));
        let decided = spec.and_then(|spec| spec.decision.generation.as_deref());
        let names: BTreeSet<&str> = claimed.into_iter().chain(ordered).chain(decided).collect();
        let (mut verified, mut release) = (Vec::new(), Release::Nobody);
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            let found = self.find(&record.namespace, (record.uid.as_str(), spec), name)?;
            let Some((generation, Found::Sealed(manifest, _))) = found else {
                continue;
            };
            verified.push(name.to_owned());
            if ordered != Some(name) {
                continue;
            }
            // What was dumped here is released by nobody: who held it is dead, or it would not be ordered.
            release = if manifest.node == self.0.node {
                Release::Anybody
            } else {
                of(generation.released()?)
            };
        }
        Ok((verified, release))
    }

    /// A generation that is here for a pod: in its own folder, or in that of the pod that it comes from.
    fn find(
        &self,
        namespace: &str,
        (uid, spec): (&str, Option<&StateTaskSpec>),
        name: &str,
    ) -> Result<Option<(Generation, Found)>, Failure> {
        let source = spec.and_then(|spec| spec.target.as_ref());
        let source = source.map_or("", |order| order.source_uid.as_str());
        let root = self.0.host.checkpoints();
        Generation::find(&root, (namespace, &[uid, source]), name)
    }

    /// The generation that a pod was claimed from.
    pub(crate) async fn generation(
        &self,
        namespace: &str,
        uid: &str,
        name: &str,
    ) -> Result<Generation, Failure> {
        let (this, namespace, uid) = (self.clone(), namespace.to_owned(), uid.to_owned());
        let wanted = name.to_owned();
        let operation = self.0.orders.naming(&namespace, &uid);
        let ordered = operation.map(|operation| self.0.orders.get(&operation));
        let found = tokio::task::spawn_blocking(move || {
            let spec = ordered
                .as_ref()
                .and_then(Ordered::order)
                .map(|task| &task.spec);
            this.find(&namespace, (&uid, spec), &wanted)
        });
        let found = found
            .await
            .map_err(|error| Failure::new(error.to_string()))??;
        found
            .map(|(generation, _)| generation)
            .ok_or_else(|| Failure::new(format!("state {name} is not on this node any more")))
    }

    /// The state that came for an operation goes when that is over: it runs here, or went back. Where neither is so, it is what is left
    /// of the pod, and stays.
    pub(super) async fn tidy(&self, operation: &str, pods: &[TargetPod]) -> Result<(), String> {
        let ordered = self.0.orders.get(operation);
        let outcome = ordered.order().map(|task| task.spec.decision.outcome);
        let is_over = |pod: &TargetPod| match (outcome, pod.standing) {
            (Some(Outcome::Restored), TargetStanding::Restored | TargetStanding::Revoked) => true,
            (Some(Outcome::RolledBack), standing) => standing == TargetStanding::Revoked,
            _ => false,
        };
        let is_final = matches!(outcome, Some(Outcome::Restored | Outcome::RolledBack));
        if !is_final || !pods.iter().all(is_over) {
            return Ok(());
        }
        let said = |failure: Failure| failure.to_string();
        let found = self.ordered_generation(operation).await.map_err(said)?;
        let generation = match found {
            // What was dumped here is the source's to forget.
            Some((_, Found::Sealed(manifest, _))) if manifest.node == self.0.node => None,
            Some((generation, Found::Sealed(..))) => Some(generation),
            // It went back before all of it had come.
            _ => self.coming(&ordered).map_err(said)?,
        };
        let Some(generation) = generation else {
            return Ok(());
        };
        let forgotten = tokio::task::spawn_blocking(move || generation.forget()).await;
        let forgotten = forgotten.map_err(|error| error.to_string())?;
        forgotten.map_err(said)
    }

    /// The generation that an order names, where a part of it has come.
    fn coming(&self, ordered: &Ordered) -> Result<Option<Generation>, Failure> {
        let task = ordered.order();
        let order = task.and_then(|task| Some((task, task.spec.target.as_ref()?)));
        let is_named =
            |order: &TargetOrder| !order.generation.is_empty() && !order.source_uid.is_empty();
        let Some((task, order)) = order.filter(|(_, order)| is_named(order)) else {
            return Ok(None);
        };
        let namespace = task.metadata.namespace.as_deref().unwrap_or_default();
        let place = (namespace, order.source_uid.as_str());
        let generation = Generation::of(&self.0.host.checkpoints(), place, &order.generation)?;
        Ok(Some(generation).filter(|generation| generation.incoming().exists()))
    }

    pub(super) async fn is_verified(&self, operation: &str) -> Result<bool, String> {
        let found = self.ordered_generation(operation).await;
        let found = found.map_err(|failure| failure.to_string())?;
        Ok(matches!(found, Some((_, Found::Sealed(..)))))
    }

    /// The generation that an operation's order names.
    pub(super) async fn ordered_generation(
        &self,
        operation: &str,
    ) -> Result<Option<(Generation, Found)>, Failure> {
        let (this, ordered) = (self.clone(), self.0.orders.get(operation));
        let found = tokio::task::spawn_blocking(move || {
            let Some(task) = ordered.order() else {
                return Ok(None);
            };
            let Some(order) = &task.spec.target else {
                return Ok(None);
            };
            if order.generation.is_empty() {
                return Ok(None);
            }
            let namespace = task.metadata.namespace.as_deref().unwrap_or_default();
            this.find(namespace, ("", Some(&task.spec)), &order.generation)
        });
        let failed = |error: tokio::task::JoinError| Failure::new(error.to_string());
        found.await.map_err(failed)?
    }
}

/// An order of another namespace is none of this pod's.
pub(super) fn in_namespace(ordered: Ordered, namespace: &str) -> Ordered {
    match ordered {
        Ordered::Known(task) if task.metadata.namespace.as_deref() != Some(namespace) => {
            Ordered::Unknown
        }
        other => other,
    }
}

fn of(released: Released) -> Release {
    if released.anybody {
        Release::Anybody
    } else if released.pods.is_empty() {
        Release::Nobody
    } else {
        Release::To(released.pods)
    }
}
