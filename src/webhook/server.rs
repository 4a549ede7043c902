//! The listener for API servers: HTTP/1.1 over TLS, straight on hyper. Between the bytes and an endpoint stand a match of the path
//! and the checks of `exchange.rs`, and no layer besides.
//!
//! | moment | what happens |
//! |---|---|
//! | start | it listens; a handshake succeeds once there is a certificate |
//! | the signal to stop | it goes on serving; each answer says `Connection: close`, so clients go elsewhere |
//! | [`Webhooks::stop`] | it listens no more; resting connections are closed, reviews under way are finished |

use crate::kit::error::Error;
use crate::process::flags::Listen;
use crate::process::listeners::bind;
use crate::process::telemetry::WebhookMetrics;
use crate::webhook::body::Bounds;
use crate::webhook::connections::{Connections, Doing, Patience, Taken};
use crate::webhook::endpoint::Endpoint;
use crate::webhook::exchange::Exchange;
use crate::webhook::heard::Heard;
use crate::webhook::usual::Usual;
use crate::webhook::wire::Wire;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long reviews that are under way may take after the stop.
const GRACE: Duration = Duration::from_secs(5);
/// How often whoever waits for the last connections looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long to wait when no connection can be taken, for want of descriptors for example.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to wait before the next connection is taken when one had to go for the last: a handshake costs more than many reviews, and
/// whoever is driven out comes again. Who asks keeps its seat, and waits for none.
const CROWDED: Duration = Duration::from_millis(20);
/// The head of a request, and what hyper reads of a body at once.
const BUFFER: usize = 32 * 1024;

/// What the server allows.
#[derive(Debug, Clone, Copy)]
struct Limits {
    patience: Patience,
    bounds: Bounds,
    /// How many reviews may be under way at once.
    most_reviews: usize,
    /// How often slow connections are looked for.
    sweep: Duration,
}

/// All seats taken, each with its buffers and a small body, and the whole allowance: below 150 MiB.
const LIMITS: Limits = Limits {
    patience: Patience {
        most: 1024,
        handshake: Duration::from_secs(5),
        head: Duration::from_secs(10),
        rest: Duration::from_secs(150),
        age: Duration::from_secs(600),
    },
    bounds: Bounds {
        largest: 7 * 1024 * 1024,
        thrown_away: 16 * 1024 * 1024,
        small: 16 * 1024,
        allowance: 48 * 1024 * 1024,
        time: Duration::from_secs(10),
    },
    most_reviews: 256,
    sweep: Duration::from_millis(500),
};

/// What a server serves, and how it shakes hands.
pub struct Setup {
    /// Who answers.
    pub endpoints: Vec<Arc<dyn Endpoint>>,
    /// See `handshake.rs`.
    pub tls: Arc<ServerConfig>,
    /// What is counted.
    pub metrics: WebhookMetrics,
    /// The signal to stop.
    pub stop: CancellationToken,
}

/// A server that serves until it is stopped.
pub struct Webhooks {
    /// Where it listens.
    pub address: SocketAddr,
    close: CancellationToken,
    /// None after its early end was told.
    task: Option<JoinHandle<()>>,
}

/// Serves reviews; none where listening is off.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve(listen: Listen, setup: Setup) -> Result<Option<Webhooks>, Error> {
    serve_within(LIMITS, listen, setup)
}

fn serve_within(limits: Limits, listen: Listen, setup: Setup) -> Result<Option<Webhooks>, Error> {
    let Listen::At(address) = listen else {
        return Ok(None);
    };
    let failed = |source| {
        Error::io(
            "listen on",
            format!("the webhooks' address {address}"),
            source,
        )
    };
    let listener = bind(address)
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let Setup {
        endpoints,
        tls,
        metrics,
        stop,
    } = setup;
    let close = CancellationToken::new();
    let server = Server {
        exchange: Arc::new(Exchange::new(
            endpoints,
            limits.bounds,
            limits.most_reviews,
            metrics.clone(),
        )),
        connections: Arc::new(Connections::new(limits.patience, metrics.clone())),
        tls,
        metrics,
    };
    let task = tokio::spawn(server.run(listener, stop, close.clone(), limits.sweep));
    Ok(Some(Webhooks {
        address,
        close,
        task: Some(task),
    }))
}

impl Webhooks {
    /// Listens no more, and waits a little for reviews that are under way.
    ///
    /// # Errors
    /// The server had ended before.
    pub async fn stop(self) -> Result<(), Error> {
        self.close.cancel();
        match self.task {
            Some(task) => task.await.map_err(|error| ended(error.to_string())),
            None => Ok(()),
        }
    }

    /// Returns, once, when the server ended although nobody stopped it. It may be dropped and asked again.
    pub async fn ended(&mut self) -> Error {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let outcome = task.await;
        self.task = None;
        ended(
            outcome
                .err()
                .map_or_else(|| "it stopped by itself".into(), |error| error.to_string()),
        )
    }
}

fn ended(why: String) -> Error {
    Error::Ended {
        part: "the webhook server",
        why,
    }
}

#[derive(Clone)]
struct Server {
    exchange: Arc<Exchange>,
    connections: Arc<Connections>,
    tls: Arc<ServerConfig>,
    metrics: WebhookMetrics,
}

impl Server {
    async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        close: CancellationToken,
        sweep: Duration,
    ) {
        let mut sweeps = tokio::time::interval(sweep);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_leaving = false;
        loop {
            tokio::select! {
                biased;
                () = close.cancelled() => break,
                () = stop.cancelled(), if !is_leaving => {
                    self.exchange.leaves();
                    is_leaving = true;
                }
                _ = sweeps.tick() => self.connections.sweep(Instant::now()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let is_crowded = self.connections.is_full();
                        self.welcome(stream);
                        if is_crowded {
                            tokio::time::sleep(CROWDED).await;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        self.exchange.leaves();
        let drained = tokio::time::timeout(GRACE, async {
            loop {
                self.connections.close_resting(Instant::now());
                if self.connections.count() == 0 {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        if drained.await.is_err() {
            let left = self.connections.count();
            tracing::warn!(
                left,
                "reviews are still under way after {GRACE:?}; they are cut off"
            );
        }
    }

    fn welcome(&self, stream: TcpStream) {
        let Some(taken) = self.connections.take(Instant::now()) else {
            self.metrics.refused("no_seat");
            return;
        };
        let seat = taken.seat();
        let serving = tokio::spawn(self.clone().attend(stream, taken));
        seat.runs_in(serving.abort_handle());
    }

    /// One connection, from handshake to end. How long it may take for what is looked after by `connections.rs`.
    async fn attend(self, stream: TcpStream, taken: Taken) {
        let seat = taken.seat();
        // Reviews that have come meanwhile are answered first: to take somebody in and to shake hands are long enough each by itself.
        tokio::task::yield_now().await;
        let shaken = match stream.set_nodelay(true) {
            Ok(()) => Wire::accept(stream, self.tls).await,
            Err(error) => Err(error),
        };
        let mut stream = match shaken {
            Ok(stream) => stream,
            Err(error) => {
                self.metrics.refused("handshake");
                tracing::debug!(%error, "a handshake failed");
                return;
            }
        };
        seat.begins(Doing::Rest, Instant::now());
        let exchange = self.exchange;
        let usual = Usual {
            stream: &mut stream,
            exchange: &exchange,
            seat: &seat,
        };
        let came = match usual.serve().await {
            Ok(Some(came)) => came,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a connection ended badly");
                return;
            }
        };
        let heard = Heard {
            came,
            stream,
            seat: Arc::clone(&seat),
        };
        let service = service_fn(move |request| {
            let (exchange, seat) = (Arc::clone(&exchange), Arc::clone(&seat));
            async move { Ok::<_, Infallible>(exchange.answer(&seat, request).await) }
        });
        let served = http1::Builder::new()
            // A time limit on heads is kept for all connections in one place.
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            // An answer is short: in one piece with its head it is encrypted and sent with less to do.
            .writev(false)
            .serve_connection(TokioIo::new(heard), service)
            .await;
        if let Err(error) = served {
            if error.is_parse() {
                self.metrics.refused("bad_http");
            }
            tracing::debug!(%error, "a connection ended badly");
        }
        drop(taken);
    }
}

#[cfg(test)]
mod tests;
