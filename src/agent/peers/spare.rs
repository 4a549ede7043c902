//! Memory that is got ready before anything stands still: at the source for what a dump writes, at the target for what a restore brings
//! back. Else the kernel gets it page by page in the freeze: it takes it from files that were read long ago, or, in a virtual machine,
//! from a host that had it back, which can take longer than all the rest.

use crate::agent::store::early::free;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// It takes no longer.
const LONGEST: Duration = Duration::from_secs(5);
/// Of what could be used, so much at most. Of more the kernel would begin to write it to the disk.
const SHARE: u64 = 10;
const PIECE: usize = 1 << 20;
/// A state that was announced and has not come by then may never come.
pub(super) const KEPT: Duration = Duration::from_secs(60);

/// A file without a name, which has memory and is never on the disk. What it has is what the kernel gives next, when it is dropped.
#[derive(Debug)]
pub(crate) struct Spare {
    _file: File,
    /// How much it is.
    pub(crate) bytes: u64,
}

impl Spare {
    /// So much at most, on the disk of this folder, as a dump would have it. None where that cannot be done.
    pub(crate) fn make(folder: &Path, bytes: u64) -> Option<Self> {
        let most = available()?.checked_div(SHARE)?;
        let wanted = bytes.min(most);
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?;
        let (mut file, began) = (File::from(file), Instant::now());
        let (nothing, mut made) = (vec![0; PIECE], 0_u64);
        while made < wanted && began.elapsed() < LONGEST && file.write_all(&nothing).is_ok() {
            made = made.saturating_add(u64::try_from(PIECE).unwrap_or_default());
        }
        Some(Self {
            _file: file,
            bytes: made,
        })
    }
}

/// What could be used without a harm to anybody, as the kernel reckons it.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// What is kept of it on this node: for one state that comes, at a time.
#[derive(Debug, Default)]
pub(super) struct Kept {
    now: Mutex<Option<For>>,
    making: Mutex<()>,
}

/// For whom, and who lets it go when nobody else does.
#[derive(Debug)]
struct For {
    incoming: PathBuf,
    until: Option<AbortHandle>,
    _spare: Spare,
}

impl Drop for For {
    fn drop(&mut self) {
        if let Some(until) = self.until.take() {
            until.abort();
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Option<For>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the state that comes there, instead of what is kept now; how much it is. Nothing where some is just being made.
    pub(super) fn make(&self, incoming: &Path, folder: &Path, bytes: u64) -> u64 {
        let Some(_alone) = free(&self.making) else {
            return 0;
        };
        let before = self.lock().take();
        drop(before);
        let Some(spare) = Spare::make(folder, bytes) else {
            return 0;
        };
        let bytes = spare.bytes;
        *self.lock() = Some(For {
            incoming: incoming.to_owned(),
            until: None,
            _spare: spare,
        });
        bytes
    }

    /// It is let go by this where that state does not come.
    pub(super) fn is_kept(&self, incoming: &Path, until: AbortHandle) {
        match self.lock().as_mut() {
            Some(now) if now.incoming == incoming => {
                if let Some(before) = now.until.take() {
                    before.abort();
                }
                now.until = Some(until);
            }
            _ => until.abort(),
        }
    }

    /// That state has come, or comes no more.
    pub(super) fn let_go(&self, incoming: &Path) {
        let gone = self.lock().take_if(|now| now.incoming == incoming);
        // Out of the lock: it takes a moment.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    fn made(folder: &Path, bytes: u64) -> u64 {
        Spare::make(folder, bytes).unwrap().bytes
    }

    #[test]
    fn no_more_is_used_than_is_wanted_and_nothing_is_left() {
        assert!(available().unwrap() > 0);
        let folder = Folder::new();
        assert_eq!(made(folder.path(), 0), 0);
        let some = made(folder.path(), 3 << 20);
        assert!(some > 0 && some <= 3 << 20);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Spare::make(&folder.path().join("none"), 1).is_none());
    }

    #[test]
    fn it_is_kept_for_one_state_until_that_has_come() {
        let (folder, kept) = (Folder::new(), Kept::default());
        let make = |name: &str| kept.make(Path::new(name), folder.path(), 1 << 20);
        let is_for = || kept.lock().as_ref().map(|now| now.incoming.clone());
        assert_eq!(make("a"), 1 << 20);
        kept.let_go(Path::new("b"));
        assert_eq!(is_for(), Some("a".into()));
        assert_eq!(make("b"), 1 << 20);
        kept.let_go(Path::new("a"));
        assert_eq!(is_for(), Some("b".into()));
        kept.let_go(Path::new("b"));
        assert_eq!(is_for(), None);
        let _somebody = kept.making.lock().unwrap();
        assert_eq!(make("c"), 0);
    }
}
