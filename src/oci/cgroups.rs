//! A container's cgroups: freeze, thaw, who is in them, and the kill that lets nothing run once more. Both versions: with the old
//! hierarchies a container has a directory in each, and one of them freezes; with the unified one it has one directory.
//!
//! Only directories that bear the container's own name count. A hierarchy in which it was not given one shows that of its parent, and
//! there others live.

pub mod host;
pub(crate) mod kill;
mod pending;
mod places;

use super::failure::Failure;
use super::pause;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use places::{freezer_root, named_directories, own_directories};

/// The cgroups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    directories: Vec<PathBuf>,
    freezer: Option<Freezer>,
}

/// Which directory freezes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Freezer {
    /// `freezer.state` of the old hierarchy.
    Old(PathBuf),
    /// `cgroup.freeze` of the unified one.
    Unified(PathBuf),
}

impl Cgroups {
    /// Those with these directories, as the real runtime or a record names them. Directories that are gone are empty.
    #[must_use]
    pub fn at<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Self {
        let mut directories: Vec<PathBuf> = directories.into_iter().map(Into::into).collect();
        let with = |file: &str| {
            let mut found = directories.iter().filter(|path| path.join(file).exists());
            found.next().cloned()
        };
        let freezer = match with("freezer.state") {
            Some(path) => Some(Freezer::Old(path)),
            None => with("cgroup.freeze").map(Freezer::Unified),
        };
        if let Some(Freezer::Old(own) | Freezer::Unified(own)) = &freezer {
            directories.retain(|path| path.file_name() == own.file_name());
        }
        Self {
            directories,
            freezer,
        }
    }

    /// Those that a process of the container is in.
    ///
    /// # Errors
    /// If the process is gone, or its cgroups are not mounted here.
    pub fn of_process(pid: i32) -> Result<Self, Failure> {
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|error| Failure::at("read", &path, error))
        };
        let cgroup = read(format!("/proc/{pid}/cgroup").into())?;
        let mountinfo = read("/proc/self/mountinfo".into())?;
        let directories = own_directories(&cgroup, &mountinfo);
        if directories.is_empty() {
            return Err(Failure::new(format!(
                "the cgroups of process {pid} are not mounted here"
            )));
        }
        Ok(Self::at(directories))
    }

    /// Their directories.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Stops every process. What was not frozen within the limit is left as it is: the caller thaws.
    ///
    /// # Errors
    /// If they cannot be frozen.
    pub fn freeze(&self, limit: Duration) -> Result<(), Failure> {
        let path = self.freezer_path()?;
        let is_done = pause::until(limit, || {
            // The old freezer misses what is being born; asking again takes it in.
            self.order(true)?;
            self.is_frozen()
        })?;
        if is_done {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the processes in {} were not frozen within {limit:?}",
            path.display()
        )))
    }

    /// Lets them run again.
    ///
    /// # Errors
    /// If they cannot be thawed.
    pub fn thaw(&self) -> Result<(), Failure> {
        if self.freezer.is_none() && self.is_empty()? {
            return Ok(());
        }
        self.order(false)
    }

    /// Whether all of them stand still.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn is_frozen(&self) -> Result<bool, Failure> {
        match &self.freezer {
            None => Ok(false),
            Some(Freezer::Old(path)) => {
                let state = read(&path.join("freezer.state"))?.unwrap_or_default();
                Ok(state.trim_end() == "FROZEN")
            }
            Some(Freezer::Unified(path)) => {
                let events = read(&path.join("cgroup.events"))?.unwrap_or_default();
                Ok(events.lines().any(|line| line == "frozen 1"))
            }
        }
    }

    /// Whether they stand still, or are on their way to it: some may never come to a stop, and are to be thawed all the same.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn is_ordered_to_freeze(&self) -> Result<bool, Failure> {
        match &self.freezer {
            None => Ok(false),
            Some(Freezer::Old(path)) => {
                let state = read(&path.join("freezer.state"))?.unwrap_or_default();
                Ok(!matches!(state.trim_end(), "" | "THAWED"))
            }
            Some(Freezer::Unified(path)) => {
                let order = read(&path.join("cgroup.freeze"))?.unwrap_or_default();
                Ok(order.trim_end() == "1")
            }
        }
    }

    /// The processes in them and in what the container made below them.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn pids(&self) -> Result<BTreeSet<i32>, Failure> {
        let mut found = BTreeSet::new();
        let mut directories = self.directories.clone();
        while let Some(directory) = directories.pop() {
            for file in ["cgroup.procs", "cgroup.threads"] {
                match content(&directory.join(file)) {
                    Ok(text) => {
                        let text = text.unwrap_or_default();
                        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
                        break;
                    }
                    // In a threaded cgroup only threads can be listed.
                    Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
                    }
                    Err(error) => return Err(Failure::at("read", &directory.join(file), error)),
                }
            }
            directories.extend(below(&directory));
        }
        // What another PID namespace hides is listed as 0.
        found.remove(&0);
        Ok(found)
    }

    /// Whether nothing is left in them.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn is_empty(&self) -> Result<bool, Failure> {
        self.pids().map(|pids| pids.is_empty())
    }

    fn order(&self, freeze: bool) -> Result<(), Failure> {
        let (path, word) = match (&self.freezer, freeze) {
            (Some(Freezer::Old(path)), true) => (path.join("freezer.state"), "FROZEN"),
            (Some(Freezer::Old(path)), false) => (path.join("freezer.state"), "THAWED"),
            (Some(Freezer::Unified(path)), true) => (path.join("cgroup.freeze"), "1"),
            (Some(Freezer::Unified(path)), false) => (path.join("cgroup.freeze"), "0"),
            (None, _) => return self.freezer_path().map(drop),
        };
        match std::fs::write(&path, word) {
            Ok(()) => Ok(()),
            Err(error) if is_gone(&error) && !freeze => Ok(()),
            Err(error) => Err(Failure::at("write", &path, error)),
        }
    }

    fn freezer_path(&self) -> Result<&Path, Failure> {
        match &self.freezer {
            Some(Freezer::Old(path) | Freezer::Unified(path)) => Ok(path),
            None => Err(Failure::new(format!(
                "no cgroup of the container can be frozen ({})",
                self.names()
            ))),
        }
    }

    fn names(&self) -> String {
        let names = self
            .directories
            .iter()
            .map(|path| path.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    }
}

/// What is in a file of a cgroup; none if the cgroup is gone.
fn content(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    content(path).map_err(|error| Failure::at("read", path, error))
}

/// A cgroup that is removed while its file is open answers so.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

/// The cgroups below one; none if it is gone.
fn below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let is_directory =
        |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let entries = entries.filter_map(Result::ok).filter(is_directory);
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests;
