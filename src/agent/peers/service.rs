//! One question of another node's agent, and its answer. Who asks is known by his certificate, and is named to the desks; nothing that he
//! says himself about that is looked at.

use crate::agent::blocking::{blocking, joined};
use crate::agent::peers::coming::Coming;
use crate::agent::peers::desk::{Desk, Desks, Refusal};
use crate::agent::peers::receiving::{Receiving, Turn, channel};
use crate::agent::peers::wire::{
    self, About, Done, Ended, IsReady, LONGEST_MANIFEST, LONGEST_QUESTION, No, Ready, Received,
    Release, Revoke, Revoked, Spare, Spared, Which,
};
use crate::agent::store::incoming::Kept;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// How often it is asked, while something comes, whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);

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
        let mut body = Coming::new(body);
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
            wire::SPARE => {
                let Spare {
                    operation,
                    generation,
                    bytes,
                } = read(&asked)?;
                let desk = self.desks.find(&operation, node).await?;
                let expected = desk.expects(&operation, &generation).await?;
                let bytes = self.receiving.spare(&expected, &generation, bytes).await?;
                Ok(yes(&Spared { bytes }))
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
        let expected = desk.expects(&operation, &generation).await?;
        let turn = self.receiving.turn_soon(expected, &generation).await?;
        let asked = Asked {
            desk: desk.as_ref(),
            operation: &operation,
            node,
        };
        // Whoever deletes it waits for the turn, and may have had it before us.
        asked.is_wanted().await?;
        match path {
            wire::HELD => Ok(yes(&blocking(move || turn.held()).await?)),
            wire::FILES => receive(turn, body, &asked).await,
            _ => {
                let manifest = asked.meanwhile(body.all(LONGEST_MANIFEST)).await?;
                let kept = blocking(move || turn.keep(&operation, &manifest)).await?;
                Ok(yes(&match kept {
                    Kept::Whole(digest) => Ended::Verified(digest),
                    Kept::Wrong(files) => Ended::Wrong(files),
                }))
            }
        }
    }
}

/// A question that takes its time: an order may change meanwhile.
struct Asked<'a> {
    desk: &'a dyn Desk,
    operation: &'a str,
    node: &'a str,
}

impl Asked<'_> {
    async fn is_wanted(&self) -> Result<(), Refusal> {
        self.desk.admits(self.operation, self.node).await
    }

    /// Does this for as long as it is wanted.
    async fn meanwhile<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK) => self.is_wanted().await?,
            }
        }
    }
}

/// Files are written as they come, by a thread that may wait for the disk.
async fn receive<B>(turn: Turn, body: &mut Coming<B>, asked: &Asked<'_>) -> Result<Answer, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (sender, receiver) = channel();
    let writing = tokio::task::spawn_blocking(move || turn.write(receiver));
    let coming = async {
        while let Some(bytes) = body.next().await? {
            if sender.send(bytes).await.is_err() {
                // It wants no more, and says why.
                break;
            }
        }
        Ok(())
    };
    let came = asked.meanwhile(coming).await;
    drop(sender);
    let written = joined(writing.await);
    came?;
    if written.is_err() {
        body.drain().await;
    }
    Ok(yes(&Received { bytes: written? }))
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

/// For the server: shared by its connections.
pub(crate) fn shared(desks: Desks, receiving: Arc<Receiving>) -> Arc<Service> {
    Arc::new(Service { desks, receiving })
}
