//! Going into a host's root, for who works from a container: all paths, links and programs are then the host's. It is this process
//! that goes, as a whole, so nothing can be read from the wrong side; and it can come back.

use crate::kit::error::Error;
use rustix::fs::{Mode, OFlags};
use rustix::process::{chroot, fchdir};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The way back.
#[derive(Debug)]
pub(crate) struct Entered(Option<OwnedFd>);

/// Goes into a root; into `/`, nothing happens.
///
/// # Errors
/// If it is no root of a host, or we may not go there.
pub(crate) fn enter(root: &Path) -> Result<Entered, Error> {
    if root == Path::new("/") {
        return Ok(Entered(None));
    }
    let invalid = |why: &str| Error::Invalid {
        what: format!("--root={}", root.display()),
        why: why.into(),
    };
    if !root.join("etc").is_dir() || !root.join("proc/self").exists() {
        return Err(invalid(
            "there is no etc, or no proc below it: mount the host's / there, with all that is mounted below it",
        ));
    }
    let failed =
        |error: rustix::io::Errno| Error::io("enter", root.display().to_string(), error.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let back = rustix::fs::open("/", flags, Mode::empty()).map_err(failed)?;
    chroot(root).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)?;
    Ok(Entered(Some(back)))
}

impl Entered {
    /// Goes back to where this process came from.
    ///
    /// # Errors
    /// If the system does not let us.
    pub(crate) fn leave(self) -> Result<(), Error> {
        let Some(back) = self.0 else {
            return Ok(());
        };
        let failed = |error: rustix::io::Errno| Error::io("leave", "the host's root", error.into());
        fchdir(&back).map_err(failed)?;
        chroot(".").map_err(failed)
    }
}

/// The file that a path stands for, with the links of this root followed; the path itself if there is nothing.
pub(crate) fn followed(path: &Path) -> PathBuf {
    path.canonicalize()
        .unwrap_or_else(|_missing| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_is_refused() {
        let error = enter(Path::new("/etc")).unwrap_err().to_string();
        assert!(error.starts_with("--root=/etc cannot be used"), "{error}");
        enter(Path::new("/")).unwrap().leave().unwrap();
    }
}
