//! Where a process's cgroups are in the file system, from two texts of `/proc`. Pure.

use std::path::{Path, PathBuf};

/// A hierarchy that is mounted.
struct Mount {
    /// The cgroup that is seen at the mount point.
    root: String,
    point: PathBuf,
    /// None for the unified hierarchy.
    controllers: Option<Vec<String>>,
}

/// The directories of a process's own cgroups: those in all hierarchies that have the path of the one that freezes.
///
/// `cgroup` is `/proc/PID/cgroup`, `mountinfo` is `/proc/self/mountinfo`.
#[must_use]
pub fn own_directories(cgroup: &str, mountinfo: &str) -> Vec<PathBuf> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(mount).collect();
    let memberships: Vec<(Vec<&str>, &str)> = cgroup.lines().filter_map(membership).collect();
    let freezes = |(controllers, _): &&(Vec<&str>, &str)| controllers.contains(&"freezer");
    let is_unified = |(controllers, _): &&(Vec<&str>, &str)| controllers.is_empty();
    let mut candidates = memberships.iter().filter(freezes);
    let old = candidates.find(|membership| directory(membership, &mounts).is_some());
    let own = old.or_else(|| memberships.iter().find(is_unified));
    let Some((_, own)) = own.filter(|(_, path)| *path != "/") else {
        return Vec::new();
    };
    let same = memberships.iter().filter(|(_, path)| path == own);
    same.filter_map(|membership| directory(membership, &mounts))
        .collect()
}

/// Where the hierarchy is mounted that freezes: the old one of that name, or the unified one.
#[must_use]
pub fn freezer_root(mountinfo: &str) -> Option<PathBuf> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(mount).collect();
    let freezes = |mount: &&Mount| {
        let controllers = mount.controllers.as_ref();
        controllers.is_some_and(|names| names.iter().any(|name| name == "freezer"))
    };
    let found = mounts.iter().find(freezes);
    let found = found.or_else(|| mounts.iter().find(|mount| mount.controllers.is_none()));
    found.map(|mount| mount.point.clone())
}

/// The directories that a specification names with its `cgroupsPath`, in all hierarchies: `/a/b`, or `slice:prefix:name` where systemd
/// makes them.
#[must_use]
pub fn named_directories(cgroups_path: &str, mountinfo: &str) -> Vec<PathBuf> {
    let Some(below) = below_root(cgroups_path) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for mount in mountinfo.lines().filter_map(mount) {
        let path = mount.point.join(&below);
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn below_root(cgroups_path: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = cgroups_path.split(':').collect();
    let path = match parts.as_slice() {
        [path] => PathBuf::from(path.trim_start_matches('/')),
        [slice, prefix, name] if !name.is_empty() => {
            let scope = if prefix.is_empty() {
                format!("{name}.scope")
            } else {
                format!("{prefix}-{name}.scope")
            };
            expanded(slice)?.join(scope)
        }
        _ => return None,
    };
    let is_plain = |part: std::path::Component| matches!(part, std::path::Component::Normal(_));
    let is_named = path.components().next().is_some() && path.components().all(is_plain);
    is_named.then_some(path)
}

/// `a-b.slice` lies in `a.slice`.
fn expanded(slice: &str) -> Option<PathBuf> {
    let slice = if slice.is_empty() {
        "system.slice"
    } else {
        slice
    };
    let mut path = PathBuf::new();
    let mut name = String::new();
    for part in slice.strip_suffix(".slice")?.split('-') {
        if part.is_empty() {
            // The root slice is called `-.slice`.
            continue;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
        path.push(format!("{name}.slice"));
    }
    Some(path)
}

/// `6:freezer:/a/b`; no controllers for the unified hierarchy, `name=systemd` for one without any.
fn membership(line: &str) -> Option<(Vec<&str>, &str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let controllers = parts.next()?;
    let controllers = controllers.split(',').filter(|name| !name.is_empty());
    Some((controllers.collect(), parts.next()?))
}

fn directory((controllers, path): &(Vec<&str>, &str), mounts: &[Mount]) -> Option<PathBuf> {
    let fits = |mount: &&Mount| match &mount.controllers {
        None => controllers.is_empty(),
        Some(mounted) => {
            !controllers.is_empty()
                && controllers
                    .iter()
                    .all(|name| mounted.iter().any(|m| m == name))
        }
    };
    // Of several mounts of one hierarchy, one shows the cgroup.
    mounts.iter().filter(fits).find_map(|mount| {
        let below = Path::new(path).strip_prefix(&mount.root).ok()?;
        let has_up = below.components().any(|part| part.as_os_str() == "..");
        (!has_up).then(|| mount.point.join(below))
    })
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD…] - TYPE SOURCE OPTIONS`
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (unescaped(before.next()?), unescaped(before.next()?));
    let mut after = after.split(' ');
    let kind = after.next()?;
    let controllers = match kind {
        "cgroup2" => None,
        "cgroup" => Some(after.nth(1)?.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Mount {
        root,
        point: point.into(),
        controllers,
    })
}

/// The kernel writes space, tab, line feed and backslash as three octal digits.
fn unescaped(text: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| {
            text.split(escape).collect::<Vec<_>>().join(plain)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
35 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";

    fn paths(cgroup: &str, mountinfo: &str) -> Vec<String> {
        let found = own_directories(cgroup, mountinfo);
        found
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn finds_the_old_hierarchies_by_the_freezers_path() {
        let cgroup = "5:memory:/kube/c1\n4:freezer:/kube/c1\n3:cpu,cpuacct:/kube/c1\n1:name=systemd:/kube/c1\n0::/\n";
        assert_eq!(
            paths(cgroup, OLD),
            [
                "/sys/fs/cgroup/memory/kube/c1",
                "/sys/fs/cgroup/freezer/kube/c1",
                "/sys/fs/cgroup/cpu,cpuacct/kube/c1",
                "/sys/fs/cgroup/systemd/kube/c1",
            ]
        );
    }

    #[test]
    fn a_cgroup_that_is_shared_with_others_is_left_out() {
        let cgroup = "5:memory:/machine\n4:freezer:/kube/c1\n1:name=systemd:/\n0::/\n";
        assert_eq!(paths(cgroup, OLD), ["/sys/fs/cgroup/freezer/kube/c1"]);
        assert_eq!(paths("4:freezer:/\n0::/\n", OLD), Vec::<String>::new());
    }

    #[test]
    fn finds_the_unified_hierarchy() {
        let mounts =
            "31 30 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            paths("0::/kubepods.slice/cri-c1.scope\n", mounts),
            ["/sys/fs/cgroup/kubepods.slice/cri-c1.scope"]
        );
        assert_eq!(paths("0::/\n", mounts), Vec::<String>::new());
    }

    #[test]
    fn a_mount_may_show_a_part() {
        let mounts = "34 30 0:30 /node1 /cg/my\\040freezer rw - cgroup cgroup rw,freezer\n";
        assert_eq!(
            paths("4:freezer:/node1/c1\n", mounts),
            ["/cg/my freezer/c1"]
        );
        assert_eq!(paths("4:freezer:/node2/c1\n", mounts), Vec::<String>::new());
        assert_eq!(
            paths("4:freezer:/../node2/c1\n", mounts),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_specification_names_its_cgroups_in_either_way() {
        let freezer = "34 30 0:30 / /cg/freezer rw - cgroup cgroup rw,freezer\n";
        let named = |path: &str| named_directories(path, freezer);
        assert_eq!(named("/kube/c1"), [PathBuf::from("/cg/freezer/kube/c1")]);
        assert_eq!(
            named("kubepods-burstable-pod1.slice:cri-containerd:c1"),
            [PathBuf::from(
                "/cg/freezer/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-c1.scope"
            )]
        );
        assert_eq!(
            named(":runc:c1"),
            [PathBuf::from("/cg/freezer/system.slice/runc-c1.scope")]
        );
        for nonsense in ["", "/", "/a/../b", "a:b", "x:y:z:u", "slice:p:"] {
            assert!(named(nonsense).is_empty(), "{nonsense}");
        }
        assert_eq!(freezer_root(OLD), Some("/sys/fs/cgroup/freezer".into()));
        let unified = "31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(freezer_root(unified), Some("/sys/fs/cgroup".into()));
        assert_eq!(freezer_root(""), None);
    }

    #[test]
    fn nonsense_is_nowhere() {
        for cgroup in ["", "x", "1:freezer", ":::"] {
            assert_eq!(paths(cgroup, OLD), Vec::<String>::new(), "{cgroup}");
        }
        assert_eq!(
            paths("4:freezer:/c1", "x\n- - -\n1 2 3 - cgroup"),
            Vec::<String>::new()
        );
    }
}
