//! Whether the process is alive, and whether it may be sent work.
//!
//! Ready means: everything that must have been seen once has been seen, and no shutdown has begun. Alive means: the process
//! answers, and its main loop has gone round lately; an API server that is away is no reason to be killed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Shared by the parts that report and the probes that ask.
pub struct Health {
    state: Mutex<State>,
    beat_limit: Duration,
}

struct State {
    waiting: BTreeMap<&'static str, String>,
    stopping: bool,
    last_beat: Option<Instant>,
}

impl Health {
    /// A process that has just begun. `beat_limit`: how long its main loop may be silent.
    #[must_use]
    pub fn new(beat_limit: Duration) -> Self {
        let state = State {
            waiting: BTreeMap::from([("start", "the process is starting".to_owned())]),
            stopping: false,
            last_beat: None,
        };
        Self {
            state: Mutex::new(state),
            beat_limit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This part is not ready, and why.
    pub fn waits(&self, part: &'static str, why: String) {
        self.state().waiting.insert(part, why);
    }

    /// This part is ready.
    pub fn is_ready(&self, part: &'static str) {
        self.state().waiting.remove(part);
    }

    /// From now on nothing new may be sent here.
    pub fn stops(&self) {
        self.state().stopping = true;
    }

    /// The main loop has gone round.
    pub fn beats(&self) {
        self.state().last_beat = Some(Instant::now());
    }

    /// # Errors
    /// What is being waited for.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.state();
        if state.stopping {
            return Err("the process is shutting down".into());
        }
        if state.waiting.is_empty() {
            Ok(())
        } else {
            Err(state
                .waiting
                .values()
                .cloned()
                .collect::<Vec<_>>()
                .join("; "))
        }
    }

    /// # Errors
    /// Since when the main loop is stuck.
    pub fn alive(&self) -> Result<(), String> {
        match self.state().last_beat.map(|beat| beat.elapsed()) {
            Some(silent) if silent > self.beat_limit => Err(format!(
                "the main loop has been stuck for {} s",
                silent.as_secs()
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_when_nothing_is_waited_for_and_never_while_stopping() {
        let health = Health::new(Duration::from_secs(60));
        assert!(health.ready().is_err());
        health.waits("crds", "a CRD is missing".into());
        health.is_ready("start");
        assert_eq!(health.ready(), Err("a CRD is missing".into()));
        health.is_ready("crds");
        assert_eq!(health.ready(), Ok(()));
        health.stops();
        assert!(health.ready().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn is_dead_only_when_the_main_loop_is_stuck() {
        let health = Health::new(Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!(
            health.alive().is_ok(),
            "before the first round nothing is known"
        );
        health.beats();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(health.alive().is_ok());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(health.alive().is_err());
    }
}
