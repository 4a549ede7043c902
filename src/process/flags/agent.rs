//! The flags of `holdfast agent`.

use crate::process::flags::{Listen, Logging};
use clap::Args;
use std::path::PathBuf;

/// Run the agent of a node.
#[derive(Debug, Clone, Args)]
pub struct AgentFlags {
    /// Name of this node
    #[arg(long, env = "HOLDFAST_NODE", value_name = "NAME")]
    pub node: String,
    /// Where the node's root directory is mounted
    #[arg(long, env = "HOLDFAST_ROOT", value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Address of /metrics; `:8080` means every address, `0` means off
    #[arg(long, env = "HOLDFAST_METRICS_BIND_ADDRESS", default_value = ":8080")]
    pub metrics_bind_address: Listen,
    /// Address of /livez, /readyz and /healthz
    #[arg(
        long,
        env = "HOLDFAST_HEALTH_PROBE_BIND_ADDRESS",
        default_value = ":8081"
    )]
    pub health_probe_bind_address: Listen,
    /// How to speak with the agents of other nodes.
    #[command(flatten)]
    pub peers: PeerFlags,
    /// What to log.
    #[command(flatten)]
    pub logging: Logging,
}

/// Other agents.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Other agents")]
pub struct PeerFlags {
    /// Address on which agents of other nodes are answered, by TLS; `0` means off: no state comes to this node
    #[arg(long, env = "HOLDFAST_PEER_BIND_ADDRESS", default_value = ":9447")]
    pub peer_bind_address: Listen,
    /// How many bytes of states are sent to other nodes in a second, at most; 0 means as many as go
    #[arg(
        long,
        env = "HOLDFAST_PEER_RATE",
        value_name = "BYTES",
        default_value_t = 0
    )]
    pub peer_rate: u64,
}
