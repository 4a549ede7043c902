//! What came of the requests: how many, how long, what went wrong.

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer times count as this.
const LONGEST: Duration = Duration::from_secs(60);

/// What came of the requests.
pub(crate) struct Outcome {
    /// Nanoseconds, to three digits.
    times: Histogram<u64>,
    faults: BTreeMap<&'static str, u64>,
    first_fault: Option<String>,
    bytes: u64,
}

impl Outcome {
    /// Nothing yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            times: Histogram::new_with_bounds(1, nanoseconds(LONGEST), 3)
                .context("no histogram of these bounds")?,
            faults: BTreeMap::new(),
            first_fault: None,
            bytes: 0,
        })
    }

    /// A right answer of so many bytes, and how long it took.
    pub(crate) fn answered(&mut self, took: Duration, bytes: usize) {
        self.times.saturating_record(nanoseconds(took));
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A request that got no right answer.
    pub(crate) fn failed(&mut self, kind: &'static str, detail: impl FnOnce() -> String) {
        let count = self.faults.entry(kind).or_default();
        *count = count.saturating_add(1);
        self.first_fault
            .get_or_insert_with(|| format!("{kind}: {}", detail()));
    }

    /// How many requests got no right answer.
    pub(crate) fn failures(&self) -> u64 {
        self.faults.values().copied().fold(0, u64::saturating_add)
    }

    /// As fields of the report; `window` is how long was measured.
    pub(crate) fn report(&self, window: Duration) -> Map<String, Value> {
        let answered = self.times.len();
        let microseconds = |quantile| thousandths(self.times.value_at_quantile(quantile));
        let fields = json!({
            "requests": answered,
            "seconds": window.as_secs_f64(),
            "rate": rate(answered, window),
            "p50_us": microseconds(0.50),
            "p99_us": microseconds(0.99),
            "p999_us": microseconds(0.999),
            "max_us": thousandths(self.times.max()),
            "mean_us": (self.times.mean() / 1e2).round() / 10.0,
            "answer_bytes": self.bytes.checked_div(answered).unwrap_or(0),
            "errors": self.failures(),
            "faults": self.faults,
            "first_fault": self.first_fault,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as microseconds, with one digit after the point.
fn thousandths(nanoseconds: u64) -> f64 {
    (Duration::from_nanos(nanoseconds).as_secs_f64() * 1e7).round() / 10.0
}

fn rate(count: u64, window: Duration) -> f64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    f64::from(count) / window.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::schedule::Schedule;
    use std::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_waited_for_a_server_that_stood_still_is_charged_to_it() {
        // One connection, 100 requests a second for a second; answers take 1 ms, but from 0.2 s to 0.7 s nothing is answered.
        let begin = Instant::now();
        let (mut schedule, mut outcome) = (Schedule::new(begin, 100), Outcome::new().unwrap());
        let (mut free, mut uncorrected) = (begin, 0);
        for _ in 0..100 {
            let sent = schedule.next().max(free);
            let stands = sent >= begin + 200 * MS && sent < begin + 700 * MS;
            let answered = if stands { begin + 700 * MS } else { sent } + MS;
            let intended = schedule.take(sent).unwrap();
            outcome.answered(answered - intended, 10);
            uncorrected += u32::from(answered - sent > 10 * MS);
            free = answered;
        }
        // By the clock of the sender one request was slow. By the schedule, all that were meant for the half second were.
        let slow = outcome.times.count_between(nanoseconds(10 * MS), u64::MAX);
        assert_eq!(uncorrected, 1);
        assert!((49..=60).contains(&slow), "{slow}");
        assert!(outcome.times.value_at_quantile(0.99) > nanoseconds(450 * MS));
    }

    #[test]
    fn the_report_counts_right_answers_and_faults_apart() {
        let mut outcome = Outcome::new().unwrap();
        for milliseconds in 1..=100 {
            outcome.answered(milliseconds * MS, 700);
        }
        outcome.failed("status", || "503".into());
        outcome.failed("status", || "500".into());
        let report = outcome.report(Duration::from_secs(2));
        assert_eq!(
            (&report["requests"], &report["errors"]),
            (&json!(100), &json!(2))
        );
        assert_eq!(
            (&report["rate"], &report["answer_bytes"]),
            (&json!(50.0), &json!(700))
        );
        assert_eq!(report["first_fault"], json!("status: 503"));
        let p99 = report["p99_us"].as_f64().unwrap();
        assert!((98_900.0..=99_200.0).contains(&p99), "{p99}");
    }
}
