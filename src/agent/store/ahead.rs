//! Files of a state are read again for their digests while they still grow: at the end little is left to read.

use super::sealing::{Hashed, each, files, lengths};
use crate::agent::store::manifest::FileNote;
use crate::oci::failure::Failure;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A smaller file is not worth it, and may be one that is written more than once.
const WORTH: u64 = 1 << 20;

/// How a file begins, read from where it lies.
#[derive(Clone)]
struct Beginning {
    hashed: Hashed,
    /// When the file was last written to, if that was before it was read to its end.
    written: Option<SystemTime>,
}

impl Beginning {
    fn nothing() -> Self {
        Self {
            hashed: Hashed::nothing(),
            written: None,
        }
    }

    /// Reads on, to the end that there is now.
    fn read_on(&mut self, file: &mut File) -> std::io::Result<()> {
        file.seek(SeekFrom::Start(self.hashed.bytes))?;
        self.hashed.read_on(file)?;
        let about = file.metadata()?;
        let is_all = about.len() == self.hashed.bytes;
        self.written = about.modified().ok().filter(|_| is_all);
        Ok(())
    }

    /// Whether the file can still begin so: it has grown, or nobody has written to it since.
    fn is_of(&self, about: &Metadata) -> bool {
        let is_as_it_was = || self.written.is_some() && self.written == about.modified().ok();
        let bytes = self.hashed.bytes;
        bytes < about.len() || bytes == about.len() && is_as_it_was()
    }
}

/// What was read ahead of a folder's files.
pub(crate) struct Ahead {
    folder: PathBuf,
    /// Of files that only grow.
    begun: BTreeMap<String, Beginning>,
}

impl Ahead {
    /// Of this folder, which may not be there yet.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self {
            folder,
            begun: BTreeMap::new(),
        }
    }

    /// Reads what large files have got since the last time. Files that are not `growing` are not looked at.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn catch_up(&mut self, growing: impl Fn(&str) -> bool) -> Result<(), Failure> {
        if !self.folder.exists() {
            return Ok(());
        }
        for (name, length) in lengths(&self.folder)? {
            let known = self.begun.get(&name).map_or(0, |begun| begun.hashed.bytes);
            if !growing(&name) || length.saturating_sub(known) < WORTH {
                continue;
            }
            let path = self.folder.join(&name);
            let failed = |error| Failure::at("read", &path, error);
            let mut file = File::open(&path).map_err(failed)?;
            let begun = self.begun.entry(name);
            let begun = begun.or_insert_with(Beginning::nothing);
            begun.read_on(&mut file).map_err(failed)?;
        }
        Ok(())
    }

    /// A file is written anew, or from further ahead.
    pub(crate) fn forget(&mut self, path: &str) {
        self.begun.remove(path);
    }

    /// Every file below the folder but these at its top, read to its end.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn notes(self, but: &[&str]) -> Result<Vec<FileNote>, Failure> {
        let name = |path: &Path| {
            let name = path.strip_prefix(&self.folder).unwrap_or(path);
            name.to_string_lossy().into_owned()
        };
        let found = files(&self.folder)?.into_iter();
        let mut found: Vec<_> = found.map(|path| (name(&path), path)).collect();
        found.retain(|(name, _)| !but.contains(&name.as_str()));
        let mut noted = each(&found, |(name, path)| {
            note(self.begun.get(name), name, path)
        })?;
        noted.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(noted)
    }
}

fn note(begun: Option<&Beginning>, name: &str, path: &Path) -> Result<FileNote, Failure> {
    let failed = |error| Failure::at("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let begun = begun.filter(|begun| begun.is_of(&about));
    let mut begun = begun.cloned().unwrap_or_else(Beginning::nothing);
    begun.read_on(&mut file).map_err(failed)?;
    Ok(begun.hashed.note(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;
    use std::fs::OpenOptions;
    use std::io::Write;

    fn grow(path: &Path, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    #[test]
    fn a_file_that_grows_has_the_digest_of_all_of_it() {
        let folder = Folder::new();
        let large = folder.path().join("large");
        let mut ahead = Ahead::of(folder.path().to_owned());
        ahead.catch_up(|_| true).unwrap();
        for part in 0..3_u8 {
            grow(&large, &vec![part; 3 << 19]);
            grow(&folder.path().join("small"), &[part; 10]);
            ahead.catch_up(|_| true).unwrap();
        }
        assert_eq!(ahead.begun.keys().collect::<Vec<_>>(), ["large"]);
        grow(&large, b"end");
        let anew = Ahead::of(folder.path().to_owned()).notes(&[]).unwrap();
        assert_eq!(ahead.notes(&[]).unwrap(), anew);
        assert_eq!(anew[0].bytes, i64::from(3 * (3 << 19)) + 3);
    }

    #[test]
    fn what_is_written_anew_is_read_anew() {
        let folder = Folder::new();
        let large = folder.path().join("large");
        grow(&large, &vec![1; 2 << 20]);
        let mut ahead = Ahead::of(folder.path().to_owned());
        ahead.catch_up(|_| true).unwrap();
        std::fs::remove_file(&large).unwrap();
        grow(&large, &vec![2; 1 << 20]);
        // It is shorter than what was read.
        let anew = Ahead::of(folder.path().to_owned()).notes(&[]).unwrap();
        let mut told = Ahead::of(folder.path().to_owned());
        told.begun.clone_from(&ahead.begun);
        assert_eq!(told.notes(&[]).unwrap(), anew);
        grow(&large, &vec![2; 2 << 20]);
        ahead.forget("large");
        let anew = Ahead::of(folder.path().to_owned())
            .notes(&["none"])
            .unwrap();
        assert_eq!(ahead.notes(&["none"]).unwrap(), anew);
    }

    #[test]
    fn one_byte_that_changes_after_it_was_read_is_seen() {
        let folder = Folder::new();
        let large = folder.path().join("large");
        grow(&large, &vec![1; 2 << 20]);
        let mut ahead = Ahead::of(folder.path().to_owned());
        ahead.catch_up(|_| true).unwrap();
        let mut options = OpenOptions::new();
        let mut file = options.write(true).open(&large).unwrap();
        file.write_all(b"2").unwrap();
        let anew = Ahead::of(folder.path().to_owned()).notes(&[]).unwrap();
        assert_eq!(ahead.notes(&[]).unwrap(), anew);
    }

    #[test]
    fn what_does_not_only_grow_is_left_alone() {
        let folder = Folder::new();
        grow(&folder.path().join("large"), &vec![1; 2 << 20]);
        let mut ahead = Ahead::of(folder.path().to_owned());
        ahead.catch_up(|name| name != "large").unwrap();
        assert!(ahead.begun.is_empty());
        assert!(ahead.notes(&["large"]).unwrap().is_empty());
    }
}
