//! The words of the command line. Everything has an end: counts and times are bounded.

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the test worlds of this machine claim their networks: a link for each index.
const WORLDS: &str = "/run/holdfast-worlds";

/// Sends admission reviews to a webhook on this machine, and says how it answers.
#[derive(Debug, Parser)]
#[command(name = "bench-driver")]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) what: What,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Send reviews: as fast as they are answered, or at a constant rate
    Load(Load),
    /// Hold connections that say nothing, until the time is over or standard input ends
    Idle(Flood),
    /// Hold connections that send a head or a body one byte at a time
    Slowloris(Flood),
}

/// Whom to talk to.
#[derive(Debug, Args)]
pub(crate) struct Peer {
    /// Where the webhook listens: on loopback, or in a test world
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// The authority of the webhook's certificate, as PEM
    #[arg(long)]
    pub(crate) ca: PathBuf,
    /// The name that the certificate has to bear
    #[arg(long, default_value = "localhost")]
    pub(crate) server_name: String,
    /// The path of the requests
    #[arg(long, default_value = "/mutate-v1-pod?timeout=2s")]
    pub(crate) path: String,
}

/// A measurement.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Whom to talk to.
    #[command(flatten)]
    pub(crate) peer: Peer,
    /// Nodes and `DaemonSets` that the reviews name, as JSON; left out, names are made up
    #[arg(long)]
    pub(crate) population: Option<PathBuf>,
    /// So many nodes; of a population, the first so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) nodes: u32,
    /// So many `DaemonSets`; of a population, the first so many
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) daemonsets: u32,
    /// Another number draws other nodes and `DaemonSets`
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many connections; an API server keeps 25
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) connections: u16,
    /// Requests in a second, whatever the answers do; left out, as fast as they are answered
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,
    /// A new connection for every request, the handshake included in its time
    #[arg(long)]
    pub(crate) handshakes: bool,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// How long to send before that, in seconds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) warmup: u64,
    /// The end, if so many were sent before the time is over
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) most_requests: u64,
    /// What every answer has to be
    #[arg(long, value_enum, default_value_t = Expect::Sized)]
    pub(crate) expect: Expect,
    /// Each so many-th answer is decoded, its patch applied, and the result checked; 0 for none
    #[arg(long, default_value_t = 1000)]
    pub(crate) sample: u64,
    /// Processes whose CPU time is told too
    #[arg(long, value_name = "PID")]
    pub(crate) watch: Vec<u32>,
}

/// What every answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expect {
    /// 200, the question's uid, allowed, a patch
    Sized,
    /// 200, the question's uid, allowed
    Allowed,
    /// 200, allowed: what a server answers that does not read the question
    Constant,
}

/// Connections that are only held.
#[derive(Debug, Args)]
pub(crate) struct Flood {
    /// Whom to talk to.
    #[command(flatten)]
    pub(crate) peer: Peer,
    /// How many connections
    #[arg(value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub(crate) count: u32,
    /// Do not even begin a handshake
    #[arg(long)]
    pub(crate) plain: bool,
    /// From how many addresses of 127.0.0.0/8 they come; no server can then turn them away by their address
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) sources: u32,
    /// How long to hold them, in seconds; the end of standard input ends it before
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
}

impl Peer {
    /// Whether this address is one that may be loaded.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let claimed = |index: u8| Path::new(WORLDS).join(index.to_string()).is_symlink();
        if !is_ours(self.address.ip(), claimed) {
            bail!(
                "{} is neither loopback nor in a test world of this machine; this driver loads nothing else",
                self.address.ip()
            );
        }
        std::fs::metadata(&self.ca)
            .with_context(|| format!("cannot read {}", self.ca.display()))?;
        Ok(())
    }
}

/// Loopback, and 10.77.k.0/24 where a world has the index k.
fn is_ours(address: IpAddr, claimed: impl Fn(u8) -> bool) -> bool {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 77, index, _] => claimed(index),
            _ => v4.is_loopback(),
        },
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        let ours = |text: &str| is_ours(text.parse().unwrap(), |index| index == 3);
        for address in ["127.0.0.1", "127.9.9.9", "::1", "10.77.3.254"] {
            assert!(ours(address), "{address}");
        }
        for address in ["10.77.4.254", "10.0.0.1", "192.168.1.1", "8.8.8.8", "::2"] {
            assert!(!ours(address), "{address}");
        }
    }

    #[test]
    fn nothing_lasts_for_ever() {
        let parse = |more: &[&str]| {
            let words = [
                "bench-driver",
                "load",
                "--address",
                "127.0.0.1:1",
                "--ca",
                "x",
            ];
            Arguments::try_parse_from(words.iter().chain(more))
        };
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--seconds", "601"]).is_err() && parse(&["--seconds", "0"]).is_err());
        assert!(parse(&["--rate", "0"]).is_err() && parse(&["--most-requests", "0"]).is_err());
    }
}
