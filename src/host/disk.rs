//! Files of a host: written aside, synced and renamed, so that whoever reads sees the former or the new one, also after a power cut.

use crate::kit::error::Error;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let object = path.display().to_string();
    move |source| Error::io(verb, object, source)
}

/// A file's bytes; none if there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Whether a file holds this already, with this mode.
pub(crate) fn holds(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, Error> {
    let same_mode = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o7777 == mode);
    Ok(same_mode && read(path)?.is_some_and(|found| found == bytes))
}

/// The name of the file that is written aside. It ends so that no pattern for configuration files takes it for one.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".holdfast-new");
    name.into()
}

/// Writes a file aside, to the disk.
pub(crate) fn put_aside(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Error> {
    let aside = aside(path);
    remove(&aside)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&aside).map_err(failed("write", &aside))?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        drop(file);
        remove(&aside)?;
        return Err(failed("write", path)(error));
    }
    Ok(aside)
}

/// Gives a file these bytes and this mode, at once and for good.
pub(crate) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let aside = put_aside(path, bytes, mode)?;
    fs::rename(&aside, path).map_err(failed("write", path))?;
    sync_folder_of(path)
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(failed("remove", path)(error))
        }
        Err(_gone) => Ok(()),
        Ok(()) => sync_folder_of(path),
    }
}

/// Removes a directory with all that is in it; one that is gone already is no error.
pub(crate) fn remove_all(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Err(_gone) => Ok(()),
        Ok(()) => sync_folder_of(path),
    }
}

/// Makes a directory and those above it; the ones that were made, outermost first.
pub(crate) fn make_folder(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let missing = missing_folders(path);
    fs::create_dir_all(path).map_err(failed("make", path))?;
    for folder in &missing {
        sync_folder_of(folder)?;
    }
    Ok(missing)
}

/// Which directories `make_folder` would make, outermost first.
pub(crate) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|folder| !folder.exists());
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Removes directories that are empty, given outermost first.
pub(crate) fn remove_empty(folders: &[PathBuf]) -> Result<(), Error> {
    for folder in folders.iter().rev() {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
                ) => {}
            Err(error) => return Err(failed("remove", folder)(error)),
        }
    }
    Ok(())
}

/// The names in a directory; none if there is no directory.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn sync_folder_of(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testkit::Folder;

    #[test]
    fn a_file_gets_its_bytes_and_its_mode_and_nothing_lies_beside_it() {
        let folder = Folder::new("disk-put");
        let path = folder.path("a/b/file");
        let made = make_folder(path.parent().unwrap()).unwrap();
        assert_eq!(made, [folder.path("a"), folder.path("a/b")]);
        fs::write(aside(&path), "left by one who died").unwrap();
        put(&path, b"one", 0o755).unwrap();
        assert!(holds(&path, b"one", 0o755).unwrap() && !holds(&path, b"one", 0o644).unwrap());
        put(&path, b"two", 0o600).unwrap();
        assert!(holds(&path, b"two", 0o600).unwrap());
        assert_eq!(names(path.parent().unwrap()).unwrap(), ["file"]);
        remove_empty(&made).unwrap();
        assert!(path.exists(), "what is not empty stays");
        remove(&path).unwrap();
        remove(&path).unwrap();
        remove_empty(&made).unwrap();
        assert!(names(&folder.path("a")).unwrap().is_empty() && !folder.path("a").exists());
    }

    #[test]
    fn nothing_there_is_no_error() {
        let folder = Folder::new("disk-nothing");
        assert_eq!(read(&folder.path("x")).unwrap(), None);
        remove_all(&folder.path("x")).unwrap();
        let error = put(&folder.path("x/y"), b"", 0o600)
            .unwrap_err()
            .to_string();
        assert!(error.contains("x/y"), "{error}");
    }
}
