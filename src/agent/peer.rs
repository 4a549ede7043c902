//! What the agent of a pod that moves asks of its target's agent. Whoever carries the questions there implements this; what is answered
//! stands in `targets`.

use crate::agent::api::{SourceOrder, TargetPod};
pub(crate) use crate::agent::peers::desk::{PeerStanding, Released};
use crate::agent::store::Generation;
use crate::oci::failure::Failure;
use futures::future::BoxFuture;
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
