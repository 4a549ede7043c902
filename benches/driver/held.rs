//! A connection in the load: whether it is free, or waits for an answer, and to what.

use crate::driver::answer;
use crate::driver::connection::{Connection, Seen};
use crate::driver::requests::Question;
use std::io;
use std::time::{Duration, Instant};

/// An API server gives up after the time that the webhook's configuration allows; this is more than any of ours.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A request that is on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    /// The moment from which its time counts.
    pub(crate) since: Instant,
    /// When it was really sent.
    pub(crate) sent: Instant,
}

/// A connection, and what it is doing.
pub(crate) struct Held {
    pub(crate) connection: Connection,
    pub(crate) opened: Instant,
    pub(crate) asked: Option<Asked>,
    /// The handshake is done, and it was told so.
    pub(crate) ready: bool,
    /// What came, as far as it is not read.
    inbox: Vec<u8>,
    writing: bool,
}

/// What happened to a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing that matters.
    None,
    /// It can take its first request.
    Ready,
    /// An answer is whole.
    Answered,
    /// It is over; the word says why.
    Over(&'static str),
}

impl Held {
    pub(crate) fn new(connection: Connection, opened: Instant) -> Self {
        Self {
            connection,
            opened,
            asked: None,
            ready: false,
            inbox: Vec::with_capacity(4096),
            writing: false,
        }
    }

    /// Reads and writes what can be.
    pub(crate) fn look(&mut self) -> News {
        match self.connection.receive(&mut self.inbox) {
            Ok(Seen::Open) => {}
            Ok(Seen::Closed) if answer::read(&self.inbox).is_ok_and(|answer| answer.is_some()) => {}
            Ok(Seen::Closed) => return News::Over("closed"),
            Err(_) => return News::Over("broken"),
        }
        if self.writing && self.connection.flush().is_err() {
            return News::Over("broken");
        }
        if !self.ready && !self.connection.is_handshaking() {
            self.ready = true;
            return News::Ready;
        }
        match (&self.asked, answer::read(&self.inbox)) {
            (_, Err(_)) => News::Over("no answer of HTTP"),
            (_, Ok(None)) => News::None,
            (None, Ok(Some(_))) => News::Over("an answer to nothing"),
            (Some(_), Ok(Some(_))) => News::Answered,
        }
    }

    /// Sends a request; `true` if a part of it has to wait.
    pub(crate) fn send(&mut self, request: &[u8], asked: Asked) -> io::Result<bool> {
        self.asked = Some(asked);
        self.writing = !self.connection.send(request)?;
        Ok(self.writing)
    }

    /// The answer that has come, and the question it belongs to; what follows it stays.
    pub(crate) fn take<T>(
        &mut self,
        read: impl FnOnce(&answer::Answer<'_>, Asked) -> T,
    ) -> Option<T> {
        let asked = self.asked.take()?;
        let Ok(Some(answer)) = answer::read(&self.inbox) else {
            return None;
        };
        let taken = read(&answer, asked);
        let length = answer.length.min(self.inbox.len());
        self.inbox.drain(..length);
        Some(taken)
    }

    /// Whether it has waited longer than any API server would.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        let since = self.asked.map_or(self.opened, |asked| asked.sent);
        (self.asked.is_some() || !self.ready) && now.saturating_duration_since(since) > TIMEOUT
    }
}
