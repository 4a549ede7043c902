//! Our own cgroup on a host, below the root of each hierarchy: for programs of ours that must outlive whoever started them.

use crate::oci::failure::Failure;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a cgroup of cpusets needs before it takes a process: a new one has nothing.
const CPUSETS: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// This process goes into the cgroup of this name, in every hierarchy, and makes it where it is not there.
///
/// # Errors
/// If a hierarchy has none and takes none.
pub fn join(name: &str) -> Result<(), Failure> {
    let mounts = Path::new("/proc/self/mountinfo");
    let text =
        std::fs::read_to_string(mounts).map_err(|error| Failure::at("read", mounts, error))?;
    for root in roots(&text) {
        join_below(&root, name)?;
    }
    Ok(())
}

fn join_below(root: &Path, name: &str) -> Result<(), Failure> {
    let folder = &root.join(name);
    match DirBuilder::new().create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::at("make", folder, error)),
    }
    for file in CPUSETS {
        inherit(&root.join(file), &folder.join(file));
    }
    let processes = folder.join("cgroup.procs");
    // 0 is whoever writes it.
    std::fs::write(&processes, "0").map_err(|error| Failure::at("write", &processes, error))
}

/// What is missing shows when the process goes in.
fn inherit(from: &Path, to: &Path) {
    let is_empty = std::fs::read_to_string(to).is_ok_and(|text| text.trim().is_empty());
    if let Some(value) = std::fs::read(from).ok().filter(|_| is_empty) {
        let _shows_later = std::fs::write(to, value);
    }
}

/// Where hierarchies are mounted, each once, by a `mountinfo`: `36 35 98:0 /root /at options … - kind source options`.
fn roots(mountinfo: &str) -> Vec<PathBuf> {
    let mut found: Vec<(&str, PathBuf)> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else {
            continue;
        };
        if !(kind.starts_with("cgroup ") || kind.starts_with("cgroup2 ")) {
            continue;
        }
        let mut words = mount.split(' ').skip(2);
        let (Some(device), Some(root), Some(at)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // A mount of a part of it, as containers have, is not where the host's own cgroups begin.
        if root == "/" && found.iter().all(|(known, _)| *known != device) {
            found.push((device, at.into()));
        }
    }
    found.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn each_hierarchy_counts_once_and_from_its_root() {
        let mounts = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs rw
31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 22 0:28 / /other rw - cgroup cgroup rw,cpu,cpuacct
34 22 0:30 /kubepods/x /bind rw - cgroup cgroup rw,memory
";
        let expected = ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/unified"];
        assert_eq!(roots(mounts), expected.map(PathBuf::from));
    }

    #[test]
    fn a_new_cgroup_has_the_cpus_of_the_one_above() {
        let folder = Folder::new();
        folder.write("cpuset.cpus", "0-1\n");
        folder.write("cpuset.mems", "0\n");
        folder.write("ours/cpuset.cpus", "\n");
        folder.write("ours/cpuset.mems", "1\n");
        folder.write("ours/cgroup.procs", "");
        join_below(folder.path(), "ours").unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("ours/cpuset.cpus"), "0-1\n");
        assert_eq!(read("ours/cpuset.mems"), "1\n");
        assert_eq!(read("ours/cgroup.procs"), "0");
    }
}
