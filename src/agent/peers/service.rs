//! One question of another node's agent, and its answer. Who asks is known by his certificate, and is named to the desks; nothing that he
//! says himself about that is looked at.

use crate::agent::peers::desk::{Desk, Desks, Refusal};
use crate::agent::peers::receiving::{Receiving, Turn, channel};
use crate::agent::peers::wire::{
    self, About, Done, Ended, IsReady, LONGEST_MANIFEST, LONGEST_QUESTION, No, Ready, Received,
    Release, Revoke, Revoked, Which,
};
use crate::agent::store::incoming::Kept;
use bytes::{Buf, Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A body that says nothing for so long is given up; a disk may make its sender wait.
const SILENCE: Duration = Duration::from_secs(30);
/// What is read of a body that is not wanted any more, so that the answer is heard.
const DRAIN: Duration = Duration::from_secs(2);

/// What all connections share.
pub(crate) struct Service {
    pub(crate) desks: Desks,
    pub(crate) receiving: Arc<Receiving>,
}

type Answer = Response<Full<Bytes>>;

impl Service {
    /// Answers one question of the agent of this node.
    pub(crate) async fn answer<B>(&self, node: &str, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let (head, body) = request.into_parts();
        let mut body = Coming {
            body,
            rest: Bytes::new(),
        };
        if head.method != Method::POST {
            return no(405, "a question is sent with POST".into());
        }
        let path = head.uri.path();
        let answered = match path {
            wire::HELD | wire::FILES | wire::END => self.transfer(node, path, &mut body).await,
            _ => self.question(node, path, &mut body).await,
        };
        answered.unwrap_or_else(|refusal| {
            tracing::warn!(node, path, why = %refusal, "another node's agent is refused");
            let mut answer = no(refusal.code(), refusal.to_string());
            // Of the rest of what it sends nothing is known.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
            answer
        })
    }

    async fn question<B>(
        &self,
        node: &str,
        path: &str,
        body: &mut Coming<B>,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let asked = body.all(LONGEST_QUESTION).await?;
        match path {
            wire::READY => {
                let Ready {
                    operation,
                    uid,
                    attempt,
                } = read(&asked)?;
                let desk = self.desks.find(&operation, node).await?;
                let ready = desk.is_ready(&operation, &uid, attempt).await;
                Ok(yes(&IsReady { ready }))
            }
            wire::STANDING => {
                let About { operation } = read(&asked)?;
                let desk = self.desks.find(&operation, node).await?;
                Ok(yes(&desk.standing(&operation).await?))
            }
            wire::RELEASE => {
                let Release {
                    operation,
                    uid,
                    digest,
                } = read(&asked)?;
                let desk = self.desks.find(&operation, node).await?;
                desk.release(&operation, uid.as_deref(), &digest).await?;
                Ok(yes(&Done {}))
            }
            wire::REVOKE => {
                let Revoke { operation, uid } = read(&asked)?;
                let desk = self.desks.find(&operation, node).await?;
                let pod = desk.revoke(&operation, &uid).await?;
                Ok(yes(&Revoked { pod }))
            }
            _ => Ok(no(
                404,
                format!(
                    "nothing is answered at {path}: this agent is of version {}",
                    env!("CARGO_PKG_VERSION")
                ),
            )),
        }
    }

    async fn transfer<B>(
        &self,
        node: &str,
        path: &str,
        body: &mut Coming<B>,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let line = body.line().await?;
        let Which {
            operation,
            generation,
        } = read(&line)?;
        let desk = self.desks.find(&operation, node).await?;
        let turn = self.turn(desk.as_ref(), &operation, &generation).await?;
        match path {
            wire::HELD => Ok(yes(&blocking(move || turn.held()).await?)),
            wire::FILES => receive(turn, body).await,
            _ => {
                let manifest = body.all(LONGEST_MANIFEST).await?;
                let kept = blocking(move || turn.keep(&operation, &manifest)).await?;
                Ok(yes(&match kept {
                    Kept::Whole(digest) => Ended::Verified(digest),
                    Kept::Wrong(files) => Ended::Wrong(files),
                }))
            }
        }
    }

    async fn turn(
        &self,
        desk: &dyn Desk,
        operation: &str,
        generation: &str,
    ) -> Result<Turn, Refusal> {
        let expected = desk.expects(operation, generation).await?;
        self.receiving.turn(expected, generation)
    }
}

/// Files are written as they come, by a thread that may wait for the disk.
async fn receive<B>(turn: Turn, body: &mut Coming<B>) -> Result<Answer, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (sender, receiver) = channel();
    let writing = tokio::task::spawn_blocking(move || turn.write(receiver));
    let mut came = Ok(());
    loop {
        let next = match body.next().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(refusal) => {
                came = Err(refusal);
                break;
            }
        };
        if sender.send(next).await.is_err() {
            // It wants no more, and says why.
            break;
        }
    }
    drop(sender);
    let written = joined(writing.await);
    if written.is_err() && came.is_ok() {
        body.drain().await;
    }
    let bytes = written?;
    came?;
    Ok(yes(&Received { bytes }))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(done: Result<T, tokio::task::JoinError>) -> T {
    match done {
        Ok(done) => done,
        // A panic of ours is not an answer.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(text)
        .map_err(|error| Refusal::Unexpected(format!("the question cannot be read: {error}")))
}

fn yes(answer: &impl Serialize) -> Answer {
    match serde_json::to_vec(answer) {
        Ok(text) => Response::new(Full::from(text)),
        Err(error) => no(500, error.to_string()),
    }
}

fn no(code: u16, why: String) -> Answer {
    let text = serde_json::to_vec(&No { why }).unwrap_or_default();
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// A body, as it comes.
struct Coming<B> {
    body: B,
    /// What came with the last part and was not taken.
    rest: Bytes,
}

impl<B> Coming<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    /// The next part of it; nothing after its orderly end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        loop {
            let frame = timeout(SILENCE, self.body.frame()).await;
            let frame = frame
                .map_err(|_elapsed| Refusal::Unfit(format!("nothing came for {SILENCE:?}")))?;
            match frame.transpose() {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(_trailers) => {}
                },
                Ok(None) => return Ok(None),
                Err(error) => return Err(Refusal::Unfit(format!("the body was cut off: {error}"))),
            }
        }
    }

    /// All of it, up to so many bytes.
    async fn all(&mut self, most: usize) -> Result<Bytes, Refusal> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if all.len().saturating_add(bytes.len()) > most {
                return Err(Refusal::TooMuch(format!("it has more than {most} bytes")));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// Its first line, which may be all of it.
    async fn line(&mut self) -> Result<Bytes, Refusal> {
        let mut line = BytesMut::new();
        while let Some(mut bytes) = self.next().await? {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = bytes.split_to(end.unwrap_or(bytes.len()));
            line.extend_from_slice(&part);
            if line.len() > LONGEST_QUESTION {
                return Err(Refusal::TooMuch(format!(
                    "its first line has more than {LONGEST_QUESTION} bytes"
                )));
            }
            if end.is_some() {
                bytes.advance(1);
                self.rest = bytes;
                break;
            }
        }
        Ok(line.freeze())
    }

    /// Nobody wants the rest.
    async fn drain(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.next().await {} };
        // Who does not end by then does not hear the answer.
        let _drained = timeout(DRAIN, rest).await;
    }
}

/// For the server: shared by its connections.
pub(crate) fn shared(desks: Desks, receiving: Arc<Receiving>) -> Arc<Service> {
    Arc::new(Service { desks, receiving })
}
