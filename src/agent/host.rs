//! The node's own files, as the agent sees them from its container.

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

/// A directory as the node's first process sees it: mounts that came after we began are there too.
pub(crate) fn live(path: &Path) -> PathBuf {
    process(1)
        .join("root")
        .join(path.strip_prefix("/").unwrap_or(path))
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
    }
}
