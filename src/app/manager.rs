//! One running manager: looks at its cluster, campaigns, leads, and goes away cleanly.

use crate::app::{controllers, crds, kinds};
use crate::kit::error::{Error, chain};
use crate::process::clients::Clients;
use crate::process::health::Health;
use crate::process::leader::{Elector, End};
use crate::process::runner::Runner;
use crate::process::teardown::Installation;
use crate::process::telemetry::Telemetry;
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The oldest Kubernetes that is supported.
const OLDEST_MINOR: u32 = 33;
/// How long a pass over one object may take.
const PASS_LIMIT: Duration = Duration::from_secs(60);
/// How long running passes may take after the stop: less than what lies between renew deadline and lease duration.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// How often the leader looks whether its installation is being deleted, and whoever waits for CRDs looks for them.
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
    TornDown,
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
                None => self.lead(stop, stop).await.map(drop),
            }
        };
        // The work does not wait for what is missing: an installation that is being deleted has no CRDs any more.
        tokio::select! {
            ended = work => ended,
            ended = async { self.look_at_the_cluster().await; std::future::pending().await } => ended,
        }
    }

    /// Says what is missing, and is ready when nothing is.
    async fn look_at_the_cluster(&self) {
        self.tell_version().await;
        self.health
            .waits("crds", "the CRDs have not been looked for yet".into());
        self.health.is_ready("start");
        let mut said = String::new();
        loop {
            match self.missing_crds().await {
                Ok(missing) if missing.is_empty() => return self.health.is_ready("crds"),
                Ok(missing) => {
                    let why = format!(
                        "CRDs are missing: {}; install them with the chart, or with `holdfast crds | kubectl apply -f -`",
                        missing.join(", ")
                    );
                    if why != said {
                        tracing::error!("{why}");
                        said.clone_from(&why);
                    }
                    self.health.waits("crds", why);
                }
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(error = %why, "the CRDs could not be looked for; trying again");
                    self.health.waits("crds", why);
                }
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    async fn tell_version(&self) {
        match bounded(
            CALL_LIMIT,
            "get",
            "the server's version".into(),
            self.clients.api.apiserver_version(),
        )
        .await
        {
            Ok(version) => {
                let minor: u32 = version
                    .minor
                    .trim_end_matches('+')
                    .parse()
                    .unwrap_or(u32::MAX);
                if minor < OLDEST_MINOR {
                    tracing::error!(found = %version.git_version, "this Kubernetes is older than 1.{OLDEST_MINOR}: in-place resize of pods and admission policies may be missing; upgrade the cluster");
                } else {
                    tracing::info!(kubernetes = %version.git_version, "connected");
                }
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the cluster's version is not known yet");
            }
        }
    }

    async fn missing_crds(&self) -> Result<Vec<String>, Error> {
        let api: Api<CustomResourceDefinition> = Api::all(self.clients.api.clone());
        let mut missing = Vec::new();
        for crd in crds() {
            let name = crd.name_any();
            if bounded(CALL_LIMIT, "get", format!("crd {name}"), api.get_opt(&name))
                .await?
                .is_none()
            {
                missing.push(name);
            }
        }
        Ok(missing)
    }

    async fn campaign(&self, mut elector: Elector, stop: &CancellationToken) -> Result<(), Error> {
        let Some(leadership) = elector.acquire(stop).await else {
            self.tear_down_if_going().await;
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
        match (worked, end) {
            (Err(error), _) => Err(error),
            (Ok(WorkEnd::Stopped), End::Lost { why }) if !stop.is_cancelled() => {
                Err(Error::Ended {
                    part: "the leadership",
                    why,
                })
            }
            (Ok(_), _) => {
                self.hand_back(&mut elector).await;
                Ok(())
            }
        }
    }

    async fn hand_back(&self, elector: &mut Elector) {
        if let Err(error) = elector.release().await {
            tracing::warn!(error = %chain(&error), "the lease was not handed back; it runs out by itself");
        }
    }

    /// Runs the controllers until `work` is stopped, or until the installation is being deleted; after that it waits for `stop`.
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
            () = work.cancelled() => Ok(WorkEnd::Stopped),
            () = self.wait_until_going() => Ok(WorkEnd::TornDown),
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
        match ended {
            Ok(WorkEnd::TornDown) => {
                self.tear_down().await;
                stop.cancelled().await;
            }
            Ok(WorkEnd::Stopped) => self.tear_down_if_going().await,
            Err(_) => {}
        }
        ended
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
            if look.is_multiple_of(LOOKS_PER_HOLD)
                && let Err(error) = installation.hold().await
            {
                tracing::warn!(error = %chain(&error), "an object of this installation is not held yet; trying again");
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    /// A signal may be part of a deletion: a namespace's end takes pods first.
    async fn tear_down_if_going(&self) {
        let Some(installation) = &self.installation else {
            return;
        };
        match installation.is_going().await {
            Ok(true) => self.tear_down().await,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = %chain(&error), "our own deployment could not be looked at");
            }
        }
    }

    async fn tear_down(&self) {
        let Some(installation) = &self.installation else {
            return;
        };
        self.health
            .waits("teardown", "the installation is being deleted".into());
        tracing::info!("this installation is being deleted: releasing everything that it holds");
        match installation.tear_down(&kinds()).await {
            Ok(()) => tracing::info!("everything is released"),
            Err(error) => {
                tracing::error!(error = %chain(&error), "not everything was released; `holdfast teardown` does it with your own rights");
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
