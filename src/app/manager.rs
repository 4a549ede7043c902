//! One running manager: campaigns, leads, and goes away cleanly.
//!
//! | the installation is | a leader | a standby |
//! |---|---|---|
//! | alive | holds it and runs the controllers | holds it |
//! | going, or gone after it was seen alive | stops its controllers, releases everything, hands the Lease back, lets the installation go | goes on campaigning; told to stop, for a while longer |
//! | absent from the start | waits: the name may be wrong, and what a name does not name cannot be cleaned up after | the same |

use crate::app::{cluster, controllers, kinds};
use crate::kit::error::{Error, chain};
use crate::process::clients::Clients;
use crate::process::health::Health;
use crate::process::installation::{Installation, Standing};
use crate::process::leader::{Elector, End};
use crate::process::runner::Runner;
use crate::process::teardown;
use crate::process::telemetry::Telemetry;
use crate::sizing::cache::Caches;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a pass over one object may take.
const PASS_LIMIT: Duration = Duration::from_secs(60);
/// How long running passes may take after a signal, while the Lease is still ours.
const STOP_LIMIT: Duration = Duration::from_secs(8);
/// How often a manager looks how its installation stands.
const LOOK_PERIOD: Duration = Duration::from_secs(3);
/// Every how many of these looks it also puts up finalizers that somebody took away.
const LOOKS_PER_HOLD: u32 = 20;

/// What a manager is made of.
pub(crate) struct Manager {
    pub(crate) clients: Clients,
    pub(crate) health: Arc<Health>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) installation: Option<Installation>,
    pub(crate) identity: String,
    /// Where this installation is.
    pub(crate) namespace: String,
    /// What is known of the cluster.
    pub(crate) caches: Arc<Caches>,
    pub(crate) concurrency: u16,
    /// How long running passes may take after the Lease was lost.
    pub(crate) loss_limit: Duration,
    /// The installation was seen alive: if it is absent later, it went.
    pub(crate) seen_alive: AtomicBool,
}

/// Why a leader's work ended.
#[derive(Debug, PartialEq, Eq)]
enum WorkEnd {
    Stopped,
    Going,
}

impl Manager {
    pub(crate) async fn run(
        &self,
        elector: Option<Elector>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let work = async {
            match elector {
                Some(elector) => self.campaign(elector, stop).await,
                None => self.lead_without_a_lease(stop).await,
            }
        };
        let kept = Arc::clone(&self.caches).run(self.clients.once.clone(), stop.child_token());
        let kept = async {
            Box::pin(kept).await;
            std::future::pending().await
        };
        // The work does not wait for what is missing: an installation that is being deleted has no CRDs any more.
        tokio::select! {
            ended = work => ended,
            ended = self.look_around() => ended,
            ended = kept => ended,
        }
    }

    /// Every replica does this: an installation that is deleted before it ever led is held all the same.
    async fn look_around(&self) -> Result<(), Error> {
        let held = async {
            while !self.hold().await {
                tokio::time::sleep(LOOK_PERIOD).await;
            }
        };
        tokio::join!(held, cluster::look(&self.clients.api, &self.health));
        std::future::pending().await
    }

    async fn lead_without_a_lease(&self, stop: &CancellationToken) -> Result<(), Error> {
        self.telemetry.leads(true);
        if self.lead(stop, stop).await? == WorkEnd::Going {
            self.release_objects().await;
            self.release_own(stop).await;
        }
        Ok(())
    }

    async fn campaign(&self, mut elector: Elector, stop: &CancellationToken) -> Result<(), Error> {
        let Some(leadership) = self.acquire(&mut elector, stop).await else {
            return Ok(());
        };
        tracing::info!(transitions = leadership, "leading");
        self.telemetry.leads(true);
        // The Lease is renewed for as long as anything of the leader's work runs, and work stops when it cannot be renewed.
        let (renewing, work) = (CancellationToken::new(), stop.child_token());
        let (renewing_token, work_guard) = (renewing.clone(), work.clone().drop_guard());
        let keeping = tokio::spawn(async move {
            let _ends_the_work = work_guard;
            let end = elector.keep(&renewing_token).await;
            (elector, end)
        });
        let worked = self.lead(&work, stop).await;
        if matches!(worked, Ok(WorkEnd::Going)) {
            self.release_objects().await;
        }
        renewing.cancel();
        self.telemetry.leads(false);
        let (mut elector, end) = keeping.await.map_err(|error| Error::Ended {
            part: "the election",
            why: error.to_string(),
        })?;
        match (worked?, end) {
            (WorkEnd::Stopped, End::Lost { why }) if !stop.is_cancelled() => {
                return Err(Error::Ended {
                    part: "the leadership",
                    why,
                });
            }
            (_, End::Lost { why }) => tracing::warn!(why, "the lease is not ours any more"),
            // Before our own rights go: an installation that follows this one need not wait for the Lease to run out.
            (_, End::Stopped) => self.hand_back(&mut elector).await,
        }
        if self.is_going().await {
            self.release_own(stop).await;
        }
        Ok(())
    }

    /// Waits to lead. Told to stop while the installation goes, it waits a little longer: if the leader is dead, this one cleans up.
    async fn acquire(&self, elector: &mut Elector, stop: &CancellationToken) -> Option<i32> {
        if let Some(leadership) = elector.acquire(stop).await {
            return Some(leadership.transitions);
        }
        if !self.is_going().await {
            return None;
        }
        tracing::info!(
            "the installation is being deleted: waiting for its leader to clean up, or to lead"
        );
        let never = CancellationToken::new();
        let acquired = tokio::time::timeout(teardown::LIMIT, elector.acquire(&never)).await;
        acquired
            .ok()
            .flatten()
            .map(|leadership| leadership.transitions)
    }

    async fn hand_back(&self, elector: &mut Elector) {
        if let Err(error) = elector.release().await {
            tracing::warn!(error = %chain(&error), "the lease was not handed back; it runs out by itself");
        }
    }

    /// Runs the controllers until `work` is stopped, or until the installation is being deleted.
    async fn lead(
        &self,
        work: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<WorkEnd, Error> {
        // Nothing is begun for an installation that may be going already: whoever led before may be about to let go of its rights.
        let ended = tokio::select! {
            biased;
            () = work.cancelled() => WorkEnd::Stopped,
            standing = self.wait_until(|standing| standing != Standing::Absent) => match standing {
                Standing::Alive => self.control(work, stop).await?,
                _ => WorkEnd::Going,
            },
        };
        // A lost Lease asks nothing more of an API server that may be away: the process has to end before another leads.
        let is_asked = ended == WorkEnd::Stopped && stop.is_cancelled();
        Ok(if is_asked && self.is_going().await {
            WorkEnd::Going
        } else {
            ended
        })
    }

    async fn control(
        &self,
        work: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<WorkEnd, Error> {
        let runner = Runner {
            concurrency: self.concurrency,
            pass_limit: PASS_LIMIT,
            telemetry: Arc::clone(&self.telemetry),
            stop: work.child_token(),
        };
        let controllers_stop = runner.stop.clone();
        let mut running: JoinSet<Result<(), Error>> = controllers(
            &runner,
            (&self.clients, &self.caches),
            (&self.identity, &self.namespace),
        )
        .into_iter()
        .collect();
        let ended = tokio::select! {
            // In this order: controllers end because the work was stopped, and that is no fault of theirs.
            biased;
            () = work.cancelled() => Ok(WorkEnd::Stopped),
            _ = self.wait_until(|standing| standing != Standing::Alive) => Ok(WorkEnd::Going),
            Some(ended) = running.join_next() => Err(early(ended)),
        };
        controllers_stop.cancel();
        let is_lost = work.is_cancelled() && !stop.is_cancelled();
        let limit = if is_lost { self.loss_limit } else { STOP_LIMIT };
        let all_ended = tokio::time::timeout(limit, async {
            while running.join_next().await.is_some() {}
        })
        .await;
        if all_ended.is_err() {
            tracing::warn!(
                "passes over objects are still running after {limit:?}; they are cut off"
            );
        }
        running.shutdown().await;
        ended
    }

    /// Looks until the installation stands as wanted, holding it meanwhile. Without an installation everything is alive for ever.
    async fn wait_until(&self, is_wanted: impl Fn(Standing) -> bool) -> Standing {
        for look in 1_u32.. {
            match self.standing().await {
                Ok(standing) if is_wanted(standing) => return standing,
                Ok(Standing::Absent) => {
                    let why =
                        "the Deployment that --installation names is not there; is the name right?";
                    self.health.waits("installation", why.into());
                    tracing::error!("{why}");
                }
                Ok(_) => self.health.is_ready("installation"),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "our own installation could not be looked at; trying again");
                }
            }
            if look.is_multiple_of(LOOKS_PER_HOLD) {
                self.hold().await;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        Standing::Alive
    }

    /// How the installation stands, in the light of how it stood before.
    async fn standing(&self) -> Result<Standing, Error> {
        let Some(installation) = &self.installation else {
            return Ok(Standing::Alive);
        };
        let standing = installation.standing().await?;
        match standing {
            Standing::Alive => self.seen_alive.store(true, Ordering::Relaxed),
            Standing::Absent if self.seen_alive.load(Ordering::Relaxed) => {
                return Ok(Standing::Going);
            }
            Standing::Absent | Standing::Going => {}
        }
        Ok(standing)
    }

    /// Asked once it matters; an API server that does not answer is asked again for a while.
    async fn is_going(&self) -> bool {
        for _try in 0..3 {
            match self.standing().await {
                Ok(standing) => return standing == Standing::Going,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "our own installation could not be looked at");
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        false
    }

    /// Whether everything of the installation is held.
    async fn hold(&self) -> bool {
        let Some(installation) = &self.installation else {
            return true;
        };
        match installation.hold().await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "an object of this installation is not held yet; trying again");
                false
            }
        }
    }

    async fn release_objects(&self) {
        self.health
            .waits("teardown", "the installation is being deleted".into());
        tracing::info!("this installation is being deleted: releasing everything that it holds");
        if let Err(error) = teardown::release_objects(&self.clients.once, &kinds()).await {
            tracing::error!(error = %chain(&error), "not everything was released; `holdfast teardown` does it with your own rights");
        }
    }

    /// Lets our own objects go, and waits to be ended with them.
    async fn release_own(&self, stop: &CancellationToken) {
        let Some(installation) = &self.installation else {
            return;
        };
        match installation.release().await {
            Ok(()) => tracing::info!("everything is released"),
            Err(error) => {
                tracing::error!(error = %chain(&error), "our own objects were not all released; `holdfast teardown` does it with your own rights");
            }
        }
        while !stop.is_cancelled() {
            self.health.beats();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_PERIOD) => {}
            }
        }
    }
}

/// A controller ended although nobody stopped it.
fn early(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::Ended {
            part: "a controller",
            why: "it returned without being stopped".into(),
        },
        Err(error) => Error::Ended {
            part: "a controller",
            why: error.to_string(),
        },
    }
}
