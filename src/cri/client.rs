//! One call to a container runtime, over its Unix socket. A connection is one call: nothing has to be mended after the runtime was
//! started again.

use crate::kit::error::Error;
use crate::kit::protobuf::Message;
use bytes::{Buf, Bytes};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// gRPC's own head: a byte that says "not compressed", and the length.
const HEAD: usize = 5;

/// A container runtime's socket.
#[derive(Debug, Clone)]
pub struct Cri {
    socket: PathBuf,
    limit: Duration,
}

impl Cri {
    /// The runtime behind this socket; each call may take so long.
    #[must_use]
    pub fn new(socket: &Path, limit: Duration) -> Self {
        Self {
            socket: socket.to_owned(),
            limit,
        }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Calls a method of the runtime's service.
    pub(crate) async fn call(
        &self,
        method: &'static str,
        request: Message,
    ) -> Result<Bytes, Error> {
        self.call_of("RuntimeService", method, request).await
    }

    /// Calls a method of one of its services.
    pub(super) async fn call_of(
        &self,
        service: &'static str,
        method: &'static str,
        request: Message,
    ) -> Result<Bytes, Error> {
        let path = format!("/runtime.v1.{service}/{method}");
        match tokio::time::timeout(self.limit, self.ask(method, &path, request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Error::TimedOut {
                verb: "call",
                object: self.name(method),
                limit: self.limit,
            }),
        }
    }

    fn name(&self, method: &str) -> String {
        format!("{method} of {}", self.socket.display())
    }

    async fn ask(
        &self,
        method: &'static str,
        path: &str,
        message: Message,
    ) -> Result<Bytes, Error> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::io(
                "call",
                self.name(method),
                std::io::Error::other(error.to_string()),
            )
        };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| Error::io("connect to", self.socket.display().to_string(), source))?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let carried = tokio::spawn(connection);
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed(&message.into_bytes())))
            .map_err(|error| failed(&error))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        let status = answer.status();
        let head = answer.headers().clone();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| failed(&error))?;
        carried.abort();
        if !status.is_success() {
            return Err(failed(&status));
        }
        let trailers = body.trailers().cloned().unwrap_or_default();
        refusal(&head)
            .or_else(|| refusal(&trailers))
            .map_or(Ok(()), |said| Err(failed(&said)))?;
        unframed(body.to_bytes()).ok_or_else(|| failed(&"the answer is cut off"))
    }
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(message.len().saturating_add(HEAD));
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn unframed(mut body: Bytes) -> Option<Bytes> {
    if body.len() < HEAD || body.get_u8() != 0 {
        return None;
    }
    let length = usize::try_from(body.get_u32()).ok()?;
    (body.len() >= length).then(|| body.slice(..length))
}

/// What the runtime said when it refused.
fn refusal(headers: &HeaderMap) -> Option<String> {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let code = get("grpc-status").filter(|code| *code != "0")?;
    let said = get("grpc-message").unwrap_or_default();
    Some(format!("{} (code {code})", unescaped(said)))
}

/// gRPC writes what is not plain text as %XX.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back() {
        assert_eq!(unframed(framed(b"words")).unwrap(), "words");
        assert_eq!(unframed(framed(b"")).unwrap(), "");
        assert_eq!(unframed(framed(b"words").slice(..7)), None);
        assert_eq!(unframed(Bytes::from_static(b"\x00\x00")), None);
    }

    #[test]
    fn a_refusal_is_readable() {
        let mut headers = HeaderMap::new();
        assert_eq!(refusal(&headers), None);
        headers.insert("grpc-status", "0".parse().unwrap());
        assert_eq!(refusal(&headers), None);
        headers.insert("grpc-status", "2".parse().unwrap());
        headers.insert(
            "grpc-message",
            "no runtime for %22x%22 is configured 100%".parse().unwrap(),
        );
        assert_eq!(
            refusal(&headers).unwrap(),
            "no runtime for \"x\" is configured 100% (code 2)"
        );
    }
}
