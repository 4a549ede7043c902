//! Files of a state are read again for their digests while they still grow: at the end little is left to read.

use super::digests::{Block, Hashed, Knows};
use super::sealing::{each, files, lengths};
use crate::agent::store::foretold::Foretold;
use crate::agent::store::manifest::FileNote;
use crate::oci::failure::Failure;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A smaller file is not worth it, and may be one that is written more than once.
const WORTH: u64 = 1 << 20;

/// A file that grows meanwhile is looked at so often at once.
const MOST_READ: usize = 2;

/// What is known of a file, read from where it lies.
#[derive(Clone, Default)]
struct Beginning {
    hashed: Hashed,
    /// When the file was last written to, if that was before it was read to its end.
    written: Option<SystemTime>,
    /// Whoever writes there says where, each time.
    is_told: bool,
}

impl Beginning {
    /// Reads what is not known, to the end that there is now.
    fn read_on(&mut self, file: &File, knows: Knows<'_>) -> std::io::Result<()> {
        for _ in 0..MOST_READ {
            // What is written while it is read is written after this.
            let before = file.metadata()?;
            self.hashed.read_on(file, knows)?;
            let is_all = before.len() == self.hashed.bytes();
            self.written = before.modified().ok().filter(|_| is_all);
            if is_all {
                break;
            }
        }
        Ok(())
    }

    /// Whether the file can still be so: it has grown, or nobody has written to it since.
    fn is_of(&self, about: &Metadata) -> bool {
        let is_as_it_was = || self.written.is_some() && self.written == about.modified().ok();
        let bytes = self.hashed.bytes();
        bytes < about.len() || bytes == about.len() && (self.is_told || is_as_it_was())
    }
}

/// What was read ahead of a folder's files.
pub(crate) struct Ahead {
    folder: PathBuf,
    /// Of files that only grow, or of which it is told where they change.
    begun: BTreeMap<String, Beginning>,
    foretold: Option<Arc<Foretold>>,
}

impl Ahead {
    /// Of this folder, which may not be there yet.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self {
            folder,
            begun: BTreeMap::new(),
            foretold: None,
        }
    }

    /// The same; of some files it was guessed what they will be.
    pub(crate) fn of_foretold(folder: PathBuf, foretold: Option<Arc<Foretold>>) -> Self {
        Self {
            foretold,
            ..Self::of(folder)
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
            let begun = self.begun.get(&name);
            let known = begun.map_or(0, |begun| begun.hashed.bytes());
            let has_gaps = begun.is_some_and(|begun| !begun.hashed.is_all_known());
            if !growing(&name) || length.saturating_sub(known) < WORTH && !has_gaps {
                continue;
            }
            let path = self.folder.join(&name);
            let failed = |error| Failure::at("read", &path, error);
            let file = File::open(&path).map_err(failed)?;
            let foretold = self.foretold.as_deref();
            let begun = self.begun.entry(name.clone()).or_default();
            let read = begun.read_on(&file, &guessed(&name, foretold));
            read.map_err(failed)?;
        }
        Ok(())
    }

    /// A file was written to here, which had these bytes before.
    pub(crate) fn changes(&mut self, path: &str, bytes: Range<u64>) {
        if let Some(begun) = self.begun.get_mut(path) {
            begun.hashed.forget(bytes);
            begun.is_told = true;
        }
    }

    /// A file ends here.
    pub(crate) fn ends(&mut self, path: &str, length: u64) {
        if let Some(begun) = self.begun.get_mut(path) {
            begun.hashed.cut(length);
            begun.is_told = true;
        }
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
        let foretold = self.foretold.as_deref();
        let mut noted = each(&found, |(name, path)| {
            note(self.begun.get(name), (name, foretold), path)
        })?;
        noted.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(noted)
    }
}

/// What is known of a block by what was guessed of the file.
fn guessed(name: &str, foretold: Option<&Foretold>) -> impl Fn(u64, &[u8]) -> Option<Block> {
    move |offset, bytes| foretold?.compare(name, offset, bytes)
}

fn note(
    begun: Option<&Beginning>,
    (name, foretold): (&str, Option<&Foretold>),
    path: &Path,
) -> Result<FileNote, Failure> {
    let failed = |error| Failure::at("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let begun = begun.filter(|begun| begun.is_of(&about));
    let mut begun = begun.cloned().unwrap_or_default();
    let read = begun.read_on(&file, &guessed(name, foretold));
    read.map_err(failed)?;
    Ok(begun.hashed.note(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

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
        ahead.ends("large", 0);
        let anew = Ahead::of(folder.path().to_owned())
            .notes(&["none"])
            .unwrap();
        assert_eq!(ahead.notes(&["none"]).unwrap(), anew);
    }

    #[test]
    fn one_byte_that_changes_while_the_rest_is_read_is_seen() {
        let folder = Folder::new();
        let large = folder.path().join("large");
        grow(&large, &vec![1; 2 << 20]);
        let file = OpenOptions::new().read(true).write(true).open(&large);
        let file = file.unwrap();
        let mut begun = Beginning::default();
        let spoils = |offset, _: &[u8]| {
            if offset > 0 {
                file.write_at(&[2], 7).unwrap();
                // A file system's clock may stand still from one write to the next.
                let later = SystemTime::now() + std::time::Duration::from_secs(1);
                file.set_modified(later).unwrap();
            }
            None
        };
        begun.read_on(&file, &spoils).unwrap();
        assert!(!begun.is_of(&file.metadata().unwrap()));
        let mut begun = Beginning::default();
        begun.read_on(&file, &|_, _| None).unwrap();
        assert!(begun.is_of(&file.metadata().unwrap()));
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
    fn where_it_is_told_what_changes_nothing_else_is_read() {
        let folder = Folder::new();
        let large = folder.path().join("large");
        grow(&large, &vec![1; (2 << 20) + 5]);
        let mut ahead = Ahead::of(folder.path().to_owned());
        ahead.catch_up(|_| true).unwrap();
        let mut options = OpenOptions::new();
        let mut file = options.write(true).open(&large).unwrap();
        // What was not told is not noticed.
        file.write_all(b"2").unwrap();
        ahead.changes("large", (1 << 20)..(1 << 20) + 1);
        ahead.catch_up(|_| true).unwrap();
        let anew = Ahead::of(folder.path().to_owned()).notes(&[]).unwrap();
        let mut told = Ahead::of(folder.path().to_owned());
        told.begun.clone_from(&ahead.begun);
        assert_ne!(told.notes(&[]).unwrap(), anew);
        ahead.changes("large", 0..1);
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
