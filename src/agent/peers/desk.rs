//! What the agent of a node answers to another node's agent. Who may ask at all stands in TLS; whether he may ask *this*, here: only
//! about an operation that this node's own orders know, and that names the asker's node as the source.

use crate::agent::api::TargetPod;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// HTTP's number for a disk that is full.
pub(crate) const NO_ROOM: u16 = 507;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No order of this node knows such a thing, of that node.
    Unexpected(String),
    /// Not in this state of things.
    Unfit(String),
    /// It is too much, for what was agreed on or for any.
    TooMuch(String),
    /// There is no room for it here.
    Full(String),
    /// This node could not do it.
    Failed(String),
}

impl Refusal {
    /// A number for it, of HTTP.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Unexpected(_) => 403,
            Self::Unfit(_) => 409,
            Self::TooMuch(_) => 413,
            Self::Full(_) => NO_ROOM,
            Self::Failed(_) => 500,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(why)
            | Self::Unfit(why)
            | Self::TooMuch(why)
            | Self::Full(why)
            | Self::Failed(why) => f.write_str(why),
        }
    }
}

/// A state that is to come here, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The pod's namespace.
    pub(crate) namespace: String,
    /// The pod's uid.
    pub(crate) uid: String,
    /// The digest of its manifest, where it is known before: `sha256:…`. No other is taken.
    pub(crate) digest: Option<String>,
    /// It has no more bytes than these, where that is known before.
    pub(crate) at_most: Option<u64>,
}

/// How an operation stands here, for its source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeerStanding {
    /// The whole state is here, and was read again.
    #[serde(default)]
    pub(crate) has_verified: bool,
    /// To whom it was released here.
    #[serde(default)]
    pub(crate) released: Released,
    /// The operation's pods.
    #[serde(default)]
    pub(crate) pods: Vec<TargetPod>,
}

/// To whom a state was released: what its target has on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Released {
    /// To these pods, one after the other.
    #[serde(default)]
    pub(crate) pods: Vec<String>,
    /// To whichever pod the leader allows.
    #[serde(default)]
    pub(crate) anybody: bool,
}

impl Released {
    /// Whether it was released to this pod; none: to whichever the leader allows.
    pub(crate) fn is_to(&self, uid: Option<&str>) -> bool {
        match uid {
            Some(uid) => self.pods.iter().any(|pod| pod == uid),
            None => self.anybody,
        }
    }
}

/// Answers for operations of one kind. Before each of the others, `admits` is asked.
pub(crate) trait Desk: Send + Sync {
    /// Whether an order here knows the operation, and names that node as its source. `Unexpected`, where it is none of this kind.
    fn admits<'a>(
        &'a self,
        operation: &'a str,
        from_node: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Whose state this generation is, where one is expected.
    fn expects<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a str,
    ) -> BoxFuture<'a, Result<Expected, Refusal>>;

    /// Whether a pod waits for its state, in this attempt.
    fn is_ready<'a>(
        &'a self,
        operation: &'a str,
        uid: &'a str,
        attempt: u32,
    ) -> BoxFuture<'a, bool>;

    /// Takes the release: for one pod, or for whichever the leader allows. It is durable when this returns.
    fn release<'a>(
        &'a self,
        operation: &'a str,
        uid: Option<&'a str>,
        manifest_digest: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Voids a pod, if nothing of it can have run; how it stands then.
    fn revoke<'a>(
        &'a self,
        operation: &'a str,
        uid: &'a str,
    ) -> BoxFuture<'a, Result<Option<TargetPod>, Refusal>>;

    /// How the operation stands.
    fn standing<'a>(&'a self, operation: &'a str) -> BoxFuture<'a, Result<PeerStanding, Refusal>>;
}

/// All desks of a node.
#[derive(Clone, Default)]
pub(crate) struct Desks(Vec<Arc<dyn Desk>>);

impl Desks {
    /// These.
    pub(crate) fn new(desks: Vec<Arc<dyn Desk>>) -> Self {
        Self(desks)
    }

    /// The one that knows an operation, of that node.
    ///
    /// # Errors
    /// None does.
    pub(crate) async fn find(
        &self,
        operation: &str,
        from_node: &str,
    ) -> Result<&Arc<dyn Desk>, Refusal> {
        let mut refused = Refusal::Unexpected(format!(
            "no order of this node names node {from_node} as the source of operation {operation}"
        ));
        for desk in &self.0 {
            match desk.admits(operation, from_node).await {
                Ok(()) => return Ok(desk),
                Err(Refusal::Unexpected(_)) => {}
                // It knows it, and has a reason.
                Err(other) => refused = other,
            }
        }
        Err(refused)
    }
}
