//! The way to another node's agent: one kept connection, on which one question is asked at a time.
//!
//! Whoever answers at the address has to show the certificate of that very node, so a wrong address is an error and nothing worse. A kept
//! connection may have been closed by the other side meanwhile: a question that can be asked twice is then asked once more.

use crate::agent::api::TargetPod;
use crate::agent::peers::desk::PeerStanding;
use crate::agent::peers::identity::Identity;
use crate::agent::peers::is_about_authorities;
use crate::agent::peers::pace::Pace;
use crate::agent::peers::watched::Watched;
use crate::agent::peers::wire::{
    self, About, Done, IsReady, LONGEST_MANIFEST, No, Ready, Release, Revoke, Revoked, Spare,
    Spared,
};
use crate::kit::agents::name_of;
use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// To be connected, and to have shaken hands.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer that needs no disk but a record's.
const ANSWER: Duration = Duration::from_secs(10);

pub(super) type Sent = UnsyncBoxBody<Bytes, std::io::Error>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It does not answer, or was cut off: whether it has heard nobody knows. Trying again may help.
    Away(String),
    /// It said no, with a code of HTTP and a sentence.
    Refused(u16, String),
    /// Something of this node does not go.
    Ours(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) | Self::Refused(_, why) | Self::Ours(why) => f.write_str(why),
        }
    }
}

/// The way to the agent of one node.
pub(crate) struct Way {
    identity: Arc<Identity>,
    pub(super) pace: Arc<Pace>,
    node: String,
    address: SocketAddr,
    kept: Option<Connection>,
}

/// A connection. It is cut off when this is dropped: whoever fills a body that the other side does not take would wait for ever.
struct Connection {
    sender: SendRequest<Watched>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    /// To the agent of a node, at this address. Nothing is sent yet.
    pub(crate) fn new(
        identity: Arc<Identity>,
        pace: Arc<Pace>,
        (node, address): (&str, SocketAddr),
    ) -> Self {
        Self {
            identity,
            pace,
            node: node.to_owned(),
            address,
            kept: None,
        }
    }
}

impl Way {
    /// Whose agent is asked.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Whether a pod waits there for its state, in this attempt.
    ///
    /// # Errors
    /// It does not answer, or says no.
    pub(crate) async fn ready(
        &mut self,
        operation: &str,
        uid: &str,
        attempt: u32,
    ) -> Result<bool, Failure> {
        let question = Ready {
            operation: operation.to_owned(),
            uid: uid.to_owned(),
            attempt,
        };
        let IsReady { ready } = self.ask(wire::READY, &question, ANSWER).await?;
        Ok(ready)
    }

    /// How an operation stands there.
    ///
    /// # Errors
    /// It does not answer, or says no.
    pub(crate) async fn standing(&mut self, operation: &str) -> Result<PeerStanding, Failure> {
        let question = About {
            operation: operation.to_owned(),
        };
        self.ask(wire::STANDING, &question, ANSWER).await
    }

    /// Gives it the release: for one pod, or for whichever the leader allows. When this returns well, it is on disk there.
    ///
    /// # Errors
    /// It does not answer, or says no. Where it does not answer, it may have it.
    pub(crate) async fn release(
        &mut self,
        operation: &str,
        uid: Option<&str>,
        manifest_digest: &str,
    ) -> Result<(), Failure> {
        let question = Release {
            operation: operation.to_owned(),
            uid: uid.map(str::to_owned),
            digest: manifest_digest.to_owned(),
        };
        let Done {} = self.ask(wire::RELEASE, &question, ANSWER).await?;
        Ok(())
    }

    /// Asks it to void a pod; how that stands then.
    ///
    /// # Errors
    /// It does not answer, or says no.
    pub(crate) async fn revoke(
        &mut self,
        operation: &str,
        uid: &str,
    ) -> Result<Option<TargetPod>, Failure> {
        let question = Revoke {
            operation: operation.to_owned(),
            uid: uid.to_owned(),
        };
        let Revoked { pod } = self.ask(wire::REVOKE, &question, ANSWER).await?;
        Ok(pod)
    }

    /// Says that a generation comes soon, and how much memory it will take. How much is ready for it.
    ///
    /// # Errors
    /// It does not answer, or says no.
    pub(crate) async fn spare(
        &mut self,
        (operation, generation): (&str, &str),
        bytes: u64,
    ) -> Result<u64, Failure> {
        let question = Spare {
            operation: operation.to_owned(),
            generation: generation.to_owned(),
            bytes,
        };
        let Spared { bytes } = self.ask(wire::SPARE, &question, ANSWER).await?;
        Ok(bytes)
    }
}

impl Way {
    /// A question that can be asked twice.
    pub(super) async fn ask<A: DeserializeOwned>(
        &mut self,
        path: &str,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<A, Failure> {
        let text =
            serde_json::to_vec(question).map_err(|error| Failure::Ours(error.to_string()))?;
        self.ask_with(path, text.into(), limit).await
    }

    /// The same, of which the words are there.
    pub(super) async fn ask_with<A: DeserializeOwned>(
        &mut self,
        path: &str,
        text: Bytes,
        limit: Duration,
    ) -> Result<A, Failure> {
        let body = || {
            Full::new(text.clone())
                .map_err(|never| match never {})
                .boxed_unsync()
        };
        let was_kept = self.kept.is_some();
        match self.tell(path, body(), limit).await {
            Err(Failure::Away(_)) if was_kept => self.tell(path, body(), limit).await,
            answered => answered,
        }
    }

    /// Sends a question, and reads its answer. The connection is used again after a good answer to a question that was heard whole.
    pub(super) async fn tell<A: DeserializeOwned>(
        &mut self,
        path: &str,
        body: Sent,
        limit: Duration,
    ) -> Result<A, Failure> {
        let kept = self.kept.take();
        let mut connection = match kept.filter(|kept| !kept.sender.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let (body, taken) = Watched::over(body);
        let away = |why: String| Failure::Away(format!("the agent of node {}: {why}", self.node));
        let request = Request::post(path)
            .header(HOST, self.node.as_str())
            .body(body)
            .map_err(|error| Failure::Ours(error.to_string()))?;
        let told = async {
            connection.sender.ready().await?;
            let response = connection.sender.send_request(request).await?;
            Ok::<_, hyper::Error>(response)
        };
        let response = match timeout(limit, told).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                if is_a_doubt(&error) {
                    self.identity.doubts();
                }
                return Err(away(crate::kit::error::chain(&error)));
            }
            Err(_elapsed) => return Err(away(format!("no answer within {limit:?}"))),
        };
        let (code, text) = timeout(limit, collected(response))
            .await
            .map_err(|_elapsed| away(format!("no whole answer within {limit:?}")))?
            .map_err(away)?;
        if code == StatusCode::OK {
            if !taken.is_whole() {
                return Err(away("it answered before it had heard all".into()));
            }
            self.kept = Some(connection);
            return serde_json::from_slice(&text)
                .map_err(|error| away(format!("its answer cannot be read: {error}")));
        }
        let why = serde_json::from_slice::<No>(&text);
        let why = why.map_or_else(|_no_words| code.to_string(), |no| no.why);
        Err(Failure::Refused(
            code.as_u16(),
            format!("the agent of node {} refuses: {why}", self.node),
        ))
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let Self { node, address, .. } = self;
        let trust = self.identity.trust().ok_or_else(|| {
            Failure::Ours("this agent has no certificate yet: see its log".into())
        })?;
        let name = name_of(node).map_err(Failure::Ours)?;
        let name = ServerName::try_from(name).map_err(|error| Failure::Ours(error.to_string()))?;
        let away = |why: String| {
            Failure::Away(format!(
                "the agent of node {node} is not reached at {address}: {why}"
            ))
        };
        let connected = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            super::notices_a_dead_peer(&stream);
            let connector = TlsConnector::from(Arc::clone(&trust.client));
            connector.connect(name, stream).await
        };
        let stream = timeout(CONNECT, connected)
            .await
            .map_err(|_elapsed| away(format!("nobody answers within {CONNECT:?}")))?
            .map_err(|error| {
                if is_about_authorities(&error) {
                    self.identity.doubts();
                }
                away(error.to_string())
            })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| away(error.to_string()))?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to another agent ended badly");
            }
        });
        let task = task.abort_handle();
        Ok(Connection { sender, task })
    }
}

/// The other side tells what it thinks of our certificate with its first answer.
fn is_a_doubt(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(is_about_authorities)
}

async fn collected(response: Response<Incoming>) -> Result<(StatusCode, Bytes), String> {
    let code = response.status();
    let body = Limited::new(response.into_body(), LONGEST_MANIFEST)
        .collect()
        .await;
    let text = body.map_err(|error| format!("its answer was cut off: {error}"))?;
    Ok((code, text.to_bytes()))
}
