//! What of a file stands in PAX records, because tar has no field for it or too small a one.

use rustix::fs::{Stat, XattrFlags, lgetxattr, llistxattr, lsetxattr};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Extended attributes, as other archivers write them too.
pub(super) const XATTR: &str = "SCHILY.xattr.";
/// Seconds, a point, nanoseconds.
pub(super) const MTIME: &str = "mtime";
/// The largest value that Linux takes.
pub(super) const LONGEST_VALUE: usize = 65_536;

/// A file's time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

impl Time {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            seconds: stat.st_mtime,
            nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        }
    }

    pub(super) fn text(self) -> String {
        // Before 1970 the point still counts upwards, as it does in the file system.
        match (self.seconds < 0, self.nanos) {
            (true, 1..) => {
                let whole = self.seconds.saturating_add(1);
                let rest = 1_000_000_000_u32.saturating_sub(self.nanos);
                let sign = if whole == 0 { "-" } else { "" };
                format!("{sign}{whole}.{rest:09}")
            }
            _ => format!("{}.{:09}", self.seconds, self.nanos),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let seconds: i64 = whole.parse().ok()?;
        if part.len() > 9 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let nanos: u32 = format!("{part:0<9}").parse().ok()?;
        if text.starts_with('-') && nanos > 0 {
            return Some(Self {
                seconds: seconds.checked_sub(1)?,
                nanos: 1_000_000_000_u32.checked_sub(nanos)?,
            });
        }
        Some(Self { seconds, nanos })
    }
}

/// The extended attributes of a file; of a link its own.
pub(super) fn xattrs(path: &Path) -> io::Result<Vec<(CString, Vec<u8>)>> {
    let mut names = vec![0_u8; LONGEST_VALUE];
    let length = match llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    names.truncate(length);
    let mut found = Vec::new();
    let mut value = vec![0_u8; LONGEST_VALUE];
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = CString::new(name)?;
        match lgetxattr(path, &name, &mut value[..]) {
            Ok(length) => found.push((name, value.get(..length).unwrap_or_default().to_vec())),
            // Somebody removed it meanwhile; it is as if it had been gone before.
            Err(rustix::io::Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Gives a file an extended attribute; a link its own.
pub(super) fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(lsetxattr(path, name, value, XattrFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_written_before_1970_too() {
        for (seconds, nanos, text) in [
            (0, 0, "0.000000000"),
            (7, 5, "7.000000005"),
            (-1, 0, "-1.000000000"),
            (-1, 500_000_000, "-0.500000000"),
            (-3, 999_999_999, "-2.000000001"),
        ] {
            let time = Time { seconds, nanos };
            assert_eq!(time.text(), text);
            assert_eq!(Time::read(text), Some(time), "{text}");
        }
        assert_eq!(
            Time::read("5"),
            Some(Time {
                seconds: 5,
                nanos: 0
            })
        );
        for bad in ["", "x", "1.x", "1.0000000001", "1.-5"] {
            assert_eq!(Time::read(bad), None, "{bad}");
        }
    }
}
