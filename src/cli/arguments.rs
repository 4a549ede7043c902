//! The command line.

use crate::cli::certs::Certs;
use crate::cli::checkpoint::MakeCheckpoint;
use crate::cli::checkpoints::Checkpoints;
use crate::cli::explain::Explain;
use crate::cli::holds::Holds;
use crate::cli::host::Host;
use crate::cli::lint::Lint;
use crate::cli::migrate::Migrate;
use crate::cli::migrations::Migrations;
use crate::cli::preflight::Preflight;
use crate::cli::resolve::Resolve;
use crate::cli::what_if::WhatIf;
use crate::process::flags::{AgentFlags, Serve};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Keeps a Kubernetes workload's share and state while the nodes beneath it change.
#[derive(Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What Holdfast can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the manager: controllers on the leader, the others ready to follow
    Serve(Box<Serve>),
    /// Run the agent of a node: what the runtime beneath protected pods asks
    Agent(Box<AgentFlags>),
    /// Show how the share of a DaemonSet's pod on a node comes about
    Explain(Box<Explain>),
    /// Show what templates would do on every node, before they are applied
    WhatIf(Box<WhatIf>),
    /// Keep the state of a pod, all that it has in memory and on disk, on its node, while it runs on
    Checkpoint(Box<MakeCheckpoint>),
    /// Show what Checkpoints there are
    Checkpoints(Checkpoints),
    /// Move a pod, with all that it has in memory, to another node
    Migrate(Box<Migrate>),
    /// Show which pods move, or have moved
    Migrations(Migrations),
    /// Show which pods are held now, where, for what, and what each waits for
    Holds(Holds),
    /// Say that the target of a Migration is off for sure, so that its pod runs on where it was
    Resolve(Box<Resolve>),
    /// Find out whether a pod could move, and what keeps it where it is
    #[command(subcommand)]
    Preflight(Preflight),
    /// Find mistakes in templates, and in DaemonSets that name one, without a cluster
    Lint(Lint),
    /// Put the runtime on a node, look at a node, take it away again; on that node, as root
    #[command(subcommand)]
    Host(Box<Host>),
    /// Print the CRDs as YAML: `holdfast crds | kubectl apply -f -`
    Crds,
    /// Write a certificate for the webhooks to a directory, and print what to do with it
    Certs(Certs),
    /// Release everything that an installation holds, with your own rights: for when its pods are gone and a deletion hangs
    Teardown(Teardown),
    /// Print the version
    Version,
    /// Print shell completions, for example `source <(holdfast completions bash)`
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// List the fault points of this build
    #[cfg(feature = "faults")]
    Faults,
}

/// Release an installation.
#[derive(Debug, clap::Args)]
pub struct Teardown {
    /// Namespace of the installation
    #[arg(long, short, default_value = "holdfast-system")]
    pub namespace: String,
    /// Common name of its Deployment, ServiceAccount, roles and bindings
    #[arg(long, default_value = "holdfast")]
    pub installation: String,
    /// Really do it: without this flag nothing is written
    #[arg(long)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does() {
        for verb in Arguments::command().get_subcommands() {
            assert!(
                verb.get_about()
                    .is_some_and(|about| about.to_string().len() > 10),
                "{}",
                verb.get_name()
            );
        }
    }
}
