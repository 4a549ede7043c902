//! `holdfast teardown`: what a manager does when its installation is deleted, done by a person, for when no manager runs any more.

use crate::cli::arguments::Teardown;
use crate::cli::print::out;
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::installation::Installation;
use crate::process::teardown::{held_objects, release_objects};
use crate::process::telemetry::{LogFormat, start_logging};
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ApiResource;
use kube::{Api, ResourceExt};
use std::time::Duration;

/// A leader renews several times in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Releases the installation, or says what it would release.
///
/// # Errors
/// A manager is still at work, or the API server's answer to what failed.
pub async fn run(arguments: Teardown, kinds: &[ApiResource]) -> Result<(), Error> {
    let Teardown {
        namespace,
        installation: name,
        yes,
    } = arguments;
    start_logging("info", LogFormat::Text)?;
    let clients = Clients::infer().await?;
    let installation = Installation::new(
        clients.once.clone(),
        clients.farewell.clone(),
        &namespace,
        &name,
    );
    if !yes {
        return out(&plan(&clients, &installation, kinds).await?);
    }
    refuse_while_somebody_leads(&clients, &namespace, &name).await?;
    release_objects(&clients.once, kinds).await?;
    installation.release().await?;
    out("Everything is released.\n")
}

/// What would be released.
async fn plan(
    clients: &Clients,
    installation: &Installation,
    kinds: &[ApiResource],
) -> Result<String, Error> {
    let mut lines = Vec::new();
    for kind in kinds {
        for object in held_objects(&clients.once, kind).await? {
            let place = object
                .namespace()
                .map(|namespace| namespace + "/")
                .unwrap_or_default();
            lines.push(format!(
                "  {}.{} {place}{}",
                kind.plural,
                kind.group,
                object.name_any()
            ));
        }
    }
    lines.extend(
        installation
            .held()
            .await?
            .into_iter()
            .map(|own| format!("  {own}")),
    );
    if lines.is_empty() {
        return Ok("Nothing is held.\n".into());
    }
    Ok(format!(
        "This takes our finalizers from:\n{}\nNothing was written; say --yes to do it.\n",
        lines.join("\n")
    ))
}

/// A manager that leads would put up again what is taken here, and work on what is being released.
async fn refuse_while_somebody_leads(
    clients: &Clients,
    namespace: &str,
    name: &str,
) -> Result<(), Error> {
    let leases: Api<Lease> = Api::namespaced(clients.once.clone(), namespace);
    let look = || async {
        let lease = bounded(
            CALL_LIMIT,
            "get",
            format!("lease {namespace}/{name}"),
            leases.get_opt(name),
        )
        .await?;
        Ok::<_, Error>(
            lease
                .and_then(|lease| lease.spec)
                .and_then(|spec| Some((spec.holder_identity?, spec.renew_time?))),
        )
    };
    let Some((holder, renewed)) = look().await? else {
        return Ok(());
    };
    tokio::time::sleep(LOOK_AGAIN).await;
    match look().await? {
        Some((still, again)) if still == holder && again != renewed => Err(Error::Invalid {
            what: format!("teardown of {namespace}/{name}"),
            why: format!(
                "{holder} leads, and cleans up by itself when its Deployment is deleted: delete that, or scale it to zero first"
            ),
        }),
        _ => Ok(()),
    }
}
