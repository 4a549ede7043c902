//! What this process remembers of a checkpoint that it takes. What must outlive it stands in the pod's record and on disk.

use crate::agent::copies::give::Given;
use crate::agent::cut::{Dumpers, NoCut};
use crate::agent::peer::Released;
use crate::agent::source::Peer;
use crate::agent::store::ahead::Ahead;
use crate::oci::failure::Failure;
use crate::process::clock;
use k8s_openapi::jiff::Timestamp;
use std::process::Child;
use std::time::{Duration, Instant};

/// What is remembered.
#[derive(Default)]
pub(crate) struct Memory {
    guard: Option<Child>,
    dumpers: Dumpers,
    /// When everything stood still.
    frozen: Option<(Instant, Timestamp)>,
    /// For how long.
    frozen_for: Option<Duration>,
    /// It dumps it itself, or is about to.
    pub(crate) is_mine: bool,
    pub(crate) failure: Option<NoCut>,
    /// What was read again while it was dumped.
    pub(super) ahead: Option<Ahead>,
    /// How far its copies are.
    pub(crate) given: Given,
    /// Why it was not frozen when it was about to be.
    pub(crate) refused: Option<String>,
    /// What was said last of why it does not go on.
    pub(crate) said: Option<String>,
    /// What the agent of the target has said, where the pod goes elsewhere.
    pub(crate) peer: Peer,
    /// To whom it has said that it was released.
    pub(crate) released: Released,
}

impl Memory {
    /// A step that is not tried again: with its failure the checkpoint is over.
    pub(super) fn tried(&mut self, done: Result<(), Failure>) {
        if let Err(failure) = done {
            self.failure.get_or_insert(failure.into());
        }
    }

    /// There is a guard, and nothing to dump any more.
    pub(super) fn is_guarded_by(&mut self, guard: Child) {
        self.guard = Some(guard);
    }

    /// Whether the guard lives.
    pub(crate) fn is_guarded(&mut self) -> bool {
        let lives = |guard: &mut Child| matches!(guard.try_wait(), Ok(None));
        self.guard.as_mut().is_some_and(lives)
    }

    pub(super) fn is_ready(&mut self, dumpers: Dumpers, guard: Child) {
        self.dumpers = dumpers;
        self.guard = Some(guard);
    }

    pub(super) fn take_dumpers(&mut self) -> Dumpers {
        std::mem::take(&mut self.dumpers)
    }

    /// Everything stands still: since when.
    pub(super) fn stands_still(&mut self) -> Timestamp {
        let now = || (Instant::now(), clock::now());
        self.frozen.get_or_insert_with(now).1
    }

    /// When everything stood still, if this process saw it.
    pub(crate) fn still_since(&self) -> Option<Timestamp> {
        self.frozen.map(|(_, at)| at)
    }

    /// What was frozen runs: how long that took is known.
    pub(super) fn runs_again(&mut self) {
        if let Some((since, _)) = self.frozen {
            self.frozen_for.get_or_insert_with(|| since.elapsed());
        }
    }

    pub(super) fn frozen_millis(&self) -> i64 {
        let frozen = self.frozen_for.unwrap_or_default();
        i64::try_from(frozen.as_millis()).unwrap_or(i64::MAX)
    }

    /// The hold is over: what waited for a word ends, and so does the guard, by itself.
    pub(super) fn lets_go(&mut self) {
        let (dumpers, guard) = (self.take_dumpers(), self.guard.take());
        tokio::task::spawn_blocking(move || {
            drop(dumpers);
            // Not to leave a zombie.
            guard.map(|mut guard| guard.wait())
        });
    }
}
