//! States of pods on this node's disk, one folder for each generation:
//!
//! ```text
//! /var/lib/holdfast/checkpoints/<namespace>/<pod uid>/
//!     <generation>.incoming/    comes from another node (`incoming.rs`)
//!     <generation>.part/    being written. cut.json, the last file, says that all of it was dumped
//!     <generation>/         sealed: manifest.json has the digest of every file
//!     <generation>.why      why there is none: a sentence
//!     <generation>.released to which pods of this node a state that came from another one was released
//! ```
//!
//! After a crash at any point there is nothing, a part, or the whole; a part without its last file counts for nothing. Memory is in
//! there, with every secret that a program had: readable by root alone.

pub(crate) mod ahead;
pub(crate) mod digests;
pub(crate) mod early;
pub(crate) mod foretold;
pub(crate) mod incoming;
pub(crate) mod listing;
pub(crate) mod manifest;
mod reading;
pub(crate) mod release;
mod sealing;

use crate::agent::host::CHECKPOINTS;
use crate::agent::marks::Mark;
use crate::agent::peers::path::Below;
use crate::agent::store::ahead::Ahead;
use crate::agent::store::manifest::{Manifest, VERSION};
use crate::oci::failure::Failure;
use crate::oci::files::{self, make_folder};
use crate::oci::place::is_file_name;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const CUT: &str = "cut.json";
const MANIFEST: &str = "manifest.json";
/// The first folder that a dump writes to.
pub(crate) const VOLUMES: &str = "volumes";

/// A state with all its digests: where its files lie, its manifest, and that byte for byte.
pub(crate) type Noted = (PathBuf, Manifest, Vec<u8>);

/// A generation of a pod's state.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    /// The pod's folder, as this process sees it.
    folder: PathBuf,
    /// Where that is below all states.
    place: PathBuf,
    name: String,
}

/// What of a generation is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// It was being written.
    Part,
    /// It was dumped, all of it, and not sealed yet.
    Cut(Box<Manifest>),
    /// It can be used. With its manifest's digest.
    Sealed(Box<Manifest>, String),
    /// There is none, and this is why.
    Failed(String),
}

impl Generation {
    /// Of a pod.
    ///
    /// # Errors
    /// A name that no folder can have: whoever asked may be a liar.
    pub(crate) fn of(
        root: &Path,
        (namespace, uid): (&str, &str),
        name: &str,
    ) -> Result<Self, Failure> {
        for part in [namespace, uid, name] {
            if !is_file_name(part) {
                return Err(Failure::new(format!("no folder can be named {part:?}")));
            }
        }
        let place = Path::new(namespace).join(uid);
        Ok(Self {
            folder: root.join(&place),
            place,
            name: name.to_owned(),
        })
    }

    /// Where it is written.
    pub(crate) fn part(&self) -> PathBuf {
        self.folder.join(format!("{}.part", self.name))
    }

    /// Where it lies once it is sealed.
    pub(crate) fn whole(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn why(&self) -> PathBuf {
        self.folder.join(format!("{}.why", self.name))
    }

    /// Where it lies once it is sealed, on the node.
    pub(crate) fn on_node(&self) -> PathBuf {
        Path::new(CHECKPOINTS).join(&self.place).join(&self.name)
    }

    /// Whose it is: a namespace, and the uid of a pod.
    pub(crate) fn pod(&self) -> (String, String) {
        let mut parts = self
            .place
            .iter()
            .map(|part| part.to_string_lossy().into_owned());
        (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        )
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What was sealed.
    ///
    /// # Errors
    /// It is not sealed, or cannot be read.
    pub(crate) fn sealed(&self) -> Result<Noted, Failure> {
        let whole = self.whole();
        let text = files::read(&whole.join(MANIFEST))?;
        let text = text.ok_or_else(|| Failure::at("find", &whole, "it is not sealed"))?;
        let manifest = read(&whole, &text)?;
        Ok((whole, manifest, text))
    }

    /// What there is of it.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn look(&self) -> Result<Found, Failure> {
        if let Some(text) = files::read(&self.whole().join(MANIFEST))? {
            return Ok(match read(&self.whole(), &text) {
                Ok(manifest) => Found::Sealed(Box::new(manifest), digests::named(&text)),
                Err(failure) => Found::Failed(failure.to_string()),
            });
        }
        // Its manifest is the first to go.
        if self.whole().exists() {
            return Ok(Found::Part);
        }
        if let Some(why) = files::read(&self.why())? {
            return Ok(Found::Failed(String::from_utf8_lossy(&why).into_owned()));
        }
        // One that is cut off was written when the node lost power.
        let cut = files::read(&self.part().join(CUT))?;
        if let Some(manifest) = cut.and_then(|text| read(&self.part(), &text).ok()) {
            return Ok(Found::Cut(Box::new(manifest)));
        }
        Ok(if self.part().exists() {
            Found::Part
        } else {
            Found::Nothing
        })
    }

    /// Whether its dump has begun, of one that is a part: until then it only has room.
    pub(crate) fn is_dumping(&self) -> bool {
        self.part().join(VOLUMES).exists()
    }

    /// Makes room for its parts.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        make_folder(&self.part())
    }

    /// All of it was dumped: this is the last file.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn cut(&self, manifest: &Manifest) -> Result<(), Failure> {
        let text = write(&self.part(), manifest)?;
        files::put(&self.part().join(CUT), &text)
    }

    /// Every file is read again and named with its digest, all is on disk, and only then it has its name.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn seal(&self, manifest: Manifest, ahead: Option<Ahead>) -> Result<(), Failure> {
        self.note(manifest, ahead)?;
        self.settle()?;
        self.name_it()
    }

    /// The first third of it: every file is read again, and the manifest that lies beside them has its digest. Done twice, it says the
    /// same. It is no state to be used before it has its name.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn note(&self, manifest: Manifest, ahead: Option<Ahead>) -> Result<Noted, Failure> {
        let _mark = Mark::begin("read again what was dumped", &self.name);
        let part = self.part();
        let ahead = ahead.unwrap_or_else(|| Ahead::of(part.clone()));
        let files = ahead.notes(&[CUT, MANIFEST])?;
        let manifest = Manifest { files, ..manifest };
        let text = write(&part, &manifest)?;
        files::put(&part.join(MANIFEST), &text)?;
        Ok((part, manifest, text))
    }

    /// The second: all of it is on disk.
    ///
    /// # Errors
    /// The disk says no. It may say yes another time, and not have it.
    pub(crate) fn settle(&self) -> Result<(), Failure> {
        let _mark = Mark::begin("to disk what was dumped", &self.name);
        sealing::sync_all(&self.part())
    }

    /// The last: it has its name.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn name_it(&self) -> Result<(), Failure> {
        let (part, whole) = (self.part(), self.whole());
        std::fs::rename(&part, &whole).map_err(|error| Failure::at("rename", &part, error))?;
        sealing::sync(&self.folder)
    }

    /// It was given up, and this is why. What there is of it goes.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn fail(&self, why: &str) -> Result<(), Failure> {
        make_folder(&self.folder)?;
        let said = files::put(&self.why(), why.as_bytes());
        remove_folder(&self.incoming())?;
        remove_folder(&self.part())?;
        remove_folder(&self.whole())?;
        // The disk may have been full with it.
        said.or_else(|_full| files::put(&self.why(), why.as_bytes()))
    }

    /// What was dumped counts for nothing: it makes room at once, and its folder stays, so that it is not begun again.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn empty(&self) -> Result<(), Failure> {
        for name in ["containers", VOLUMES] {
            remove_folder(&self.part().join(name))?;
        }
        Ok(())
    }

    /// Nothing of it stays.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn forget(&self) -> Result<(), Failure> {
        // Without its manifest it is a part. Who dies in the middle leaves one, and not memory that nobody knows of.
        files::remove(&self.whole().join(MANIFEST))?;
        remove_folder(&self.part())?;
        remove_folder(&self.incoming())?;
        remove_folder(&self.whole())?;
        files::remove(&self.why())?;
        files::remove(&self.released_path())?;
        files::remove(&self.releasing_path())?;
        // The pod's folder and its namespace's, where they are empty now.
        for folder in self.folder.ancestors().take(2) {
            let _others_are_there = std::fs::remove_dir(folder);
        }
        // Whoever hears that nothing is left must not find it again when the node has lost its power.
        let left = self.folder.ancestors().find(|folder| folder.exists());
        left.map_or(Ok(()), sealing::sync)
    }
}

/// `sha256:…` of a manifest.
pub(crate) fn digest(manifest: &[u8]) -> String {
    digests::named(manifest)
}

/// Which of these notes, whoever made them, say how a file of this folder begins.
pub(crate) fn as_here(
    folder: &Path,
    noted: Vec<manifest::FileNote>,
) -> Result<Vec<manifest::FileNote>, Failure> {
    reading::as_here(folder, noted)
}

/// A file below this folder, to be read.
pub(crate) fn opened(folder: &Path, path: &Below) -> std::io::Result<File> {
    reading::opened(folder, path)
}

/// What a manifest says, wherever it comes from.
///
/// # Errors
/// It is none, or of another version.
pub(crate) fn understood(manifest: &[u8]) -> Result<Manifest, Failure> {
    read(Path::new("a manifest"), manifest)
}

fn read(at: &Path, text: &[u8]) -> Result<Manifest, Failure> {
    let manifest: Manifest =
        serde_json::from_slice(text).map_err(|error| Failure::at("use", at, error))?;
    if manifest.version == VERSION {
        return Ok(manifest);
    }
    let why = format!(
        "it has version {}, and this program reads version {VERSION}",
        manifest.version
    );
    Err(Failure::at("use", at, why))
}

fn write(at: &Path, manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(manifest).map_err(|error| Failure::at("describe", at, error))
}

/// A file that is written from its beginning to its end and never again, while it is dumped: memory, and archives.
pub(crate) fn only_grows(path: &str) -> bool {
    let path = Path::new(path);
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b"pages-") || path.extension().is_some_and(|kind| kind == "tar")
}

/// The files of a folder that only grow, and how many bytes they have now.
///
/// # Errors
/// The disk says no.
pub(crate) fn growing(folder: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let mut found = sealing::lengths(folder)?;
    found.retain(|path, _| only_grows(path));
    Ok(found)
}

/// A file of a generation that says what it is: of these none comes from elsewhere.
pub(crate) fn is_reserved(path: &str) -> bool {
    [CUT, MANIFEST].contains(&path)
}

fn remove_folder(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::at("remove", folder, error)),
    }
}

#[cfg(test)]
mod tests;
