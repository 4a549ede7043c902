//! The last writes: those that take away the very rights that they are made with.
//!
//! A role and its binding are each needed to release the other, so whichever goes first locks the other one in for ever. But the
//! API server judges a request when its head has come, and acts when its body has come; and with `Expect: 100-continue` it says so
//! in between, because it answers 100 when the handler, past all judgement, first asks for the body. So all requests are begun, and
//! their bodies are let go together when every one of them has its 100. If one is refused or late, all are dropped and nothing was
//! written: the caller may try again.

use crate::kit::error::Error;
use crate::process::faults::{Step, around};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use kube::Config;
use kube::client::ConfigExt;
use kube::core::Status;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// How long the judgement of all, and then the answer of all, may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A request's body that comes only when it is let go.
pub struct HeldBody {
    let_go: BoxFuture<'static, ()>,
    content: Option<Bytes>,
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.content.is_some() {
            ready!(self.let_go.as_mut().poll(context));
        }
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| {
            u64::try_from(content.len()).unwrap_or(u64::MAX)
        }))
    }
}

/// In a request's extensions: how its carrier tells that the API server has judged it and waits for the body.
#[derive(Clone)]
pub struct Judged(Arc<Semaphore>);

impl Judged {
    /// The API server waits for the body.
    pub fn tell(&self) {
        self.0.add_permits(1);
    }
}

/// What carries the requests. It tells their [`Judged`].
pub type Carrier = BoxCloneSyncService<Request<HeldBody>, Response<Vec<u8>>, BoxError>;

/// One last write: a JSON patch of an object.
#[derive(Clone)]
pub struct LastWrite {
    /// Which step of its module it is.
    pub step: &'static Step,
    /// The object's path at the API server.
    pub path: String,
    /// The operations.
    pub patch: serde_json::Value,
}

/// The way to the API server as `config` says, with a connection for each request.
///
/// # Errors
/// The settings cannot be used.
pub fn carrier(config: &Config) -> Result<Carrier, Error> {
    let failed = |source| Error::api("set up", "the last writes' client", source);
    let connector = config.rustls_https_connector().map_err(failed)?;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build(connector);
    let stack = ServiceBuilder::new()
        .map_request(hear_judgement)
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(failed)?)
        .layer(config.extra_headers_layer().map_err(failed)?)
        .map_err(BoxError::from)
        .service(client);
    let whole = |answer: Response<hyper::body::Incoming>| async move {
        let (head, body) = answer.into_parts();
        let content = body
            .collect()
            .await
            .map_err(BoxError::from)?
            .to_bytes()
            .to_vec();
        Ok::<_, BoxError>(Response::from_parts(head, content))
    };
    Ok(BoxCloneSyncService::new(
        stack.map_err(|error| -> BoxError { error }).and_then(whole),
    ))
}

/// Asks for a 100, and passes it on.
fn hear_judgement(mut request: Request<HeldBody>) -> Request<HeldBody> {
    if let Some(judged) = request.extensions().get::<Judged>().cloned() {
        request.headers_mut().insert(
            http::header::EXPECT,
            http::HeaderValue::from_static("100-continue"),
        );
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                judged.tell();
            }
        });
    }
    request
}

/// Makes all writes, or none: each is judged before any of them takes effect. An object that is gone is as good as written.
///
/// # Errors
/// The first refusal, or that the API server took too long; after the bodies were let go, the first that failed.
pub async fn write_together(carrier: &Carrier, writes: Vec<LastWrite>) -> Result<(), Error> {
    let (go, judged) = (
        CancellationToken::new(),
        Judged(Arc::new(Semaphore::new(0))),
    );
    let expected = u32::try_from(writes.len()).unwrap_or(u32::MAX);
    let mut requests: FuturesUnordered<_> = writes
        .into_iter()
        .map(|write| write_one(carrier.clone(), write, &judged, &go))
        .collect();
    let all_judged = judged.0.acquire_many(expected);
    tokio::select! {
        // Whoever answers before its body was sent has refused, or says that the object is gone: look again.
        Some(early) = requests.next() => return early.and(Err(late("the objects changed meanwhile"))),
        _permits = all_judged => {}
        () = tokio::time::sleep(LIMIT) => return Err(late("the API server did not judge all requests in time")),
    }
    go.cancel();
    let answers = tokio::time::timeout(LIMIT, requests.collect::<Vec<_>>()).await;
    answers
        .map_err(|_elapsed| late("the API server did not answer all requests in time"))?
        .into_iter()
        .collect()
}

fn late(why: &str) -> Error {
    Error::Ended {
        part: "the release of our own rights",
        why: why.into(),
    }
}

async fn write_one(
    carrier: Carrier,
    write: LastWrite,
    judged: &Judged,
    go: &CancellationToken,
) -> Result<(), Error> {
    let LastWrite { step, path, patch } = write;
    let body = HeldBody {
        let_go: Box::pin(go.clone().cancelled_owned()),
        content: Some(Bytes::from(patch.to_string())),
    };
    let request = Request::patch(&path)
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .extension(judged.clone())
        .body(body);
    let request =
        request.map_err(|source| Error::api("patch", &path, kube::Error::HttpError(source)))?;
    let answer = around(step, carrier.oneshot(request))
        .await
        .map_err(|source| Error::api("patch", &path, kube::Error::Service(source)))?;
    if answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND {
        return Ok(());
    }
    let said: Status = serde_json::from_slice(answer.body()).unwrap_or_default();
    let status = Status {
        code: answer.status().as_u16(),
        ..said
    };
    Err(Error::api(
        "patch",
        path,
        kube::Error::Api(Box::new(status)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::api_server::ApiServer;
    use serde_json::json;

    const STEP: Step = Step::new("holdfast::process::farewell", "TEST");
    const A: &str = "/apis/example.dev/v1/things/a";
    const B: &str = "/apis/example.dev/v1/things/b";

    fn server() -> ApiServer {
        let server = ApiServer::default();
        for path in [A, B] {
            server.put(
                path,
                json!({ "kind": "Thing", "metadata": { "name": "x" }, "spec": { "held": true } }),
            );
        }
        server
    }

    fn release(path: &str) -> LastWrite {
        LastWrite {
            step: &STEP,
            path: path.into(),
            patch: json!([{ "op": "remove", "path": "/spec/held" }]),
        }
    }

    fn is_held(server: &ApiServer, path: &str) -> bool {
        server
            .stored(path)
            .is_some_and(|object| object["spec"]["held"].is_boolean())
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_written_when_all_are_judged() {
        let server = server();
        write_together(&server.carrier(), vec![release(A), release(B)])
            .await
            .unwrap();
        assert!(!is_held(&server, A) && !is_held(&server, B));
        write_together(&server.carrier(), Vec::new()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_written_when_one_is_refused() {
        let server = server();
        server.forbid(&format!("PATCH {B}"));
        let error = write_together(&server.carrier(), vec![release(A), release(B)])
            .await
            .unwrap_err();
        assert!(error.is_forbidden(), "{error}");
        assert!(is_held(&server, A) && is_held(&server, B));
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_written_when_one_is_never_judged() {
        let server = server();
        server.stall(&format!("PATCH {B}"));
        assert!(
            write_together(&server.carrier(), vec![release(A), release(B)])
                .await
                .is_err()
        );
        assert!(is_held(&server, A) && is_held(&server, B));
    }
}
