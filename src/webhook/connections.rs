//! Who is connected to the webhook server, what each connection is doing, and since when.
//!
//! An API server is one address with many connections, so no address has a share of its own. Instead, when all seats are taken, the
//! first of those that came and never asked anything gives its seat up; where all have asked, the one that has rested longest. So a crowd
//! that connects and says nothing only drives out itself. A connection whose review is under way is never closed.
//!
//! The limits on time are kept by one look round ([`Connections::sweep`]), not by a timer for each connection: a request costs a few
//! stores of a number.

use crate::process::telemetry::WebhookMetrics;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a connection may take for each thing that it does, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How many connections there may be at once.
    pub(super) most: usize,
    /// For the TLS handshake.
    pub(super) handshake: Duration,
    /// For the head of a request, from its first byte.
    pub(super) head: Duration,
    /// Between requests. An API server may use a connection again after 90 s.
    pub(super) rest: Duration,
    /// After how long a connection is closed with its next answer, so that replicas that came later get their part.
    pub(super) age: Duration,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Handshake = 0,
    Rest = 1,
    Head = 2,
    Body = 3,
    Review = 4,
}

impl Doing {
    const BITS: u32 = 3;

    fn of(word: u64) -> Self {
        match word & 0b111 {
            0 => Self::Handshake,
            1 => Self::Rest,
            2 => Self::Head,
            3 => Self::Body,
            _ => Self::Review,
        }
    }
}

/// One connection's seat.
pub(super) struct Seat {
    epoch: Instant,
    retires: Duration,
    /// Milliseconds since the epoch, and what is being done since then.
    state: AtomicU64,
    has_asked: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Seat {
    pub(super) fn begins(&self, doing: Doing, now: Instant) {
        let since = now.saturating_duration_since(self.epoch).as_millis();
        let word = (u64::try_from(since).unwrap_or_default() << Doing::BITS) | doing as u64;
        self.state.store(word, Ordering::Relaxed);
        if doing == Doing::Review {
            self.has_asked.store(true, Ordering::Relaxed);
        }
    }

    /// The first bytes of a request have come.
    pub(super) fn hears(&self) {
        if Doing::of(self.state.load(Ordering::Relaxed)) == Doing::Rest {
            self.begins(Doing::Head, Instant::now());
        }
    }

    /// Whether it is time for this connection to make place for a new one, which may go to another replica.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.epoch) > self.retires
    }

    /// It never asked anything.
    fn is_silent(&self) -> bool {
        !self.has_asked.load(Ordering::Relaxed)
    }

    /// What is being done, and since when, from the epoch on.
    pub(super) fn state(&self) -> (Doing, Duration) {
        let word = self.state.load(Ordering::Relaxed);
        (Doing::of(word), Duration::from_millis(word >> Doing::BITS))
    }
}

/// All connections of one server.
pub(super) struct Connections {
    epoch: Instant,
    patience: Patience,
    metrics: WebhookMetrics,
    number: AtomicU64,
    seats: Mutex<Seats>,
}

/// Everybody who is connected.
#[derive(Default)]
struct Seats {
    all: HashMap<u64, Arc<Seat>>,
    /// Those that never asked, in the order in which they came; and some that did, or have gone. A crowd is not looked through for each
    /// newcomer: that would take longer than a review.
    silent: VecDeque<u64>,
}

impl Seats {
    fn take(&mut self, number: u64, seat: Arc<Seat>, most: usize) {
        self.all.insert(number, seat);
        self.silent.push_back(number);
        if self.silent.len() > most.saturating_mul(2) {
            let Self { all, silent } = self;
            silent.retain(|number| all.get(number).is_some_and(|seat| seat.is_silent()));
        }
    }

    /// Who gives up the seat: of those that never asked the first that came, else whoever rested longest.
    fn next_to_go(&mut self) -> Option<(u64, Arc<Seat>)> {
        while let Some(number) = self.silent.pop_front() {
            let seat = self.all.get(&number);
            if let Some(seat) = seat.filter(|seat| seat.is_silent() && seat.task.get().is_some()) {
                return Some((number, Arc::clone(seat)));
            }
        }
        let all = self.all.iter();
        all.filter(|(_, seat)| seat.task.get().is_some() && seat.state().0 != Doing::Review)
            .min_by_key(|(number, seat)| (seat.state().1, **number))
            .map(|(number, seat)| (*number, Arc::clone(seat)))
    }
}

impl Connections {
    pub(super) fn new(patience: Patience, metrics: WebhookMetrics) -> Self {
        Self {
            epoch: Instant::now(),
            patience,
            metrics,
            number: AtomicU64::default(),
            seats: Mutex::default(),
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.seats().all.len()
    }

    /// Whether the next connection takes somebody's seat.
    pub(super) fn is_full(&self) -> bool {
        self.count() >= self.patience.most
    }

    /// A seat for a new connection: a free one, or that of whoever rested longest. None when every connection has a review under way.
    pub(super) fn take(self: &Arc<Self>, now: Instant) -> Option<Taken> {
        let mut seats = self.seats();
        if seats.all.len() >= self.patience.most {
            let (number, seat) = seats.next_to_go()?;
            self.close(&mut seats, number, &seat, "crowded_out");
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        // Spread over half as much again, so that connections that came together do not go together.
        let spread = u32::try_from(number.wrapping_mul(7) % 50).unwrap_or_default();
        let age = self.patience.age;
        let seat = Arc::new(Seat {
            epoch: self.epoch,
            retires: now
                .saturating_duration_since(self.epoch)
                .saturating_add(age)
                .saturating_add(
                    age.saturating_mul(spread)
                        .checked_div(100)
                        .unwrap_or_default(),
                ),
            state: AtomicU64::default(),
            has_asked: AtomicBool::default(),
            task: OnceLock::new(),
        });
        seat.begins(Doing::Handshake, now);
        seats.take(number, Arc::clone(&seat), self.patience.most);
        self.metrics.connected(seats.all.len());
        Some(Taken {
            connections: Arc::clone(self),
            number,
            seat,
        })
    }

    /// Closes every connection that has taken longer than it may.
    pub(super) fn sweep(&self, now: Instant) {
        let now = now.saturating_duration_since(self.epoch);
        let mut seats = self.seats();
        let late: Vec<_> = seats
            .all
            .iter()
            .filter_map(|(number, seat)| {
                let (doing, since) = seat.state();
                let (limit, reason) = match doing {
                    Doing::Handshake => (self.patience.handshake, "slow_handshake"),
                    Doing::Head => (self.patience.head, "slow_head"),
                    Doing::Rest => (self.patience.rest, ""),
                    // These have limits of their own, and an answer when they are over.
                    Doing::Body | Doing::Review => return None,
                };
                (now.saturating_sub(since) > limit).then(|| (*number, Arc::clone(seat), reason))
            })
            .collect();
        for (number, seat, reason) in late {
            self.close(&mut seats, number, &seat, reason);
        }
    }

    /// The server goes: closes every connection that has nothing under way. One that has just come is given a second to ask.
    pub(super) fn close_resting(&self, now: Instant) {
        let now = now.saturating_duration_since(self.epoch);
        let mut seats = self.seats();
        let resting: Vec<_> = seats
            .all
            .iter()
            .filter(|(_, seat)| {
                let (doing, since) = seat.state();
                let is_new = seat.is_silent() && now.saturating_sub(since) < Duration::from_secs(1);
                matches!(doing, Doing::Handshake | Doing::Rest) && !is_new
            })
            .map(|(number, seat)| (*number, Arc::clone(seat)))
            .collect();
        for (number, seat) in resting {
            self.close(&mut seats, number, &seat, "");
        }
    }

    /// An empty reason is none that anybody needs to hear of.
    fn close(&self, seats: &mut Seats, number: u64, seat: &Seat, reason: &'static str) {
        if let Some(task) = seat.task.get() {
            task.abort();
            seats.all.remove(&number);
            self.metrics.connected(seats.all.len());
            if !reason.is_empty() {
                self.metrics.refused(reason);
            }
        }
    }
}

/// A taken seat; it is free again when this is dropped.
pub(super) struct Taken {
    connections: Arc<Connections>,
    number: u64,
    seat: Arc<Seat>,
}

impl Taken {
    pub(super) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }
}

impl Seat {
    /// The task that this connection runs in: without it, the connection cannot be closed from outside.
    pub(super) fn runs_in(&self, task: AbortHandle) {
        // It is told once.
        let _told_before = self.task.set(task);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut seats = self.connections.seats();
        seats.all.remove(&self.number);
        self.connections.metrics.connected(seats.all.len());
    }
}

#[cfg(test)]
mod tests;
