//! `holdfast agent`, from its flags to its end.

use crate::agent::serving::{self, Setup};
use crate::host;
use crate::host::again::Again;
use crate::kit::error::{Error, chain};
use crate::process::clients::Clients;
use crate::process::flags::{AgentFlags, Logging};
use crate::process::health::Health;
use crate::process::listeners::{serve_metrics, serve_probes};
use crate::process::memory;
use crate::process::signals::stop_on_signal;
use crate::process::telemetry::{Telemetry, start_logging};
use std::sync::Arc;
use std::time::Duration;

/// How long the main loop may be silent before the process counts as dead.
const BEAT_LIMIT: Duration = Duration::from_secs(60);

/// Runs the agent until it is told to stop.
///
/// # Errors
/// It could not start, or a part of it ended although it must not.
pub async fn agent(flags: AgentFlags) -> Result<(), Error> {
    let AgentFlags {
        node,
        root,
        metrics_bind_address,
        health_probe_bind_address,
        garbage_after,
        check_every,
        peers,
        logging: Logging {
            log_level,
            log_format,
        },
    } = flags;
    start_logging(&log_level, log_format)?;
    let stop = stop_on_signal()?;
    tokio::spawn(memory::give_back(stop.clone()));
    let telemetry = Arc::<Telemetry>::default();
    let health = Arc::new(Health::new(BEAT_LIMIT));
    let mut probes = serve_probes(health_probe_bind_address, Arc::clone(&health))?;
    let mut metrics = serve_metrics(metrics_bind_address, Arc::clone(&telemetry), None)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %node, root = %root.display(), "starting");
    let client = match Clients::infer().await {
        Ok(clients) => Some(clients.api),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "no orders are seen on this node; what protects its pods goes on");
            None
        }
    };
    // Without a client nobody could be told.
    if client.is_some() && !check_every.is_zero() {
        let again = Again {
            node: node.clone(),
            root: root.clone(),
            every: check_every,
            metrics: telemetry.agent.clone(),
        };
        tokio::spawn(again.run(stop.clone()));
    }
    let setup = Setup {
        root,
        health,
        metrics: telemetry.agent.clone(),
        node,
        client,
        garbage_after,
        peers,
        prefixes: &host::prefix::PREFIXES,
    };
    let ended = tokio::select! {
        ended = serving::run(setup, stop) => ended,
        error = probes.ended() => Err(error),
        error = metrics.ended() => Err(error),
    };
    // Both in any case; the first failure is told.
    let stopped = [probes.stop().await, metrics.stop().await];
    stopped.into_iter().fold(ended, Result::and)
}
