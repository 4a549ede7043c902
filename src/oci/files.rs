//! Small files that others read while we write: written aside, then renamed. They live below `/run` and need not outlast a reboot,
//! so nothing is synced.

use super::failure::Failure;
use rustix::fs::Mode;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes a folder that root alone may enter, and those above it.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::at("make", folder, error))
}

/// Puts a file in the place of what was there, readable by root alone.
///
/// # Errors
/// If it cannot be written.
pub fn put(path: &Path, content: &[u8]) -> Result<(), Failure> {
    put_with_mode(path, content, Mode::from_raw_mode(0o600))
}

/// The same, with these rights.
///
/// # Errors
/// If it cannot be written.
pub fn put_with_mode(path: &Path, content: &[u8], mode: Mode) -> Result<(), Failure> {
    let aside = aside(path);
    let done = write(&aside, content, mode).and_then(|()| std::fs::rename(&aside, path));
    done.map_err(|error| {
        // What was begun is of no use to anybody; if it is not there, all the better.
        let _gone = std::fs::remove_file(&aside);
        Failure::at("write", path, error)
    })
}

/// Removes a file; false if it was not there.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: &Path) -> Result<bool, Failure> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::at("remove", path, error)),
    }
}

/// What is in a file, if it is there.
///
/// # Errors
/// If it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::at("read", path, error)),
    }
}

fn write(aside: &Path, content: &[u8], mode: Mode) -> std::io::Result<()> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode.as_raw_mode())
            .open(aside)
    };
    let mut file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = aside.parent().unwrap_or(Path::new("/"));
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(content)
}

/// A name that no other process uses, and that is no container's: no id begins with a point.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}", std::process::id()));
    path.with_file_name(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn puts_reads_and_removes() {
        let folder = Folder::new();
        let path = folder.path().join("a/b/c");
        assert_eq!(read(&path).unwrap(), None);
        put(&path, b"one").unwrap();
        put(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            0
        );
    }

    #[test]
    fn says_which_file_could_not_be_written() {
        let folder = Folder::new();
        folder.write("a", "");
        let error = put(&folder.path().join("a/b"), b"").unwrap_err();
        assert!(error.to_string().contains("/a/b"), "{error}");
    }
}
