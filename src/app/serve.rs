//! `holdfast serve`, from its flags to its end.
//!
//! | moment | what happens |
//! |---|---|
//! | start | probes, metrics and webhooks are served; the cluster is looked at: its version, our CRDs |
//! | leading | our own objects are held, controllers run |
//! | the Lease is lost | controllers are stopped, the process ends with an error (and is started again) |
//! | the installation is being deleted | controllers are stopped, everything held is released, the process waits for its end |
//! | a signal | not ready any more; controllers are stopped, the Lease is handed back, listeners close after the shutdown delay |

use crate::app::Ground;
use crate::app::door::Door;
use crate::app::manager::Manager;
use crate::app::parts::Parts;
use crate::kit::error::{Error, chain};
use crate::process::clients::Clients;
use crate::process::flags::{
    Election, InstallationFlags, Listening, OldestTls, Serve, WebhookFlags,
};
use crate::process::health::Health;
use crate::process::installation::Installation;
use crate::process::leader::Elector;
use crate::process::lease::Settings;
use crate::process::listeners::{Serving, serve_metrics, serve_probes};
use crate::process::memory;
use crate::process::signals::stop_on_signal;
use crate::process::telemetry::{Telemetry, start_logging};
use crate::webhook::endpoint::Endpoint;
use crate::webhook::handshake::{Served, config};
use crate::webhook::rollover;
use crate::webhook::tls::Certificate;
use axum_server::tls_rustls::RustlsConfig;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the main loop may be silent before the process counts as dead.
const BEAT_LIMIT: Duration = Duration::from_secs(120);

/// Runs the manager until it is told to stop.
///
/// # Errors
/// It could not start, or a part of it ended although it must not.
pub async fn serve(flags: Serve) -> Result<(), Error> {
    let Serve {
        listening,
        webhooks,
        election,
        installation,
        moves,
        keep,
        logging,
        concurrency,
    } = flags;
    let InstallationFlags {
        namespace,
        installation,
    } = installation;
    start_logging(&logging.log_level, logging.log_format)?;
    let identity = election.identity.clone();
    let settings = checked(election, &namespace)?;
    let stop = stop_on_signal()?;
    let telemetry = Arc::<Telemetry>::default();
    let health = Arc::new(Health::new(BEAT_LIMIT));
    let mut front = Front::open(listening, &stop, &health, &telemetry)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %namespace, %identity, "starting");
    let clients = Clients::infer().await?;
    let ground = Ground {
        installation: installation.map(|name| objects(&clients, &namespace, &name)),
        clients,
        telemetry,
        health,
        namespace,
        moves,
        keep,
        stop,
    };
    let (parts, endpoints, controls) = Parts::begin(&ground);
    let keeper = front.open_door(webhooks, &ground, endpoints)?;
    let loss_limit = settings.as_ref().map(Settings::stop_limit);
    let elector = settings.map(|settings| elector(&ground.clients, settings, &ground.health));
    let Ground {
        clients,
        telemetry,
        health,
        installation,
        stop,
        ..
    } = ground;
    let manager = Manager {
        clients,
        health,
        telemetry,
        installation,
        controls,
        identity,
        concurrency,
        keeper,
        loss_limit: loss_limit.unwrap_or_default(),
        seen_alive: AtomicBool::new(false),
    };
    run(manager, elector, (front, parts), &stop).await
}

async fn run(
    manager: Manager,
    elector: Option<Elector>,
    (mut front, mut parts): (Front, Parts),
    stop: &CancellationToken,
) -> Result<(), Error> {
    tokio::spawn(memory::give_back(stop.clone()));
    let ended = tokio::select! {
        ended = Box::pin(manager.run(elector, stop)) => ended,
        // A manager that nobody can probe or scrape is started again.
        error = front.ended() => Err(error),
        error = parts.ended() => Err(error),
    };
    front.close(stop).await;
    parts.close().await;
    ended
}

/// The election's settings, judged before anything is started.
fn checked(election: Election, namespace: &str) -> Result<Option<Settings>, Error> {
    let settings = election.settings(namespace);
    if let Some(settings) = &settings {
        settings.check()?;
    }
    Ok(settings)
}

fn objects(clients: &Clients, namespace: &str, name: &str) -> Installation {
    let (once, farewell) = (clients.once.clone(), clients.farewell.clone());
    Installation::new(once, farewell, namespace, name)
}

fn elector(clients: &Clients, settings: Settings, health: &Arc<Health>) -> Elector {
    let health = Arc::clone(health);
    Elector::new(clients.once.clone(), settings, move || health.beats())
}

/// What others see of the process: its listeners, and how it goes away from them.
struct Front {
    servers: [Serving; 2],
    /// None where the webhooks are off, and before they are served.
    door: Option<Door>,
    /// Clients may still be sent here for a moment after the signal.
    lame_duck: JoinHandle<()>,
    certificate_stop: CancellationToken,
}

impl Front {
    fn open(
        listening: Listening,
        stop: &CancellationToken,
        health: &Arc<Health>,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, Error> {
        let Listening {
            metrics_bind_address,
            health_probe_bind_address,
            tls_cert_dir,
            shutdown_delay,
        } = listening;
        let certificate_stop = CancellationToken::new();
        let served = Arc::<Served>::default();
        let certificate = tls_cert_dir
            .map(|directory| Certificate::read(&directory, Arc::clone(&served)))
            .transpose()?;
        let tls = certificate
            .as_ref()
            .map(|_| config(OldestTls::V1_2, served, None).map(RustlsConfig::from_config))
            .transpose()?;
        let servers = [
            serve_probes(health_probe_bind_address, Arc::clone(health))?,
            serve_metrics(metrics_bind_address, Arc::clone(telemetry), tls)?,
        ];
        if let Some(certificate) = certificate {
            tokio::spawn(certificate.follow(certificate_stop.clone()));
        }
        let (stop, health) = (stop.clone(), Arc::clone(health));
        let lame_duck = tokio::spawn(async move {
            stop.cancelled().await;
            health.stops();
            tokio::time::sleep(shutdown_delay).await;
        });
        Ok(Self {
            servers,
            door: None,
            lame_duck,
            certificate_stop,
        })
    }

    /// Serves the webhooks too; what the leader needs for them is handed back.
    fn open_door(
        &mut self,
        flags: WebhookFlags,
        ground: &Ground,
        endpoints: Vec<Arc<dyn Endpoint>>,
    ) -> Result<Option<rollover::Setup>, Error> {
        self.door = Door::open(flags, ground, endpoints)?;
        Ok(self.door.as_mut().and_then(|door| door.keeper.take()))
    }

    /// Returns when a listener ended by itself.
    async fn ended(&mut self) -> Error {
        let [probes, metrics] = &mut self.servers;
        let door = async {
            match &mut self.door {
                Some(door) => door.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = probes.ended() => error,
            error = metrics.ended() => error,
            error = door => error,
        }
    }

    async fn close(self, stop: &CancellationToken) {
        if stop.is_cancelled()
            && let Err(error) = self.lame_duck.await
        {
            tracing::warn!(%error, "the shutdown delay was cut short");
        }
        if let Some(door) = self.door {
            door.close().await;
        }
        for server in self.servers {
            if let Err(error) = server.stop().await {
                tracing::warn!(error = %chain(&error), "a listener ended badly");
            }
        }
        self.certificate_stop.cancel();
        tracing::info!("stopped");
    }
}
