//! Memory that is sent while its programs run, page for page to where CRIU would write it now. Read once more, only what changed is sent.

use crate::agent::blocking::{blocking, joined};
use crate::agent::marks::Mark;
use crate::agent::peers::path::Below;
use crate::agent::peers::sending::{WAITING, body, line};
use crate::agent::peers::stream::{Begins, PIECE, Packer};
use crate::agent::peers::way::{Failure, Way};
use crate::agent::peers::wire::{self, Received, Which};
use crate::agent::store::digests::{BLOCK, Block, block};
use crate::agent::store::foretold::{Fresh, Guess};
use crate::engine::dump::pages::{Process, Span, spans};
use bytes::Bytes;
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// So much is sent with one question, ...
const MOST_SENT: u64 = 32 << 20;
/// ... and so much is looked at for it.
const MOST_SEEN: u64 = 512 << 20;
/// ... and so long.
const LONGEST: Duration = Duration::from_secs(5);
/// For its answer.
const LIMIT: Duration = Duration::from_secs(120);

/// A process, and the file that its memory would be in.
#[derive(Debug, Clone)]
pub(crate) struct Laid {
    pub(crate) path: String,
    pub(crate) process: Process,
}

/// What came of one pass over all memory.
pub(crate) struct Told {
    /// What the target has now.
    pub(crate) guess: Guess,
    /// How many bytes were sent; or why it ended early.
    pub(crate) sent: Result<u64, Failure>,
}

impl Way {
    /// Goes over the memory of processes once, and sends what is not as it was told before; until somebody has enough of it.
    pub(crate) async fn foretell(
        &mut self,
        (operation, generation): (&str, &str),
        guess: Guess,
        all: Vec<Laid>,
        enough: &CancellationToken,
    ) -> Told {
        let _mark = Mark::begin("foretell", generation);
        let which = Which {
            operation: operation.to_owned(),
            generation: generation.to_owned(),
        };
        let (mut pass, packer) = match (Pass::over(guess, all), Packer::new()) {
            (pass, Ok(packer)) => (pass, packer),
            (pass, Err(error)) => {
                let sent = Err(Failure::Ours(error.to_string()));
                let guess = pass.guess;
                return Told { guess, sent };
            }
        };
        let mut packer = packer;
        while !pass.is_over && !enough.is_cancelled() {
            let (sender, receiver) = mpsc::channel(WAITING);
            let which = which.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let read = pass.tell(&which, &sender, &mut packer);
                (pass, packer, read)
            });
            let body = body(receiver, Arc::clone(&self.pace));
            let told = tokio::select! {
                told = self.tell::<Received>(wire::FILES, body, LIMIT) => told,
                // The connection goes with the question, and whoever reads for it ends.
                () = enough.cancelled() => Err(Failure::Away("it was enough".into())),
            };
            let read;
            (pass, packer, read) = joined(reading.await);
            pass.heard(told.is_ok());
            if let Err(failure) = read.map_err(Failure::Ours).and(told) {
                let (guess, sent) = (pass.guess, Err(failure));
                return Told { guess, sent };
            }
        }
        Told {
            sent: Ok(pass.sent),
            guess: blocking(move || pass.guess).await,
        }
    }
}

/// Goes over memory, some at a time.
struct Pass {
    guess: Guess,
    all: std::vec::IntoIter<Laid>,
    now: Option<Reading>,
    /// What was sent and not heard of yet.
    waiting: Vec<(String, u64, Fresh, Option<Block>)>,
    sent: u64,
    is_over: bool,
}

impl Pass {
    fn over(guess: Guess, all: Vec<Laid>) -> Self {
        Self {
            guess,
            all: all.into_iter(),
            now: None,
            waiting: Vec::new(),
            sent: 0,
            is_over: false,
        }
    }

    /// Makes pieces of what is not as it was told, for one question.
    fn tell(
        &mut self,
        which: &Which,
        to: &mpsc::Sender<Bytes>,
        packer: &mut Packer,
    ) -> Result<(), String> {
        let first = line(which).map_err(|failure| failure.to_string())?;
        if to.blocking_send(first.into()).is_err() {
            return Ok(());
        }
        let (mut seen, mut sent, mut is_heard) = (0_u64, 0_u64, true);
        let mut piece = Vec::with_capacity(BLOCK);
        let began = Instant::now();
        while is_heard && seen < MOST_SEEN && sent < MOST_SENT && began.elapsed() < LONGEST {
            let Some((path, offset)) = self.next(&mut piece) else {
                self.is_over = true;
                break;
            };
            seen = seen.saturating_add(u64::try_from(piece.len()).unwrap_or_default());
            let fresh = self.guess.look(&path, offset, &piece);
            if fresh.differs.is_empty() {
                continue;
            }
            let below = Below::try_from(path.clone())?;
            for range in &fresh.differs {
                let Some(bytes) = within(&piece, offset, range) else {
                    continue;
                };
                sent = sent.saturating_add(u64::try_from(bytes.len()).unwrap_or_default());
                let begins = Begins {
                    path: below.clone(),
                    offset: range.start,
                    keeps: true,
                };
                let pieces = bytes.chunks(PIECE).map(|bytes| packer.data(bytes));
                let mut pieces = std::iter::once(Packer::file(&begins)).chain(pieces);
                is_heard = pieces.all(|piece| to.blocking_send(piece).is_ok());
                if !is_heard {
                    break;
                }
            }
            let digest = (piece.len() == BLOCK).then(|| block(&piece));
            self.waiting.push((path, offset, fresh, digest));
        }
        self.sent = self.sent.saturating_add(sent);
        Ok(())
    }

    /// The next block of what would be a file.
    fn next(&mut self, piece: &mut Vec<u8>) -> Option<(String, u64)> {
        loop {
            if let Some(reading) = &mut self.now {
                let offset = reading.offset;
                if reading.fill(piece) {
                    return Some((reading.path.clone(), offset));
                }
            }
            let laid = self.all.next()?;
            // Who is gone, or cannot be read, is dumped as if nothing had been told.
            self.now = Reading::of(laid);
        }
    }

    /// The target has what was sent; or it is not known what of it.
    fn heard(&mut self, is_there: bool) {
        for (path, offset, fresh, digest) in self.waiting.drain(..) {
            let sent = is_there.then_some((fresh, digest));
            self.guess.sent(&path, offset, sent);
        }
    }
}

fn within<'a>(piece: &'a [u8], offset: u64, range: &Range<u64>) -> Option<&'a [u8]> {
    let place = |at: u64| usize::try_from(at.checked_sub(offset)?).ok();
    piece.get(place(range.start)?..place(range.end)?)
}

/// One process, as it is read.
struct Reading {
    path: String,
    memory: File,
    spans: std::vec::IntoIter<Span>,
    /// What is left of one.
    rest: Option<Span>,
    /// Where in the file what comes next would be.
    offset: u64,
}

impl Reading {
    fn of(laid: Laid) -> Option<Self> {
        let spans = spans(&laid.process);
        let memory = File::open(laid.process.path("mem"));
        match (spans, memory) {
            (Ok(spans), Ok(memory)) => Some(Self {
                path: laid.path,
                memory,
                spans: spans.into_iter(),
                rest: None,
                offset: 0,
            }),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(%error, laid.path, "its memory cannot be told before");
                None
            }
        }
    }

    /// The next block, or the end; nothing after that, nor where it changes so much that its pages cannot be read.
    fn fill(&mut self, piece: &mut Vec<u8>) -> bool {
        piece.clear();
        while piece.len() < BLOCK {
            let Some(span) = self.rest.take().or_else(|| self.spans.next()) else {
                break;
            };
            let filled = piece.len();
            let room = u64::try_from(BLOCK.saturating_sub(filled)).unwrap_or_default();
            let bytes = span.bytes.min(room);
            let more = usize::try_from(bytes).unwrap_or_default();
            piece.resize(filled.saturating_add(more), 0);
            let into = piece.get_mut(filled..).unwrap_or_default();
            match self.memory.read_exact_at(into, span.address) {
                Ok(()) => {}
                // It was given back meanwhile: what is there will be seen.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    into.fill(0);
                }
                Err(_gone) => {
                    self.spans = Vec::new().into_iter();
                    return false;
                }
            }
            self.rest = (bytes < span.bytes).then(|| Span {
                address: span.address.saturating_add(bytes),
                bytes: span.bytes.saturating_sub(bytes),
            });
        }
        self.offset = self
            .offset
            .saturating_add(u64::try_from(piece.len()).unwrap_or_default());
        !piece.is_empty()
    }
}
