//! Digests of files, and the disk's word that it has them.

use crate::agent::store::manifest::FileNote;
use crate::kit::digest::Digest;
use crate::oci::failure::Failure;
use ring::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much of a file is in memory at once.
const PIECE: usize = 1 << 20;

/// `sha256:…`, of some bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes).text())
}

/// Every file below a folder but these at its top, read to its end, and on disk.
pub(super) fn notes(folder: &Path, but: &[&str]) -> Result<Vec<FileNote>, Failure> {
    let mut found = Vec::new();
    for path in below(folder)?.into_iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let name = name.to_string_lossy().into_owned();
        if !but.contains(&name.as_str()) {
            found.push(note(&path, name)?);
        }
    }
    Ok(found)
}

fn note(path: &Path, name: String) -> Result<FileNote, Failure> {
    let failed = |error| Failure::at("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let note = noted(&mut file, name).map_err(failed)?;
    file.sync_all()
        .map_err(|error| Failure::at("sync", path, error))?;
    Ok(note)
}

/// What is read, to its end.
pub(super) fn noted(from: &mut impl Read, name: String) -> std::io::Result<FileNote> {
    let (mut context, mut bytes, mut piece) = (Context::new(&SHA256), 0_i64, vec![0; PIECE]);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        context.update(piece.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(i64::try_from(read).unwrap_or(i64::MAX));
    }
    Ok(FileNote {
        path: name,
        bytes,
        sha256: Digest::made(&context.finish()).text().to_owned(),
    })
}

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

/// The same of a folder and all below it.
pub(super) fn sync_folders(folder: &Path) -> Result<(), Failure> {
    for path in below(folder)?.iter().filter(|path| path.is_dir()) {
        sync(path)?;
    }
    sync(folder)
}

/// Every file below a folder, by its path from there, and how many bytes it has now. No link is one, and nothing else that is no file.
pub(super) fn lengths(folder: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let mut found = BTreeMap::new();
    for path in below(folder)? {
        let seen = std::fs::symlink_metadata(&path);
        let seen = seen.map_err(|error| Failure::at("read", &path, error))?;
        if seen.is_file() {
            let name = path.strip_prefix(folder).unwrap_or(&path);
            found.insert(name.to_string_lossy().into_owned(), seen.len());
        }
    }
    Ok(found)
}

/// Everything below a folder, in the order of the names. Links are not followed; nobody but us writes there.
fn below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
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
