//! The flags of the webhook server and of its certificates.

use super::{Listen, duration};
use crate::kit::error::Error;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OldestTls {
    /// TLS 1.2, for clients that know nothing newer.
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[value(name = "1.3")]
    V1_3,
}

/// The webhook server and its certificates.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookFlags {
    /// Address of the webhooks; `:9443` means every address, `0` means off
    #[arg(long, env = "HOLDFAST_WEBHOOK_BIND_ADDRESS", default_value = ":9443")]
    pub webhook_bind_address: Listen,
    /// Service that the API server reaches the webhooks by [default: the installation's name]
    #[arg(long, env = "HOLDFAST_WEBHOOK_SERVICE", value_name = "NAME")]
    pub webhook_service: Option<String>,
    /// Directory with tls.crt and tls.key, and perhaps ca.crt: the webhooks' certificate; a changed pair is picked up. Without it, or while it is empty, Holdfast is its own authority
    #[arg(long, env = "HOLDFAST_CERT_DIR", value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// The oldest version of TLS that the webhooks speak
    #[arg(
        long,
        env = "HOLDFAST_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.3"
    )]
    pub tls_min_version: OldestTls,
    /// File with the authorities whose clients may call the webhooks; without it, anybody may
    #[arg(long, env = "HOLDFAST_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// Common or alternative names of which a client has to have one; none means any
    #[arg(
        long,
        env = "HOLDFAST_CLIENT_ALLOWED_NAMES",
        value_name = "NAME,…",
        value_delimiter = ',',
        requires = "client_ca_file"
    )]
    pub client_allowed_names: Vec<String>,
    /// How long an authority of our own is valid; a new one takes its place when two thirds are over
    #[arg(long, env = "HOLDFAST_CA_LIFETIME", default_value = "8760h", value_parser = duration)]
    pub ca_lifetime: Duration,
    /// How long a certificate that it signs is valid; a new one takes its place when two thirds are over
    #[arg(long, env = "HOLDFAST_LEAF_LIFETIME", default_value = "168h", value_parser = duration)]
    pub leaf_lifetime: Duration,
    /// How long all API servers are given to hear of a new authority before anything is signed with it
    #[arg(long, env = "HOLDFAST_CA_GRACE", default_value = "60s", value_parser = duration)]
    pub ca_grace: Duration,
}

/// How long certificates of our own live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// An authority.
    pub authority: Duration,
    /// What it signs.
    pub leaf: Duration,
    /// How long all API servers are given to hear of a new authority.
    pub grace: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);

impl WebhookFlags {
    /// The lifetimes that were asked for.
    ///
    /// # Errors
    /// They do not fit each other.
    pub fn lifetimes(&self) -> Result<Lifetimes, Error> {
        let invalid = |flag: &str, value: Duration, why: &str| {
            Err(Error::Invalid {
                what: format!("--{flag}={value:?}"),
                why: why.to_owned(),
            })
        };
        let Self {
            ca_lifetime: authority,
            leaf_lifetime: leaf,
            ca_grace: grace,
            ..
        } = *self;
        if leaf < Duration::from_secs(3) || leaf > HOUR.saturating_mul(24 * 90) {
            return invalid("leaf-lifetime", leaf, "give it between 3s and 2160h");
        }
        if authority < leaf || authority > HOUR.saturating_mul(24 * 3650) {
            let why = "give it between --leaf-lifetime and 87600h";
            return invalid("ca-lifetime", authority, why);
        }
        if grace > HOUR || grace.saturating_mul(6) > authority {
            let why = "give it at most 1h, and at most a sixth of --ca-lifetime";
            return invalid("ca-grace", grace, why);
        }
        Ok(Lifetimes {
            authority,
            leaf,
            grace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn parse(arguments: &[&str]) -> Result<WebhookFlags, clap::Error> {
        let command = WebhookFlags::augment_args(Command::new("serve").no_binary_name(true));
        WebhookFlags::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    #[test]
    fn what_is_not_said_is_safe() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.tls_min_version, OldestTls::V1_3);
        assert_eq!(flags.webhook_bind_address, ":9443".parse().unwrap());
        let lifetimes = flags.lifetimes().unwrap();
        assert_eq!(lifetimes.leaf, HOUR * 24 * 7);
        assert_eq!(lifetimes.authority, HOUR * 24 * 365);
    }

    #[test]
    fn names_are_allowed_only_where_clients_are_checked() {
        assert!(parse(&["--client-allowed-names=a,b"]).is_err());
        let flags = parse(&["--client-ca-file=x", "--client-allowed-names=a,b"]).unwrap();
        assert_eq!(flags.client_allowed_names, ["a", "b"]);
    }

    #[test]
    fn lifetimes_that_cannot_work_are_refused() {
        for (arguments, says) in [
            (["--leaf-lifetime=2s"].as_slice(), "leaf-lifetime"),
            (&["--leaf-lifetime=2161h"], "leaf-lifetime"),
            (&["--ca-lifetime=1h"], "ca-lifetime"),
            (&["--ca-lifetime=87601h"], "ca-lifetime"),
            (&["--ca-grace=61m"], "ca-grace"),
            (
                &["--leaf-lifetime=5s", "--ca-lifetime=59s", "--ca-grace=10s"],
                "ca-grace",
            ),
        ] {
            let error = parse(arguments).unwrap().lifetimes().unwrap_err();
            assert!(error.to_string().contains(says), "{arguments:?}: {error}");
        }
        let short = ["--leaf-lifetime=3s", "--ca-lifetime=60s", "--ca-grace=10s"];
        assert!(parse(&short).unwrap().lifetimes().is_ok());
    }
}
