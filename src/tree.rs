//! Trees of files as they travel: a container's writable layer, and the volumes that live on a node. Everything that a program can see
//! of a file goes along: owner, mode, times to the nanosecond, extended attributes, hard links, devices, pipes.
//!
//! ```text
//! pack:    directory ─► tar (PAX records for what tar has no field for)
//! unpack:  tar ─► an empty directory, or, as a layer, the changes in a root file system: what was deleted is deleted
//! ```
//!
//! What comes from another node is not trusted: no name leads out of the directory, no link is followed, nothing is overwritten that
//! this unpacking did not make, and numbers have bounds.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod header;
mod name;
mod pack;
mod unpack;

pub use pack::{Packed, pack};
pub use unpack::{Bounds, Kind, Unpacked, unpack};

use std::path::{Path, PathBuf};

/// What is wrong with a tree, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system says no.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was sent is not what is to be unpacked.
    #[error("the archive is refused at {name:?}: {why}")]
    Refused {
        /// The entry.
        name: String,
        /// A sentence.
        why: String,
    },
    /// The stream broke.
    #[error("the archive cannot be read: {0}")]
    Broken(std::io::Error),
    /// The stream cannot be written.
    #[error("the archive cannot be written: {0}")]
    Unsent(std::io::Error),
}

impl Error {
    fn io(verb: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            verb,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    fn refused(name: &[u8], why: impl Into<String>) -> Self {
        Self::Refused {
            name: String::from_utf8_lossy(name).chars().take(200).collect(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests;
