//! The words of `holdfast explain`.

use crate::cli::table::Form;
use clap::Subcommand;
use std::path::PathBuf;

/// Explain how something came about.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// What to explain.
    #[command(subcommand)]
    pub what: What,
}

/// What can be explained.
#[derive(Debug, Subcommand)]
pub enum What {
    /// How the share of a DaemonSet's pod on a node comes about
    ///
    /// Runs the webhook's own code on the pod that the DaemonSet controller would make for the node, and shows each step: what the
    /// node can give, the percentage, the bounds, what each container gets and why, and the patch. If a pod of the DaemonSet is on
    /// the node, it shows what that pod has now. Nothing is written.
    #[command(
        visible_aliases = ["ds", "daemonsets"],
        after_help = "\
Examples:
  # The share of apps/agent on node n1
  holdfast explain daemonset apps/agent --node n1

  # Only the patch, as the webhook sends it
  holdfast explain daemonset apps/agent --node n1 -o json | jq .patch

  # Without a cluster, from what was written down of one
  kubectl get nodes,daemonsets,fdt,limitranges,namespaces -A -o json >cluster.json
  holdfast explain ds agent -n apps --node n1 --cluster cluster.json"
    )]
    Daemonset {
        /// The DaemonSet, as NAMESPACE/NAME or NAME
        #[arg(value_name = "NAMESPACE/NAME")]
        daemonset: String,
        /// The node
        #[arg(long)]
        node: String,
        /// Namespace of the DaemonSet, where its name comes without one
        #[arg(long, short, default_value = "default")]
        namespace: String,
        /// Namespace of the Holdfast installation, whose own pods get no share
        #[arg(long, default_value = "holdfast-system")]
        installation_namespace: String,
        /// Ask these files instead of a cluster: files or directories of objects, `-` for standard input
        #[arg(long, value_name = "FILE")]
        cluster: Vec<PathBuf>,
        /// How to print the answer
        #[arg(long, short, value_enum, default_value_t)]
        output: Form,
    },
}
