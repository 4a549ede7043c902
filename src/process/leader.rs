//! Leader election on a Lease, judged by what this process saw itself: a candidate takes over only when the record has not
//! changed for a whole lease duration *by its own monotonic clock*. Times that another host wrote are never compared with ours.
//! `lease.rs` has the rules.
//!
//! Every write carries the `resourceVersion` that was judged, so two candidates cannot both win. A leader that could not renew for
//! the renew deadline is no leader any more: its work stops *before* the lease can run out for others.
//! `leaseTransitions` is the fencing number.

use crate::kit::error::Error;
use crate::process::clock;
use crate::process::lease::{Settings, Sight, Turn, judge};
use crate::process::writes::{self, bounded};
use crate::write_steps;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// The first candidate writes the Lease.
    CREATE,
    /// A candidate takes a free or abandoned Lease.
    TAKE,
    /// The leader says that it lives.
    RENEW,
    /// The leader hands the Lease back at its end.
    RELEASE,
}

/// Below this a leader whose time runs out tries no more.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// The proof of leading: since when, and the fencing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// How often the Lease has changed hands.
    pub transitions: i32,
}

/// Why a leader leads no more.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop; the Lease is still its own until [`Elector::release`].
    Stopped,
    /// It could not renew in time, or another holds the Lease.
    Lost {
        /// What happened.
        why: String,
    },
}

/// One candidate.
pub struct Elector {
    api: Api<Lease>,
    settings: Settings,
    sight: Option<Sight>,
    /// When a Lease that somebody held was seen to be gone.
    vanished: Option<Instant>,
    /// Called once a round: the sign that this loop is alive.
    beat: Box<dyn Fn() + Send + Sync>,
}

impl Elector {
    /// A candidate that writes through `client`, which must not retry by itself.
    pub fn new(
        client: Client,
        settings: Settings,
        beat: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let api = Api::namespaced(client, &settings.namespace);
        Self {
            api,
            settings,
            sight: None,
            vanished: None,
            beat: Box::new(beat),
        }
    }

    /// Waits until this candidate leads; `None` when it was asked to stop first.
    pub async fn acquire(&mut self, stop: &CancellationToken) -> Option<Leadership> {
        loop {
            (self.beat)();
            let attempt = tokio::select! {
                () = stop.cancelled() => return None,
                attempt = self.attempt() => attempt,
            };
            let pause = match attempt {
                Ok(Ok(leadership)) => return Some(leadership),
                Ok(Err(until)) => until
                    .saturating_duration_since(Instant::now())
                    .min(self.settings.retry),
                Err(error) => {
                    tracing::warn!(error = %crate::kit::error::chain(&error), "the lease could not be looked at or taken; trying again");
                    self.settings.retry
                }
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look and, if it is our turn, one write.
    async fn attempt(&mut self) -> Result<Result<Leadership, Instant>, Error> {
        self.look(self.settings.renew_deadline).await?;
        let now = Instant::now();
        let (step, lease) = match judge(&self.settings, self.sight.as_ref(), self.vanished, now) {
            Turn::Wait { until } => return Ok(Err(until)),
            Turn::Create => (
                &CREATE,
                self.settings.claim(self.sight.as_ref(), clock::now()),
            ),
            Turn::Take => (
                &TAKE,
                self.settings.claim(self.sight.as_ref(), clock::now()),
            ),
        };
        let call = step.within(self.settings.renew_deadline);
        let written = match step {
            step if *step == CREATE => writes::create(&self.api, call, &lease).await,
            _ => writes::replace(&self.api, call, &lease).await,
        };
        match written {
            Ok(lease) => Ok(Ok(self.won(lease, now))),
            Err(error) if error.is_conflict() => {
                Ok(Err(now.checked_add(self.settings.retry).unwrap_or(now)))
            }
            Err(error) => Err(error),
        }
    }

    /// `now` is from *before* the write: others count from when they saw it, which is later.
    fn won(&mut self, lease: Lease, now: Instant) -> Leadership {
        let sight = Sight {
            lease,
            unchanged_since: now,
        };
        let leadership = Leadership {
            transitions: sight.transitions(),
        };
        self.sight = Some(sight);
        leadership
    }

    async fn look(&mut self, limit: Duration) -> Result<(), Error> {
        let what = format!("lease {}/{}", self.settings.namespace, self.settings.lease);
        let found = bounded(limit, "get", what, self.api.get_opt(&self.settings.lease)).await?;
        let former = self.sight.take();
        let Some(lease) = found else {
            // Somebody deleted the Lease: its holder may work until it notices.
            if former.is_some_and(|former| !former.holder().is_empty()) {
                self.vanished = Some(Instant::now());
            }
            return Ok(());
        };
        self.vanished = None;
        let fresh = Sight {
            lease,
            unchanged_since: Instant::now(),
        };
        self.sight = Some(match former {
            Some(former) if former.record() == fresh.record() => Sight {
                unchanged_since: former.unchanged_since,
                ..fresh
            },
            _ => fresh,
        });
        Ok(())
    }

    /// Renews until it is asked to stop, or until it cannot be sure to lead any more.
    pub async fn keep(&mut self, stop: &CancellationToken) -> End {
        let mut renewed = self
            .sight
            .as_ref()
            .map_or_else(Instant::now, |sight| sight.unchanged_since);
        loop {
            let deadline = renewed
                .checked_add(self.settings.renew_deadline)
                .unwrap_or(renewed);
            let rest = deadline.saturating_duration_since(Instant::now());
            // Never straight to the deadline: a leadership that began slowly still gets its try.
            let pause = if rest > SHORTEST_REST {
                self.settings.retry.min(rest.mul_f64(0.5))
            } else {
                rest
            };
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                () = tokio::time::sleep(pause) => {}
            }
            (self.beat)();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return End::Lost {
                    why: format!(
                        "it could not be renewed for {:?}",
                        self.settings.renew_deadline
                    ),
                };
            }
            let sent = Instant::now();
            // Half of the time at most for one try, so that one connection that went silent does not cost the leadership.
            let limit = left.min(self.settings.renew_deadline.mul_f64(0.5));
            let renewal = tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                renewal = tokio::time::timeout_at(deadline, self.renew(sent, limit)) => renewal,
            };
            let Ok(renewal) = renewal else { continue };
            match renewal {
                Ok(true) => renewed = sent,
                Ok(false) => {
                    return End::Lost {
                        why: format!(
                            "{} holds it",
                            self.sight.as_ref().map_or("nobody", Sight::holder)
                        ),
                    };
                }
                Err(error) => {
                    tracing::warn!(error = %crate::kit::error::chain(&error), "the lease was not renewed; trying again");
                }
            }
        }
    }

    /// `Ok(false)`: another holds the Lease, or it is gone.
    async fn renew(&mut self, sent: Instant, limit: Duration) -> Result<bool, Error> {
        let written = writes::replace(
            &self.api,
            RENEW.within(limit),
            &self.settings.renewal(self.sight.as_ref(), clock::now()),
        )
        .await;
        match written {
            Ok(lease) => {
                self.won(lease, sent);
                Ok(true)
            }
            // Somebody wrote: perhaps only a label. What counts is who holds it. A lost answer to our own write looks the same.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                self.look(limit).await?;
                let ours = self
                    .sight
                    .as_ref()
                    .is_some_and(|sight| sight.holder() == self.settings.identity);
                if ours { Err(error) } else { Ok(false) }
            }
            Err(error) => Err(error),
        }
    }

    /// Hands the Lease back, so that the next leader need not wait. Call it only after all work has stopped.
    ///
    /// # Errors
    /// The API server's answer: the Lease then runs out by itself.
    pub async fn release(&mut self) -> Result<(), Error> {
        match self.hand_back().await {
            // A renewal whose answer was not waited for came first.
            Err(error) if error.is_conflict() => {
                self.look(self.settings.retry).await?;
                self.hand_back().await
            }
            done => done,
        }
    }

    async fn hand_back(&mut self) -> Result<(), Error> {
        let Some(sight) = self
            .sight
            .as_ref()
            .filter(|sight| sight.holder() == self.settings.identity)
        else {
            return Ok(());
        };
        let mut lease = sight.lease.clone();
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(clock::now()));
        }
        let lease = writes::replace(&self.api, RELEASE.within(self.settings.retry), &lease).await?;
        self.sight = Some(Sight {
            lease,
            unchanged_since: Instant::now(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
