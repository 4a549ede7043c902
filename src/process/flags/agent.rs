//! The flags of `holdfast agent`.

use crate::process::flags::{Listen, Logging, duration};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

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
    /// How long nobody must have named a state before it is deleted: one of a Checkpoint that is gone, or a part of one
    #[arg(long, env = "HOLDFAST_GARBAGE_AFTER", default_value = "1h", value_parser = duration)]
    pub garbage_after: Duration,
    /// How often it is looked whether pods can be checkpointed and restored here, as `holdfast host check` does; 0s means never
    #[arg(long, env = "HOLDFAST_CHECK_EVERY", default_value = "10m", value_parser = duration)]
    pub check_every: Duration,
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
        default_value = "0",
        value_parser = rate
    )]
    pub peer_rate: u64,
    /// How much of this node's disk stays free, in percent: a state that does not leave so much is refused
    #[arg(
        long,
        env = "HOLDFAST_PEER_DISK_RESERVE",
        value_name = "PERCENT",
        default_value = "15",
        value_parser = clap::value_parser!(u64).range(0..=99)
    )]
    pub peer_disk_reserve: u64,
}

/// Slower than that a node would be given up before it has said anything.
const SLOWEST_RATE: u64 = 64 << 10;

fn rate(text: &str) -> Result<u64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| *rate == 0 || *rate >= SLOWEST_RATE)
        .ok_or_else(|| format!("{text:?} is no rate: write bytes a second, {SLOWEST_RATE} or more, or 0 for as many as go"))
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_rate_is_none_or_enough() {
        assert_eq!((rate("0"), rate("65536")), (Ok(0), Ok(65536)));
        for text in ["1", "65535", "-1", "fast", ""] {
            assert!(rate(text).unwrap_err().contains("65536 or more"), "{text}");
        }
    }
}
