//! The node's own files, as the agent sees them from its container.

use crate::oci::clock;
use crate::oci::failure::Failure;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use std::path::{Path, PathBuf};

/// Where states of pods are kept, on the node.
pub(crate) const CHECKPOINTS: &str = "/var/lib/holdfast/checkpoints";

/// Where things lie on a node.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    /// Its root directory is mounted here; `/` where the agent runs on the node itself.
    #[must_use]
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
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
        self.path("/run/holdfast")
    }

    /// States of pods that are kept.
    #[must_use]
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path(CHECKPOINTS)
    }

    /// What must not be lost.
    #[must_use]
    pub(crate) fn records(&self) -> PathBuf {
        self.path("/var/lib/holdfast/records")
    }
}

/// A process of the node, whose numbers we share.
pub(crate) fn process(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// This boot, as the guard on the node sees it too: both judge deadlines by it.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn boot_id() -> Result<String, Failure> {
    clock::boot_id_below(&process(1).join("root"))
}

/// A directory of the node, held open.
pub(crate) struct Opened(OwnedFd);

impl Opened {
    /// A path of this process that leads there, and not to a link.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}/.", self.0.as_raw_fd()).into()
    }
}

/// A directory as the node's first process sees it: mounts that came after we began are there too, and links lead where they lead
/// there.
///
/// # Errors
/// It is not there.
pub(crate) fn opened(path: &Path) -> Result<Opened, Failure> {
    let root = process(1).join("root");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root =
        open(&root, flags, Mode::empty()).map_err(|error| Failure::at("open", &root, error))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let found = openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
    let found = found.map_err(|error| Failure::at("open", path, error))?;
    Ok(Opened(found))
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
