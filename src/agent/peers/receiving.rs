//! States that come from other nodes, onto this one's disk. In memory are a few pieces of one file, whatever the sender says; what stands
//! on the disk is read again before anybody may use it.

use crate::agent::peers::desk::{Expected, Refusal};
use crate::agent::peers::room;
use crate::agent::peers::stream::{Item, Unpacker};
use crate::agent::peers::wire::Held;
use crate::agent::store::incoming::{Kept, MOST_FILES};
use crate::agent::store::{Found, Generation};
use crate::oci::failure::Failure;
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::time::timeout;

/// What waits to be written, each at most as large as a connection reads at once.
const WAITING: usize = 8;

/// A question waits so long for its turn: the one before may be at its last bytes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of so many states it is known why there was no room.
const MOST_FULL: usize = 1024;

type Turns = HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>;

/// Receives; one sender at a time for a generation.
pub(crate) struct Receiving {
    /// Where states are kept.
    root: PathBuf,
    /// How much of the disk stays free, in percent.
    reserve: u64,
    turns: Mutex<Turns>,
    full: Arc<Full>,
}

/// Why there was no room.
#[derive(Default)]
struct Full(Mutex<HashMap<PathBuf, String>>);

/// A generation that nobody else writes to while this is kept.
pub(crate) struct Turn {
    generation: Generation,
    expected: Expected,
    reserve: u64,
    full: Arc<Full>,
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
        Turn {
            generation,
            expected,
            reserve: self.reserve,
            full: Arc::clone(&self.full),
            _alone: alone,
        }
    }
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
            self.generation.refuse_arrived().map_err(failed)?;
        }
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
        self.generation.keep_arrived(manifest).map_err(failed)
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

/// Files, one after the other.
struct Writer<'a> {
    turn: &'a Turn,
    unpacker: Unpacker,
    file: Option<File>,
    files: usize,
    /// Of all files that are here.
    all: u64,
    /// Those that came.
    bytes: u64,
}

impl<'a> Writer<'a> {
    fn begin(turn: &'a Turn) -> Result<Self, Refusal> {
        let unpacker = Unpacker::new();
        let (files, all) = turn.generation.count_arrived().map_err(failed)?;
        Ok(Self {
            turn,
            unpacker: unpacker.map_err(|error| Refusal::Failed(error.to_string()))?,
            file: None,
            files,
            all,
            bytes: 0,
        })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.unpacker.push(bytes);
        while let Some(item) = self.unpacker.next().map_err(Refusal::Unexpected)? {
            match item {
                Item::File(begins) => {
                    self.files = self.files.saturating_add(1);
                    if self.files > MOST_FILES {
                        let why = format!("there are more than {MOST_FILES} files");
                        return Err(Refusal::TooMuch(why));
                    }
                    let arriving = self.turn.generation.arriving(&begins.path, begins.offset);
                    let (file, cut) = arriving.map_err(full_or_failed)?.ok_or_else(|| {
                        let (path, offset) = (begins.path.text(), begins.offset);
                        Refusal::Unfit(format!(
                            "{path} is shorter here than {offset} bytes: ask again what is here"
                        ))
                    })?;
                    self.all = self.all.saturating_sub(cut);
                    self.file = Some(file);
                }
                Item::Data(bytes) => self.write(&bytes)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Some(file) = &mut self.file else {
            return Err(Refusal::Unexpected(
                "bytes came before the name of their file".into(),
            ));
        };
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(more);
        self.all = self.all.saturating_add(more);
        if let Some(most) = self.turn.expected.at_most.filter(|most| self.all > *most) {
            return Err(Refusal::TooMuch(format!(
                "more than {most} bytes came, and no more were announced"
            )));
        }
        file.write_all(bytes).map_err(|error| {
            let why = format!("cannot write what comes: {error}");
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Refusal::Full(why),
                _ => Refusal::Failed(why),
            }
        })
    }

    fn end(self) -> Result<u64, Refusal> {
        if self.unpacker.is_empty() {
            Ok(self.bytes)
        } else {
            Err(Refusal::Unexpected("it ended within a piece".into()))
        }
    }
}

/// To make a folder or a file takes room too.
fn full_or_failed(failure: Failure) -> Refusal {
    let why = failure.to_string();
    let full = rustix::io::Errno::NOSPC.to_string();
    if why.contains(&full) {
        Refusal::Full(why)
    } else {
        Refusal::Failed(why)
    }
}

/// Hands over what comes to whoever writes it; the writer's answer comes when there is no more, or when it wants no more.
pub(crate) fn channel() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(WAITING)
}
