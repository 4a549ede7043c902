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
    /// What to log.
    #[command(flatten)]
    pub logging: Logging,
}
