//! Connections that only take room: idle ones, and slow ones. Held until the time is over or standard input ends.
//!
//! The first line of output says that all stand, so that whoever measures beside them can begin; the last one what came of them.

use crate::driver::arguments::Flood;
use crate::driver::connection::{Connection, Seen, Target};
use crate::driver::poller::Poller;
use serde_json::json;
use std::io::Read;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How often every slow connection sends a byte.
const DRIP: Duration = Duration::from_secs(1);
/// So many closed connections are opened again in one go, so that this is no flood of handshakes.
const REOPENED_AT_ONCE: usize = 20;
/// How long the handshakes may take; a server that takes no more connections leaves some waiting.
const HANDSHAKES: Duration = Duration::from_secs(15);
/// How long a look for them may wait. Short, so that bytes are sent a few at a time, and delay nobody else on this core.
const PAUSE: Duration = Duration::from_millis(10);
/// A head that never ends, and a body that is never whole: sent byte by byte, over and over.
const SLOW_HEAD: &[u8] = b"POST /mutate-v1-pod?timeout=2s HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SLOW_BODY: &[u8] = b"POST /mutate-v1-pod?timeout=2s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 6000\r\n\r\n";

/// Holds connections that say nothing.
///
/// # Errors
/// The server cannot be reached.
pub(crate) fn idle(flood: &Flood) -> anyhow::Result<bool> {
    Hold::open(flood, None)?.run()
}

/// Holds connections that send one byte a second: every other one a head, the others a body.
///
/// # Errors
/// The server cannot be reached.
pub(crate) fn slowloris(flood: &Flood) -> anyhow::Result<bool> {
    Hold::open(flood, Some(DRIP))?.run()
}

/// A held connection, and how many bytes it has sent.
struct Slow {
    connection: Connection,
    sent: usize,
}

struct Hold<'a> {
    flood: &'a Flood,
    target: Target,
    poller: Poller,
    slow: Vec<Option<Slow>>,
    drip: Option<Duration>,
    closed: u64,
    refused: u64,
}

impl<'a> Hold<'a> {
    fn open(flood: &'a Flood, drip: Option<Duration>) -> anyhow::Result<Self> {
        let mut hold = Self {
            target: Target::new(&flood.peer)?,
            poller: Poller::new()?,
            slow: Vec::new(),
            flood,
            drip,
            closed: 0,
            refused: 0,
        };
        for number in 0..usize::try_from(flood.count)? {
            let slow = hold.connect(number);
            hold.slow.push(slow);
            // Handshakes are finished on the way, or the server would have all of them to do at once.
            hold.look(Instant::now())?;
        }
        Ok(hold)
    }

    fn connect(&mut self, number: usize) -> Option<Slow> {
        let opened = Connection::open(
            &self.target,
            Some(source(number, self.flood.sources)),
            self.flood.plain,
        );
        let opened =
            opened.and_then(|connection| self.poller.add(&connection, number).map(|()| connection));
        if opened.is_err() {
            self.refused = self.refused.saturating_add(1);
        }
        let slow = |connection| Slow {
            connection,
            sent: 0,
        };
        opened.ok().map(slow)
    }

    fn run(mut self) -> anyhow::Result<bool> {
        let limit = Instant::now().checked_add(HANDSHAKES);
        while self.standing() < self.slow.len() && limit.is_some_and(|limit| Instant::now() < limit)
        {
            self.look(
                Instant::now()
                    .checked_add(PAUSE)
                    .unwrap_or_else(Instant::now),
            )?;
        }
        self.say("holding");
        let end = Instant::now().checked_add(Duration::from_secs(self.flood.seconds));
        let over = input_ends();
        let mut dripped = Instant::now();
        let mut due = 0_usize;
        while end.is_some_and(|end| Instant::now() < end) && !over.is_finished() {
            self.look(Instant::now().checked_add(PAUSE).unwrap_or(dripped))?;
            self.reopen();
            if let Some(interval) = self.drip {
                // Spread over the interval, evenly.
                let elapsed = dripped.elapsed();
                let share = elapsed.as_secs_f64() / interval.as_secs_f64();
                let upto = portion(self.slow.len(), share);
                for number in due..upto {
                    self.send_a_byte(number);
                }
                due = upto;
                if elapsed >= interval {
                    (dripped, due) = (Instant::now(), 0);
                }
            }
        }
        self.say("held");
        Ok(true)
    }

    /// Takes up what happened, until a moment.
    fn look(&mut self, until: Instant) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(until, &mut ready)?;
            for number in ready.drain(..) {
                let Some(place) = self.slow.get_mut(number) else {
                    continue;
                };
                let mut inbox = Vec::new();
                let seen = place
                    .as_mut()
                    .map(|slow| slow.connection.receive(&mut inbox));
                if seen.is_some_and(|seen| !matches!(seen, Ok(Seen::Open))) {
                    *place = None;
                    self.closed = self.closed.saturating_add(1);
                }
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    fn reopen(&mut self) {
        let gone: Vec<_> = (0..self.slow.len())
            .filter(|number| self.slow.get(*number).is_some_and(Option::is_none))
            .take(REOPENED_AT_ONCE)
            .collect();
        for number in gone {
            let slow = self.connect(number);
            if let Some(place) = self.slow.get_mut(number) {
                *place = slow;
            }
        }
    }

    fn send_a_byte(&mut self, number: usize) {
        let Some(Some(slow)) = self.slow.get_mut(number) else {
            return;
        };
        if slow.connection.is_handshaking() {
            return;
        }
        let is_head = number.checked_rem(2) == Some(0);
        // Every other connection has sent its whole head at the beginning; its body drips.
        let bytes = match (is_head, slow.sent) {
            (true, sent) => SLOW_HEAD.get(sent..sent.saturating_add(1)).unwrap_or(b"a"),
            (false, 0) => SLOW_BODY,
            (false, _) => b" ",
        };
        slow.sent = slow.sent.saturating_add(1);
        if slow.connection.send(bytes).is_err() {
            self.slow.splice(number..number.saturating_add(1), [None]);
            self.closed = self.closed.saturating_add(1);
        }
    }

    /// How many connections the server has taken, and not ended.
    fn standing(&self) -> usize {
        let taken = |slow: &&Slow| !slow.connection.is_handshaking();
        self.slow.iter().flatten().filter(taken).count()
    }

    fn say(&self, what: &str) {
        println!(
            "{}",
            json!({ what: self.standing(), "asked": self.flood.count, "closed": self.closed, "refused": self.refused })
        );
    }
}

/// So much of a number, at most all.
fn portion(whole: usize, share: f64) -> usize {
    let thousandths =
        u32::try_from(Duration::from_secs_f64(share.clamp(0.0, 1.0)).as_millis()).unwrap_or(0);
    let thousandths = usize::try_from(thousandths).unwrap_or(0);
    whole
        .saturating_mul(thousandths)
        .checked_div(1000)
        .unwrap_or(0)
}

/// The address that a connection comes from: 127.1.0.1 and up.
fn source(number: usize, sources: u32) -> Ipv4Addr {
    let number = u32::try_from(number)
        .unwrap_or(0)
        .checked_rem(sources)
        .unwrap_or(0);
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits().saturating_add(number))
}

/// Ends when standard input does: whoever started this wants it to go, or is gone.
fn input_ends() -> std::thread::JoinHandle<()> {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        // Read or not, it is over.
        drop(std::io::stdin().read_to_end(&mut rest));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_come_from_as_many_addresses_as_asked() {
        let from: std::collections::HashSet<_> =
            (0..5000).map(|number| source(number, 300)).collect();
        assert_eq!(from.len(), 300);
        assert!(
            from.iter().all(Ipv4Addr::is_loopback) && from.contains(&Ipv4Addr::new(127, 1, 1, 44))
        );
    }

    #[test]
    fn bytes_are_spread_over_the_interval() {
        assert_eq!(
            (portion(500, 0.0), portion(500, 0.1), portion(500, 3.0)),
            (0, 50, 500)
        );
    }
}
