//! States that come from other nodes, onto this one's disk. In memory are a few pieces of one file, whatever the sender says; what stands
//! on the disk is read again before anybody may use it: large files while they still come.

mod writer;

use crate::agent::blocking::blocking;
use crate::agent::peers::desk::{Expected, Refusal};
use crate::agent::peers::room;
use crate::agent::peers::spare::{KEPT, Kept as Spared};
use crate::agent::peers::wire::Held;
use crate::agent::store::early::Early;
use crate::agent::store::incoming::Kept;
use crate::agent::store::{Found, Generation};
use crate::oci::failure::Failure;
use bytes::Bytes;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::time::timeout;
use writer::Writer;

/// What waits to be written, each at most as large as a connection reads at once: a piece of a file, and more while it is written.
const WAITING: usize = 64;

/// A question waits so long for its turn: the one before may be at its last bytes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of so many states it is known why there was no room.
const MOST_FULL: usize = 1024;
/// Of so many states it is remembered what was done early about them. Of the others, all is done at the end.
const MOST_EARLY: usize = 64;
/// When so much was written, it is read again and brought to disk, beside what goes on coming.
const STRIDE: u64 = 32 << 20;

type Turns = HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>;

/// Receives; one sender at a time for a generation.
pub(crate) struct Receiving {
    /// Where states are kept.
    root: PathBuf,
    /// How much of the disk stays free, in percent.
    reserve: u64,
    turns: Mutex<Turns>,
    full: Arc<Full>,
    all_early: AllEarly,
    spared: Arc<Spared>,
}

/// What was done early about each generation that comes.
type AllEarly = Arc<Mutex<HashMap<PathBuf, Arc<Early>>>>;

/// Why there was no room.
#[derive(Default)]
struct Full(Mutex<HashMap<PathBuf, String>>);

/// A generation that nobody else writes to while this is kept.
pub(crate) struct Turn {
    generation: Generation,
    expected: Expected,
    reserve: u64,
    full: Arc<Full>,
    all_early: AllEarly,
    early: Arc<Early>,
    spared: Arc<Spared>,
    _alone: OwnedMutexGuard<()>,
}

impl Receiving {
    /// Below this folder, where so much of the disk stays free, in percent.
    pub(crate) fn new(root: PathBuf, reserve: u64) -> Self {
        Self {
            root,
            reserve,
            turns: Mutex::default(),
            full: Arc::default(),
            all_early: Arc::default(),
            spared: Arc::default(),
        }
    }

    /// What is expected, to be looked at and not to be changed.
    ///
    /// # Errors
    /// Nothing can have such a name.
    pub(crate) fn generation(
        &self,
        expected: &Expected,
        name: &str,
    ) -> Result<Generation, Refusal> {
        let place = (expected.namespace.as_str(), expected.uid.as_str());
        Generation::of(&self.root, place, name)
            .map_err(|failure| Refusal::Unexpected(failure.to_string()))
    }

    /// Why there was no room for it here.
    pub(crate) fn why_full(&self, generation: &Generation) -> Option<String> {
        self.full.lock().get(&generation.incoming()).cloned()
    }

    /// Gets memory ready for a state that comes soon, and keeps it until it has come, for a while. How much it is.
    ///
    /// # Errors
    /// Nothing can have such a name.
    pub(crate) async fn spare(
        &self,
        expected: &Expected,
        name: &str,
        bytes: u64,
    ) -> Result<u64, Refusal> {
        let incoming = self.generation(expected, name)?.incoming();
        let bytes = bytes.min(expected.at_most.unwrap_or(u64::MAX));
        let (root, reserve) = (self.root.clone(), self.reserve);
        let (spared, of) = (Arc::clone(&self.spared), incoming.clone());
        let made = blocking(move || match room::check(&root, bytes, reserve) {
            Ok(()) => spared.make(&of, &root, bytes),
            Err(_full) => 0,
        });
        let (made, spared, of) = (made.await, Arc::clone(&self.spared), incoming.clone());
        let until = async move {
            tokio::time::sleep(KEPT).await;
            blocking(move || spared.let_go(&of)).await;
        };
        let until = tokio::spawn(until).abort_handle();
        self.spared.is_kept(&incoming, until);
        Ok(made)
    }

    /// The only one to write to a generation.
    ///
    /// # Errors
    /// Somebody else is at it: a connection that was cut may not have noticed yet. Or nothing can have such a name.
    pub(crate) fn turn(&self, expected: Expected, name: &str) -> Result<Turn, Refusal> {
        let generation = self.generation(&expected, name)?;
        let alone = self.place(&generation).try_lock_owned();
        let alone = alone.map_err(|_held| busy())?;
        Ok(self.take(alone, (generation, expected)))
    }

    /// The same, a moment later where need be.
    ///
    /// # Errors
    /// As `turn`.
    pub(crate) async fn turn_soon(&self, expected: Expected, name: &str) -> Result<Turn, Refusal> {
        let generation = self.generation(&expected, name)?;
        let alone = timeout(PATIENCE, self.place(&generation).lock_owned()).await;
        let alone = alone.map_err(|_elapsed| busy())?;
        Ok(self.take(alone, (generation, expected)))
    }

    fn place(&self, generation: &Generation) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(generation.incoming()).or_default())
    }

    fn take(
        &self,
        alone: OwnedMutexGuard<()>,
        (generation, expected): (Generation, Expected),
    ) -> Turn {
        let incoming = generation.incoming();
        let mut all = locked(&self.all_early);
        if all.len() >= MOST_EARLY && !all.contains_key(&incoming) {
            all.clear();
        }
        let early = all.entry(incoming.clone());
        let early = early.or_insert_with(|| Arc::new(Early::of(incoming)));
        Turn {
            generation,
            expected,
            reserve: self.reserve,
            full: Arc::clone(&self.full),
            early: Arc::clone(early),
            all_early: Arc::clone(&self.all_early),
            spared: Arc::clone(&self.spared),
            _alone: alone,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn busy() -> Refusal {
    Refusal::Unfit(
        "it is being received on another connection: try again when that one has ended".into(),
    )
}

impl Full {
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, generation: &Generation, why: &str) {
        let mut full = self.lock();
        if full.len() >= MOST_FULL {
            full.clear();
        }
        full.insert(generation.incoming(), why.to_owned());
    }
}

impl Turn {
    /// What is here of it.
    ///
    /// # Errors
    /// It was given up here, or the disk says no.
    pub(crate) fn held(&self) -> Result<Held, Refusal> {
        match self.generation.look().map_err(failed)? {
            Found::Sealed(_, digest) => {
                self.is_wanted(&digest)?;
                Ok(Held {
                    verified: Some(digest),
                    files: Vec::new(),
                })
            }
            Found::Nothing => Ok(Held {
                verified: None,
                files: self.generation.arrived().map_err(failed)?,
            }),
            Found::Failed(why) => Err(Refusal::Unfit(format!("it was given up here: {why}"))),
            Found::Part | Found::Cut(_) => Err(Refusal::Unfit(
                "it is being dumped on this very node".into(),
            )),
        }
    }

    /// Writes files as they come, until the end. Runs where it may block. How many bytes they had.
    ///
    /// # Errors
    /// The sender says what cannot be, or the disk says no; of what was received no more than the last piece is lost, unless the disk is
    /// full: then all of it goes, so that this node's other programs go on.
    pub(crate) fn write(&self, mut coming: mpsc::Receiver<Bytes>) -> Result<u64, Refusal> {
        if self.generation.look().map_err(failed)? != Found::Nothing {
            return Err(Refusal::Unfit(
                "it is here already, or was given up here".into(),
            ));
        }
        let written = self.room().and_then(|()| Writer::begin(self));
        let written = written.and_then(|mut writer| {
            while let Some(bytes) = coming.blocking_recv() {
                writer.take(&bytes)?;
            }
            writer.end()
        });
        if let Err(Refusal::Full(_) | Refusal::TooMuch(_)) = written {
            self.is_over();
            self.generation.refuse_arrived().map_err(failed)?;
        }
        self.goes_on();
        match &written {
            Err(Refusal::Full(why)) => self.full.is(&self.generation, why),
            _ => self.has_room(),
        }
        written
    }

    /// What was said of room is over.
    pub(crate) fn has_room(&self) {
        self.full.lock().remove(&self.generation.incoming());
    }

    fn room(&self) -> Result<(), Refusal> {
        let (_, arrived) = self.generation.count_arrived().map_err(failed)?;
        let most = self.expected.at_most.unwrap_or_default();
        let coming = most.saturating_sub(arrived);
        room::check(&self.generation.incoming(), coming, self.reserve)
    }

    /// What the sender calls all of it is compared with what is here; where it is the same, it gets its name.
    ///
    /// # Errors
    /// The manifest is not of what is expected here, or the disk says no.
    pub(crate) fn keep(&self, operation: &str, manifest: &[u8]) -> Result<Kept, Refusal> {
        let digest = crate::agent::store::digest(manifest);
        if let Found::Sealed(_, here) = self.generation.look().map_err(failed)? {
            return if here == digest {
                Ok(Kept::Whole(here))
            } else {
                Err(Refusal::Unfit(format!(
                    "what is here has digest {here}, not {digest}"
                )))
            };
        }
        self.is_wanted(&digest)?;
        self.is_of(operation, manifest)?;
        self.is_over();
        let (spared, incoming) = (Arc::clone(&self.spared), self.generation.incoming());
        tokio::task::spawn_blocking(move || spared.let_go(&incoming));
        self.generation
            .keep_arrived(manifest, &self.early)
            .map_err(failed)
    }

    /// What was done early counts no more for what comes from here on.
    fn is_over(&self) {
        locked(&self.all_early).remove(&self.generation.incoming());
    }

    /// What has come is read again and brought to disk, beside what goes on coming.
    fn goes_on(&self) {
        let early = [(); 2].map(|()| Arc::clone(&self.early));
        let [reads, syncs] = early;
        tokio::task::spawn_blocking(move || reads.read_on());
        tokio::task::spawn_blocking(move || syncs.sync_on());
    }

    fn is_wanted(&self, digest: &str) -> Result<(), Refusal> {
        let wanted = self.expected.digest.as_deref();
        match wanted.filter(|wanted| *wanted != digest) {
            None => Ok(()),
            Some(wanted) => Err(Refusal::Unexpected(format!(
                "its manifest has digest {digest}, and the order says {wanted}"
            ))),
        }
    }

    fn is_of(&self, operation: &str, manifest: &[u8]) -> Result<(), Refusal> {
        let manifest = crate::agent::store::understood(manifest)
            .map_err(|failure| Refusal::Unexpected(failure.to_string()))?;
        let says = [&manifest.operation, &manifest.namespace, &manifest.uid];
        let meant = [operation, &self.expected.namespace, &self.expected.uid];
        if says != meant {
            return Err(Refusal::Unexpected(format!(
                "its manifest is of operation, namespace and pod {says:?}, and {meant:?} is expected"
            )));
        }
        Ok(())
    }
}

fn failed(failure: Failure) -> Refusal {
    Refusal::Failed(failure.to_string())
}

/// Hands over what comes to whoever writes it; the writer's answer comes when there is no more, or when it wants no more.
pub(crate) fn channel() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(WAITING)
}
