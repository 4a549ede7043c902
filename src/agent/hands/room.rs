//! Memory for what a dump writes, got ready before anything stands still. Else the kernel gets it page by page in the freeze: it takes it
//! from files that were read long ago, or, in a virtual machine, from a host that had it back, which can take longer than all the rest.

use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// It takes no longer.
const LONGEST: Duration = Duration::from_secs(5);
/// Of what could be used, so much at most. Of more the kernel would begin to write it to the disk.
const SHARE: u64 = 10;
const PIECE: usize = 1 << 20;

/// Writes so much to a file without a name on the disk of this folder, as the dump will, and lets it go. What was used last is what the
/// kernel gives next. How much it was; where that cannot be done, nothing.
pub(crate) fn make(folder: &Path, bytes: u64) -> u64 {
    let most = available()
        .unwrap_or_default()
        .checked_div(SHARE)
        .unwrap_or_default();
    let wanted = bytes.min(most);
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let Ok(file) = open(folder, flags, Mode::RUSR | Mode::WUSR) else {
        return 0;
    };
    let (mut file, began) = (File::from(file), Instant::now());
    let (nothing, mut made) = (vec![0; PIECE], 0_u64);
    while made < wanted && began.elapsed() < LONGEST && file.write_all(&nothing).is_ok() {
        made = made.saturating_add(u64::try_from(PIECE).unwrap_or_default());
    }
    made
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn no_more_is_used_than_is_wanted_and_nothing_is_left() {
        assert!(available().unwrap() > 0);
        let folder = Folder::new();
        assert_eq!(make(folder.path(), 0), 0);
        assert!(make(folder.path(), 3 << 20) <= 3 << 20);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(make(&folder.path().join("none"), 1), 0);
    }
}
