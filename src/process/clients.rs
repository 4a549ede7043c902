//! The clients of the API server, made once and passed down.
//!
//! - `api` retries what the API server asks to be retried (429, 503, 504): for reads, watches and writes without a deadline of their own.
//! - `once` never retries: for leases and evictions, where a 429 is an answer and the caller has a deadline.
//!
//! kube sets no limit on an answer; both clients get one on all calls but watches and log streams.

use crate::kit::error::Error;
use crate::process::farewell::{self, Carrier};
use crate::process::writes::CALL_LIMIT;
use http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service};

/// A watch that has been silent for this long is dead: the API server ends each of its own accord well before.
const SILENCE_LIMIT: Duration = Duration::from_secs(330);

/// Both clients of this process.
#[derive(Clone)]
pub struct Clients {
    /// Retries.
    pub api: Client,
    /// Never retries.
    pub once: Client,
    /// For the last writes of an installation that goes away.
    pub farewell: Carrier,
}

impl Clients {
    /// From the cluster that the process runs in, or the kubeconfig of whoever runs it.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub async fn infer() -> Result<Self, Error> {
        let config = Config::infer().await.map_err(|error| Error::Invalid {
            what: "the way to the API server".into(),
            why: format!("there is neither a pod's service account nor a kubeconfig ({error}); set KUBECONFIG"),
        })?;
        Self::from_config(config)
    }

    fn from_config(mut config: Config) -> Result<Self, Error> {
        config.read_timeout = Some(SILENCE_LIMIT);
        let mut once = config.clone();
        once.default_retry = false;
        Ok(Self {
            farewell: farewell::carrier(&config)?,
            api: client(config)?,
            once: client(once)?,
        })
    }
}

fn client(config: Config) -> Result<Client, Error> {
    let builder = ClientBuilder::try_from(config)
        .map_err(|source| Error::api("set up", "the client", source))?;
    Ok(builder.with_layer(&AnswerLimit(CALL_LIMIT)).build())
}

/// A limit on how long the API server may take to begin its answer, retries included.
#[derive(Clone, Copy)]
struct AnswerLimit(Duration);

impl<S> Layer<S> for AnswerLimit {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited {
            inner,
            limit: self.0,
        }
    }
}

struct Limited<S> {
    inner: S,
    limit: Duration,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError, Future: Send + 'static>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = futures::future::BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limit = (!is_stream(request.uri().query())).then_some(self.limit);
        let answer = self.inner.call(request);
        Box::pin(async move {
            match limit {
                Some(limit) => tokio::time::timeout(limit, answer)
                    .await
                    .unwrap_or_else(|elapsed| Err(elapsed.into())),
                None => answer.await,
            }
        })
    }
}

/// Watches and followed logs begin to answer when there is something to say.
fn is_stream(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|field| matches!(field, "watch=true" | "follow=true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A server that is asked too often, twice, and then answers; and how often it was asked.
    async fn busy_server() -> (SocketAddr, Arc<AtomicU32>) {
        let asked = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&asked);
        let answer = move || {
            let is_busy = counted.fetch_add(1, Ordering::SeqCst) < 2;
            std::future::ready(if is_busy {
                (http::StatusCode::TOO_MANY_REQUESTS, "not now")
            } else {
                (http::StatusCode::OK, "well")
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Router::new().fallback(answer).into_make_service();
        tokio::spawn(async move { axum::serve(listener, service).await });
        (address, asked)
    }

    fn clients_of(server: SocketAddr) -> Clients {
        crate::install_crypto();
        Clients::from_config(Config::new(format!("http://{server}").parse().unwrap())).unwrap()
    }

    fn question() -> Request<Vec<u8>> {
        Request::get("/version").body(Vec::new()).unwrap()
    }

    #[tokio::test]
    async fn once_takes_a_429_for_an_answer() {
        let (server, asked) = busy_server().await;
        let refused = clients_of(server).once.request_text(question()).await;
        let error = Error::api("ask", "the server", refused.unwrap_err());
        assert_eq!(error.code(), Some(429), "{error:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn api_asks_again_after_a_429() {
        let (server, asked) = busy_server().await;
        let answer = clients_of(server).api.request_text(question()).await;
        assert_eq!(answer.unwrap(), "well");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn knows_a_stream_by_its_query() {
        assert!(is_stream(Some("limit=5&watch=true")));
        assert!(is_stream(Some("follow=true")));
        assert!(!is_stream(Some("fieldSelector=watch%3Dtrue")));
        assert!(!is_stream(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends() {
        let never = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, BoxError>>()
        });
        let mut limited = AnswerLimit(Duration::from_secs(3)).layer(never);
        let request = Request::builder()
            .uri("/api/v1/nodes")
            .body(Body::empty())
            .unwrap();
        assert!(limited.call(request).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_may_be_silent_for_longer() {
        let never = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, BoxError>>()
        });
        let mut limited = AnswerLimit(Duration::from_secs(3)).layer(never);
        let request = Request::builder()
            .uri("/api/v1/nodes?watch=true")
            .body(Body::empty())
            .unwrap();
        assert!(
            tokio::time::timeout(Duration::from_secs(60), limited.call(request))
                .await
                .is_err(),
            "still waiting"
        );
    }
}
