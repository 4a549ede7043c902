//! What holds for an archive from another node whatever its bytes: it panics where it does not. The fuzz target `tree` calls it, and a
//! test with every file of its corpus. As root, as on a node: without it most archives are refused for their owners.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what does not hold is said by panicking"
)]

use super::{Bounds, Kind, pack, unpack};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const BOUNDS: Bounds = Bounds {
    entries: 64,
    bytes: 64 << 10,
};
const SECRET: &str = "whoever reads or writes this is out of its directory";

/// A directory of its own, gone at its end.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new() -> Self {
        let who = (std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(format!("holdfast-tree-{}-{:?}", who.0, who.1));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _it_is_temporary = fs::remove_dir_all(&self.0);
    }
}

/// Unpacks bytes as a volume and as a layer; were they a whole volume?
///
/// # Panics
/// Where something outside of the directory changes or is read, more is taken than may be, or what was unpacked is another tree when it
/// has travelled once more.
#[must_use]
pub fn archive(bytes: &[u8]) -> bool {
    let place = Place::new();
    let outside = place.directory("outside");
    let secret = outside.join("secret");
    fs::write(&secret, SECRET).unwrap();
    let before = about(&outside, &secret);

    let layer = beneath(&place, &outside);
    if let Ok(done) = unpack(&layer, bytes, Kind::Layer, BOUNDS) {
        assert!(
            done.entries <= BOUNDS.entries && done.bytes <= BOUNDS.bytes,
            "{done:?}"
        );
    }
    let volume = place.directory("volume");
    let unpacked = unpack(&volume, bytes, Kind::Volume, BOUNDS);
    if let Ok(done) = &unpacked {
        assert!(
            done.entries <= BOUNDS.entries && done.bytes <= BOUNDS.bytes,
            "{done:?}"
        );
        travels(&volume, &place.directory("again"));
    }
    assert_eq!(
        about(&outside, &secret),
        before,
        "something outside has changed"
    );
    unpacked.is_ok()
}

/// A root file system that a layer changes, with ways out of it.
fn beneath(place: &Place, outside: &Path) -> PathBuf {
    let root = place.directory("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1").unwrap();
    symlink(outside, root.join("out")).unwrap();
    symlink("..", root.join("up")).unwrap();
    root
}

/// What can be seen of what nobody may touch.
fn about(outside: &Path, secret: &Path) -> (Vec<PathBuf>, String, [i64; 4]) {
    let names = fs::read_dir(outside).unwrap();
    let names = names.map(|entry| entry.unwrap().path()).collect();
    let stat = fs::symlink_metadata(secret).unwrap();
    let [links, mode] = [stat.nlink(), stat.mode().into()].map(|one| i64::try_from(one).unwrap());
    let times = [stat.mtime(), stat.ctime_nsec()];
    (
        names,
        fs::read_to_string(secret).unwrap(),
        [links, mode, times[0], times[1]],
    )
}

/// What was unpacked is packed, and unpacked, as the same.
fn travels(volume: &Path, again: &Path) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    // A file of which the system cannot tell all does not travel.
    if pack(volume, &mut first, Kind::Volume).is_err() {
        return;
    }
    let unbound = Bounds {
        entries: u64::MAX,
        bytes: u64::MAX,
    };
    unpack(again, first.as_slice(), Kind::Volume, unbound).unwrap();
    pack(again, &mut second, Kind::Volume).unwrap();
    assert!(first == second, "it is another tree after it has travelled");
    assert!(!contains(&first, SECRET.as_bytes()), "it was read");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_archive_of_the_corpus_is_unpacked_as_its_name_says() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP root: owners and devices need root");
            return;
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/tree");
        let (mut whole, mut bad) = (0, 0);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_whole = archive(&fs::read(&path).unwrap());
            assert_eq!(is_whole, name.starts_with("whole-"), "{name}");
            whole += usize::from(is_whole);
            bad += usize::from(!is_whole);
        }
        assert!(whole > 4 && bad > 8, "{whole} {bad}");
    }
}
