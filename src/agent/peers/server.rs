//! The listener for agents of other nodes: TLS 1.3, both sides with a certificate of our signer, HTTP/1.1. Before this agent has one
//! itself, nobody is spoken with.

use crate::agent::peers::identity::{Identity, node_name};
use crate::agent::peers::service::Service;
use crate::kit::error::Error;
use crate::process::flags::Listen;
use crate::process::listeners::bind;
use crate::process::listeners::seats::{Seat, Seats};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Connections at once, and of one address: a node has one agent, and that one or two ways to us.
const SEATS: usize = 256;
const SEATS_OF_ONE: usize = 16;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For the head of a question, and between two: a source dumps meanwhile.
const HEAD: Duration = Duration::from_secs(120);
/// For a head, and for what is read at once.
const BUFFER: usize = 64 << 10;
/// How often it is said that somebody was sent away: whoever reaches the port can be.
const SAID: Duration = Duration::from_secs(60);
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Something that is said once in a while, however often it happens.
#[derive(Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is time to say it again.
    fn is_due(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = said.is_none_or(|said| said.elapsed() >= SAID);
        if is_due {
            *said = Some(Instant::now());
        }
        is_due
    }
}

/// Listens; nothing where it is off.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) fn listen(at: Listen) -> Result<Option<TcpListener>, Error> {
    let Listen::At(address) = at else {
        return Ok(None);
    };
    let failed = |error| Error::io("listen on", format!("{address}, for other agents"), error);
    let listener = bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(listener).map(Some).map_err(failed)
}

/// Serves until the stop; then what is under way is cut off, and sent again to the next agent.
pub(crate) async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    service: Arc<Service>,
    stop: CancellationToken,
) {
    let seats = Seats::new(SEATS, SEATS_OF_ONE);
    let strangers = Arc::<Seldom>::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a question of another agent was not answered, by a fault of Holdfast");
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, address)) => {
                // Who finds no seat tries again.
                if let Some(seat) = seats.take(address.ip()) {
                    let (identity, service) = (Arc::clone(&identity), Arc::clone(&service));
                    let strangers = Arc::clone(&strangers);
                    connections.spawn(async move {
                        connection((stream, address), (&identity, &strangers), service).await;
                        drop::<Seat>(seat);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no other agent can be accepted now; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    (stream, address): (TcpStream, SocketAddr),
    (identity, strangers): (&Identity, &Seldom),
    service: Arc<Service>,
) {
    let Some(trust) = identity.trust() else {
        return;
    };
    // Its answers are short, and are waited for.
    let _only_slower = stream.set_nodelay(true);
    super::notices_a_dead_peer(&stream);
    let acceptor = TlsAcceptor::from(Arc::clone(&trust.server));
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if strangers.is_due() {
                tracing::warn!(%address, %error, "somebody who is no agent of this cluster, or one with an older authority, was sent away");
            }
            if super::is_about_authorities(&error) {
                identity.doubts();
            }
            return;
        }
        Err(_elapsed) => return,
    };
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(|shown| shown.first());
    let Some(node) = shown.and_then(node_name) else {
        tracing::warn!(%address, "a certificate of our authority names no node; its owner was sent away");
        return;
    };
    let (node, service) = (Arc::<str>::from(node), service);
    let answering = service_fn(move |request| {
        let (node, service) = (Arc::clone(&node), Arc::clone(&service));
        async move { Ok::<_, Infallible>(service.answer(&node, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), answering)
        .await;
    if let Err(error) = served {
        tracing::debug!(%address, %error, "a connection of another agent ended badly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_knocks_all_day_does_not_fill_the_log() {
        let (strangers, mut said) = (Seldom::default(), 0);
        for _ in 0..1000 {
            said += u32::from(strangers.is_due());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(said, 2);
    }
}
