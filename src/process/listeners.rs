//! The two plain listeners: probes, and metrics (over TLS when there is a certificate).
//!
//! Whoever connects may be anybody: a connection has to say what it wants within [`Limits`], and may not take another one's seat.

pub(crate) mod seats;

use crate::kit::error::Error;
use crate::process::flags::Listen;
use crate::process::health::Health;
use crate::process::telemetry::Telemetry;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use seats::Seats;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long running requests may take after the stop.
const GRACE: Duration = Duration::from_secs(5);

/// What a connection may take.
#[derive(Clone, Copy)]
struct Limits {
    /// How many there may be at once.
    connections: usize,
    /// How many of them one address may have: one client's flood leaves seats for the others.
    connections_of_one: usize,
    /// How long it may be silent before a request, and how long the head of one may take.
    head: Duration,
    /// How long the TLS handshake may take.
    handshake: Duration,
}

const LIMITS: Limits = Limits {
    connections: 256,
    connections_of_one: 64,
    head: Duration::from_secs(10),
    handshake: Duration::from_secs(5),
};

/// A listener that serves until it is stopped.
pub struct Serving {
    /// Where it listens; none where it is off.
    pub address: Option<SocketAddr>,
    handle: Handle<SocketAddr>,
    /// None where it is off, and after its early end was told.
    task: Option<JoinHandle<Result<(), Error>>>,
}

impl Serving {
    /// Stops taking connections and waits a little for running requests.
    ///
    /// # Errors
    /// The server had ended before, with this error.
    pub async fn stop(self) -> Result<(), Error> {
        self.handle.graceful_shutdown(Some(GRACE));
        match self.task {
            Some(task) => task.await.map_err(|error| ended(error.to_string()))?,
            None => Ok(()),
        }
    }

    /// Returns, once, when the server ended although nobody stopped it; never while it serves, and never where it is off. It may be
    /// dropped and asked again.
    pub async fn ended(&mut self) -> Error {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let outcome = task.await;
        self.task = None;
        match outcome {
            Ok(Ok(())) => ended("it stopped by itself".into()),
            Ok(Err(error)) => error,
            Err(error) => ended(error.to_string()),
        }
    }
}

fn ended(why: String) -> Error {
    Error::Ended {
        part: "a listener",
        why,
    }
}

/// Serves /livez, /readyz and /healthz.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve_probes(listen: Listen, health: Arc<Health>) -> Result<Serving, Error> {
    let (live, ready) = (Arc::clone(&health), health);
    let alive = move || std::future::ready(answer(live.alive()));
    let router = Router::new()
        .route("/livez", get(alive.clone()))
        .route("/healthz", get(alive))
        .route(
            "/readyz",
            get(move || std::future::ready(answer(ready.ready()))),
        );
    serve(listen, "the probes' address", router, None)
}

/// Serves /metrics.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve_metrics(
    listen: Listen,
    telemetry: Arc<Telemetry>,
    tls: Option<RustlsConfig>,
) -> Result<Serving, Error> {
    let text = move || {
        std::future::ready((
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            telemetry.text(),
        ))
    };
    serve(
        listen,
        "the metrics' address",
        Router::new().route("/metrics", get(text)),
        tls,
    )
}

fn answer(state: Result<(), String>) -> Response {
    match state {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

fn serve(
    listen: Listen,
    what: &'static str,
    router: Router,
    tls: Option<RustlsConfig>,
) -> Result<Serving, Error> {
    serve_within(LIMITS, listen, what, router, tls)
}

fn serve_within(
    limits: Limits,
    listen: Listen,
    what: &'static str,
    router: Router,
    tls: Option<RustlsConfig>,
) -> Result<Serving, Error> {
    let handle = Handle::new();
    let Listen::At(address) = listen else {
        return Ok(Serving {
            address: None,
            handle,
            task: None,
        });
    };
    let failed = move |verb| move |source| Error::io(verb, format!("{what} {address}"), source);
    let listener = bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(failed("listen on"))?;
    let address = listener.local_addr().ok();
    let seats = Seats::new(limits.connections, limits.connections_of_one);
    let server = axum_server::from_tcp(listener)
        .map_err(failed("serve on"))?
        .handle(handle.clone());
    let task = tokio::spawn(async move {
        match tls {
            Some(tls) => {
                let tls = RustlsAcceptor::new(tls)
                    .handshake_timeout(limits.handshake)
                    .acceptor(seats);
                guarded(server.acceptor(tls), limits)
                    .serve(router.into_make_service())
                    .await
            }
            None => {
                guarded(server.acceptor(seats), limits)
                    .serve(router.into_make_service())
                    .await
            }
        }
        .map_err(failed("serve on"))
    });
    Ok(Serving {
        address,
        handle,
        task: Some(task),
    })
}

/// Without a timer hyper has no guard against slow heads at all, and axum-server sets none. After the acceptor, which resets it.
fn guarded<A>(server: Server<SocketAddr, A>, limits: Limits) -> Server<SocketAddr, A> {
    let mut server = server.http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head);
    server
}

/// `[::]` means every address; where there is no IPv6, that is every IPv4 address.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address) {
        Err(error)
            if address.ip().is_unspecified() && address.is_ipv6() && is_without_ipv6(&error) =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        }
        bound => bound,
    }
}

/// Whether it failed because this machine has no IPv6: a port that is taken, or may not be taken, is taken on IPv4 no better.
fn is_without_ipv6(error: &std::io::Error) -> bool {
    /// The kernel was built or started without IPv6. The standard library has no stable name for it.
    const EAFNOSUPPORT: i32 = if cfg!(target_os = "linux") { 97 } else { 47 };
    error.kind() == std::io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[cfg(test)]
mod tests;
