//! Whether there is room for a state on this node. Its disk is the programs' too: kubelet drives pods away when it is nearly full, and
//! collects images.

use crate::agent::peers::desk::Refusal;
use rustix::fs::statvfs;
use std::path::Path;

/// Whether so many bytes can come below a folder that may not be there yet.
pub(super) fn check(folder: &Path, coming: u64, reserve: u64) -> Result<(), Refusal> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("/"));
    let disk = statvfs(there)
        .map_err(|errno| Refusal::Failed(format!("cannot look for room on the disk: {errno}")))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let whole = disk.f_blocks.saturating_mul(disk.f_frsize);
    lacks((free, whole), coming, reserve).map_or(Ok(()), |why| Err(Refusal::Full(why)))
}

fn lacks((free, whole): (u64, u64), coming: u64, reserve: u64) -> Option<String> {
    let stays = whole.checked_div(100)?.saturating_mul(reserve);
    (free < coming.saturating_add(stays)).then(|| {
        format!(
            "there is no room for it: {coming} bytes are to come, {free} are free, and {stays} ({reserve} % of the disk) stay free"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_disk_stays_free() {
        let disk = |free| (free, 1000);
        assert_eq!(lacks(disk(150), 0, 15), None);
        assert!(lacks(disk(149), 0, 15).is_some());
        assert_eq!(lacks(disk(250), 100, 15), None);
        let why = lacks(disk(249), 100, 15).unwrap();
        assert!(why.contains("100 bytes are to come, 249 are free"), "{why}");
        assert!(lacks(disk(u64::MAX), u64::MAX, 15).is_none());
        assert!(check(Path::new("/nowhere/at/all"), u64::MAX, 0).is_err());
        assert_eq!(check(Path::new("/nowhere/at/all"), 0, 0), Ok(()));
    }
}
