//! This boot, and the time in it: what a deadline is told by that must outlive processes, and no boot.

use super::failure::Failure;
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Duration;

/// The id of this boot.
///
/// # Errors
/// If the kernel does not say.
pub fn boot_id() -> Result<String, Failure> {
    boot_id_below(Path::new("/"))
}

/// The same, as it is seen from another root directory.
///
/// # Errors
/// If the kernel does not say.
pub fn boot_id_below(root: &Path) -> Result<String, Failure> {
    let path = &root.join("proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::at("read", path, error))?;
    Ok(text.trim_end().to_owned())
}

/// How long ago this boot was, sleep included: `CLOCK_BOOTTIME`.
#[must_use]
pub fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
