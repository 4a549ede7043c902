//! Asks the agent, and waits for its last word as long as it may take. An agent that dies is asked again when it is back.

use super::api::{Ask, LONGEST_LINE, Line, Question, VERSION};
use super::parent::Parent;
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::oci::pause;
use crate::write_steps;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

write_steps! {
    /// A question goes to the agent.
    QUESTION,
    /// Its last word has come.
    ANSWER,
}

/// An agent that says nothing for so long is taken for dead.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(25);

/// How long to wait for a sign of a new agent before trying again all the same.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Why there is no last word.
#[derive(Debug)]
pub(super) enum Lost {
    /// Nobody listens.
    Away(String),
    /// Somebody listens, and did not answer to the end, or nothing that can be understood.
    Broken(String),
    /// Nobody wants the answer any more.
    Unwanted(Failure),
}

/// One question, asked once. `wait` tells what is waited for.
pub(super) fn once(
    socket: &Path,
    ask: &Ask,
    parent: &Parent,
    wait: &mut dyn FnMut(String) -> Result<(), Failure>,
) -> Result<Line, Lost> {
    let stream = UnixStream::connect(socket);
    let mut stream = stream
        .map_err(|error| Lost::Away(format!("cannot reach the agent of this node: {error}")))?;
    let question = Question {
        version: VERSION,
        ask: ask.clone(),
    };
    let broken =
        |why: std::io::Error| Lost::Broken(format!("the agent of this node was lost: {why}"));
    let text = serde_json::to_string(&question).map_err(|error| broken(error.into()))?;
    let sent = around(&QUESTION, || {
        stream.write_all(format!("{text}\n").as_bytes())
    });
    sent.map_err(broken)?;
    stream.set_nonblocking(true).map_err(broken)?;
    let mut read = Vec::new();
    loop {
        let line = next_line(&mut stream, &mut read, parent)?;
        match serde_json::from_slice(&line) {
            Ok(Line::Wait { why }) => wait(why).map_err(Lost::Unwanted)?,
            Ok(last) => {
                return Ok(around(&ANSWER, || last));
            }
            Err(error) => {
                let line = String::from_utf8_lossy(&line)
                    .chars()
                    .take(100)
                    .collect::<String>();
                return Err(Lost::Broken(format!(
                    "the agent of this node answered what is not understood ({error}): {line}"
                )));
            }
        }
    }
}

/// The bytes up to the next line feed. What comes behind it stays in `read`.
fn next_line(
    stream: &mut UnixStream,
    read: &mut Vec<u8>,
    parent: &Parent,
) -> Result<Vec<u8>, Lost> {
    let broken = |why: &dyn std::fmt::Display| {
        Lost::Broken(format!("the agent of this node was lost: {why}"))
    };
    let begin = Instant::now();
    loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let rest = read.split_off(end.saturating_add(1));
            let mut line = std::mem::replace(read, rest);
            line.pop();
            return Ok(line);
        }
        if read.len() > LONGEST_LINE {
            return Err(broken(&"its answer has no end"));
        }
        let left = LONGEST_SILENCE.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(broken(&format!("it said nothing for {LONGEST_SILENCE:?}")));
        }
        let mut watched = vec![PollFd::new(stream, PollFlags::IN)];
        watched.extend(parent.watch());
        pause::wait(&mut watched, left);
        parent.is_there().map_err(Lost::Unwanted)?;
        let mut chunk = [0_u8; 4096];
        match stream.read(&mut chunk) {
            Ok(0) => return Err(broken(&"it closed the connection")),
            Ok(count) => read.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error)
                if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

/// A sign that a new agent has come: something new beside its socket.
#[derive(Debug)]
pub(super) struct Sign(Option<rustix::fd::OwnedFd>);

impl Sign {
    /// None is looked out for.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Looks out for it from now on.
    pub(super) fn of(socket: &Path) -> Self {
        let folder = socket.parent().unwrap_or(Path::new("/"));
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).and_then(|watch| {
            let news = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
            inotify::add_watch(&watch, folder, news)?;
            Ok(watch)
        });
        Self(watch.ok())
    }

    /// Waits for it, or a while.
    ///
    /// # Errors
    /// If nobody waits for us any more.
    pub(super) fn wait(&self, parent: &Parent, limit: Duration) -> Result<(), Failure> {
        let mut watched: Vec<_> = parent.watch().into_iter().collect();
        if let Some(watch) = &self.0 {
            watched.push(PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN));
        }
        pause::wait(&mut watched, limit.min(BETWEEN_TRIES));
        parent.is_there()
    }
}
