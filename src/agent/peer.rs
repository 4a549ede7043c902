//! What the agent of a pod that moves asks of its target's agent. Whoever carries the questions there implements this; what is answered
//! stands in `targets`.

use crate::agent::api::{SourceOrder, TargetPod};
use crate::agent::store::Generation;
use crate::oci::failure::Failure;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is answered, or why nobody answered.
pub(crate) type Asked<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// Ways to other nodes' agents.
pub(crate) trait Peers: Send + Sync {
    /// The agent of the node that an order names as the target.
    fn to(&self, order: &SourceOrder) -> Arc<dyn Peer>;
}

/// The agent of a target.
pub(crate) trait Peer: Send + Sync {
    /// Whether this pod waits for its state, in this attempt.
    fn ready<'a>(&'a self, operation: &'a str, uid: &'a str, attempt: u32) -> Asked<'a, bool>;
    /// How an operation stands there.
    fn standing<'a>(&'a self, operation: &'a str) -> Asked<'a, PeerStanding>;
    /// What it lacks of a generation is sent. When this comes back it has all of it, and has read it again. Dropped in the middle,
    /// it is gone on with another time.
    fn send<'a>(&'a self, operation: &'a str, generation: &'a Generation) -> Asked<'a, ()>;
    /// The state may run, in this pod; none: in whichever the leader allows. When this comes back, it is on disk there.
    fn release<'a>(
        &'a self,
        operation: &'a str,
        uid: Option<&'a str>,
        manifest_digest: &'a str,
    ) -> Asked<'a, ()>;
    /// This pod is to be voided, unless it ran; how it stands then.
    fn revoke<'a>(&'a self, operation: &'a str, uid: &'a str) -> Asked<'a, Option<TargetPod>>;
}

/// How an operation stands on its target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeerStanding {
    /// It has the whole state, and has read it again.
    #[serde(default)]
    pub(crate) has_verified: bool,
    /// To whom it was released there.
    #[serde(default)]
    pub(crate) released: Released,
    /// How the operation's pods stand there.
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

/// A node that no way leads to.
pub(crate) struct NoPeers;

impl Peers for NoPeers {
    fn to(&self, _order: &SourceOrder) -> Arc<dyn Peer> {
        Arc::new(Self)
    }
}

impl NoPeers {
    fn nobody<'a, T: Send + 'a>() -> Asked<'a, T> {
        let failure = Failure::new("this agent has no way to other nodes' agents");
        Box::pin(std::future::ready(Err(failure)))
    }
}

impl Peer for NoPeers {
    fn ready<'a>(&'a self, _: &'a str, _: &'a str, _: u32) -> Asked<'a, bool> {
        Self::nobody()
    }

    fn standing<'a>(&'a self, _: &'a str) -> Asked<'a, PeerStanding> {
        Self::nobody()
    }

    fn send<'a>(&'a self, _: &'a str, _: &'a Generation) -> Asked<'a, ()> {
        Self::nobody()
    }

    fn release<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: &'a str) -> Asked<'a, ()> {
        Self::nobody()
    }

    fn revoke<'a>(&'a self, _: &'a str, _: &'a str) -> Asked<'a, Option<TargetPod>> {
        Self::nobody()
    }
}
