//! What the agent of a pod that moves asks of its target's agent. Whoever carries the questions there implements this; what is answered
//! stands in `targets`.

use crate::agent::api::{SourceOrder, TargetPod};
pub(crate) use crate::agent::peers::desk::{PeerStanding, Released};
use crate::agent::peers::foretelling::{Laid, Told};
use crate::agent::store::foretold::{Foretold, Guess};
use crate::agent::store::{Generation, Noted};
use crate::oci::failure::Failure;
use futures::future::{BoxFuture, ready};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is answered, or why nobody answered.
pub(crate) type Asked<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// What came of sending a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All of it is there, and was read again.
    Whole,
    /// It cannot be: a disk, here or there, says no. That does not change while a pod stands still for it.
    Hopeless(String),
}

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
    /// Of a generation that is being dumped here that is sent what only grows, until it is over. Nobody has to do this first, and what
    /// it has sent is not sent again.
    fn send_ahead<'a>(
        &'a self,
        _operation: &'a str,
        _generation: &'a Generation,
        _foretold: Option<Arc<Foretold>>,
        _is_over: &'a CancellationToken,
    ) -> Asked<'a, ()> {
        Box::pin(ready(Ok(())))
    }
    /// The memory of processes is sent while they run, as it would be dumped: what is not as it was told before. Until somebody has
    /// enough of it. Nobody has to do this.
    fn foretell<'a>(
        &'a self,
        _which: (&'a str, &'a str),
        guess: Guess,
        _all: Vec<Laid>,
        _enough: &'a CancellationToken,
    ) -> BoxFuture<'a, Told> {
        let sent = Ok(0);
        Box::pin(ready(Told { guess, sent }))
    }
    /// A generation comes soon, and will take so much memory there: how much of it is ready. Nobody has to do this.
    fn spare<'a>(&'a self, _which: (&'a str, &'a str), _bytes: u64) -> Asked<'a, u64> {
        Box::pin(ready(Ok(0)))
    }
    /// What it lacks of a generation is sent, as it was noted. When this comes back it has all of it, and has read it again. Dropped in
    /// the middle, it is gone on with another time.
    fn send<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a Generation,
        noted: &'a Noted,
    ) -> Asked<'a, Sent>;
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
