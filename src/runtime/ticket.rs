//! A restored container runs already when its `start` comes: that one `start` has nothing to do. A ticket says so. It is written just
//! before the restore and spent by the start, so that another `start` gets the real runtime's own answer.

use crate::oci::failure::Failure;
use crate::oci::files;
use std::path::{Path, PathBuf};

fn path(run: &Path, id: &str) -> PathBuf {
    run.join("restored").join(id)
}

/// The container is about to be restored.
pub(super) fn put(run: &Path, id: &str) -> Result<(), Failure> {
    files::put(&path(run, id), b"")
}

/// Whether it was restored, and not started since; spends the ticket.
pub(super) fn take(run: &Path, id: &str) -> Result<bool, Failure> {
    files::remove(&path(run, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn a_ticket_is_good_once() {
        let folder = Folder::new();
        assert!(!take(folder.path(), "c1").unwrap());
        put(folder.path(), "c1").unwrap();
        assert!(!take(folder.path(), "c2").unwrap());
        assert!(take(folder.path(), "c1").unwrap());
        assert!(!take(folder.path(), "c1").unwrap());
    }
}
