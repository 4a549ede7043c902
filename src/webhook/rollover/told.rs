//! Whether API servers are told whom to trust at all. A replica is not ready before: whoever waits for an installation to be ready,
//! and then makes a DaemonSet, may rely on its pods being looked at.

use crate::kit::error::{Error, chain};
use crate::process::health::Health;
use crate::webhook::rollover::Setup;
use std::time::Duration;

const PART: &str = "trust";
/// How often it is looked.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Returns when every webhook of our configurations trusts somebody, or there is none. Looked at once in a process's life: what
/// somebody takes away later the leader puts back, and no replica goes away for it.
pub async fn wait(setup: &Setup, health: &Health) {
    health.waits(
        PART,
        "the webhook configurations have not been looked at yet".into(),
    );
    loop {
        match untold(setup).await {
            Ok(None) => break,
            Ok(Some(what)) => {
                let why = format!(
                    "{what} has no caBundle yet: the leader writes it, or cert-manager, where the configuration says so"
                );
                health.waits(PART, why);
            }
            Err(error) => health.waits(PART, chain(&error)),
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    health.is_ready(PART);
}

/// A configuration in which a webhook trusts nobody.
async fn untold(setup: &Setup) -> Result<Option<String>, Error> {
    let found = setup.configurations(|_| true).await?;
    let untold = found
        .iter()
        .find(|one| one.entries.iter().any(std::collections::BTreeSet::is_empty));
    Ok(untold.map(|one| format!("{} {}", one.kind, setup.name)))
}
