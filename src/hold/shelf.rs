//! Where records lie: one file for each pod UID, `<uid>.json`, changed under the lock `<uid>.lock`.
//!
//! ```text
//!  lock ─► read ─► change (pure) ─► write aside ─► fsync ─► rename ─► fsync of the folder ─► unlock
//! ```
//!
//! After a crash at any point there is the old record or the new one. A record that is there and cannot be read is an error to all,
//! and is never overwritten.

use crate::hold::change::{AdmissionStep, Change, HoldStep, Refusal};
use crate::hold::record::Record;
use crate::hold::rules::Rules;
use crate::hold::uid::Uid;
use crate::kit::error::Error;
use crate::kit::faults::{Step, around};
use crate::write_steps;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

write_steps! {
    /// A container is told to start fresh.
    NOTE,
    /// A pod is held.
    HOLD,
    /// Its state goes to another pod.
    RETARGET,
    /// A signal was asked for.
    WISH,
    /// CRIU died on a container.
    DAMAGE,
    /// It runs here again.
    WITHDRAW,
    /// It may be restored elsewhere.
    RELEASE,
    /// It did not run there.
    RETURN,
    /// It is about to be thawed.
    THAW,
    /// It runs there.
    SUPERSEDE,
    /// It is dead here.
    KILL,
    /// The hold is over.
    END,
    /// It starts again here.
    HOME,
    /// A pod is to wait for a state.
    OPEN,
    /// This may run in it.
    CLAIM,
    /// A container is told to begin.
    BEGIN,
    /// It ran.
    DONE,
    /// The attempt is over.
    FAIL,
    /// The next one.
    AGAIN,
    /// Nothing will run in the pod.
    REVOKE,
    /// The pod is gone.
    FORGET,
}

/// The write that a change is.
fn step(change: &Change) -> &'static Step {
    match change {
        Change::Note { .. } => &NOTE,
        Change::Hold { step, .. } => match step {
            HoldStep::Begin(_) => &HOLD,
            HoldStep::Retarget { .. } => &RETARGET,
            HoldStep::Wish(_) => &WISH,
            HoldStep::Damage => &DAMAGE,
            HoldStep::Withdraw => &WITHDRAW,
            HoldStep::Release(_) => &RELEASE,
            HoldStep::Return(..) => &RETURN,
            HoldStep::Thaw => &THAW,
            HoldStep::Supersede => &SUPERSEDE,
            HoldStep::Kill => &KILL,
            HoldStep::End => &END,
            HoldStep::Home { .. } => &HOME,
        },
        Change::Admit { step, .. } => match step {
            AdmissionStep::Open { .. } => &OPEN,
            AdmissionStep::Claim { .. } => &CLAIM,
            AdmissionStep::Begin { .. } => &BEGIN,
            AdmissionStep::Done { .. } => &DONE,
            AdmissionStep::Fail { .. } => &FAIL,
            AdmissionStep::Again { .. } => &AGAIN,
            AdmissionStep::Revoke => &REVOKE,
        },
    }
}

/// Why a record was not read or not changed.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The change must not be.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It is there, and cannot be read.
    #[error("the record {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] Error),
}

/// A pod, as its record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its uid.
    pub uid: Uid,
}

/// A folder of records.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

/// What is on a shelf under one uid.
pub type Found = (Uid, Result<Record, ShelfError>);

impl Shelf {
    /// Uses a folder, and makes it where there is none, for root alone.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Error::io("make", folder.display().to_string(), error))?;
        // A record is only as durable as the folders above it.
        for above in folder.ancestors().skip(1) {
            if !above.as_os_str().is_empty() {
                DiskWrite::SyncFolder(above.to_owned()).run(&HOLD)?;
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// A shelf that is there already, or is empty: the runtime makes no folders.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn path(&self, uid: &Uid, kind: &str) -> PathBuf {
        self.folder.join(format!("{uid}.{kind}"))
    }

    /// The record of a pod; none where there is no file. Needs no lock: a file is replaced whole.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self, uid: &Uid) -> Result<Option<Record>, ShelfError> {
        let path = self.path(uid, "json");
        match fs::read(&path) {
            Ok(text) => Record::parse(&text, uid)
                .map(Some)
                .map_err(|why| ShelfError::Unreadable { path, why }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ShelfError::Unreadable {
                why: error.to_string(),
                path,
            }),
        }
    }

    /// Changes the record of a pod, or makes it. When this returns, the change is on disk.
    ///
    /// # Errors
    /// The change is refused, the record cannot be read, or the disk failed: then the old one or the new one is there.
    pub fn change(&self, whose: &Whose, change: &Change) -> Result<Record, ShelfError> {
        let _lock = self.lock(&whose.uid)?;
        let old = self.read(&whose.uid)?;
        let seen = old
            .clone()
            .unwrap_or_else(|| Record::blank(&whose.namespace, &whose.pod, whose.uid.clone()));
        let new = change.apply(seen, Rules::ALL)?;
        if old.as_ref() != Some(&new) {
            for write in self.writes(&new) {
                write.run(step(change))?;
            }
        }
        Ok(new)
    }

    /// Forgets a pod that is gone, unless somebody changed its record since it was seen.
    ///
    /// # Errors
    /// The record changed or cannot be read, or the disk failed.
    pub fn forget(&self, seen: &Record) -> Result<(), ShelfError> {
        let _lock = self.lock(&seen.uid)?;
        match self.read(&seen.uid)? {
            None => return self.remove(&seen.uid, "lock"),
            Some(record) if record != *seen => {
                let why = "it was changed meanwhile: look again";
                return Err(Refusal(why.into()).into());
            }
            Some(_) => {}
        }
        around(&FORGET, || self.remove(&seen.uid, "json"))?;
        DiskWrite::SyncFolder(self.folder.clone()).run(&FORGET)?;
        self.remove(&seen.uid, "lock")
    }

    fn remove(&self, uid: &Uid, kind: &str) -> Result<(), ShelfError> {
        let path = self.path(uid, kind);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", path.display().to_string(), error).into())
            }
            _ => Ok(()),
        }
    }

    /// All records, and what cannot be read of them.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Found>, ShelfError> {
        let failed = |error| Error::io("list", self.folder.display().to_string(), error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let uid = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(uid) = uid.and_then(|uid| Uid::try_from(uid).ok()) else {
                continue;
            };
            // None: it was forgotten since the folder was read.
            if let Some(record) = self.read(&uid).transpose() {
                found.push((uid, record));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// The lock of a record, held until it is dropped. Whoever forgets a record takes the lock's file away, so a lock counts only
    /// while its file is the one that others would open.
    fn lock(&self, uid: &Uid) -> Result<File, ShelfError> {
        let path = self.path(uid, "lock");
        let failed = |error| Error::io("lock", path.display().to_string(), error);
        loop {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).mode(0o600).open(&path);
            let file = file.map_err(failed)?;
            file.lock().map_err(failed)?;
            let ours = file.metadata().map_err(failed)?;
            match fs::metadata(&path) {
                Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {
                    return Ok(file);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error).into()),
            }
        }
    }

    /// What is done to put a record on the disk, in order.
    fn writes(&self, record: &Record) -> [DiskWrite; 4] {
        let (aside, path) = (
            self.path(&record.uid, "new"),
            self.path(&record.uid, "json"),
        );
        [
            DiskWrite::Aside(aside.clone(), record.text()),
            DiskWrite::Sync(aside.clone()),
            DiskWrite::Rename(aside, path),
            DiskWrite::SyncFolder(self.folder.clone()),
        ]
    }
}

/// One thing that is done to the disk. A list, so that a test can say what each crash in between would leave.
#[derive(Debug, Clone)]
enum DiskWrite {
    Aside(PathBuf, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    SyncFolder(PathBuf),
}

impl DiskWrite {
    fn run(&self, step: &Step) -> Result<(), ShelfError> {
        let (verb, path, done) = match self {
            Self::Aside(path, text) => ("write", path, write_aside(path, text)),
            Self::Sync(path) | Self::SyncFolder(path) => {
                let synced = File::open(path).and_then(|file| file.sync_all());
                ("sync", path, synced)
            }
            Self::Rename(from, to) => ("rename", to, around(step, || fs::rename(from, to))),
        };
        done.map_err(|error| Error::io(verb, path.display().to_string(), error).into())
    }
}

fn write_aside(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text)
}

#[cfg(test)]
mod tests;
