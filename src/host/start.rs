//! Whether a container really starts under our handler: one is started the way the kubelet does it, and removed. Its pod has a
//! namespace and a uid that no pod of a cluster can have, so nobody takes it for one, and the runtime asks nobody about it.

use super::handler::NAME;
use crate::cri::client::Cri;
use crate::cri::runtime::{Sandbox, Wanted};
use crate::kit::error::Error;

/// No namespace of a cluster has a dot in it.
const NOBODY: &str = "holdfast.dev";
const POD: &str = "host-check";

/// Starts a container under our handler and removes it.
///
/// # Errors
/// If it does not start; with what the runtime said.
pub(crate) async fn try_start(cri: &Cri, is_systemd: bool) -> Result<(), Error> {
    remove_tried(cri).await?;
    let wanted = Wanted {
        namespace: NOBODY,
        name: POD,
        uid: NOBODY,
        handler: NAME,
        cgroup: if is_systemd { "system.slice" } else { "" },
    };
    let started = cri.run_sandbox(&wanted).await;
    let removed = remove_tried(cri).await;
    started.and(removed)
}

/// Removes what a try has left.
///
/// # Errors
/// If the runtime does not.
pub(crate) async fn remove_tried(cri: &Cri) -> Result<(), Error> {
    for sandbox in cri.sandboxes().await? {
        if is_tried(&sandbox) {
            cri.remove_sandbox(&sandbox.id).await?;
        }
    }
    Ok(())
}

/// Pods that run under our handler. One that has ended stays known for a while and needs nobody.
///
/// # Errors
/// If the runtime does not answer.
pub(crate) async fn pods(cri: &Cri) -> Result<Vec<String>, Error> {
    let all = cri.sandboxes().await?;
    let occupied = cri.occupied().await?;
    let is_alive = |sandbox: &Sandbox| sandbox.is_ready || occupied.contains(&sandbox.id);
    let ours = all
        .iter()
        .filter(|sandbox| sandbox.handler == NAME && !is_tried(sandbox) && is_alive(sandbox));
    Ok(ours
        .map(|sandbox| format!("{}/{}", sandbox.namespace, sandbox.name))
        .collect())
}

fn is_tried(sandbox: &Sandbox) -> bool {
    sandbox.namespace == NOBODY && sandbox.uid == NOBODY
}
