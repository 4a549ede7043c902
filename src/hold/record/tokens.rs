//! What may run in a pod, and what of it was begun.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What may run in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// The uid of the operation that it belongs to.
    pub operation: String,
    /// The attempt that it is at.
    pub attempt: u32,
    /// How far it is.
    pub state: AdmissionState,
    /// What was claimed.
    pub what: Option<What>,
    /// Init containers that had finished: they end at once, with 0.
    #[serde(default)]
    pub finished: BTreeSet<String>,
    /// Its volumes were filled, or an init container was skipped.
    #[serde(default)]
    pub prepared: bool,
    /// Something of it ran, or may have run, in this attempt or an earlier one.
    #[serde(default)]
    pub ran: bool,
}

/// How far an admission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdmissionState {
    /// Nothing may run yet.
    Open,
    /// What was claimed may run.
    Claimed,
    /// Nothing will ever run in it.
    Revoked,
}

/// What a pod starts from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A generation of a state.
    Generation(String),
    /// Nothing.
    Fresh,
}

/// A container's right to begin once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Of this attempt.
    pub attempt: u32,
    /// How far it is.
    pub state: TokenState,
    /// The boot in which it was begun.
    #[serde(default)]
    pub boot: Option<String>,
    /// The cgroup in which the attempt lives until the container has its own.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// The runtime's id of the container.
    #[serde(default)]
    pub id: Option<String>,
}

impl Token {
    /// One that was not used.
    #[must_use]
    pub fn unused(attempt: u32) -> Self {
        Self {
            attempt,
            state: TokenState::Unused,
            boot: None,
            cgroup: None,
            id: None,
        }
    }
}

/// How far a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// Nothing was begun.
    Unused,
    /// Something was begun; nobody knows yet what came of it.
    Begun,
    /// It ran.
    Done,
    /// The attempt failed: this container is dead.
    Failed,
}
