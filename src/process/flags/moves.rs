//! How much moves at once.

use clap::Args;

/// How many Migrations go at once; the others wait.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Migrations")]
pub struct MoveFlags {
    /// How many Migrations go at once in the cluster
    #[arg(long, env = "HOLDFAST_MOVES", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub moves: u16,
    /// How many of them take part in one node, as the pod's node or the one that it goes to
    #[arg(long, env = "HOLDFAST_MOVES_PER_NODE", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub moves_per_node: u16,
}
