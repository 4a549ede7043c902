//! The disk's word that it has files, and what there is below a folder.

use crate::oci::failure::Failure;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files are brought to disk side by side: a disk takes many for little more than one.
const AT_ONCE: usize = 8;

/// How many files there are below a folder, and how many bytes they have.
pub(super) fn count(folder: &Path) -> Result<(usize, u64), Failure> {
    let (mut files, mut bytes) = (0_usize, 0_u64);
    for path in below(folder)? {
        let found = std::fs::symlink_metadata(&path);
        let found = found.map_err(|error| Failure::at("read", &path, error))?;
        if found.is_file() {
            files = files.saturating_add(1);
            bytes = bytes.saturating_add(found.len());
        }
    }
    Ok((files, bytes))
}

/// What a folder holds is on disk.
pub(super) fn sync(path: &Path) -> Result<(), Failure> {
    let done = File::open(path).and_then(|file| file.sync_all());
    done.map_err(|error| Failure::at("sync", path, error))
}

/// A folder and all below it is on disk: its files, and then their names.
pub(super) fn sync_all(folder: &Path) -> Result<(), Failure> {
    sync_files(folder)?;
    sync_folders(folder)
}

/// Every file below a folder is on disk.
pub(super) fn sync_files(folder: &Path) -> Result<(), Failure> {
    each(&files(folder)?, |path| sync(path)).map(drop)
}

/// Does this with each of them, side by side. In no order.
pub(super) fn each<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(Vec::new())));
    std::thread::scope(|scope| {
        for _helper in 0..AT_ONCE.min(all.len()) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let came = work(one);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    match (came, done.as_mut()) {
                        (Ok(came), Ok(done)) => done.push(came),
                        (Err(failure), Ok(_)) => *done = Err(failure),
                        (_, Err(_)) => return,
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Every folder below one is on disk, and that one.
pub(super) fn sync_folders(folder: &Path) -> Result<(), Failure> {
    for path in below(folder)?.iter().filter(|path| path.is_dir()) {
        sync(path)?;
    }
    sync(folder)
}

/// Every file below a folder, by its path from there, and how many bytes it has now. No link is one, and nothing else that is no file;
/// neither is one that has another name by now, since whoever writes there puts some aside first.
pub(super) fn lengths(folder: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let mut found = BTreeMap::new();
    for path in below(folder)? {
        let seen = match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            seen => seen.map_err(|error| Failure::at("read", &path, error))?,
        };
        if seen.is_file() {
            let name = path.strip_prefix(folder).unwrap_or(&path);
            found.insert(name.to_string_lossy().into_owned(), seen.len());
        }
    }
    Ok(found)
}

/// Every file below a folder.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = below(folder)?;
    found.retain(|path| path.is_file());
    Ok(found)
}

/// Everything below a folder, in the order of the names. Links are not followed; nobody but us writes there.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::at("list", folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        found.push(entry.path());
        if kind.is_dir() {
            found.extend(below(&entry.path())?);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn files_that_get_their_name_meanwhile_are_nobodys_failure() {
        let folder = Folder::new();
        let (aside, named) = (folder.path().join(".aside"), folder.path().join("named"));
        std::fs::write(folder.path().join("there"), "12345").unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    std::fs::write(&aside, "x").unwrap();
                    std::fs::rename(&aside, &named).unwrap();
                }
                is_over.store(true, Ordering::Relaxed);
            });
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(lengths(folder.path()).unwrap()["there"], 5);
            }
        });
    }
}
