//! One agent at a time: the next one waits until the last one's process is gone.

use crate::kit::error::Error;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// A node that is ours alone for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Own {
    _lock: OwnedFd,
}

/// Takes the node; nothing where another agent still runs.
///
/// # Errors
/// The directory cannot be made or locked.
pub(crate) fn take(folder: &Path) -> Result<Option<Own>, Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Error::io("make", folder.display().to_string(), error))?;
    let path = folder.join("agent.lock");
    let failed =
        |error: rustix::io::Errno| Error::io("lock", path.display().to_string(), error.into());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Own { _lock: lock })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_agent() {
        let run = std::env::temp_dir().join(format!("holdfast-own-{}", std::process::id()));
        let first = take(&run).unwrap();
        assert!(first.is_some());
        assert!(take(&run).unwrap().is_none());
        drop(first);
        assert!(take(&run).unwrap().is_some());
        std::fs::remove_dir_all(run).unwrap();
    }
}
