//! What of shares runs in one manager: caches and webhooks on every replica, the controller on the leader.

use crate::process::clients::Clients;
use crate::process::health::Health;
use crate::process::telemetry::Telemetry;
use crate::sizing::cache::Caches;
use crate::sizing::lookup::Lookups;
use crate::sizing::validation::{DaemonSetReviews, TemplateReviews};
use crate::sizing::webhook::Pods;
use crate::webhook::endpoint::Endpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the caches are filled.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
const PART: &str = "caches";

/// Reviews that have to do with shares.
pub(crate) fn endpoints(
    caches: &Arc<Caches>,
    clients: &Clients,
    telemetry: &Arc<Telemetry>,
) -> Vec<Arc<dyn Endpoint>> {
    let lookups = Arc::new(Lookups::new(Arc::clone(caches), clients.once.clone()));
    let (caches, telemetry) = (Arc::clone(caches), Arc::clone(telemetry));
    vec![
        Arc::new(Pods::new(Arc::clone(&caches), lookups, telemetry)),
        Arc::new(TemplateReviews {
            caches: Arc::clone(&caches),
        }),
        Arc::new(DaemonSetReviews { caches }),
    ]
}

/// Keeps the caches true until the stop; the process is ready when they were filled once.
pub(crate) async fn keep(
    caches: Arc<Caches>,
    clients: Clients,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    health.waits(PART, "the caches are not filled yet".into());
    let filling = async {
        while let Err(missing) = caches.are_synced() {
            health.waits(PART, missing);
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        health.is_ready(PART);
    };
    tokio::join!(filling, Arc::clone(&caches).run(clients.once, stop));
}
