//! Questions about moves, between the agents of two nodes: here they are carried to the target, and there they come to its desk.

use crate::agent::api::{SourceOrder, TargetPod};
use crate::agent::peer::{Asked, Peer, Peers, Sent};
use crate::agent::peers::desk::{Desk, Expected, NO_ROOM, PeerStanding, Refusal};
use crate::agent::peers::foretelling::{Laid, Told};
use crate::agent::peers::running::Ways;
use crate::agent::peers::sending::Shipment;
use crate::agent::peers::way::{self, Way};
use crate::agent::store::foretold::{Foretold, Guess};
use crate::agent::store::{Generation, Noted};
use crate::agent::targets::Targets;
use crate::oci::failure::Failure;
use futures::future::{BoxFuture, ready};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// By node and address.
type Kept = HashMap<(String, SocketAddr), Arc<Carrier>>;

/// Ways to the targets of moves; each is kept while somebody goes it.
pub(crate) struct Carriers {
    ways: Option<Ways>,
    kept: Mutex<Kept>,
}

impl Carriers {
    /// Where other agents are spoken with.
    pub(crate) fn new(ways: Option<Ways>) -> Self {
        Self {
            ways,
            kept: Mutex::default(),
        }
    }

    fn way(&self, order: &SourceOrder) -> Result<Arc<Carrier>, Failure> {
        let ways = self.ways.as_ref();
        let ways =
            ways.ok_or_else(|| Failure::new("this agent speaks with no other: see its log"))?;
        let node = &order.target_node;
        let address = order.target_address.as_deref();
        let address = address.ok_or_else(|| {
            Failure::new(format!(
                "it is not known where the agent of node {node} is reached"
            ))
        })?;
        let address: SocketAddr = address
            .parse()
            .map_err(|_| Failure::new(format!("{address:?} is no address of an agent")))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, carrier| Arc::strong_count(carrier) > 1);
        let begin = || {
            Arc::new(Carrier {
                way: tokio::sync::Mutex::new(ways.to(node, address)),
                ways: ways.clone(),
                to: (node.clone(), address),
                begun: Mutex::default(),
            })
        };
        let carrier = kept.entry((node.clone(), address)).or_insert_with(begin);
        Ok(Arc::clone(carrier))
    }
}

impl Peers for Carriers {
    fn to(&self, order: &SourceOrder) -> Arc<dyn Peer> {
        match self.way(order) {
            Ok(carrier) => carrier,
            Err(failure) => Arc::new(Nowhere(failure.to_string())),
        }
    }
}

/// The agent of one node.
struct Carrier {
    way: tokio::sync::Mutex<Way>,
    /// For what is sent before anything stands still: nothing else waits for that.
    ways: Ways,
    to: (String, SocketAddr),
    /// What was sent while it was dumped, by operation and generation.
    begun: Mutex<Option<(String, String, Shipment)>>,
}

impl Carrier {
    fn begun(&self) -> MutexGuard<'_, Option<(String, String, Shipment)>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said<T>(answered: Result<T, way::Failure>) -> Result<T, Failure> {
    answered.map_err(|failure| Failure::new(failure.to_string()))
}

impl Peer for Carrier {
    fn ready<'a>(&'a self, operation: &'a str, uid: &'a str, attempt: u32) -> Asked<'a, bool> {
        Box::pin(async move { said(self.way.lock().await.ready(operation, uid, attempt).await) })
    }

    fn standing<'a>(&'a self, operation: &'a str) -> Asked<'a, PeerStanding> {
        Box::pin(async move { said(self.way.lock().await.standing(operation).await) })
    }

    fn send_ahead<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a Generation,
        foretold: Option<Arc<Foretold>>,
        is_over: &'a CancellationToken,
    ) -> Asked<'a, ()> {
        Box::pin(async move {
            let mut way = self.way.lock().await;
            let sent = way.send_ahead(operation, generation, foretold, is_over);
            let shipment = said(sent.await)?;
            let name = generation.name().to_owned();
            *self.begun() = Some((operation.to_owned(), name, shipment));
            Ok(())
        })
    }

    fn foretell<'a>(
        &'a self,
        which: (&'a str, &'a str),
        guess: Guess,
        all: Vec<Laid>,
        enough: &'a CancellationToken,
    ) -> BoxFuture<'a, Told> {
        Box::pin(async move {
            let (node, address) = &self.to;
            let mut way = self.ways.to(node, *address);
            way.foretell(which, guess, all, enough).await
        })
    }

    fn spare<'a>(&'a self, which: (&'a str, &'a str), bytes: u64) -> Asked<'a, u64> {
        Box::pin(async move { said(self.way.lock().await.spare(which, bytes).await) })
    }

    fn send<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a Generation,
        noted: &'a Noted,
    ) -> Asked<'a, Sent> {
        Box::pin(async move {
            let begun = self.begun().take();
            let begun = begun.filter(|(of, name, _)| of == operation && name == generation.name());
            let begun = begun.map(|(_, _, shipment)| shipment);
            let mut way = self.way.lock().await;
            match way
                .send_on((operation, generation.name()), noted, begun)
                .await
            {
                Err(way::Failure::Refused(NO_ROOM, why)) => Ok(Sent::Hopeless(why)),
                sent => said(sent).map(|_| Sent::Whole),
            }
        })
    }

    fn release<'a>(
        &'a self,
        operation: &'a str,
        uid: Option<&'a str>,
        manifest_digest: &'a str,
    ) -> Asked<'a, ()> {
        Box::pin(async move {
            let mut way = self.way.lock().await;
            said(way.release(operation, uid, manifest_digest).await)
        })
    }

    fn revoke<'a>(&'a self, operation: &'a str, uid: &'a str) -> Asked<'a, Option<TargetPod>> {
        Box::pin(async move { said(self.way.lock().await.revoke(operation, uid).await) })
    }
}

/// There is no way, and why.
struct Nowhere(String);

impl Nowhere {
    fn no<'a, T: Send + 'a>(&self) -> Asked<'a, T> {
        Box::pin(ready(Err(Failure::new(self.0.clone()))))
    }
}

impl Peer for Nowhere {
    fn ready<'a>(&'a self, _: &'a str, _: &'a str, _: u32) -> Asked<'a, bool> {
        self.no()
    }

    fn standing<'a>(&'a self, _: &'a str) -> Asked<'a, PeerStanding> {
        self.no()
    }

    fn send<'a>(&'a self, _: &'a str, _: &'a Generation, _: &'a Noted) -> Asked<'a, Sent> {
        self.no()
    }

    fn release<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: &'a str) -> Asked<'a, ()> {
        self.no()
    }

    fn revoke<'a>(&'a self, _: &'a str, _: &'a str) -> Asked<'a, Option<TargetPod>> {
        self.no()
    }
}

/// What the source's agent is answered.
pub(crate) struct MoveDesk(Targets);

impl MoveDesk {
    /// For pods of this node that are to get a state.
    pub(crate) fn new(targets: Targets) -> Self {
        Self(targets)
    }
}

impl Desk for MoveDesk {
    fn admits<'a>(
        &'a self,
        operation: &'a str,
        from_node: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let admitted = self.0.admits(operation, from_node);
        Box::pin(ready(
            admitted.map_err(|failure| Refusal::Unexpected(failure.to_string())),
        ))
    }

    fn expects<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a str,
    ) -> BoxFuture<'a, Result<Expected, Refusal>> {
        let expected = self.0.expects(operation, generation);
        Box::pin(ready(
            expected.map_err(|failure| Refusal::Unexpected(failure.to_string())),
        ))
    }

    fn is_ready<'a>(
        &'a self,
        operation: &'a str,
        uid: &'a str,
        attempt: u32,
    ) -> BoxFuture<'a, bool> {
        Box::pin(self.0.is_ready(operation, uid, attempt))
    }

    fn release<'a>(
        &'a self,
        operation: &'a str,
        uid: Option<&'a str>,
        manifest_digest: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let released = self.0.release(operation, uid, manifest_digest).await;
            released.map_err(|failure| Refusal::Unfit(failure.to_string()))
        })
    }

    fn revoke<'a>(
        &'a self,
        operation: &'a str,
        uid: &'a str,
    ) -> BoxFuture<'a, Result<Option<TargetPod>, Refusal>> {
        Box::pin(async move {
            let revoked = self.0.revoke(operation, uid).await;
            revoked.map_err(|failure| Refusal::Failed(failure.to_string()))
        })
    }

    fn standing<'a>(&'a self, operation: &'a str) -> BoxFuture<'a, Result<PeerStanding, Refusal>> {
        Box::pin(async move {
            let standing = self.0.standing(operation).await;
            standing.map_err(|failure| Refusal::Failed(failure.to_string()))
        })
    }
}
