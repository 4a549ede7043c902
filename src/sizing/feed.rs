//! Keeps a mirror true by a list and a watch, for as long as it is wanted. Whatever fails is tried again, and what is known stays.
//!
//! | what happens | what is done |
//! |---|---|
//! | the watch ends or is cut | it goes on from where it was |
//! | the API server has forgotten that point (410) | everything is listed anew; until the list is whole, the former content stays |
//! | a list or watch fails, the kind is not known (404), the right is missing (403) | tried again after a pause; said once, and in the reason for not being synced |

use crate::kit::error::{Error, chain};
use crate::process::runner::back_off;
use crate::process::telemetry::Telemetry;
use crate::sizing::mirror::{Mirror, NOWHERE, Turn};
use crate::sizing::partial::{Kind, Partial};
use crate::sizing::pulse::Pulse;
use crate::sizing::texts::Texts;
use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Objects in one answer to a list. Nodes and pods have 10 KB and more each, and an answer is held whole while it is read.
const PAGE: u32 = 100;
/// The API server ends a watch after so many seconds, and it goes on; one that is silent for longer is dead.
const WATCH_SECONDS: u32 = 120;
/// The longest pause after a failure: an API server that comes back is heard soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A mirror, and the watch that keeps it true.
pub(crate) struct Feed<K: Kind> {
    pub(crate) mirror: Mirror<K::View>,
    pulse: Pulse,
    trouble: Mutex<Option<String>>,
}

impl<K: Kind> Default for Feed<K> {
    fn default() -> Self {
        Self {
            mirror: Mirror::default(),
            pulse: Pulse::default(),
            trouble: Mutex::default(),
        }
    }
}

impl<K: Kind> Feed<K> {
    /// Runs until it is stopped. `told` hears of every turn, when the mirror has taken it.
    pub(crate) async fn follow(
        &self,
        client: &Client,
        texts: &Texts,
        stop: &CancellationToken,
        told: impl Fn(Turn<K::View>) + Send,
    ) {
        let api: Api<Partial<K>> = Api::all(self.pulse.of(client));
        // The list is not asked of the API server's cache ("any" version): older ones then send all objects in one answer.
        let config = watcher::Config::default().page_size(PAGE);
        let events = watcher(api, config.timeout(WATCH_SECONDS));
        pin_mut!(events);
        let mut failures: u32 = 0;
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                // A list that begins is no success yet.
                Some(Ok(Event::Init)) => self.mirror.begin(),
                Some(Ok(event)) => {
                    failures = 0;
                    self.is_well();
                    self.take(event, texts, &told);
                }
                Some(Err(error)) => {
                    failures = failures.saturating_add(1);
                    self.is_in_trouble(error);
                    let pause = back_off(K::PLURAL, failures, LONGEST_PAUSE);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
                // kube's watcher never ends.
                None => return,
            }
        }
    }

    fn take(&self, event: Event<Partial<K>>, texts: &Texts, told: &impl Fn(Turn<K::View>)) {
        match event {
            Event::InitApply(object) | Event::Apply(object) => {
                let turn = match K::view(&object, texts) {
                    Some(view) => self.mirror.put(key(&object), view, texts),
                    None => self.remove(&object),
                };
                turn.into_iter().for_each(told);
            }
            Event::Delete(object) => self.remove(&object).into_iter().for_each(told),
            Event::InitDone => {
                self.mirror.end().into_iter().for_each(told);
                tracing::debug!(
                    kind = K::PLURAL,
                    objects = self.mirror.len(),
                    "all were listed"
                );
            }
            Event::Init => {}
        }
    }

    fn remove(&self, object: &Partial<K>) -> Option<Turn<K::View>> {
        let (namespace, name) = key(object);
        self.mirror.remove(namespace, name)
    }

    /// Nothing, or what is not there yet.
    pub(crate) fn missing(&self) -> Option<String> {
        if self.mirror.is_synced() {
            return None;
        }
        let trouble = self.trouble();
        Some(match &*trouble {
            Some(why) => format!("{} ({why})", K::PLURAL),
            None => K::PLURAL.to_owned(),
        })
    }

    pub(crate) fn report(&self, telemetry: &Telemetry) {
        telemetry.remembers(K::PLURAL, self.mirror.len(), self.pulse.age());
    }

    fn is_well(&self) {
        if self.trouble().take().is_some() {
            tracing::info!(kind = K::PLURAL, "heard of again");
        }
    }

    fn is_in_trouble(&self, error: watcher::Error) {
        let why = story(K::PLURAL, error);
        let mut trouble = self.trouble();
        if trouble.as_ref() == Some(&why) {
            tracing::debug!(kind = K::PLURAL, error = %why, "still not heard of");
        } else {
            tracing::warn!(kind = K::PLURAL, error = %why, "not heard of; what is known stays, and it is tried again");
            *trouble = Some(why);
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key<K: Kind>(object: &Partial<K>) -> (&str, &str) {
    let namespace = object.metadata.namespace.as_deref();
    (namespace.unwrap_or(NOWHERE), object.name())
}

fn story(plural: &'static str, error: watcher::Error) -> String {
    let told = match error {
        watcher::Error::InitialListFailed(source) => Error::api("list", plural, source),
        watcher::Error::WatchStartFailed(source) | watcher::Error::WatchFailed(source) => {
            Error::api("watch", plural, source)
        }
        other => return format!("cannot watch {plural}: {}", chain(&other)),
    };
    let cure = match told.code() {
        Some(404) => "; is the CRD installed?",
        Some(403) => "; does our ClusterRole allow it?",
        _ => "",
    };
    format!("{}{cure}", chain(&told))
}
