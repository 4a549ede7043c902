//! The flags of `holdfast serve`. Each can be given as an environment variable instead; nothing else reads the environment.

mod agent;
mod keep;
mod moves;
mod webhooks;

pub use agent::{AgentFlags, PeerFlags};
pub use keep::KeepFlags;
pub use moves::MoveFlags;
pub use webhooks::{Lifetimes, OldestTls, WebhookFlags};

use crate::process::lease::Settings;
use crate::process::telemetry::LogFormat;
use clap::Args;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Run the manager.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where to serve.
    #[command(flatten)]
    pub listening: Listening,
    /// What the API server asks, and by which certificate it knows us.
    #[command(flatten)]
    pub webhooks: WebhookFlags,
    /// How to elect the leader.
    #[command(flatten)]
    pub election: Election,
    /// What belongs to this installation.
    #[command(flatten)]
    pub installation: InstallationFlags,
    /// How much moves at once.
    #[command(flatten)]
    pub moves: MoveFlags,
    /// How much is kept.
    #[command(flatten)]
    pub keep: KeepFlags,
    /// What to log.
    #[command(flatten)]
    pub logging: Logging,
    /// How many objects of one kind are worked on at once
    #[arg(long, env = "HOLDFAST_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

/// Addresses and certificates.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub struct Listening {
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
    /// Directory with tls.crt and tls.key: /metrics is then served over TLS; a changed pair is picked up
    #[arg(long, env = "HOLDFAST_TLS_CERT_DIR", value_name = "DIR")]
    pub tls_cert_dir: Option<PathBuf>,
    /// How long to go on serving after the signal to stop, until no client is sent here any more
    #[arg(long, env = "HOLDFAST_SHUTDOWN_DELAY", default_value = "5s", value_parser = duration)]
    pub shutdown_delay: Duration,
}

/// Leader election.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Leader election")]
pub struct Election {
    /// Elect a leader among the replicas; without it this process leads at once
    #[arg(long, env = "HOLDFAST_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,
    /// Name of the Lease
    #[arg(long, env = "HOLDFAST_LEASE_NAME", default_value = "holdfast")]
    pub lease_name: String,
    /// Name of this candidate; a pod uses its own name
    #[arg(long, env = "HOLDFAST_IDENTITY", default_value = "")]
    pub identity: String,
    /// How long a leader that is not heard of keeps others waiting
    #[arg(long, env = "HOLDFAST_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// After how long without a renewal the leader gives up
    #[arg(long, env = "HOLDFAST_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,
    /// How often to renew, or to look
    #[arg(long, env = "HOLDFAST_RETRY_PERIOD", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,
}

impl Election {
    /// The settings of the election in `namespace`, or none where there is no election.
    #[must_use]
    pub fn settings(self, namespace: &str) -> Option<Settings> {
        let Self {
            leader_elect,
            lease_name,
            identity,
            lease_duration,
            renew_deadline,
            retry_period,
        } = self;
        leader_elect.then(|| Settings {
            namespace: namespace.to_owned(),
            lease: lease_name,
            identity,
            duration: lease_duration,
            renew_deadline,
            retry: retry_period,
        })
    }
}

/// What the installation consists of.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Installation")]
pub struct InstallationFlags {
    /// Namespace of this installation
    #[arg(long, env = "HOLDFAST_NAMESPACE", default_value = "holdfast-system")]
    pub namespace: String,
    /// Common name of our Deployment, ServiceAccount, roles and bindings: every replica holds them, so that a removal waits until Holdfast has cleaned up
    #[arg(long, env = "HOLDFAST_INSTALLATION", value_name = "NAME")]
    pub installation: Option<String>,
}

/// Logging.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct Logging {
    /// error, warn, info, debug, trace, or a filter such as `info,kube=debug`
    #[arg(long, env = "HOLDFAST_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// How log lines look
    #[arg(long, env = "HOLDFAST_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// `15s`, `1m30s`, `500ms`.
///
/// # Errors
/// A sentence that shows how to write one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is no duration; write it like 15s, 1m30s or 500ms"))?;
    Duration::try_from(parsed).map_err(|_| format!("{text:?} is below zero"))
}

/// An address to listen on, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Do not listen.
    Off,
    /// Listen there.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::Off);
        }
        let address = match text.strip_prefix(':') {
            Some(port) => port
                .parse()
                .ok()
                .map(|port: u16| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))),
            None => text.parse().ok(),
        };
        address.map(Self::At).ok_or_else(|| format!("{text:?} is no address; write it like :8080, 127.0.0.1:8080, [::1]:8080, or 0 for none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn parse(arguments: &[&str]) -> Result<Serve, clap::Error> {
        let command = Serve::augment_args(Command::new("serve").no_binary_name(true));
        Serve::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    #[test]
    fn reads_addresses_as_the_earlier_projects_wrote_them() {
        assert_eq!(
            ":8080".parse(),
            Ok(Listen::At("[::]:8080".parse().unwrap()))
        );
        assert_eq!(
            "127.0.0.1:9".parse(),
            Ok(Listen::At("127.0.0.1:9".parse().unwrap()))
        );
        assert_eq!("0".parse(), Ok(Listen::Off));
        assert!("8080".parse::<Listen>().is_err() && ":99999".parse::<Listen>().is_err());
    }

    #[test]
    fn the_defaults_are_a_sound_election() {
        let flags = parse(&["--identity", "a"]).unwrap();
        assert!(flags.election.settings("ns").unwrap().check().is_ok());
    }

    #[test]
    fn leader_election_is_switched_as_in_other_operators() {
        assert!(parse(&["--leader-elect"]).unwrap().election.leader_elect);
        assert!(
            !parse(&["--leader-elect=false"])
                .unwrap()
                .election
                .leader_elect
        );
    }

    #[test]
    fn a_bad_value_is_answered_with_what_to_write() {
        let error = parse(&["--retry-period", "fast"]).unwrap_err().to_string();
        assert!(error.contains("write it like 15s"), "{error}");
        assert!(parse(&["--retry-period=-1s"]).is_err());
        assert!(parse(&["--concurrency", "0"]).is_err());
    }
}
