//! Memory for what a dump writes, got ready before anything stands still. Else the kernel gets it page by page in the freeze: it takes it
//! from files that were read long ago, or, in a virtual machine, from a host that had it back. Dumps of some 100 MiB took a quarter of
//! their time with it on such a machine; of those that are larger the kernel has forgotten by then which memory was used last.

use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// It takes no longer.
const LONGEST: Duration = Duration::from_secs(4);
/// Of what is free, so much at most: this memory cannot be taken from us in that moment, and others may need some too.
const SHARE: u64 = 4;
const PIECE: usize = 1 << 20;
/// What is written where there is none is more than that.
const NO_LIMIT: u64 = 1 << 50;

/// Uses so much memory for a moment, if there is as much. How much it was. What was used last is what the kernel gives next.
pub(crate) fn make(bytes: u64) -> u64 {
    let most = available()
        .unwrap_or_default()
        .checked_div(SHARE)
        .unwrap_or_default();
    let wanted = bytes.min(most);
    let Ok(file) = memfd_create("holdfast-room", MemfdFlags::CLOEXEC) else {
        return 0;
    };
    let (mut file, began) = (File::from(file), Instant::now());
    let (nothing, mut made) = (vec![0; PIECE], 0_u64);
    while made < wanted && began.elapsed() < LONGEST && file.write_all(&nothing).is_ok() {
        made = made.saturating_add(u64::try_from(PIECE).unwrap_or_default());
    }
    made
}

/// Where a limit of this container stands, with either version of cgroups.
const LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// What could be used without a harm to anybody, as the kernel reckons it; nothing where this container has a limit.
fn available() -> Option<u64> {
    let limits = LIMITS
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let mut limits = limits.filter_map(|text| text.trim().parse::<u64>().ok());
    if limits.any(|limit| limit < NO_LIMIT) {
        return None;
    }
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

    #[test]
    fn no_more_is_used_than_is_wanted_and_there() {
        assert_eq!(make(0), 0);
        let made = make(3 << 20);
        assert!(made <= 3 << 20, "{made}");
    }
}
