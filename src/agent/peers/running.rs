//! What an agent runs of all this: its certificate is kept fresh, and other agents are answered.

use crate::agent::peers::certificate;
use crate::agent::peers::desk::Desks;
use crate::agent::peers::identity::Identity;
use crate::agent::peers::pace::Pace;
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::way::Way;
use crate::agent::peers::{server, service};
use crate::kit::error::Error;
use crate::process::flags::PeerFlags;
use kube::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// This agent among the others.
pub(crate) struct Peers {
    identity: Arc<Identity>,
    pace: Arc<Pace>,
    listener: Option<TcpListener>,
}

impl Peers {
    /// Listens already, and answers nobody before it has a certificate.
    ///
    /// # Errors
    /// The address cannot be listened on, or the node has a name for which there is no certificate.
    pub(crate) fn open(node: &str, flags: &PeerFlags) -> Result<Self, Error> {
        let PeerFlags {
            peer_bind_address,
            peer_rate,
            ..
        } = flags;
        Ok(Self {
            identity: Arc::new(Identity::new(node)?),
            pace: Arc::new(Pace::new(*peer_rate)),
            listener: server::listen(*peer_bind_address)?,
        })
    }

    /// Makes ways to other agents.
    pub(crate) fn ways(&self) -> Ways {
        Ways {
            identity: Arc::clone(&self.identity),
            pace: Arc::clone(&self.pace),
        }
    }

    /// Runs until the stop.
    pub(crate) async fn run(
        self,
        client: Client,
        (desks, receiving): (Desks, Arc<Receiving>),
        stop: CancellationToken,
    ) {
        let service = service::shared(desks, receiving);
        let following = certificate::follow(Arc::clone(&self.identity), client, stop.clone());
        let serving = async {
            if let Some(listener) = self.listener {
                server::serve(listener, self.identity, service, stop).await;
            }
        };
        tokio::join!(following, serving);
    }
}

/// How other agents are reached.
#[derive(Clone)]
pub(crate) struct Ways {
    identity: Arc<Identity>,
    pace: Arc<Pace>,
}

impl Ways {
    /// Of an agent, without a limit.
    #[cfg(test)]
    pub(crate) fn of(identity: Arc<Identity>) -> Self {
        let pace = Arc::default();
        Self { identity, pace }
    }

    /// To the agent of a node, at this address.
    pub(crate) fn to(&self, node: &str, address: SocketAddr) -> Way {
        let (identity, pace) = (Arc::clone(&self.identity), Arc::clone(&self.pace));
        Way::new(identity, pace, (node, address))
    }
}
