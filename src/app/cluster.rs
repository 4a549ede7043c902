//! What a manager needs of its cluster, and a sentence for each thing that is missing.

use crate::app::crds;
use crate::kit::error::{Error, chain};
use crate::process::health::Health;
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use std::time::Duration;

/// The oldest Kubernetes that is supported.
const OLDEST_MINOR: u32 = 33;
/// How often whoever waits for CRDs looks for them.
const LOOK_PERIOD: Duration = Duration::from_secs(3);
/// How often they are looked for when they were there: somebody may delete them.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Says what is missing, and is ready when nothing is. An API server that is away later is no reason not to be ready.
pub(crate) async fn look(client: &Client, health: &Health) {
    tell_version(client).await;
    health.waits("crds", "the CRDs have not been looked for yet".into());
    health.is_ready("start");
    let (mut said, mut were_there) = (String::new(), false);
    loop {
        match missing_crds(client).await {
            Ok(missing) if missing.is_empty() => {
                health.is_ready("crds");
                said.clear();
                were_there = true;
            }
            Ok(missing) => {
                let names = missing.join(", ");
                let why = format!(
                    "CRDs are missing: {names}; install them with the chart, or with `holdfast crds | kubectl apply -f -`"
                );
                if why != said {
                    tracing::error!("{why}");
                    said.clone_from(&why);
                }
                health.waits("crds", why);
                were_there = false;
            }
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(error = %why, "the CRDs could not be looked for; trying again");
                if !were_there {
                    health.waits("crds", why);
                }
            }
        }
        tokio::time::sleep(if were_there { LOOK_AGAIN } else { LOOK_PERIOD }).await;
    }
}

async fn tell_version(client: &Client) {
    match bounded(
        CALL_LIMIT,
        "get",
        "the server's version".into(),
        client.apiserver_version(),
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

async fn missing_crds(client: &Client) -> Result<Vec<String>, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
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
