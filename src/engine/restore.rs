//! How a container is restored: what the real runtime and CRIU are told besides what the runtime's caller says. Where its mounts and the
//! pod's network lie now, the real runtime takes from the new bundle.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What CRIU is told besides what the runtime tells it: connections that were open come back closed.
pub const CONFIG: &str = "tcp-close\n";

/// What CRIU writes to where it works.
pub const LOG: &str = "restore.log";

/// More for the real runtime's `restore`, as for the `checkpoint` before it.
#[must_use]
pub fn arguments() -> Vec<String> {
    // CRIU would move what it restores, and cannot in nested cgroups of the old kind.
    ["--manage-cgroups-mode", "ignore", "--file-locks"]
        .map(str::to_owned)
        .into()
}

/// Where a container is restored: its own folder for CRIU's logs, below what is gone with the next boot.
#[must_use]
pub fn work(run: &Path, id: &str) -> PathBuf {
    run.join("restores").join(OsStr::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dumped_with_locks_is_restored_with_them() {
        assert_eq!(
            arguments().join(" "),
            "--manage-cgroups-mode ignore --file-locks"
        );
        assert_eq!(
            work(Path::new("/run/holdfast"), "c1"),
            Path::new("/run/holdfast/restores/c1")
        );
    }
}
