//! Runs a reconciler: so many objects at once, a time limit on each pass, a back-off with jitter after a failure, metrics for each
//! outcome, and a stop that lets running passes end. What it must not do: decide anything about an object.

use crate::kit::error::{Error, chain};
use crate::process::telemetry::Telemetry;
use futures::StreamExt;
use kube::Resource;
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

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

/// What one reconciler is given besides the object, and what the runner remembers for it.
struct Run<Ctx> {
    name: &'static str,
    context: Arc<Ctx>,
    pass_limit: Duration,
    telemetry: Arc<Telemetry>,
    failures: Failures,
}

impl Runner {
    /// Runs `reconcile` over everything that `controller` triggers, until the stop.
    ///
    /// # Errors
    /// The trigger stream ended by itself, which it must not.
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
        controller
            .with_config(controller::Config::default().concurrency(self.concurrency))
            .graceful_shutdown_on(self.stop.clone().cancelled_owned())
            .run(move |object, run| pass(object, run, reconcile), after_failure, run)
            .for_each(|outcome| async move {
                if let Err(error) = outcome
                    && !matches!(error, controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_))
                {
                    tracing::warn!(controller = name, error = %chain(&error), "a watch is being renewed");
                }
            })
            .await;
        if self.stop.is_cancelled() {
            Ok(())
        } else {
            Err(Error::Ended {
                part: name,
                why: "its watch ended".into(),
            })
        }
    }
}

async fn pass<K, Ctx, Pass>(
    object: Arc<K>,
    run: Arc<Run<Ctx>>,
    reconcile: fn(Arc<K>, Arc<Ctx>) -> Pass,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()>,
    Pass: Future<Output = Result<Action, Error>>,
{
    let key = ObjectRef::from_obj(object.as_ref()).to_string();
    let began = Instant::now();
    let outcome =
        match tokio::time::timeout(run.pass_limit, reconcile(object, Arc::clone(&run.context)))
            .await
        {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Error::TimedOut {
                verb: "reconcile",
                object: key.clone(),
                limit: run.pass_limit,
            }),
        };
    run.telemetry.reconciled(
        run.name,
        outcome.as_ref().err().map_or("done", Error::class),
        began.elapsed(),
    );
    match &outcome {
        Ok(_) => run.failures.forget(&key),
        Err(error) if error.is_conflict() => {
            tracing::debug!(controller = run.name, object = %key, "somebody else wrote first; observing again");
        }
        Err(error) => {
            tracing::warn!(controller = run.name, object = %key, error = %chain(error), "a pass failed; trying again");
        }
    }
    outcome
}

fn after_failure<K: Resource<DynamicType = ()>, Ctx>(
    object: Arc<K>,
    _error: &Error,
    run: Arc<Run<Ctx>>,
) -> Action {
    Action::requeue(
        run.failures
            .pause(&ObjectRef::from_obj(object.as_ref()).to_string()),
    )
}

/// How often each object has failed in a row. A cache: after a restart everything is tried at once again.
#[derive(Default)]
struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    fn forget(&self, key: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn pause(&self, key: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.to_owned()).or_default();
        *count = count.saturating_add(1);
        back_off(key, *count)
    }
}

/// Doubles from half a second to five minutes, each drawn from its upper half by the object's name: what failed together does not
/// come back together, and a test can tell what to expect.
fn back_off(key: &str, failures: u32) -> Duration {
    let doubled = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)))
        .min(LONGEST_PAUSE);
    let mut hasher = std::hash::DefaultHasher::new();
    (key, failures).hash(&mut hasher);
    let part =
        f64::from(u8::try_from(hasher.finish() & 0xff).unwrap_or_default()) / f64::from(u8::MAX);
    doubled.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_longer_each_time_but_never_for_ever() {
        let pauses: Vec<_> = (1..=40).map(|n| back_off("nodeop a", n)).collect();
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE);
        assert!(pauses[8] > pauses[4] && pauses[4] > pauses[1]);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        assert!(*pauses.last().unwrap() >= LONGEST_PAUSE / 2);
    }

    #[test]
    fn spreads_what_failed_together() {
        let pauses: std::collections::BTreeSet<_> =
            (0..50).map(|n| back_off(&format!("pod {n}"), 5)).collect();
        assert!(pauses.len() > 25, "{}", pauses.len());
    }

    #[test]
    fn forgets_failures_after_a_success() {
        let failures = Failures::default();
        let first = failures.pause("x");
        assert!(failures.pause("x") > first);
        failures.forget("x");
        assert_eq!(failures.pause("x"), first);
    }
}
