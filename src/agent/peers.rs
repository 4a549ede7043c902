//! Agents speak with agents: certificates, the questions of a hand-over, and states of pods on their way from node to node.
//!
//! ```text
//! certificate ─► identity ─┬─► server ─► service ─► desks (may he ask this?) ─► what the node's records say
//! (asked of the leader)    │                └─────► receiving ─► store/incoming ─► verified
//!                          └─► way ─► sending (stream, pace)
//! ```

pub(crate) mod certificate;
mod coming;
pub(crate) mod desk;
pub(crate) mod foretelling;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod identity;
pub(crate) mod pace;
pub(crate) mod path;
pub(crate) mod receiving;
mod room;
pub(crate) mod running;
pub(crate) mod sending;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod spare;
pub(crate) mod stream;
mod watched;
pub(crate) mod way;
pub(crate) mod wire;

use rustix::fd::AsFd;
use rustix::net::sockopt;
use rustls::{AlertDescription, CertificateError};
use std::time::Duration;

/// A node that lost its power closes no connection: it is asked whether it lives, and what it does not take is not held for ever.
const IDLE: Duration = Duration::from_secs(15);
const BETWEEN: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
/// In milliseconds: a receiver with a slow disk takes nothing for a while.
const UNHEARD: u32 = 120_000;

/// What the kernel refuses here only takes longer to be noticed.
fn notices_a_dead_peer(stream: &impl AsFd) {
    let asked = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, IDLE))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, BETWEEN))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, PROBES))
        .and_then(|()| sockopt::set_tcp_user_timeout(stream, UNHEARD));
    if let Err(error) = asked {
        tracing::debug!(%error, "a connection of agents has the kernel's own limits");
    }
}

/// Whether a handshake failed because one side does not know the other one's authority: ours, or its, may be too old.
fn is_about_authorities(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        inner,
        Some(
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
                | rustls::Error::AlertReceived(AlertDescription::UnknownCA)
        )
    )
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod limits {
    #[tokio::test]
    async fn a_dead_peer_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        super::notices_a_dead_peer(&stream);
        let limit = rustix::net::sockopt::tcp_user_timeout(&stream).unwrap();
        assert_eq!(limit, super::UNHEARD);
        assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
    }
}
