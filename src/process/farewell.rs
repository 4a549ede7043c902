//! The last writes: those that take away the very rights that they are made with.
//!
//! A role and its binding are each needed to release the other, so whichever goes first locks the other one in for ever. But the
//! API server judges a request when its head has come, and acts when its body has come. So all requests are begun, their bodies held
//! back for a moment, and then let go together: each has been judged before any of them takes effect.

use crate::kit::error::Error;
use crate::process::faults::{Step, around};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use kube::Config;
use kube::client::ConfigExt;
use kube::core::Status;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// How long bodies are held back: plenty for a judgement, which takes a millisecond.
const HOLD: Duration = Duration::from_millis(500);
/// How long the whole may take.
const LIMIT: Duration = Duration::from_secs(15);

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

/// What carries the requests.
pub type Carrier = BoxCloneSyncService<Request<HeldBody>, Response<Vec<u8>>, BoxError>;

/// One last write: a JSON patch of an object.
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
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(failed)?)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(
        stack.map_err(|error| -> BoxError { error }).and_then(
            |answer: Response<hyper::body::Incoming>| async move {
                let (head, body) = answer.into_parts();
                let content = body
                    .collect()
                    .await
                    .map_err(BoxError::from)?
                    .to_bytes()
                    .to_vec();
                Ok::<_, BoxError>(Response::from_parts(head, content))
            },
        ),
    ))
}

/// Begins all writes, then lets them go together. An object that is not there any more is as good as written.
///
/// # Errors
/// The first answer that was a refusal.
pub async fn write_together(carrier: &Carrier, writes: Vec<LastWrite>) -> Result<(), Error> {
    let go = CancellationToken::new();
    let requests = writes
        .into_iter()
        .map(|write| begin(carrier.clone(), write, &go))
        .collect::<Vec<_>>();
    let release = async {
        tokio::time::sleep(HOLD).await;
        go.cancel();
    };
    let all = futures::future::join(join_all(requests), release);
    let (answers, ()) =
        tokio::time::timeout(LIMIT, all)
            .await
            .map_err(|_elapsed| Error::TimedOut {
                verb: "release",
                object: "our own rights".into(),
                limit: LIMIT,
            })?;
    answers.into_iter().collect()
}

async fn begin(carrier: Carrier, write: LastWrite, go: &CancellationToken) -> Result<(), Error> {
    let LastWrite { step, path, patch } = write;
    let body = HeldBody {
        let_go: Box::pin(go.clone().cancelled_owned()),
        content: Some(Bytes::from(patch.to_string())),
    };
    let request = Request::patch(&path)
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .body(body);
    let request =
        request.map_err(|source| Error::api("patch", &path, kube::Error::HttpError(source)))?;
    let answer = around(step, carrier.oneshot(request))
        .await
        .map_err(|source| Error::api("patch", &path, kube::Error::Service(source)))?;
    if answer.status().is_success() || answer.status() == http::StatusCode::NOT_FOUND {
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
