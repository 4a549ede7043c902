//! Waiting for sockets and for moments, to the microsecond.

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// The kernel wakes a sleeper up to 50 µs late; so near to the moment there is no sleeping any more.
const TOO_NEAR_TO_SLEEP: Duration = Duration::from_micros(120);
/// How many events are taken at once.
const ROOM: usize = 256;

/// An epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(ROOM),
        })
    }

    /// Tells when `source` can be read, under this number. A socket that is closed is forgotten by itself.
    pub(crate) fn add(&self, source: impl AsFd, number: usize) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            source,
            data(number),
            EventFlags::IN,
        )?)
    }

    /// Whether to tell, too, when it can be written.
    pub(crate) fn watch_writing(
        &self,
        source: impl AsFd,
        number: usize,
        writing: bool,
    ) -> io::Result<()> {
        let flags = if writing {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        Ok(epoll::modify(&self.epoll, source, data(number), flags)?)
    }

    /// Puts into `ready` the numbers that something happened to, by `until` at the latest.
    pub(crate) fn wait(&mut self, until: Instant, ready: &mut Vec<usize>) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let sleep = left.saturating_sub(TOO_NEAR_TO_SLEEP);
        let timeout = Timespec {
            tv_sec: i64::try_from(sleep.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: sleep.subsec_nanos().into(),
        };
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear();
        let numbers = self.events.iter().map(|event| {
            let data = event.data;
            usize::try_from(data.u64()).unwrap_or(usize::MAX)
        });
        ready.extend(numbers);
        Ok(())
    }
}

fn data(number: usize) -> EventData {
    EventData::new_u64(u64::try_from(number).unwrap_or(u64::MAX))
}
