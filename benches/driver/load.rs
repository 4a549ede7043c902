//! The measurement: keeps every connection busy, or sends at a constant rate, and counts what comes back.

use crate::driver::answer;
use crate::driver::arguments::{Expect, Load};
use crate::driver::connection::{Connection, Target};
use crate::driver::held::{Asked, Held, News};
use crate::driver::meter::Used;
use crate::driver::outcome::Outcome;
use crate::driver::poller::Poller;
use crate::driver::population::Population;
use crate::driver::requests::{Question, Requests};
use crate::driver::schedule::Schedule;
use crate::driver::verify;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often it is looked for what is late.
const LOOK_FOR_LATE: Duration = Duration::from_millis(100);
/// How long answers are waited for when nothing is sent any more.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// So many samples are kept for reading.
const MOST_SAMPLES: usize = 500;

/// Measures, prints, and says whether every answer was right.
///
/// # Errors
/// There was nothing to measure.
pub(crate) fn run(load: &Load) -> anyhow::Result<bool> {
    let population = match &load.population {
        Some(path) => Population::read(path, load.nodes, load.daemonsets)?,
        None => Population::made_up(load.nodes, load.daemonsets),
    };
    let mut run = Run::open(load, population)?;
    run.until_ready()?;
    let begin = Instant::now();
    let warm = later(begin, Duration::from_secs(load.warmup));
    let end = later(warm, Duration::from_secs(load.seconds));
    if let Some(rate) = load.rate {
        run.schedule = Some(Schedule::new(begin, rate));
    }
    run.counted_from = warm;
    run.go(warm, Run::feed)?;
    let before = Used::until_now(&load.watch);
    let measuring = Instant::now();
    run.go(end, Run::feed)?;
    let used = Used::until_now(&load.watch).since(&before);
    let window = measuring.elapsed();
    let counted = run.outcome.report(window);
    run.stop_sending(end);
    run.go(later(Instant::now(), LAST_ANSWERS), |_| Ok(()))?;
    run.give_up();
    run.verify();
    let mut report = if load.rate.is_some() {
        run.outcome.report(window)
    } else {
        counted
    };
    report.insert("errors".into(), json!(run.outcome.failures()));
    let fields = [
        ("sent", json!(run.sent)),
        ("reopened", json!(run.reopened)),
        ("verified", json!(run.verified)),
        ("cpu", Value::Object(used)),
        ("connections", json!(load.connections)),
        ("intended_rate", json!(load.rate)),
    ];
    report.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    println!("{}", Value::Object(report));
    Ok(run.outcome.failures() == 0)
}

fn later(moment: Instant, by: Duration) -> Instant {
    moment.checked_add(by).unwrap_or(moment)
}

struct Run<'a> {
    load: &'a Load,
    target: Target,
    poller: Poller,
    requests: Requests,
    held: Vec<Held>,
    free: VecDeque<usize>,
    schedule: Option<Schedule>,
    /// Requests that were sent earlier do not count.
    counted_from: Instant,
    outcome: Outcome,
    samples: Vec<(Question, Vec<u8>)>,
    sent: u64,
    reopened: u64,
    verified: u64,
    looked: Instant,
    /// Kept for its room.
    ready: Vec<usize>,
}

impl<'a> Run<'a> {
    fn open(load: &'a Load, population: Population) -> anyhow::Result<Self> {
        let target = Target::new(&load.peer)?;
        let now = Instant::now();
        let mut run = Self {
            requests: Requests::new(&target.host(), &load.peer.path, population, load.seed)?,
            load,
            target,
            poller: Poller::new()?,
            held: Vec::new(),
            free: VecDeque::new(),
            schedule: None,
            counted_from: now,
            outcome: Outcome::new()?,
            samples: Vec::new(),
            sent: 0,
            reopened: 0,
            verified: 0,
            looked: now,
            ready: Vec::new(),
        };
        for number in 0..usize::from(load.connections) {
            let held = run.connect(number).context("cannot connect")?;
            run.held.push(held);
        }
        Ok(run)
    }

    fn connect(&self, number: usize) -> std::io::Result<Held> {
        let opened = Instant::now();
        let connection = Connection::open(&self.target, None, false)?;
        self.poller.add(&connection, number)?;
        Ok(Held::new(connection, opened))
    }

    fn until_ready(&mut self) -> anyhow::Result<()> {
        let limit = later(Instant::now(), crate::driver::held::TIMEOUT);
        while self.free.len() < self.held.len() {
            ensure!(
                Instant::now() < limit && self.outcome.failures() == 0,
                "the handshakes did not come about: {}",
                Value::Object(self.outcome.report(Duration::from_secs(1)))
            );
            self.step(limit)?;
        }
        Ok(())
    }

    /// Until a moment, or until all is sent, or, when nothing is fed any more, until nothing is on its way.
    fn go(
        &mut self,
        end: Instant,
        mut feed: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while Instant::now() < end {
            feed(self)?;
            if self
                .held
                .iter()
                .all(|held| held.asked.is_none() && held.ready)
            {
                let is_over = self.sent >= self.load.most_requests || self.schedule.is_none();
                if is_over || Instant::now() >= end {
                    break;
                }
            }
            let due = self
                .schedule
                .map_or(end, |schedule| schedule.next().min(end));
            self.step(if self.free.is_empty() { end } else { due })?;
        }
        Ok(())
    }

    /// Sends what is to be sent now.
    fn feed(&mut self) -> anyhow::Result<()> {
        while self.sent < self.load.most_requests
            && let Some(number) = self.free.front().copied()
        {
            let now = Instant::now();
            let since = match &mut self.schedule {
                Some(schedule) => match schedule.take(now) {
                    Some(intended) => intended,
                    None => return Ok(()),
                },
                None => now,
            };
            self.free.pop_front();
            self.send(number, since, now)?;
        }
        Ok(())
    }

    fn send(&mut self, number: usize, since: Instant, sent: Instant) -> anyhow::Result<()> {
        let (question, request) = self.requests.draw();
        self.sent = self.sent.saturating_add(1);
        let Some(held) = self.held.get_mut(number) else {
            return Ok(());
        };
        // Where every request has a connection of its own, opening it counts.
        let since = if self.load.handshakes {
            held.opened
        } else {
            since
        };
        match held.send(
            request,
            Asked {
                question,
                since,
                sent,
            },
        ) {
            Ok(false) => Ok(()),
            Ok(true) => Ok(self.poller.watch_writing(&held.connection, number, true)?),
            Err(_) => self.over(number, "broken"),
        }
    }

    /// Waits until something happens, or the moment has come, and takes it up.
    fn step(&mut self, until: Instant) -> anyhow::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        let until = until.min(later(Instant::now(), LOOK_FOR_LATE));
        self.poller.wait(until, &mut ready)?;
        for number in ready.drain(..) {
            self.look(number)?;
        }
        self.ready = ready;
        let now = Instant::now();
        if now.saturating_duration_since(self.looked) > LOOK_FOR_LATE {
            self.looked = now;
            let late: Vec<_> = self
                .held
                .iter()
                .enumerate()
                .filter(|(_, held)| held.is_late(now))
                .map(|(number, _)| number)
                .collect();
            for number in late {
                self.over(number, "no answer in time")?;
            }
        }
        Ok(())
    }

    fn look(&mut self, number: usize) -> anyhow::Result<()> {
        let Some(held) = self.held.get_mut(number) else {
            return Ok(());
        };
        match held.look() {
            News::None => Ok(()),
            News::Ready => {
                self.free.push_back(number);
                Ok(())
            }
            News::Answered => self.answered(number),
            News::Over(why) => self.over(number, why),
        }
    }

    fn answered(&mut self, number: usize) -> anyhow::Result<()> {
        let now = Instant::now();
        let Some(held) = self.held.get_mut(number) else {
            return Ok(());
        };
        let (counted_from, expect) = (self.counted_from, self.load.expect);
        let sample = self.load.sample > 0
            && expect == Expect::Sized
            && self.sent.checked_rem(self.load.sample) == Some(0)
            && self.samples.len() < MOST_SAMPLES;
        let (outcome, samples) = (&mut self.outcome, &mut self.samples);
        let closes = held.take(|answer, asked| {
            let body = || {
                String::from_utf8_lossy(answer.body)
                    .chars()
                    .take(300)
                    .collect::<String>()
            };
            match answer::fault(answer, &asked.question.uid, expect) {
                Some(fault) => outcome.failed(fault, || format!("{} {}", answer.status, body())),
                None if asked.since >= counted_from => outcome.answered(
                    now.saturating_duration_since(asked.since),
                    answer.body.len(),
                ),
                None => {}
            }
            if sample {
                samples.push((asked.question, answer.body.to_vec()));
            }
            answer.closes
        });
        if closes == Some(true) || self.load.handshakes {
            return self.reopen(number);
        }
        self.free.push_back(number);
        Ok(())
    }

    /// A connection has ended: an error if an answer was still to come, else as an idle one may.
    fn over(&mut self, number: usize, why: &'static str) -> anyhow::Result<()> {
        if let Some(held) = self.held.get(number)
            && (held.asked.is_some() || !held.ready || why != "closed")
        {
            self.outcome.failed(why, || format!("connection {number}"));
        }
        self.free.retain(|free| *free != number);
        self.reopen(number)
    }

    fn reopen(&mut self, number: usize) -> anyhow::Result<()> {
        self.reopened = self.reopened.saturating_add(1);
        let held = self.connect(number).context("cannot connect again")?;
        if let Some(place) = self.held.get_mut(number) {
            *place = held;
        }
        Ok(())
    }

    /// What was meant to be sent before the end, and for want of a free connection was not, counts as failed.
    fn stop_sending(&mut self, end: Instant) {
        while self.sent < self.load.most_requests
            && let Some(schedule) = &mut self.schedule
            && schedule.next() < end
        {
            schedule.take(end);
            self.sent = self.sent.saturating_add(1);
            self.outcome.failed("not sent in time", String::new);
        }
        self.schedule = None;
    }

    /// What has no answer now will count as failed.
    fn give_up(&mut self) {
        let unanswered = self.held.iter().filter(|held| held.asked.is_some()).count();
        for _ in 0..unanswered {
            self.outcome.failed("no answer at the end", String::new);
        }
    }

    /// Reads the samples, now that nothing is measured any more.
    fn verify(&mut self) {
        for (question, answer) in std::mem::take(&mut self.samples) {
            let population = self.requests.population().clone();
            let review = self.requests.body(question);
            match verify::check(review, &answer, question, &population) {
                Ok(()) => self.verified = self.verified.saturating_add(1),
                Err(error) => self
                    .outcome
                    .failed("wrong content", || format!("{error:#}")),
            }
        }
    }
}
