//! What the webhooks do when the caches do not have what they need: the DaemonSet controller makes pods milliseconds after the DaemonSet
//! exists, before any watch has it. One GET with a short limit and no retry; a fault is told as one, and never as an absence.

mod asked;

use crate::process::writes::bounded;
use crate::sizing::cache::Caches;
use crate::sizing::mirror::Mirror;
use crate::sizing::partial::{DaemonSets, Kind, Nodes, Partial, Templates};
use crate::sizing::view::{Claim, DaemonSetView, NodeView, TemplateView};
use asked::{Asked, Question};
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long one GET may take.
const GET_LIMIT: Duration = Duration::from_millis(300);
/// So many GETs may be open at once; more are not begun. An API server that is slow must not be flooded by those who wait for it.
const OPEN: usize = 64;

/// What came of a look.
#[derive(Debug, PartialEq)]
pub(crate) enum Found<V> {
    There(Arc<V>),
    /// The API server says that there is none.
    Absent,
    /// Nobody knows, for this reason: `timed_out`, `unreachable`, `forbidden`, `busy` and so on, fit for a metric's label.
    Unknown(&'static str),
}

impl<V> Clone for Found<V> {
    fn clone(&self) -> Self {
        match self {
            Self::There(view) => Self::There(Arc::clone(view)),
            Self::Absent => Self::Absent,
            Self::Unknown(why) => Self::Unknown(why),
        }
    }
}

/// Looks in the caches first, and then asks.
pub(crate) struct Lookups {
    caches: Arc<Caches>,
    client: Client,
    seats: Arc<Semaphore>,
    nodes: Asked<NodeView>,
    daemonsets: Asked<DaemonSetView>,
    templates: Asked<TemplateView>,
}

impl Lookups {
    /// Takes a client that never retries.
    pub(crate) fn new(caches: Arc<Caches>, client: Client) -> Self {
        Self {
            caches,
            client,
            seats: Arc::new(Semaphore::new(OPEN)),
            nodes: Asked::default(),
            daemonsets: Asked::default(),
            templates: Asked::default(),
        }
    }

    pub(crate) async fn node(&self, name: &str, deadline: Instant) -> Found<NodeView> {
        if let Some(view) = self.caches.node(name) {
            return Found::There(view);
        }
        let question = any(name, &self.caches.nodes.mirror);
        self.ask::<Nodes>(&self.nodes, question, deadline, || {
            (Api::all(self.client.clone()), name.to_owned())
        })
        .await
    }

    pub(crate) async fn template(&self, name: &str, deadline: Instant) -> Found<TemplateView> {
        if let Some(view) = self.caches.template(name) {
            return Found::There(view);
        }
        let question = any(name, &self.caches.templates.mirror);
        self.ask::<Templates>(&self.templates, question, deadline, || {
            (Api::all(self.client.clone()), name.to_owned())
        })
        .await
    }

    /// The DaemonSet that a pod says it belongs to. One of that name with another uid is another one, and so this one is absent.
    pub(crate) async fn daemonset(
        &self,
        claim: Claim<'_>,
        deadline: Instant,
    ) -> Found<DaemonSetView> {
        if let Some(view) = self.caches.daemonset_fresh(&claim) {
            return Found::There(view);
        }
        let Claim {
            namespace,
            name,
            uid,
            generation,
        } = claim;
        let question = Question {
            key: format!("{namespace}/{name}/{uid}"),
            generation: generation.unwrap_or(i64::MIN),
            generation_of: |view: &DaemonSetView| view.template_generation.unwrap_or(i64::MAX),
            removals: self.caches.daemonsets.mirror.removals(),
        };
        let found = self
            .ask::<DaemonSets>(&self.daemonsets, question, deadline, || {
                let api = Api::namespaced(self.client.clone(), namespace);
                (api, name.to_owned())
            })
            .await;
        match found {
            Found::There(view) if *view.uid != *uid => Found::Absent,
            found => found,
        }
    }

    async fn ask<K: Kind>(
        &self,
        asked: &Asked<K::View>,
        question: Question<K::View>,
        deadline: Instant,
        of: impl Fn() -> (Api<Partial<K>>, String),
    ) -> Found<K::View> {
        let soon = Instant::now().checked_add(GET_LIMIT);
        let deadline = soon.map_or(deadline, |soon| soon.min(deadline));
        let get = || {
            let (api, name) = of();
            get(api, name, Arc::clone(&self.caches))
        };
        asked.ask(question, &self.seats, deadline, get).await
    }
}

/// A question for any version of an object without a namespace.
fn any<V>(name: &str, mirror: &Mirror<V>) -> Question<V> {
    Question {
        key: name.to_owned(),
        generation: i64::MIN,
        generation_of: |_| i64::MAX,
        removals: mirror.removals(),
    }
}

async fn get<K: Kind>(api: Api<Partial<K>>, name: String, caches: Arc<Caches>) -> Found<K::View> {
    let what = format!("{} {name}", K::PLURAL);
    match bounded(GET_LIMIT, "get", what, api.get_opt(&name)).await {
        Ok(object) => {
            let view = object.and_then(|object| K::view(&object, &caches.texts));
            view.map_or(Found::Absent, |view| Found::There(Arc::new(view)))
        }
        Err(error) => {
            tracing::debug!(error = %crate::kit::error::chain(&error), "an object that is not known yet could not be read");
            Found::Unknown(error.class())
        }
    }
}

#[cfg(test)]
mod tests;
