//! Names of entries. Only what stays below the directory is a name.

use super::Error;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// As long as Linux takes a path.
const LONGEST: usize = 4096;

/// The path that an entry names, relative to the directory; the directory itself is the empty path.
pub(super) fn checked(name: &[u8]) -> Result<PathBuf, Error> {
    let refused = |why: &str| Err(Error::refused(name, why));
    if name.len() > LONGEST {
        return refused("its name is longer than a path may be");
    }
    if name.contains(&0) {
        return refused("its name holds a zero byte");
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return refused("its name leads upwards"),
            Component::RootDir | Component::Prefix(_) => return refused("its name is absolute"),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_below_is_a_name() {
        for (name, path) in [
            (&b"./"[..], ""),
            (b"a/b", "a/b"),
            (b"./a//b/", "a/b"),
            (b"\xff", "\u{0}"),
        ] {
            let found = checked(name).unwrap();
            if path != "\u{0}" {
                assert_eq!(found, Path::new(path));
            }
        }
        let long = vec![b'a'; LONGEST + 1];
        for bad in [
            &b"/etc/passwd"[..],
            b"..",
            b"a/../../b",
            b"a/..",
            b"a\0b",
            &long,
        ] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }
}
