//! One running manager: looks at its cluster, campaigns, leads, and goes away cleanly.

use crate::app::{cluster, controllers, kinds};
use crate::kit::error::{Error, chain};
use crate::process::clients::Clients;
use crate::process::health::Health;
use crate::process::leader::{Elector, End};
use crate::process::runner::Runner;
use crate::process::teardown::{self, Installation};
use crate::process::telemetry::Telemetry;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a pass over one object may take.
const PASS_LIMIT: Duration = Duration::from_secs(60);
/// How long running passes may take after the stop: less than what lies between renew deadline and lease duration.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// How often the leader looks whether its installation is being deleted.
const LOOK_PERIOD: Duration = Duration::from_secs(3);
/// Every how many of these looks it also puts up finalizers that somebody took away.
const LOOKS_PER_HOLD: u32 = 20;

/// The parts of one running manager.
pub(crate) struct Manager {
    pub(crate) clients: Clients,
    pub(crate) health: Arc<Health>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) installation: Option<Installation>,
    pub(crate) identity: String,
    pub(crate) concurrency: u16,
}

/// Why a leader's work ended.
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
                None => match self.lead(stop, stop).await {
                    Ok(WorkEnd::Going) => {
                        self.release_own(stop).await;
                        Ok(())
                    }
                    ended => ended.map(drop),
                },
            }
        };
        // The work does not wait for what is missing: an installation that is being deleted has no CRDs any more.
        tokio::select! {
            ended = work => ended,
            ended = self.look_around() => ended,
        }
    }

    /// Every replica does this: an installation that is deleted before it ever led is held all the same.
    async fn look_around(&self) -> Result<(), Error> {
        self.hold().await;
        cluster::look(&self.clients.api, &self.health).await;
        std::future::pending().await
    }

    async fn campaign(&self, mut elector: Elector, stop: &CancellationToken) -> Result<(), Error> {
        let Some(leadership) = elector.acquire(stop).await else {
            if self.is_going().await {
                self.release_objects(stop).await;
                self.release_own(stop).await;
            }
            return Ok(());
        };
        tracing::info!(transitions = leadership.transitions, "leading");
        self.telemetry.leads(true);
        // The Lease is renewed for as long as anything of the leader's work runs, and work stops when it cannot be renewed.
        let (renewing, work) = (CancellationToken::new(), stop.child_token());
        let (renewing_token, work_token) = (renewing.clone(), work.clone());
        let keeping = tokio::spawn(async move {
            let end = elector.keep(&renewing_token).await;
            work_token.cancel();
            (elector, end)
        });
        let worked = self.lead(&work, stop).await;
        renewing.cancel();
        self.telemetry.leads(false);
        let (mut elector, end) = keeping.await.map_err(|error| Error::Ended {
            part: "the election",
            why: error.to_string(),
        })?;
        if let End::Lost { why } = end
            && matches!(worked, Ok(WorkEnd::Stopped))
            && !stop.is_cancelled()
        {
            return Err(Error::Ended {
                part: "the leadership",
                why,
            });
        }
        // Before our own rights go: an installation that follows this one need not wait for the Lease to run out.
        if let Err(error) = elector.release().await {
            tracing::warn!(error = %chain(&error), "the lease was not handed back; it runs out by itself");
        }
        if let WorkEnd::Going = worked? {
            self.release_own(stop).await;
        }
        Ok(())
    }

    /// Runs the controllers until `work` is stopped, or until the installation is being deleted. Then all that is held is released.
    async fn lead(
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
        let mut running: JoinSet<Result<(), Error>> =
            controllers(&runner, &self.clients, &self.identity)
                .into_iter()
                .collect();
        let ended = tokio::select! {
            // In this order: controllers end because the work was stopped, and that is no fault of theirs.
            biased;
            () = work.cancelled() => Ok(false),
            () = self.wait_until_going() => Ok(true),
            Some(ended) = running.join_next() => Err(early(ended)),
        };
        controllers_stop.cancel();
        let all_ended = tokio::time::timeout(STOP_LIMIT, async {
            while running.join_next().await.is_some() {}
        })
        .await;
        if all_ended.is_err() {
            tracing::warn!(
                "passes over objects are still running after {STOP_LIMIT:?}; they are cut off"
            );
        }
        running.shutdown().await;
        // A lost Lease asks nothing more of an API server that may be away: the process has to end before another leads.
        if ended? || (stop.is_cancelled() && self.is_going().await) {
            self.release_objects(stop).await;
            return Ok(WorkEnd::Going);
        }
        Ok(WorkEnd::Stopped)
    }

    /// Holds our own objects, and returns when they are being deleted. Without an installation it never returns.
    async fn wait_until_going(&self) {
        let Some(installation) = &self.installation else {
            return std::future::pending().await;
        };
        for look in 0_u32.. {
            match installation.is_going().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "our own deployment could not be looked at; trying again");
                }
            }
            if look.is_multiple_of(LOOKS_PER_HOLD) {
                self.hold().await;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    async fn hold(&self) {
        let Some(installation) = &self.installation else {
            return;
        };
        match installation.hold().await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => {
                tracing::debug!("another replica holds the installation at this moment");
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "an object of this installation is not held yet; trying again");
            }
        }
    }

    /// Is this installation being deleted? A signal may be part of that: a namespace's end takes pods first.
    async fn is_going(&self) -> bool {
        let Some(installation) = &self.installation else {
            return false;
        };
        installation.is_going().await.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "our own deployment could not be looked at");
            false
        })
    }

    /// Tries until it is done; after the signal to stop, for as long as our token lives.
    async fn release_objects(&self, stop: &CancellationToken) {
        self.health
            .waits("teardown", "the installation is being deleted".into());
        tracing::info!("this installation is being deleted: releasing everything that it holds");
        let last_try = async {
            stop.cancelled().await;
            tokio::time::sleep(teardown::LIMIT).await;
        };
        let release = async {
            while let Err(error) = teardown::release_objects(&self.clients.once, &kinds()).await {
                tracing::warn!(error = %chain(&error), "not everything is released yet; trying again");
                tokio::time::sleep(LOOK_PERIOD).await;
            }
        };
        tokio::select! {
            () = release => {}
            () = last_try => tracing::error!("not everything was released; `holdfast teardown` does it with your own rights"),
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
        stop.cancelled().await;
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
