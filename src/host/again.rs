//! A node is looked at again and again: what a program or a kernel can do today may be gone tomorrow. The check enters the host's root,
//! so it is a process of its own.

use super::commands::{Said, to_its_end};
use crate::kit::error::chain;
use crate::process::telemetry::AgentMetrics;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// How long a check may take: programs of the host and the container runtime are asked one after the other, and where something is
/// wrong twice.
const LIMIT: Duration = Duration::from_secs(600);
/// Whoever installed has looked a moment ago.
const FIRST: Duration = Duration::from_secs(10);
/// Where something is wrong it is looked more often: somebody may be mending it.
const SOON: Duration = Duration::from_secs(60);
/// What a check exits with where something has to be changed.
const CHANGE: i32 = 1;

/// Which node, and how often.
pub(crate) struct Again {
    pub(crate) node: String,
    pub(crate) root: PathBuf,
    pub(crate) every: Duration,
    pub(crate) metrics: AgentMetrics,
}

impl Again {
    /// Looks until the stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut before = None;
        let mut wait = FIRST.min(self.every);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let found = tokio::select! {
                () = stop.cancelled() => return,
                found = self.look() => found,
            };
            wait = if found == Ok(true) {
                self.every
            } else {
                self.every.min(SOON)
            };
            self.tell(&found, before.as_ref());
            before = Some(found);
        }
    }

    async fn look(&self) -> Result<bool, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let root = self.root.display().to_string();
        let mut command = Command::new(own);
        command.args(["host", "check", "--root", &root, "--node", &self.node]);
        let said = to_its_end(command, LIMIT).await;
        judged(&said.map_err(|error| chain(&error))?)
    }

    /// The log has each change once.
    fn tell(&self, found: &Result<bool, String>, before: Option<&Result<bool, String>>) {
        if let Ok(is_fit) = found {
            self.metrics.fit(*is_fit);
        }
        if before == Some(found) {
            return;
        }
        match found {
            Ok(true) if before.is_none() => {}
            Ok(true) => tracing::info!(node = self.node, "the node is fit again"),
            Ok(false) => tracing::warn!(
                node = self.node,
                "something has to be changed on this node: its condition HoldfastReady says what"
            ),
            Err(why) => tracing::warn!(node = self.node, why, "the node could not be looked at"),
        }
    }
}

/// Whether the node is fit, or why that is not known.
fn judged(said: &Said) -> Result<bool, String> {
    match said.code {
        Some(0) => Ok(true),
        // It has printed what it found, and could say so on the node.
        Some(CHANGE) if !said.out.is_empty() => Ok(false),
        _ => Err(said.last_words().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<bool, String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        judged(&to_its_end(command, LIMIT).await.unwrap())
    }

    #[tokio::test]
    async fn tells_a_node_that_is_not_fit_from_one_that_could_not_be_looked_at() {
        assert_eq!(shell("exit 0").await, Ok(true));
        assert_eq!(shell("echo BAD criu; exit 1").await, Ok(false));
        let error = shell("echo 'cannot get node n: 403' >&2; exit 1").await;
        assert_eq!(error, Err("cannot get node n: 403".into()));
        assert!(shell("kill -9 $$").await.is_err());
    }
}
