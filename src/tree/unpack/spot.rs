//! A place below the directory.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, statat};
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Where an entry goes: an open directory, and a name in it.
pub(super) struct Spot<'a> {
    pub(super) parent: OwnedFd,
    pub(super) leaf: &'a OsStr,
}

impl Spot<'_> {
    pub(super) fn file_type(&self) -> Option<FileType> {
        let stat = statat(&self.parent, self.leaf, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// By way of the open directory, so that nobody can put a link in the way.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd")
            .join(self.parent.as_raw_fd().to_string())
            .join(self.leaf)
    }
}
