//! What this process remembers of a checkpoint that it takes. What must outlive it stands in the pod's record and on disk.

use super::SEAL;
use crate::agent::blocking::joined;
use crate::agent::copies::give::Given;
use crate::agent::cut::{Dumpers, NoCut};
use crate::agent::hands::foretelling::Before;
use crate::agent::peer::Released;
use crate::agent::source::Peer;
use crate::agent::store::ahead::Ahead;
use crate::agent::store::{Found, Generation, Noted};
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::process::clock;
use k8s_openapi::jiff::Timestamp;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, spawn_blocking};

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
    /// What is sent of its memory while its programs run.
    pub(crate) before: Before,
    /// What was read again while it was dumped.
    pub(super) ahead: Option<Ahead>,
    /// What was dumped, with its digests.
    pub(super) noted: Option<Arc<Noted>>,
    /// It is on its way to this node's disk, and to its name there.
    settling: Option<JoinHandle<Result<(), Failure>>>,
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

    /// The target has the release: what was dumped in this boot goes to this node's disk too, and nothing stands still for that.
    ///
    /// # Errors
    /// It did not come there, and is tried again.
    pub(crate) async fn settles(
        &mut self,
        generation: &Generation,
        boot: &str,
    ) -> Result<(), Failure> {
        let is_on_its_way = |settling: &JoinHandle<_>| !settling.is_finished();
        if self.settling.as_ref().is_some_and(is_on_its_way) {
            return Ok(());
        }
        let before = self.settled().await.unwrap_or(Ok(()));
        if let Found::Cut(manifest) = generation.look()?
            && manifest.boot == boot
        {
            let (generation, ahead) = (generation.clone(), self.ahead.take());
            let is_noted = self.noted.is_some();
            self.settling = Some(spawn_blocking(move || {
                if !is_noted {
                    generation.note(*manifest, ahead)?;
                }
                generation.settle()?;
                around(&SEAL, || generation.name_it())
            }));
        }
        before
    }

    /// What came of that, once it has ended; nothing where it was not begun.
    pub(crate) async fn settled(&mut self) -> Option<Result<(), Failure>> {
        let settling = self.settling.take()?;
        Some(joined(settling.await))
    }

    /// When it was cut, and how much it is, once that is known.
    pub(crate) fn measured(&self) -> Option<(Timestamp, i64)> {
        let (_, manifest, _) = self.noted.as_deref()?;
        Some((manifest.taken_at.0, manifest.bytes()))
    }

    /// The hold is over: what waited for a word ends, and so does the guard, by itself.
    pub(super) fn lets_go(&mut self) {
        let (dumpers, guard) = (self.take_dumpers(), self.guard.take());
        spawn_blocking(move || {
            drop(dumpers);
            // Not to leave a zombie.
            guard.map(|mut guard| guard.wait())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::manifest::Manifest;
    use crate::testkit::folder::Folder;

    fn cut(folder: &Folder) -> Generation {
        let generation = Generation::of(folder.path(), ("ns", "u1"), "g").unwrap();
        generation.begin().unwrap();
        folder.write("ns/u1/g.part/containers/c/pages.img", "abc");
        generation.cut(&Manifest::of_web()).unwrap();
        generation
    }

    #[tokio::test]
    async fn what_was_released_gets_its_name_in_the_background_and_once() {
        let folder = Folder::new();
        let (generation, mut memory) = (cut(&folder), Memory::default());
        memory.settles(&generation, "boot").await.unwrap();
        assert_eq!(memory.settled().await, Some(Ok(())));
        assert!(matches!(generation.look().unwrap(), Found::Sealed(..)));
        memory.settles(&generation, "boot").await.unwrap();
        assert_eq!(memory.settled().await, None);
    }

    #[tokio::test]
    async fn what_a_former_boot_has_left_gets_none() {
        let folder = Folder::new();
        let (generation, mut memory) = (cut(&folder), Memory::default());
        memory.settles(&generation, "another").await.unwrap();
        assert_eq!(memory.settled().await, None);
        assert!(matches!(generation.look().unwrap(), Found::Cut(_)));
    }
}
