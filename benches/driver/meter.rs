//! Processor time: the driver's own, that of the processes it watches, and that of the whole machine.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The kernel counts in these for everybody who reads /proc.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time used until a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used {
    driver: Duration,
    watched: Vec<(u32, u64)>,
    machine: u64,
    stolen: u64,
}

impl Used {
    pub(crate) fn until_now(watch: &[u32]) -> Self {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        let (machine, stolen) = machine(&read("/proc/stat".into()));
        Self {
            driver: Duration::try_from(now).unwrap_or_default(),
            watched: watch
                .iter()
                .map(|pid| (*pid, process(&read(format!("/proc/{pid}/stat")))))
                .collect(),
            machine,
            stolen,
        }
    }

    /// What was used since, as seconds: `driver`, each watched process, all of the machine (`busy`), and what the machine's own host
    /// gave to others (`stolen`).
    pub(crate) fn since(&self, before: &Self) -> Map<String, Value> {
        let seconds =
            |ticks: u64| f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) / TICKS_PER_SECOND;
        let watched: Map<_, _> = self
            .watched
            .iter()
            .zip(&before.watched)
            .map(|((pid, now), (_, then))| {
                (pid.to_string(), json!(seconds(now.saturating_sub(*then))))
            })
            .collect();
        let fields = json!({
            "driver": self.driver.saturating_sub(before.driver).as_secs_f64(),
            "watched": watched,
            "busy": seconds(self.machine.saturating_sub(before.machine)),
            "stolen": seconds(self.stolen.saturating_sub(before.stolen)),
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// Ticks of a process, user and system, from its `stat`: a name may hold blanks and brackets, so what counts begins at the last one.
fn process(stat: &str) -> u64 {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// Ticks of all processors that were not idle, and those stolen.
fn machine(stat: &str) -> (u64, u64) {
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    // user nice system idle iowait irq softirq steal
    let at = |index: usize| fields.get(index).copied().unwrap_or(0);
    let busy = [0, 1, 2, 5, 6]
        .into_iter()
        .map(at)
        .fold(0, u64::saturating_add);
    (busy, at(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_as_the_kernel_writes_them() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 17 25 3 4 20 0 8 0 100";
        assert_eq!(process(stat), 42);
        assert_eq!(process(""), 0);
        assert_eq!(machine("cpu  10 1 20 500 7 3 4 9 0 0\ncpu0 1 1 1"), (38, 9));
    }

    #[test]
    fn what_was_used_is_a_difference() {
        let of = |ticks| Used {
            watched: vec![(7, ticks)],
            machine: ticks * 2,
            ..Used::default()
        };
        let since = of(350).since(&of(100));
        assert_eq!(
            (&since["watched"]["7"], &since["busy"]),
            (&json!(2.5), &json!(5.0))
        );
    }
}
