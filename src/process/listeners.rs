//! The two plain listeners: probes, and metrics (over TLS when there is a certificate).

use crate::kit::error::Error;
use crate::process::flags::Listen;
use crate::process::health::Health;
use crate::process::telemetry::Telemetry;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long running requests may take after the stop.
const GRACE: Duration = Duration::from_secs(5);

/// A listener that serves until it is stopped.
pub struct Serving {
    /// Where it listens; none where it is off.
    pub address: Option<SocketAddr>,
    handle: Handle<SocketAddr>,
    task: JoinHandle<Result<(), Error>>,
}

impl Serving {
    /// Stops taking connections and waits a little for running requests.
    ///
    /// # Errors
    /// The server had ended before, with this error.
    pub async fn stop(self) -> Result<(), Error> {
        self.handle.graceful_shutdown(Some(GRACE));
        self.task.await.map_err(|error| Error::Ended {
            part: "a listener",
            why: error.to_string(),
        })?
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
    let handle = Handle::new();
    let Listen::At(address) = listen else {
        return Ok(Serving {
            address: None,
            handle,
            task: tokio::spawn(async { Ok(()) }),
        });
    };
    let failed = move |verb| move |source| Error::io(verb, format!("{what} {address}"), source);
    let listener = bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(failed("listen on"))?;
    let address = listener.local_addr().ok();
    let service = router.into_make_service();
    let server_handle = handle.clone();
    let task = tokio::spawn(async move {
        match tls {
            Some(tls) => {
                axum_server::from_tcp_rustls(listener, tls)
                    .map_err(failed("serve on"))?
                    .handle(server_handle)
                    .serve(service)
                    .await
            }
            None => {
                axum_server::from_tcp(listener)
                    .map_err(failed("serve on"))?
                    .handle(server_handle)
                    .serve(service)
                    .await
            }
        }
        .map_err(failed("serve on"))
    });
    Ok(Serving {
        address,
        handle,
        task,
    })
}

/// `[::]` means every address; where there is no IPv6, that is every IPv4 address.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address) {
        Err(_) if address.ip().is_unspecified() && address.is_ipv6() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    fn anywhere() -> Listen {
        Listen::At("127.0.0.1:0".parse().unwrap())
    }

    #[tokio::test]
    async fn probes_say_what_is_waited_for() {
        let health = Arc::new(Health::new(Duration::from_secs(1)));
        let serving = serve_probes(anywhere(), Arc::clone(&health)).unwrap();
        let address = serving.address.unwrap();
        assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = ask(address, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("starting"),
            "{answer}"
        );
        health.is_ready("start");
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/nothing").await.starts_with("HTTP/1.1 404"));
        serving.stop().await.unwrap();
    }

    #[tokio::test]
    async fn metrics_are_served_and_off_means_off() {
        let serving = serve_metrics(anywhere(), Arc::default(), None).unwrap();
        let answer = ask(serving.address.unwrap(), "/metrics").await;
        assert!(
            answer.contains("openmetrics-text") && answer.contains("holdfast_build_info"),
            "{answer}"
        );
        serving.stop().await.unwrap();
        assert_eq!(
            serve_metrics(Listen::Off, Arc::default(), None)
                .unwrap()
                .address,
            None
        );
    }

    #[tokio::test]
    async fn an_address_in_use_is_a_sentence() {
        let first = serve_metrics(anywhere(), Arc::default(), None).unwrap();
        let taken = Listen::At(first.address.unwrap());
        let error = serve_metrics(taken, Arc::default(), None)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.starts_with("cannot listen on the metrics' address"),
            "{error}"
        );
        first.stop().await.unwrap();
    }
}
