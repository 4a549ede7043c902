//! Where this installation's agents are.

use crate::kit::error::Error;
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use std::net::{IpAddr, SocketAddr};

/// Pods of agents carry it; whose they are says their account.
pub const AGENTS: &str = "app.kubernetes.io/component=agent";
/// The agents' port for each other, as their pods name it.
const PORT: &str = "peers";

/// Whose agents.
#[derive(Debug, Clone)]
pub struct Agents {
    /// The installation's namespace.
    pub namespace: String,
    /// Their service account.
    pub account: String,
}

impl Agents {
    /// Where the agent of a node is reached; none while there is none that is ready.
    ///
    /// # Errors
    /// The API server's answer.
    pub async fn address(&self, client: &Client, node: &str) -> Result<Option<String>, Error> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let there = ListParams::default()
            .labels(AGENTS)
            .fields(&format!("spec.nodeName={node}"));
        let listed = pods.list(&there);
        let listed = bounded(CALL_LIMIT, "list", format!("agents of node {node}"), listed).await?;
        let mut agents = listed
            .items
            .iter()
            .filter_map(|pod| agent(pod, &self.account));
        let found = agents.find(|(on, _)| on == node);
        Ok(found.map(|(_, address)| address.to_string()))
    }
}

/// The node and the address of an agent that is ready.
#[must_use]
pub fn agent(pod: &Pod, account: &str) -> Option<(String, SocketAddr)> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let mut conditions = status.conditions.as_deref().unwrap_or_default().iter();
    let is_ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
    let is_ours = spec.service_account_name.as_deref() == Some(account);
    if !is_ready || !is_ours || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let mut ports = spec
        .containers
        .iter()
        .flat_map(|one| one.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(PORT))?;
    let port = u16::try_from(port.container_port).ok()?;
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    Some((spec.node_name.clone()?, SocketAddr::new(ip, port)))
}
