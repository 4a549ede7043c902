//! The node's own files, as the agent sees them from its container.

use crate::oci::clock;
use crate::oci::failure::Failure;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use std::path::{Path, PathBuf};

/// Where states of pods are kept, on the node.
pub(crate) const CHECKPOINTS: &str = "/var/lib/holdfast/checkpoints";

/// What is gone with the next boot, on the node.
const RUN: &str = "/run/holdfast";
/// What must not be lost, on the node.
const STATE: &str = "/var/lib/holdfast";

/// Where things lie on a node.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    root: PathBuf,
    run: PathBuf,
    state: PathBuf,
    /// Its root as its first process sees it: mounts that came after we began are there too.
    first: PathBuf,
}

impl Host {
    /// Its root directory is mounted here; `/` where the agent runs on the node itself.
    #[must_use]
    pub(crate) fn at(root: PathBuf) -> Self {
        Self {
            root,
            run: RUN.into(),
            state: STATE.into(),
            first: process(1).join("root"),
        }
    }

    /// The same where nobody may look at the machine's first process.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn seen_from(self, first: &Path) -> Self {
        let first = first.to_owned();
        Self { first, ..self }
    }

    /// This boot, as the guard on the node sees it too: both judge deadlines by it.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn boot(&self) -> Result<String, Failure> {
        clock::boot_id_below(&self.first)
    }

    /// A directory as the node's first process sees it: mounts that came after we began are there too, and links lead where they lead
    /// there.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn open(&self, path: &Path) -> Result<Opened, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(&self.first, flags, Mode::empty());
        let root = root.map_err(|error| Failure::at("open", &self.first, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let found = openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
        let found = found.map_err(|error| Failure::at("open", path, error))?;
        Ok(Opened(found))
    }

    /// The same with other folders: several nodes on one machine, for tests.
    #[cfg(feature = "faults")]
    #[must_use]
    pub(crate) fn with_folders(self, run: PathBuf, state: PathBuf) -> Self {
        Self { run, state, ..self }
    }

    /// A path of the node.
    #[must_use]
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path as the node has it, though we may have seen it below our mount of its root.
    #[must_use]
    pub(crate) fn without(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// What is gone with the next boot: the socket, and a file for each container.
    #[must_use]
    pub(crate) fn run(&self) -> PathBuf {
        self.path(&self.run)
    }

    /// States of pods that are kept.
    #[must_use]
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path(self.state.join("checkpoints"))
    }

    /// What must not be lost.
    #[must_use]
    pub(crate) fn records(&self) -> PathBuf {
        self.path(self.state.join("records"))
    }
}

/// A process of the node, whose numbers we share.
pub(crate) fn process(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// A directory of the node, held open.
pub(crate) struct Opened(OwnedFd);

impl Opened {
    /// A path of this process that leads there, and not to a link.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}/.", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_node_lies_below_its_root() {
        let host = Host::at("/host".into());
        assert_eq!(host.run(), Path::new("/host/run/holdfast"));
        assert_eq!(host.path("relative"), Path::new("/host/relative"));
        assert_eq!(Host::at("/".into()).path("/a"), Path::new("/a"));
        for path in ["/host/sys/x", "/sys/x"] {
            assert_eq!(host.without(Path::new(path)), Path::new("/sys/x"));
        }
    }
}
