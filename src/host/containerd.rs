//! containerd's configuration: what it is in effect, and how a handler gets into it. Nothing is guessed about how a version merges its
//! files: each way is tried beside the real file, by containerd itself, and taken only if nothing but our handler changes. (containerd
//! 1.7 lets a drop-in replace all that other files say of a plugin; 2.x merges them.)

use super::commands;
use super::disk;
use super::edit::{self, Handler, covered};
use super::handler::{self, Dialect, NAME, Wanted};
use super::plan::{Content, text};
use super::root::followed;
use super::values::read;
use crate::kit::error::{Error, chain};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const CONFIG: &str = "/etc/containerd/config.toml";
const SOCKET: &str = "/run/containerd/containerd.sock";
const DROP_IN: &str = "90-holdfast.toml";
/// Docker's own containerd, which runs no pods.
const OTHER_DAEMON: &str = "/var/run/docker/";

/// A node's containerd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Containerd {
    pub(crate) program: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) socket: PathBuf,
}

/// A file, and what it shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) handlers: Vec<String>,
}

impl Containerd {
    /// The one that runs here, or that would; nothing if there is none.
    pub(crate) fn find(config: Option<&Path>, socket: Option<&Path>) -> Option<Self> {
        let running = running().into_iter().next();
        let (exe, words) = running.unwrap_or_default();
        let said = |names: &[&str]| option(&words, names).map(PathBuf::from);
        let program = Some(exe)
            .filter(|path| path.is_file())
            .or_else(|| commands::find("containerd"))?;
        let config = config
            .map(Path::to_owned)
            .or_else(|| said(&["-c", "--config"]));
        let socket = socket
            .map(Path::to_owned)
            .or_else(|| said(&["-a", "--address"]));
        Some(Self {
            program,
            config: followed(&config.unwrap_or_else(|| CONFIG.into())),
            socket: socket.unwrap_or_else(|| SOCKET.into()),
        })
    }

    /// The configuration as the files say it now.
    ///
    /// # Errors
    /// If containerd does not read them.
    pub(crate) async fn effective(&self) -> Result<Value, Error> {
        if disk::read(&self.config)?.is_some() {
            return self.dump(&self.config).await;
        }
        let said = commands::ask(&self.program, &["config", "default"]).await?;
        read("containerd's default configuration", &said)
    }

    async fn dump(&self, config: &Path) -> Result<Value, Error> {
        let config = config.display().to_string();
        let said = commands::ask(&self.program, &["--config", &config, "config", "dump"]).await?;
        read(
            &format!("containerd's effective configuration ({config})"),
            &said,
        )
    }

    /// How the handler gets in. `now` is the configuration file as it would be without us, `before` what is in effect, `only` the file
    /// that we have changed before.
    ///
    /// # Errors
    /// If no way leaves everything else as it is.
    pub(crate) async fn propose(
        &self,
        now: &Content,
        before: &Value,
        wanted: &Wanted,
        only: Option<&Path>,
    ) -> Result<Proposal, Error> {
        let mut reasons = Vec::new();
        for path in self
            .places(now)?
            .into_iter()
            .filter(|path| only.is_none_or(|only| only == path))
        {
            let ours = vec![(NAME.to_owned(), wanted.table.clone())];
            match self.attempt(&path, now, before, ours).await {
                Ok(proposal) => return Ok(proposal),
                Err(error) => reasons.push(format!("{}: {}", path.display(), chain(&error))),
            }
        }
        Err(Error::Invalid {
            what: "containerd's configuration".into(),
            why: format!(
                "no way was found to add a handler that leaves everything else as it is ({}); add the handler by hand as docs/host.md shows, and install again",
                reasons.join("; ")
            ),
        })
    }

    /// Where a handler could go: drop-ins that the file reads, then the file itself.
    fn places(&self, now: &Content) -> Result<Vec<PathBuf>, Error> {
        let mut places = Vec::new();
        if let Some(bytes) = now {
            let what = self.config.display().to_string();
            let config = read(&what, text(&what, bytes)?)?;
            let folders = covered(&config).into_iter();
            places.extend(folders.map(|folder| Path::new(&folder).join(DROP_IN)));
        }
        places.push(self.config.clone());
        Ok(places)
    }

    async fn attempt(
        &self,
        path: &Path,
        now: &Content,
        before: &Value,
        mut handlers: Vec<Handler>,
    ) -> Result<Proposal, Error> {
        let table = handlers
            .first()
            .map(|(_, table)| table.clone())
            .unwrap_or_default();
        // A second time with the handlers that the first one lost.
        for _ in 0..2 {
            let written = self.written(path, now, before, &handlers)?;
            let after = self.tried(path, &written).await?;
            if handler::has(&after, &table) && handler::is_same_but_for_ours(before, &after) {
                return Ok(Proposal {
                    path: path.to_owned(),
                    bytes: written.into_bytes(),
                    handlers: handlers.into_iter().map(|(name, _)| name).collect(),
                });
            }
            let lost = handler::lost(before, &after);
            if lost.is_empty() {
                break;
            }
            handlers.extend(lost);
        }
        Err(Error::Invalid {
            what: format!("a handler in {}", path.display()),
            why: "containerd would read other parts of its configuration differently then".into(),
        })
    }

    fn written(
        &self,
        path: &Path,
        now: &Content,
        before: &Value,
        handlers: &[Handler],
    ) -> Result<String, Error> {
        let what = self.config.display().to_string();
        let former = text(&what, now.as_deref().unwrap_or_default())?;
        let value = read(&what, former)?;
        let is_empty = value.as_object().is_none_or(serde_json::Map::is_empty);
        // A drop-in has to be of the same version as the file that reads it: containerd turns them into the newest one together.
        let dialect = if is_empty {
            Dialect::of("containerd's default configuration", before)?
        } else {
            Dialect::of(&what, &value)?
        };
        if path == self.config {
            edit::added(&what, former, dialect, handlers)
        } else {
            Ok(edit::alone(dialect, handlers))
        }
    }

    /// What would be in effect with this text in this file; nothing that containerd reads is touched.
    async fn tried(&self, path: &Path, written: &str) -> Result<Value, Error> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let made = disk::make_folder(folder)?;
        let beside = disk::put_aside(path, written.as_bytes(), 0o600)?;
        let (tried, root) = if path == self.config {
            (self.dump(&beside).await, None)
        } else {
            let root = self.config.with_file_name("holdfast-try.holdfast-new");
            let version = Dialect::of("", &read("", written)?)?.number();
            let imports = [&self.config, &beside]
                .map(|path| toml_edit::Value::from(path.display().to_string()));
            let imports: toml_edit::Array = imports.into_iter().collect();
            fs::write(&root, format!("version = {version}\nimports = {imports}\n"))
                .map_err(|source| Error::io("write", root.display().to_string(), source))?;
            (self.dump(&root).await, Some(root))
        };
        for path in std::iter::once(beside).chain(root) {
            disk::remove(&path)?;
        }
        disk::remove_empty(&made)?;
        tried
    }

    /// Files in which our handler may stand although no record says so, with whether the whole file is ours.
    pub(crate) fn adoptable(&self, now: &Content) -> Result<Vec<(PathBuf, bool)>, Error> {
        let places = self.places(now)?.into_iter();
        let all = places.map(|path| {
            let is_drop_in = path != self.config;
            (path, is_drop_in)
        });
        Ok(all.collect())
    }
}

/// Programs that run here as containerd, with their words.
fn running() -> Vec<(PathBuf, Vec<String>)> {
    let ids = disk::names(Path::new("/proc")).unwrap_or_default();
    let processes = ids
        .iter()
        .filter(|id| id.bytes().all(|c| c.is_ascii_digit()));
    let found = processes.filter_map(|id| {
        let folder = Path::new("/proc").join(id);
        let name = fs::read_to_string(folder.join("comm")).ok()?;
        if name.trim() != "containerd" {
            return None;
        }
        let line = fs::read(folder.join("cmdline")).ok()?;
        let words = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned());
        Some((
            fs::read_link(folder.join("exe")).ok()?,
            words.collect::<Vec<_>>(),
        ))
    });
    let pods = found.filter(|(_, words)| !words.iter().any(|word| word.contains(OTHER_DAEMON)));
    pods.collect()
}

/// The value of an option, in any of the forms in which it is written.
fn option<'a>(words: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        if names.contains(&name) {
            return value.or_else(|| words.next().map(String::as_str));
        }
    }
    None
}

#[cfg(test)]
mod tests;
