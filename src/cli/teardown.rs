//! `holdfast teardown`: what the leader does when its installation is deleted, done by a person.

use crate::cli::arguments::Teardown;
use crate::cli::print::out;
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::installation::Installation;
use crate::process::teardown::release_objects;
use kube::api::ApiResource;

/// Releases the installation, or says what it would release.
///
/// # Errors
/// The API server's answer to what failed.
pub async fn run(arguments: Teardown, kinds: &[ApiResource]) -> Result<(), Error> {
    let Teardown {
        namespace,
        installation,
        yes,
    } = arguments;
    let kinds_text: Vec<_> = kinds
        .iter()
        .map(|kind| format!("{}.{}", kind.plural, kind.group))
        .collect();
    if !yes {
        return out(&format!(
            "This takes every finalizer of ours from {} and from the installation {namespace}/{installation}.\nNothing was written; say --yes to do it.\n",
            kinds_text.join(", ")
        ));
    }
    let clients = Clients::infer().await?;
    release_objects(&clients.once, kinds).await?;
    Installation::new(clients.once, clients.farewell, &namespace, &installation)
        .release()
        .await?;
    out("Everything is released.\n")
}
