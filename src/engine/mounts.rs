//! Where a container's writable layer lies: the upper directory of the overlay that is its root file system.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The upper directory of the overlay that is mounted at `path`, by a `mountinfo`; the mount that came last covers the others.
///
/// # Errors
/// A sentence: nothing is mounted there, or no overlay with a writable layer.
pub fn upper(mountinfo: &[u8], path: &Path) -> Result<PathBuf, String> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let mount = lines
        .filter_map(Mount::read)
        .rfind(|mount| mount.at == path);
    let Some(mount) = mount else {
        return Err(format!("nothing is mounted at {}", path.display()));
    };
    if mount.kind != b"overlay" {
        return Err(format!(
            "the root file system at {} is no overlay but {}: its changes cannot be carried; use the snapshotter overlayfs",
            path.display(),
            String::from_utf8_lossy(mount.kind)
        ));
    }
    let options = mount.options.split(|byte| *byte == b',');
    let found = options
        .filter_map(|option| option.strip_prefix(b"upperdir="))
        .next_back();
    found
        .map(unescaped)
        .ok_or_else(|| format!("the overlay at {} has no writable layer", path.display()))
}

struct Mount<'a> {
    at: PathBuf,
    kind: &'a [u8],
    options: &'a [u8],
}

impl<'a> Mount<'a> {
    /// `36 35 98:0 /root /at rw,noatime master:1 - kind source options`
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let at = unescaped(words.nth(4)?);
        let mut rest = words.skip_while(|word| *word != b"-");
        let (kind, options) = (rest.nth(1)?, rest.nth(1)?);
        Some(Self { at, kind, options })
    }
}

/// The kernel writes a space, a tab, a line feed and a backslash as three octal digits; an overlay writes a comma or colon in its
/// options with a backslash before it.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 8).ok()
            });
        bytes.push(octal.unwrap_or(*first));
        rest = match octal {
            Some(_) => tail.get(3..).unwrap_or_default(),
            None => tail,
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
90 22 0:50 / /run/c/rootfs rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/snap/1/fs,workdir=/snap/1/work
91 22 0:51 / /run/d\\040e/rootfs rw shared:7 master:2 - overlay overlay rw,lowerdir=/l1,upperdir=/snap\\040x/2/fs,workdir=/w
92 22 0:52 / /run/c/rootfs rw - overlay overlay rw,lowerdir=/l1,upperdir=/snap/3/fs,workdir=/w
93 22 0:53 / /run/ro/rootfs ro - overlay overlay ro,lowerdir=/l1:/l2
94 22 0:54 / /run/b/rootfs rw - btrfs /dev/sdb rw,subvol=/x
";

    #[test]
    fn the_mount_that_came_last_counts() {
        let upper = |path: &str| upper(MOUNTS.as_bytes(), Path::new(path));
        assert_eq!(upper("/run/c/rootfs").unwrap(), Path::new("/snap/3/fs"));
        assert_eq!(upper("/run/d e/rootfs").unwrap(), Path::new("/snap x/2/fs"));
    }

    #[test]
    fn what_has_no_writable_layer_is_told() {
        for (path, says) in [
            ("/run/ro/rootfs", "no writable layer"),
            ("/run/b/rootfs", "no overlay but btrfs"),
            ("/none", "nothing is mounted"),
        ] {
            let told = upper(MOUNTS.as_bytes(), Path::new(path)).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
        assert!(upper(b"garbage\n1 2 3\n- - -\n", Path::new("/")).is_err());
    }
}
