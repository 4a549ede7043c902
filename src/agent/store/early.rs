//! What is done about a state while it still comes: it is read again for its digests, and it is brought to disk. Neither waits for the
//! other, and nobody waits for them before the end.

use super::ahead::Ahead;
use super::sealing::{lengths, sync_files};
use crate::agent::store::manifest::FileNote;
use crate::oci::failure::Failure;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// So much of a file is brought to disk at once; the rest at the end.
const WORTH: u64 = 1 << 20;

/// What was done about what is in a folder.
pub(crate) struct Early {
    folder: PathBuf,
    read: Mutex<Ahead>,
    synced: Mutex<Synced>,
}

/// What is on disk.
#[derive(Default)]
struct Synced {
    /// How much of each large file.
    lengths: BTreeMap<String, u64>,
    /// What is not. The disk says that once, and yes whenever it is asked again.
    failure: Option<Failure>,
}

impl Early {
    /// Of this folder, which may not be there yet.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self {
            read: Mutex::new(Ahead::of(folder.clone())),
            synced: Mutex::default(),
            folder,
        }
    }

    /// Reads what has come. Not twice at once.
    pub(crate) fn read_on(&self) {
        if let Some(mut ahead) = free(&self.read)
            && let Err(failure) = ahead.catch_up(|_path| true)
        {
            // It is read at the end, and said then.
            tracing::debug!(%failure, "what came could not be read ahead");
        }
    }

    /// Brings it to disk. Not twice at once.
    pub(crate) fn sync_on(&self) {
        if let Some(mut synced) = free(&self.synced)
            && let Err(failure) = synced.catch_up(&self.folder)
        {
            synced.failure.get_or_insert(failure);
        }
    }

    /// A file was written to where it had bytes before.
    pub(crate) fn changes(&self, path: &str, bytes: Range<u64>) {
        locked(&self.read).changes(path, bytes);
    }

    /// A file was cut off.
    pub(crate) fn ends(&self, path: &str, length: u64) {
        locked(&self.read).ends(path, length);
    }

    /// Every file, read to its end, and all of them on disk.
    ///
    /// # Errors
    /// The disk says no, or said it before.
    pub(super) fn finish(&self) -> Result<Vec<FileNote>, Failure> {
        let sync = || {
            let synced = std::mem::take(&mut *locked(&self.synced));
            synced.failure.map_or_else(|| sync_files(&self.folder), Err)
        };
        std::thread::scope(|scope| {
            let syncing = scope.spawn(sync);
            let anew = Ahead::of(self.folder.clone());
            let ahead = std::mem::replace(&mut *locked(&self.read), anew);
            let noted = ahead.notes(&[]);
            let synced = syncing.join();
            synced.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            noted
        })
    }
}

impl Synced {
    fn catch_up(&mut self, folder: &Path) -> Result<(), Failure> {
        if !folder.exists() {
            return Ok(());
        }
        for (name, length) in lengths(folder)? {
            let known = self.lengths.get(&name).copied().unwrap_or_default();
            if length.saturating_sub(known) < WORTH {
                continue;
            }
            let path = folder.join(&name);
            // It may be gone by now: what is wrong comes again.
            let Ok(file) = File::open(&path) else {
                continue;
            };
            let synced = file.sync_data();
            synced.map_err(|error| Failure::at("sync", &path, error))?;
            self.lengths.insert(name, length);
        }
        Ok(())
    }
}

/// Unless somebody has it.
pub(crate) fn free<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Early {
    /// The disk could not take something.
    pub(crate) fn failed(folder: PathBuf) -> Self {
        let early = Self::of(folder);
        locked(&early.synced).failure = Some(Failure::new("cannot sync it"));
        early
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn all_is_noted_whatever_was_done_early() {
        let folder = Folder::new();
        std::fs::write(folder.path().join("large"), vec![1; 3 << 20]).unwrap();
        let early = Early::of(folder.path().to_owned());
        early.read_on();
        early.sync_on();
        assert_eq!(locked(&early.synced).lengths["large"], 3 << 20);
        std::fs::write(folder.path().join("small"), "abc").unwrap();
        let anew = Ahead::of(folder.path().to_owned()).notes(&[]).unwrap();
        assert_eq!(early.finish().unwrap(), anew);
        assert_eq!(anew.len(), 2);
    }

    #[test]
    fn what_the_disk_could_not_take_once_is_not_asked_about_again() {
        let folder = Folder::new();
        std::fs::write(folder.path().join("small"), "abc").unwrap();
        let early = Early::failed(folder.path().to_owned());
        early.sync_on();
        let failure = early.finish().unwrap_err();
        assert!(failure.to_string().contains("sync"), "{failure}");
    }
}
