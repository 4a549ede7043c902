//! What an installation did to a host, in `host.json` below the prefix: written before it is done, so that whoever comes after a
//! death knows what to finish or to undo.

use crate::kit::digest::Digest;
use crate::kit::error::Error;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The record's file below the prefix.
pub(crate) const FILE: &str = "host.json";
/// Where former configurations are kept below the prefix, each under its digest.
pub(crate) const KEPT: &str = "former";
const VERSION: u32 = 1;

/// What runs this node's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// containerd 1.7 or 2
    Containerd,
    /// CRI-O
    Crio,
}

impl Engine {
    /// As people write it; also what its service is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "crio",
        }
    }
}

/// What an installation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// Whose configuration was changed.
    pub(crate) engine: Engine,
    /// The change; none if it was not begun, or is undone.
    #[serde(default)]
    pub(crate) change: Option<Change>,
    /// Directories that we made to have the prefix, outermost first.
    #[serde(default)]
    pub(crate) folders: Vec<PathBuf>,
    /// Whether the runtime has to be started again before it does what its configuration says.
    #[serde(default)]
    pub(crate) restart: bool,
}

/// One configuration file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The file.
    pub(crate) path: PathBuf,
    /// What it held before; none if there was no file.
    pub(crate) former: Option<Digest>,
    /// What we wrote.
    pub(crate) written: Digest,
    /// Which handlers we put in.
    pub(crate) handlers: Vec<String>,
    /// Directories that we made for it, outermost first.
    #[serde(default)]
    pub(crate) folders: Vec<PathBuf>,
}

impl Record {
    /// Of a host where nothing was done yet.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            version: VERSION,
            engine,
            change: None,
            folders: Vec::new(),
            restart: false,
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it is damaged, or of a newer version: neither is treated as absent.
    pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let invalid = |why: String| Error::Invalid {
            what: path.display().to_string(),
            why,
        };
        let record: Self = serde_json::from_slice(bytes).map_err(|error| {
            invalid(format!("it is damaged ({error}): undo the change of the runtime's configuration by hand, delete this file, and run this again"))
        })?;
        if record.version > VERSION {
            let why = "a newer version of Holdfast wrote it: use that one";
            return Err(invalid(why.into()));
        }
        Ok(record)
    }

    /// As it is written.
    pub(crate) fn text(&self) -> Vec<u8> {
        // A struct of texts and numbers can always be written.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let mut record = Record::new(Engine::Containerd);
        record.change = Some(Change {
            path: "/etc/containerd/config.toml".into(),
            former: Some(Digest::of(b"before")),
            written: Digest::of(b"after"),
            handlers: vec!["holdfast".into()],
            folders: Vec::new(),
        });
        let path = Path::new("/opt/holdfast/host.json");
        assert_eq!(Record::read(path, &record.text()).unwrap(), record);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        for bytes in [
            &b""[..],
            b"{",
            br#"{"version":2,"engine":"containerd"}"#,
            br#"{"engine":"crio"}"#,
        ] {
            let error = Record::read(Path::new("/opt/holdfast/host.json"), bytes).unwrap_err();
            assert!(
                error.to_string().contains("/opt/holdfast/host.json"),
                "{error}"
            );
        }
    }
}
