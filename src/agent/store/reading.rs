//! Files of a generation, read because another node speaks of them. That one may have been broken into: it learns nothing of any other
//! file, opens none, and makes nobody read without an end.

use super::digests::noted;
use super::sealing::lengths;
use crate::agent::peers::path::Below;
use crate::agent::store::manifest::FileNote;
use crate::oci::failure::Failure;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// Of these notes the ones that say how a file of this folder begins: each file once, and none beyond its end.
pub(super) fn as_here(folder: &Path, there: Vec<FileNote>) -> Result<Vec<FileNote>, Failure> {
    let mut here = lengths(folder)?;
    let mut same = Vec::new();
    for note in there {
        let Ok(path) = Below::try_from(note.path.clone()) else {
            continue;
        };
        let length = here.remove(path.text());
        let bytes = u64::try_from(note.bytes).ok();
        if let (Some(length), Some(bytes)) = (length, bytes)
            && bytes <= length
            && begins_with(folder, &path, (&note, bytes))
        {
            same.push(note);
        }
    }
    Ok(same)
}

fn begins_with(folder: &Path, path: &Below, (there, bytes): (&FileNote, u64)) -> bool {
    let here =
        opened(folder, path).and_then(|file| noted(&mut file.take(bytes), path.text().to_owned()));
    // One that is gone, or cannot be read, does not.
    here.is_ok_and(|here| here == *there)
}

/// A file below this folder, to be read: no link is followed, and nothing is waited for.
pub(super) fn opened(folder: &Path, path: &Below) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let strictly = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let at = open(folder, directory | OFlags::NOFOLLOW, Mode::empty())?;
    let file = File::from(openat2(&at, path.text(), flags, Mode::empty(), strictly)?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(Error::new(ErrorKind::InvalidInput, "it is no file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::digest::Digest;
    use crate::testkit::folder::Folder;
    use rustix::fs::{CWD, FileType, mknodat};

    fn note(path: &str, bytes: i64, content: &[u8]) -> FileNote {
        FileNote {
            path: path.into(),
            bytes,
            sha256: Digest::of(content).text().to_owned(),
        }
    }

    #[test]
    fn another_node_chooses_no_file_that_is_opened_here() {
        let folder = Folder::new();
        let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
        std::fs::create_dir_all(ours.join("a")).unwrap();
        std::fs::write(&other, b"secret").unwrap();
        std::fs::write(ours.join("a/b"), b"bytes").unwrap();
        std::fs::write(ours.join("a/c"), b"more").unwrap();
        std::fs::write(ours.join("manifest.json"), b"{}").unwrap();
        std::os::unix::fs::symlink(&other, ours.join("link")).unwrap();
        let pipe = ours.join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let noted = vec![
            note(&other.to_string_lossy(), 6, b"secret"),
            note("../other", 6, b"secret"),
            note("link", 6, b"secret"),
            note("manifest.json", 2, b"{}"),
            note("a/b", 3, b"byt"),
            note("a/b", 5, b"bytes"),
            note("a/c", i64::MAX, b"more"),
            note("gone", 0, b""),
            note("/dev/zero", i64::MAX, b""),
            note("pipe", 0, b""),
        ];
        assert_eq!(as_here(&ours, noted).unwrap(), [note("a/b", 3, b"byt")]);
        assert_eq!(as_here(&ours, vec![note("a/c", -1, b"")]).unwrap(), []);
        for path in ["link", "pipe", "a"] {
            let path = Below::try_from(path.to_owned()).unwrap();
            assert!(opened(&ours, &path).is_err(), "{path:?}");
        }
    }
}
