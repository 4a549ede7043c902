//! Who is connected to the webhook server, what each connection is doing, and since when.
//!
//! An API server is one address with many connections, so no address has a share of its own. Instead, when all seats are taken, the
//! connection that has rested longest gives its seat up; one that never asked anything goes before one that did. So a crowd that
//! connects and says nothing only drives out itself. A connection whose review is under way is never closed.
//!
//! The limits on time are kept by one look round ([`Connections::sweep`]), not by a timer for each connection: a request costs a few
//! stores of a number.

use crate::process::telemetry::WebhookMetrics;
use std::collections::HashMap;
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
    seats: Mutex<HashMap<u64, Arc<Seat>>>,
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

    fn seats(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.seats().len()
    }

    /// Whether the next connection takes somebody's seat.
    pub(super) fn is_full(&self) -> bool {
        self.count() >= self.patience.most
    }

    /// A seat for a new connection: a free one, or that of whoever rested longest. None when every connection has a review under way.
    pub(super) fn take(self: &Arc<Self>, now: Instant) -> Option<Taken> {
        let mut seats = self.seats();
        if seats.len() >= self.patience.most {
            let (number, seat) = longest_resting(&seats)?;
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
        seats.insert(number, Arc::clone(&seat));
        self.metrics.connected(seats.len());
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
            .iter()
            .filter(|(_, seat)| {
                let (doing, since) = seat.state();
                let is_new = !seat.has_asked.load(Ordering::Relaxed)
                    && now.saturating_sub(since) < Duration::from_secs(1);
                matches!(doing, Doing::Handshake | Doing::Rest) && !is_new
            })
            .map(|(number, seat)| (*number, Arc::clone(seat)))
            .collect();
        for (number, seat) in resting {
            self.close(&mut seats, number, &seat, "");
        }
    }

    /// An empty reason is none that anybody needs to hear of.
    fn close(
        &self,
        seats: &mut HashMap<u64, Arc<Seat>>,
        number: u64,
        seat: &Seat,
        reason: &'static str,
    ) {
        if let Some(task) = seat.task.get() {
            task.abort();
            seats.remove(&number);
            self.metrics.connected(seats.len());
            if !reason.is_empty() {
                self.metrics.refused(reason);
            }
        }
    }
}

fn longest_resting(seats: &HashMap<u64, Arc<Seat>>) -> Option<(u64, Arc<Seat>)> {
    seats
        .iter()
        .filter(|(_, seat)| seat.task.get().is_some() && seat.state().0 != Doing::Review)
        .min_by_key(|(number, seat)| {
            (
                seat.has_asked.load(Ordering::Relaxed),
                seat.state().1,
                **number,
            )
        })
        .map(|(number, seat)| (*number, Arc::clone(seat)))
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
        seats.remove(&self.number);
        self.connections.metrics.connected(seats.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::telemetry::Telemetry;

    const PATIENCE: Patience = Patience {
        most: 3,
        handshake: Duration::from_secs(5),
        head: Duration::from_secs(10),
        rest: Duration::from_secs(120),
        age: Duration::from_secs(600),
    };

    fn connections() -> Arc<Connections> {
        Arc::new(Connections::new(PATIENCE, Telemetry::default().webhooks))
    }

    fn connect(connections: &Arc<Connections>, doing: Doing) -> Option<Arc<Seat>> {
        let taken = connections.take(Instant::now())?;
        let seat = taken.seat();
        seat.begins(doing, Instant::now());
        let task = tokio::spawn(async move {
            let _taken = taken;
            std::future::pending::<()>().await;
        });
        seat.runs_in(task.abort_handle());
        Some(seat)
    }

    fn is_closed(seat: &Seat) -> bool {
        seat.task.get().unwrap().is_finished()
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_seats_are_taken_who_never_asked_goes_first_and_a_review_never() {
        let connections = connections();
        let good = connect(&connections, Doing::Review).unwrap();
        good.begins(Doing::Rest, Instant::now());
        pass(Duration::from_secs(1)).await;
        let first = connect(&connections, Doing::Rest).unwrap();
        pass(Duration::from_secs(1)).await;
        let second = connect(&connections, Doing::Head).unwrap();
        pass(Duration::from_secs(1)).await;
        let busy = connect(&connections, Doing::Review).unwrap();
        pass(Duration::ZERO).await;
        assert!(is_closed(&first) && !is_closed(&second) && !is_closed(&good));
        connect(&connections, Doing::Review).unwrap();
        pass(Duration::ZERO).await;
        assert!(is_closed(&second) && !is_closed(&good));
        connect(&connections, Doing::Review).unwrap();
        pass(Duration::ZERO).await;
        assert!(is_closed(&good), "it rested, the others do not");
        assert!(connect(&connections, Doing::Rest).is_none());
        assert!(!is_closed(&busy));
        assert_eq!(connections.count(), PATIENCE.most);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_long_is_closed_and_a_rest_may_be_long() {
        let connections = connections();
        let shaking = connect(&connections, Doing::Handshake).unwrap();
        let asking = connect(&connections, Doing::Rest).unwrap();
        let resting = connect(&connections, Doing::Rest).unwrap();
        pass(Duration::from_secs(4)).await;
        asking.hears();
        connections.sweep(Instant::now());
        pass(Duration::from_secs(2)).await;
        connections.sweep(Instant::now());
        pass(Duration::from_secs(5)).await;
        asking.hears();
        assert!(is_closed(&shaking) && !is_closed(&asking));
        pass(Duration::from_secs(4)).await;
        connections.sweep(Instant::now());
        pass(Duration::from_secs(100)).await;
        assert!(is_closed(&asking) && !is_closed(&resting));
        pass(Duration::from_secs(6)).await;
        connections.sweep(Instant::now());
        pass(Duration::ZERO).await;
        assert!(is_closed(&resting));
        assert_eq!(connections.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_grow_old_one_after_the_other() {
        let connections = connections();
        let first = connect(&connections, Doing::Rest).unwrap();
        let second = connect(&connections, Doing::Rest).unwrap();
        pass(Duration::from_secs(601)).await;
        assert!(first.is_old(Instant::now()) && !second.is_old(Instant::now()));
        pass(Duration::from_secs(300)).await;
        assert!(second.is_old(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_goes_waits_for_reviews_and_for_newcomers() {
        let connections = connections();
        let [resting, busy, new] = [Doing::Rest, Doing::Review, Doing::Rest]
            .map(|doing| connect(&connections, doing).unwrap());
        resting.has_asked.store(true, Ordering::Relaxed);
        connections.close_resting(Instant::now());
        pass(Duration::from_millis(1)).await;
        assert!(is_closed(&resting) && !is_closed(&busy) && !is_closed(&new));
        pass(Duration::from_secs(1)).await;
        connections.close_resting(Instant::now());
        pass(Duration::from_millis(1)).await;
        assert!(is_closed(&new) && !is_closed(&busy));
    }
}
