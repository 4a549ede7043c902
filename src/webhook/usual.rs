//! Reviews as API servers send them, answered without anything between the bytes and the endpoint.
//!
//! A request that has all come, has no header that asks for more than an answer, and whose answer is there at once, is answered where it
//! was received: no request, no body and no response are built for it. Whatever else comes is left to hyper, with all of its bytes, and
//! hyper has the connection from then on. So nothing is refused here, and nothing is waited for but the rest of a request.

use crate::process::clock;
use crate::webhook::connections::{Doing, Seat};
use crate::webhook::exchange::Exchange;
use bytes::{Buf, BytesMut};
use httparse::{Header, Request, Status};
use jiff::fmt::rfc2822::DateTimePrinter;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

/// More headers than an API server sends.
const MOST_HEADERS: usize = 32;
/// A longer head is not waited for.
pub(super) const LONGEST_HEAD: usize = 8 * 1024;
/// As much text as one record of TLS holds.
pub(super) const SPACE: usize = 16 * 1024;
/// How long the rest of a body is waited for: it was sent together with its head. hyper, which has it then, waits as long as is allowed.
const SOON: Duration = Duration::from_millis(200);

/// Headers by which a request asks for more than an answer.
const MEANINGFUL: [&str; 6] = [
    "connection",
    "expect",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

thread_local! {
    static TEXT: RefCell<Box<[u8]>> = RefCell::new(vec![0; SPACE].into());
    static TODAY: RefCell<Option<Today>> = const { RefCell::new(None) };
}

/// What stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole request: for whom it is, its body, and how long it is.
    Request(&'a str, &'a [u8], usize),
    /// The beginning of a head.
    Head,
    /// A head, and not the whole body: for whom the request is, and how long it is.
    Body(&'a str, usize),
    Other,
}

pub(super) fn find(text: &[u8], longest_body: usize) -> Found<'_> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut head = Request::new(&mut []);
    let begin = match head.parse_with_uninit_headers(text, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if text.len() < LONGEST_HEAD => return Found::Head,
        Ok(Status::Partial) | Err(_) => return Found::Other,
    };
    let (Some("POST"), Some(1), Some(target)) = (head.method, head.version, head.path) else {
        return Found::Other;
    };
    let length = body_length(head.headers).filter(|length| *length <= longest_body);
    let Some(length) = length.filter(|_| target.bytes().all(is_plain)) else {
        return Found::Other;
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let end = begin.saturating_add(length);
    text.get(begin..end).map_or(Found::Body(path, end), |body| {
        Found::Request(path, body, end)
    })
}

/// Whether a target may hold this: what else there is, hyper looks at more closely, and refuses some of it.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~')
}

/// How long the body is, if the head says so once, and that it is JSON, and nothing else that means anything.
fn body_length(headers: &[Header]) -> Option<usize> {
    let (mut length, mut is_json) = (None, false);
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let said = str::from_utf8(header.value).ok()?;
            let is_number = said.bytes().all(|byte| byte.is_ascii_digit());
            let said = said.parse().ok().filter(|_| is_number && length.is_none());
            length = Some(said?);
        } else if is("content-type") {
            if is_json || header.value != b"application/json" {
                return None;
            }
            is_json = true;
        } else if MEANINGFUL.into_iter().any(is) {
            return None;
        }
    }
    length.filter(|_| is_json)
}

/// What follows what came.
enum Step {
    /// A whole answer; whether it is the connection's last; since when it is there.
    Answer(Vec<u8>, bool, Instant),
    Head,
    /// A head has come, of a request that is so long.
    Body(usize),
    Other,
    /// The client says that nothing more comes.
    End,
}

/// The server's part in one connection, as long as it is usual.
pub(super) struct Usual<'a, S> {
    pub(super) stream: &'a mut S,
    pub(super) exchange: &'a Exchange,
    pub(super) seat: &'a Seat,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Usual<'_, S> {
    /// Answers as long as it can. What is returned has come and was not answered; `None` when the connection has ended.
    pub(super) async fn serve(mut self) -> io::Result<Option<BytesMut>> {
        let mut came = BytesMut::new();
        let mut step = Step::Head;
        loop {
            step = match step {
                Step::Head => self.more(&mut came).await?,
                Step::Body(end) => match timeout(SOON, self.rest(&mut came, end)).await {
                    Ok(step) => step?,
                    Err(_elapsed) => Step::Other,
                },
                Step::Answer(answer, is_last, since) => {
                    // Whoever else has a request here is looked at first: reviews follow one another while what they read is at hand,
                    // answers go out together, and a client that waits for several wakes once. Meanwhile the connection may not be
                    // closed; how long the client then takes to read is its own time.
                    yield_now().await;
                    self.seat.begins(Doing::Rest, since);
                    self.stream.write_all(&answer).await?;
                    self.stream.flush().await?;
                    if is_last {
                        Step::End
                    } else {
                        self.again(&mut came)
                    }
                }
                Step::Other => return Ok(Some(came)),
                Step::End => {
                    self.stream.shutdown().await?;
                    return Ok(None);
                }
            }
        }
    }

    /// Waits for the rest of a request that is so long. However many pieces it comes in, it is looked at again once.
    async fn rest(&mut self, came: &mut BytesMut, end: usize) -> io::Result<Step> {
        while came.len() < end {
            let fetched = poll_fn(|context| {
                TEXT.with_borrow_mut(|space| {
                    let mut text = ReadBuf::new(space);
                    ready!(Pin::new(&mut *self.stream).poll_read(context, &mut text))?;
                    came.extend_from_slice(text.filled());
                    Poll::Ready(io::Result::Ok(text.filled().len()))
                })
            });
            let fetched = fetched.await.inspect_err(|_| self.exchange.was_cut())?;
            if fetched == 0 {
                return Ok(Step::Other);
            }
        }
        Ok(self.again(came))
    }

    /// Waits for more. Where nothing came before, a whole request is answered without being kept.
    async fn more(&mut self, came: &mut BytesMut) -> io::Result<Step> {
        poll_fn(|context| {
            TEXT.with_borrow_mut(|space| {
                let mut text = ReadBuf::new(space);
                ready!(Pin::new(&mut *self.stream).poll_read(context, &mut text))?;
                let text = text.filled();
                if text.is_empty() {
                    // What is to be said about half a request, hyper says.
                    let is_over = came.is_empty();
                    return Poll::Ready(Ok(if is_over { Step::End } else { Step::Other }));
                }
                if !came.is_empty() {
                    came.extend_from_slice(text);
                    return Poll::Ready(Ok(self.again(came)));
                }
                let (step, used) = self.look(text);
                let rest = text.get(used..).unwrap_or_default();
                if !rest.is_empty() {
                    came.extend_from_slice(rest);
                }
                Poll::Ready(Ok(step))
            })
        })
        .await
    }

    /// Looks at what has come and was kept.
    fn again(&self, came: &mut BytesMut) -> Step {
        if came.is_empty() {
            return Step::Head;
        }
        let (step, used) = self.look(came);
        came.advance(used);
        if came.is_empty() {
            *came = BytesMut::new();
        }
        step
    }

    /// What follows some text, and how much of it is done with.
    fn look(&self, text: &[u8]) -> (Step, usize) {
        let (path, body, length) = match find(text, self.exchange.small()) {
            Found::Request(path, body, length) => (path, body, length),
            Found::Head => {
                self.seat.hears();
                return (Step::Head, 0);
            }
            Found::Body(path, end) if self.exchange.serves(path) => {
                self.seat.hears();
                return (Step::Body(end), 0);
            }
            Found::Body(..) | Found::Other => return (Step::Other, 0),
        };
        match self.exchange.at_once(self.seat, path, body) {
            Some(answered) => {
                let answer = written(&answered.body, answered.is_last, answered.at);
                let step = Step::Answer(answer, answered.is_last, answered.at);
                (step, length)
            }
            None => (Step::Other, 0),
        }
    }
}

/// An answer, as hyper writes it.
fn written(body: &[u8], is_last: bool, now: Instant) -> Vec<u8> {
    let mut answer = Vec::with_capacity(body.len().saturating_add(160));
    answer.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n");
    if is_last {
        answer.extend_from_slice(b"connection: close\r\n");
    }
    // A vector takes all that is written.
    let _written = write!(answer, "content-length: {}\r\ndate: ", body.len());
    TODAY.with_borrow_mut(|today| {
        let today = match today.take() {
            Some(known) if now < known.until => today.insert(known),
            _ => today.insert(Today::at(now)),
        };
        answer.extend_from_slice(today.text.as_bytes());
    });
    answer.extend_from_slice(b"\r\n\r\n");
    answer.extend_from_slice(body);
    answer
}

/// The date as HTTP writes it, for a second.
struct Today {
    until: Instant,
    text: String,
}

impl Today {
    fn at(now: Instant) -> Self {
        let time = clock::now();
        let passed = u64::try_from(time.subsec_nanosecond()).unwrap_or_default();
        let left = Duration::from_secs(1).saturating_sub(Duration::from_nanos(passed));
        let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
        Self {
            until: now.checked_add(left).unwrap_or(now),
            // Only a year of five digits cannot be written.
            text: text.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
