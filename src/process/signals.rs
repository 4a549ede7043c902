//! From signals to one token: the first asks for a graceful stop, the second ends the process at once.

use crate::kit::error::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// The handlers could not be installed.
pub fn stop_on_signal() -> Result<CancellationToken, Error> {
    let install = |kind| signal(kind).map_err(|source| Error::io("listen for", "signals", source));
    let (mut terminate, mut interrupt) = (
        install(SignalKind::terminate())?,
        install(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for visit in 0.. {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if visit > 0 {
                tracing::warn!(signal = name, "stopping at once");
                std::process::exit(1);
            }
            tracing::info!(signal = name, "stopping");
            token.cancel();
        }
    });
    Ok(stop)
}
