//! The nodes and `DaemonSets` that reviews name.

use anyhow::{Context, ensure};
use serde::Deserialize;
use std::path::Path;

/// Nodes and `DaemonSets`, and, where they are those of a cluster, what a pod's share comes to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Population {
    pub(crate) nodes: Vec<Node>,
    pub(crate) daemon_sets: Vec<DaemonSet>,
}

/// A node, and what it can give.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) name: String,
    /// In thousandths of a processor.
    #[serde(default)]
    pub(crate) cpu: u64,
    /// In bytes.
    #[serde(default)]
    pub(crate) memory: u64,
}

/// A `DaemonSet`, and which share its pods get.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DaemonSet {
    pub(crate) name: String,
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) cpu_percentage: u64,
    #[serde(default)]
    pub(crate) memory_percentage: u64,
}

impl Population {
    /// From a file, its first nodes and `DaemonSets`.
    pub(crate) fn read(path: &Path, nodes: u32, daemonsets: u32) -> anyhow::Result<Self> {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut all: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no population", path.display()))?;
        all.nodes.truncate(usize::try_from(nodes)?);
        all.daemon_sets.truncate(usize::try_from(daemonsets)?);
        ensure!(
            !all.nodes.is_empty() && !all.daemon_sets.is_empty(),
            "{} holds no node or no DaemonSet",
            path.display()
        );
        ensure!(
            is_one_length(all.nodes.iter().map(|node| node.name.len()))
                && is_one_length(all.daemon_sets.iter().map(|set| set.name.len()))
                && all.daemon_sets.iter().all(|set| set.uid.len() == 36),
            "names of nodes, and of DaemonSets, must be equally long, and uids 36 letters: they are replaced in place"
        );
        Ok(all)
    }

    /// Names that no cluster knows.
    pub(crate) fn made_up(nodes: u32, daemonsets: u32) -> Self {
        let node = |number| Node {
            name: format!("bench-node-{number:05}"),
            cpu: 0,
            memory: 0,
        };
        let daemon_set = |number| DaemonSet {
            name: format!("bench-set-{number:04}"),
            uid: format!("00000000-0000-4000-8000-{number:012}"),
            cpu_percentage: 0,
            memory_percentage: 0,
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            daemon_sets: (0..daemonsets).map(daemon_set).collect(),
        }
    }
}

fn is_one_length(mut lengths: impl Iterator<Item = usize>) -> bool {
    let first = lengths.next();
    lengths.all(|length| Some(length) == first)
}
