//! How a Checkpoint comes about, as it happens: one line that moves on a terminal; elsewhere a line for each change.

use crate::checkpoint::api::{Checkpoint, Phase};
use crate::checkpoint::plan::size;
use crate::cli::checkpoints::row;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// When it is said that nobody seems to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was shown, and since when.
pub(super) struct View {
    is_terminal: bool,
    began: Instant,
    frozen_since: Option<Instant>,
    shown: String,
}

impl View {
    /// On standard error: standard output is for the answer.
    pub(super) fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            began: Instant::now(),
            frozen_since: None,
            shown: String::new(),
        }
    }

    /// How it stands now.
    pub(super) fn show(&mut self, checkpoint: &Checkpoint) {
        let phase = row(checkpoint).phase;
        if phase == Phase::Frozen {
            self.frozen_since.get_or_insert_with(Instant::now);
        }
        let frozen = self
            .frozen_since
            .filter(|_| self.is_terminal && phase == Phase::Frozen);
        let line = line(
            checkpoint,
            self.began.elapsed(),
            frozen.map(|since| since.elapsed()),
        );
        if line == self.shown {
            return;
        }
        let text = if self.is_terminal {
            format!("\r\x1b[2K{line}")
        } else {
            format!("{line}\n")
        };
        write(&text);
        self.shown = line;
    }

    /// The answer follows.
    pub(super) fn end(&self) {
        if self.is_terminal {
            write("\r\x1b[2K");
        }
    }
}

/// Whoever does not look any more misses nothing that the answer does not say.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _unseen = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// Such as `Frozen    12.3Mi  for 0.4 s  the pod is frozen, …`.
fn line(checkpoint: &Checkpoint, since: Duration, frozen: Option<Duration>) -> String {
    let told = row(checkpoint);
    let millis = told
        .frozen_millis
        .map(|millis| format!("frozen for {millis} ms"));
    let clock = frozen.map(|time| format!("for {:.1} s", time.as_secs_f64()));
    let said = match (told.phase, told.message) {
        (Phase::Pending, _) if since >= PATIENCE => {
            Some("nobody has looked at it yet: does the manager run? kubectl get pods -A -l app.kubernetes.io/part-of=holdfast".into())
        }
        (_, message) => message,
    };
    let phase = format!("{:<10}", format!("{:?}", told.phase));
    let parts = [Some(phase), told.bytes.map(size), clock.or(millis), said];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(status: Value, since: u64, frozen: Option<u64>) -> String {
        let checkpoint = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint", "metadata": { "name": "c" },
            "spec": { "podName": "web" }, "status": status,
        });
        let checkpoint = serde_json::from_value(checkpoint).unwrap();
        line(
            &checkpoint,
            Duration::from_secs(since),
            frozen.map(Duration::from_millis),
        )
    }

    #[test]
    fn a_line_says_how_it_stands() {
        let condition = json!([{
            "type": "Succeeded", "status": "False", "reason": "Running", "message": "at it", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let frozen = json!({ "phase": "Frozen", "bytes": 4096, "conditions": condition });
        assert_eq!(
            told(frozen.clone(), 1, Some(440)),
            "Frozen      4.0Ki  for 0.4 s  at it"
        );
        assert_eq!(told(frozen, 1, None), "Frozen      4.0Ki  at it");
        let dumped = json!({ "phase": "Dumped", "frozenMillis": 45 });
        assert_eq!(told(dumped, 1, None), "Dumped      frozen for 45 ms");
    }

    #[test]
    fn it_is_said_when_nobody_looks() {
        assert_eq!(told(Value::Null, 9, None), "Pending");
        let alone = told(Value::Null, 10, None);
        assert!(alone.contains("does the manager run?"), "{alone}");
    }
}
