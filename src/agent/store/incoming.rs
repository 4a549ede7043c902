//! A generation that comes from another node: its files as they come, then its manifest. What is in the folder counts for nothing until
//! every file of it was read again and is what the manifest says; then it gets its name, as one that was dumped here does.

use super::{Generation, MANIFEST, digests, read, remove_folder, sealing};
use crate::agent::marks::Mark;
use crate::agent::peers::path::Below;
use crate::agent::store::ahead::Ahead;
use crate::agent::store::early::Early;
use crate::agent::store::manifest::{FileNote, Manifest};
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::oci::files::{self, make_folder};
use crate::write_steps;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat2};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

write_steps! {
    /// What came from another node was read again, and gets its name.
    KEEP,
}

/// A program with some ten thousand processes has as many.
pub(crate) const MOST_FILES: usize = 200_000;

/// What came of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All is here, as it says: the manifest's digest.
    Whole(String),
    /// These are not; what there was of them is gone.
    Wrong(Vec<String>),
}

/// A file that comes.
pub(crate) struct Arriving {
    pub(crate) file: File,
    /// Where it is written on.
    pub(crate) at: u64,
    /// What it has now.
    pub(crate) length: u64,
    /// What it had beyond that.
    pub(crate) cut: u64,
}

impl Generation {
    /// Where it lies while it comes.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.folder.join(format!("{}.incoming", self.name))
    }

    /// What has come so far, each file with the digest of what there is of it.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn arrived(&self) -> Result<Vec<FileNote>, Failure> {
        let incoming = self.incoming();
        if incoming.exists() {
            Ahead::of(incoming).notes(&[])
        } else {
            Ok(Vec::new())
        }
    }

    /// How many files have come so far, and how many bytes they have.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn count_arrived(&self) -> Result<(usize, u64), Failure> {
        let incoming = self.incoming();
        if incoming.exists() {
            sealing::count(&incoming)
        } else {
            Ok((0, 0))
        }
    }

    /// A file that comes, to be written on from here; where it has less, there is none. What it has beyond that is cut off, or kept.
    ///
    /// # Errors
    /// The disk says no, or the path leads through something that is no folder.
    pub(crate) fn arriving(
        &self,
        path: &Below,
        (offset, keeps): (u64, bool),
    ) -> Result<Option<Arriving>, Failure> {
        let incoming = self.incoming();
        make_folder(&incoming)?;
        let failed = |errno: Errno| Failure::at("write", &incoming.join(path.text()), errno);
        let mut file = File::from(open_below(&incoming, path).map_err(failed)?);
        let failed = |error| Failure::at("write", &incoming.join(path.text()), error);
        let had = file.metadata().map_err(failed)?.len();
        if had < offset {
            return Ok(None);
        }
        let length = if keeps { had } else { offset };
        if length < had {
            file.set_len(length).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Some(Arriving {
            file,
            at: offset,
            length,
            cut: had.saturating_sub(length),
        }))
    }

    /// Nothing of what has come stays.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn refuse_arrived(&self) -> Result<(), Failure> {
        remove_folder(&self.incoming())
    }

    /// Every file is read again and compared with the manifest, all is on disk, and only then it has its name. What the manifest does
    /// not know is removed.
    ///
    /// # Errors
    /// The manifest cannot be used, or the disk says no.
    pub(crate) fn keep_arrived(&self, text: &[u8], early: &Early) -> Result<Kept, Failure> {
        let incoming = self.incoming();
        let manifest = read(&incoming, text)?;
        let wanted = wanted(&manifest)?;
        make_folder(&incoming)?;
        let reading = Mark::begin("read again what came", &self.name);
        let mut arrived: BTreeMap<_, _> = self
            .or_anew(early.finish())?
            .into_iter()
            .map(|note| (note.path.clone(), note))
            .collect();
        drop(reading);
        let mut wrong = Vec::new();
        for (path, note) in &wanted {
            let has = arrived.remove(*path);
            if has.as_ref() != Some(*note) {
                wrong.push((*path).to_owned());
            }
        }
        for path in wrong.iter().chain(arrived.keys()) {
            files::remove(&incoming.join(path))?;
        }
        if !wrong.is_empty() {
            return Ok(Kept::Wrong(wrong));
        }
        let _mark = Mark::begin("to disk what came", &self.name);
        let named = incoming.join(MANIFEST);
        files::put(&named, text)?;
        let synced = sealing::sync(&named).and_then(|()| sealing::sync_folders(&incoming));
        self.or_anew(synced)?;
        let whole = self.whole();
        around(&KEEP, || std::fs::rename(&incoming, &whole))
            .map_err(|error| Failure::at("rename", &incoming, error))?;
        sealing::sync(&self.folder)?;
        Ok(Kept::Whole(digests::named(text)))
    }

    /// What the disk could not take comes anew. Asked again about the same files, the disk would say yes, and not have them.
    fn or_anew<T>(&self, done: Result<T, Failure>) -> Result<T, Failure> {
        if done.is_err() {
            self.refuse_arrived()?;
        }
        done
    }
}

/// The files of a manifest, by their paths: each is one that may come from elsewhere, and stands there once.
pub(crate) fn wanted(manifest: &Manifest) -> Result<BTreeMap<&str, &FileNote>, Failure> {
    let mut wanted = BTreeMap::new();
    if manifest.files.len() > MOST_FILES {
        let why = format!(
            "a manifest has {} files: {MOST_FILES} are the most",
            manifest.files.len()
        );
        return Err(Failure::new(why));
    }
    for note in &manifest.files {
        Below::try_from(note.path.clone()).map_err(Failure::new)?;
        if wanted.insert(note.path.as_str(), note).is_some() {
            let why = format!("a manifest names {:?} twice", note.path);
            return Err(Failure::new(why));
        }
    }
    Ok(wanted)
}

/// Opens a file through folders alone, which are made: a link, whoever put it there, is not followed.
fn open_below(folder: &std::path::Path, path: &Below) -> Result<OwnedFd, Errno> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let strictly = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut at = open(folder, directory | OFlags::NOFOLLOW, Mode::empty())?;
    let (folders, name) = path.parts();
    for part in folders {
        match mkdirat(&at, part, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        at = openat2(&at, part, directory, Mode::empty(), strictly)?;
    }
    // Nothing of ours is a pipe; to open one would wait for ever.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat2(&at, name, flags, Mode::RUSR | Mode::WUSR, strictly)
}

#[cfg(test)]
mod tests;
