//! Runs a reconciler: so many objects at once, a time limit on each pass, a back-off with jitter after a failure, metrics for each
//! outcome, and a stop that lets running passes end. A pass that panics ends them all, with an error: what it left half done nobody knows.
//! What it must not do: decide anything about an object.

use crate::kit::error::{Error, chain};
use crate::process::telemetry::Telemetry;
use futures::{FutureExt, TryStreamExt};
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// When an object is looked at though nothing is known to have changed; up to a fifth later.
const SLOW_LOOK: Duration = Duration::from_secs(300);

/// How reconcilers are run.
#[derive(Clone)]
pub struct Runner {
    /// How many objects of one kind are worked on at once.
    pub concurrency: u16,
    /// How long one pass over one object may take.
    pub pass_limit: Duration,
    /// Where outcomes are counted.
    pub telemetry: Arc<Telemetry>,
    /// Ends all reconcilers.
    pub stop: CancellationToken,
}

/// A controller of all objects of a kind. What is remembered of each is all but `managedFields`, which are larger than most objects and
/// which nobody here reads.
#[must_use]
pub fn every<K>(api: Api<K>) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    chosen(api, watcher::Config::default())
}

fn chosen<K>(api: Api<K>, config: watcher::Config) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let objects = watcher(api, config)
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .applied_objects();
    Controller::for_stream(objects, reader)
}

/// A controller of the objects that carry a label, whatever its value.
#[must_use]
pub fn labelled<K>(api: Api<K>, label: &str) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    chosen(api, watcher::Config::default().labels(label))
}

/// What one reconciler is given besides the object, and what the runner remembers for it.
struct Run<Ctx> {
    name: &'static str,
    context: Arc<Ctx>,
    pass_limit: Duration,
    telemetry: Arc<Telemetry>,
    failures: Failures,
}

/// Why a pass did not do its work.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Failed(#[from] Error),
    #[error("a pass over {object} panicked: {said}")]
    Panicked { object: String, said: String },
}

impl Runner {
    /// Runs `reconcile` over everything that `controller` triggers, until the stop; passes that are running then may end.
    ///
    /// # Errors
    /// The trigger stream ended by itself, which it must not, or a pass panicked.
    pub async fn run<K, Ctx, Pass>(
        &self,
        name: &'static str,
        controller: Controller<K>,
        context: Arc<Ctx>,
        reconcile: fn(Arc<K>, Arc<Ctx>) -> Pass,
    ) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        Ctx: Send + Sync + 'static,
        Pass: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let run = Arc::new(Run {
            name,
            context,
            pass_limit: self.pass_limit,
            telemetry: Arc::clone(&self.telemetry),
            failures: Failures::default(),
        });
        self.work(controller, run, reconcile).await
    }

    async fn work<K, Ctx, Pass>(
        &self,
        controller: Controller<K>,
        run: Arc<Run<Ctx>>,
        reconcile: fn(Arc<K>, Arc<Ctx>) -> Pass,
    ) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        Ctx: Send + Sync + 'static,
        Pass: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let name = run.name;
        let (passes, remembering) = (TaskTracker::new(), Arc::clone(&run));
        let tracked = passes.clone();
        let outcomes = controller
            .with_config(controller::Config::default().concurrency(self.concurrency))
            .graceful_shutdown_on(self.stop.clone().cancelled_owned())
            .run(
                move |object, run| tracked.track_future(pass(object, run, reconcile)),
                after_failure,
                run,
            );
        let worked = outcomes
            .map_ok(drop)
            .or_else(|error| std::future::ready(remembering.hear(error)))
            .try_collect::<()>();
        tokio::select! {
            biased;
            ended = worked => ended?,
            // kube's own stop waits for the first list, which never comes where the CRDs are missing.
            () = self.stop_of(&passes) => {}
        }
        if self.stop.is_cancelled() {
            Ok(())
        } else {
            Err(ended(name, "its watch ended".into()))
        }
    }

    /// Returns after the stop, when no pass is running.
    async fn stop_of(&self, passes: &TaskTracker) {
        self.stop.cancelled().await;
        passes.close();
        passes.wait().await;
    }
}

fn ended(part: &'static str, why: String) -> Error {
    Error::Ended { part, why }
}

impl<Ctx> Run<Ctx> {
    /// What a controller says went wrong; an error ends it.
    fn hear(&self, error: controller::Error<Fault, watcher::Error>) -> Result<(), Error> {
        match error {
            controller::Error::ReconcilerFailed(fault @ Fault::Panicked { .. }, _) => {
                return Err(ended(self.name, fault.to_string()));
            }
            // Told where it failed.
            controller::Error::ReconcilerFailed(Fault::Failed(_), _) => {}
            // What is to be tried again after a failure is found gone, sooner or later, if it is gone.
            controller::Error::ObjectNotFound(object) => self.failures.forget(&object.to_string()),
            renewed => {
                tracing::warn!(controller = self.name, error = %chain(&renewed), "a watch is being renewed");
            }
        }
        Ok(())
    }
}

async fn pass<K, Ctx, Pass>(
    object: Arc<K>,
    run: Arc<Run<Ctx>>,
    reconcile: fn(Arc<K>, Arc<Ctx>) -> Pass,
) -> Result<Action, Fault>
where
    K: Resource<DynamicType = ()>,
    Pass: Future<Output = Result<Action, Error>>,
{
    let key = ObjectRef::from_obj(object.as_ref()).to_string();
    let began = Instant::now();
    let work = async { reconcile(object, Arc::clone(&run.context)).await };
    // What a panic leaves behind in the context is never looked at: all passes end with it.
    let work = AssertUnwindSafe(work).catch_unwind();
    let outcome = match tokio::time::timeout(run.pass_limit, work).await {
        Ok(Ok(outcome)) => outcome.map_err(Fault::from),
        Ok(Err(panic)) => Err(Fault::Panicked {
            object: key.clone(),
            said: said(panic.as_ref()),
        }),
        Err(_elapsed) => Err(Fault::from(Error::TimedOut {
            verb: "reconcile",
            object: key.clone(),
            limit: run.pass_limit,
        })),
    };
    let class = match &outcome {
        Ok(_) => "done",
        Err(Fault::Failed(error)) => error.class(),
        Err(Fault::Panicked { .. }) => "panicked",
    };
    run.telemetry.reconciled(run.name, class, began.elapsed());
    match &outcome {
        Ok(_) => run.failures.forget(&key),
        Err(Fault::Failed(error)) if error.is_conflict() => {
            tracing::debug!(controller = run.name, object = %key, "somebody else wrote first; observing again");
        }
        Err(Fault::Failed(error)) => {
            tracing::warn!(controller = run.name, object = %key, error = %chain(error), "a pass failed; trying again");
        }
        Err(Fault::Panicked { said, .. }) => {
            tracing::error!(controller = run.name, object = %key, said, "a pass panicked; the process ends");
        }
    }
    outcome
}

/// The words of a panic, where it has any.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(owned).unwrap_or("no words").to_owned()
}

fn after_failure<K: Resource<DynamicType = ()>, Ctx>(
    object: Arc<K>,
    _fault: &Fault,
    run: Arc<Run<Ctx>>,
) -> Action {
    let key = ObjectRef::from_obj(object.as_ref()).to_string();
    let uid = object.uid().unwrap_or_default();
    Action::requeue(run.failures.pause(&key, &uid))
}

/// How often each object has failed in a row. A cache: after a restart everything is tried at once again.
#[derive(Default)]
struct Failures(Mutex<HashMap<String, Count>>);

/// Failures of one object. Its namesake, created after it was deleted, begins anew.
#[derive(Default)]
struct Count {
    uid: String,
    failures: u32,
}

impl Failures {
    fn forget(&self, key: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn pause(&self, key: &str, uid: &str) -> Duration {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.to_owned()).or_default();
        if count.uid != uid {
            *count = Count {
                uid: uid.to_owned(),
                failures: 0,
            };
        }
        count.failures = count.failures.saturating_add(1);
        back_off(key, count.failures, LONGEST_PAUSE)
    }
}

/// When to look at an object again, though nothing is known to have changed. Spread by its name: what began together is not looked at
/// together.
#[must_use]
pub fn slow_look(name: &str) -> Duration {
    let mut hasher = std::hash::DefaultHasher::new();
    name.hash(&mut hasher);
    let part =
        f64::from(u8::try_from(hasher.finish() & 0xff).unwrap_or_default()) / f64::from(u8::MAX);
    SLOW_LOOK.mul_f64(1.0 + part / 5.0)
}

/// Doubles from half a second to the longest, each drawn from its upper half by the object's name: what failed together does not
/// come back together, and a test can tell what to expect.
#[must_use]
pub fn back_off(key: &str, failures: u32, longest: Duration) -> Duration {
    let doubled = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)))
        .min(longest);
    let mut hasher = std::hash::DefaultHasher::new();
    (key, failures).hash(&mut hasher);
    let part =
        f64::from(u8::try_from(hasher.finish() & 0xff).unwrap_or_default()) / f64::from(u8::MAX);
    doubled.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests;
