//! When requests are meant to be sent. Pure.
//!
//! At a constant rate the time of an answer counts from the moment at which its request was *meant* to be sent. A server that stands
//! still for a second is then charged for all that waited for it, and not for one request only (coordinated omission).

use std::time::{Duration, Instant};

/// A constant rate from a beginning on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    begin: Instant,
    interval: Duration,
    sent: u32,
}

impl Schedule {
    pub(crate) fn new(begin: Instant, per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        Self {
            begin,
            interval: interval.unwrap_or(Duration::from_secs(1)),
            sent: 0,
        }
    }

    /// When the next request is meant to be sent.
    pub(crate) fn next(&self) -> Instant {
        let offset = self.interval.saturating_mul(self.sent);
        self.begin.checked_add(offset).unwrap_or(self.begin)
    }

    /// The next request, if its time has come: the moment at which it was meant to be sent.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next();
        (next <= now).then(|| {
            self.sent = self.sent.saturating_add(1);
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn requests_are_meant_for_even_moments() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(begin, 200);
        assert_eq!(schedule.take(begin), Some(begin));
        assert_eq!(schedule.take(begin + 4 * MS), None);
        assert_eq!(schedule.next(), begin + 5 * MS);
        assert_eq!(schedule.take(begin + 9 * MS), Some(begin + 5 * MS));
    }
}
