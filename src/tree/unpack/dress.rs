//! What a file is besides its content: owner, mode, attributes, times.

use super::spot::Spot;
use super::{Kind, Unpacker};
use crate::tree::Error;
use crate::tree::header::{LONGEST_VALUE, MTIME, Time, XATTR, set_xattr};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, RawMode, Timespec, Timestamps, Uid, chmodat, chownat, utimensat,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tar::{Entry, EntryType};

/// What the records before an entry say.
#[derive(Default)]
pub(super) struct Records {
    pub(super) time: Option<Time>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

impl Unpacker {
    /// Owner before mode, which the system changes with the owner; attributes last, some of which a change of owner drops.
    pub(super) fn dress<R: Read>(
        &mut self,
        entry: &Entry<'_, R>,
        spot: &Spot,
        (path, kind): (&Path, EntryType),
        records: &Records,
    ) -> Result<(), Error> {
        let at = self.at.join(path);
        let header = entry.header();
        let number = |number: io::Result<u64>| {
            let number = number.map_err(Error::Broken)?;
            u32::try_from(number)
                .map_err(|_| Error::refused(path.as_os_str().as_bytes(), "no such owner or mode"))
        };
        let (uid, gid) = (number(header.uid())?, number(header.gid())?);
        if uid == u32::MAX || gid == u32::MAX {
            return Err(Error::refused(path.as_os_str().as_bytes(), "no such owner"));
        }
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(
            &spot.parent,
            spot.leaf,
            owner.0,
            owner.1,
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|error| Error::io("give an owner to", &at, error))?;
        if kind != EntryType::Symlink {
            let mode = header.mode().map_err(Error::Broken)? & 0o7777;
            let mode = Mode::from_raw_mode(RawMode::from(mode));
            chmodat(&spot.parent, spot.leaf, mode, AtFlags::empty())
                .map_err(|error| Error::io("set the mode of", &at, error))?;
        }
        for (name, value) in &records.xattrs {
            if self.kind == Kind::Layer && name.starts_with("trusted.overlay.") {
                continue;
            }
            set_xattr(&spot.path(), name, value)
                .map_err(|error| Error::io("set an attribute of", &at, error))?;
        }
        if let Some(time) = records.time {
            if kind == EntryType::Directory {
                self.times.push((path.to_owned(), time));
            } else {
                set_time(spot, time).map_err(|error| Error::io("set the time of", &at, error))?;
            }
        }
        Ok(())
    }

    pub(super) fn set_times(&mut self) -> Result<(), Error> {
        for (path, time) in std::mem::take(&mut self.times).into_iter().rev() {
            let parent = self
                .root
                .try_clone()
                .map_err(|error| Error::io("open", &self.at, error))?;
            let spot = if path.as_os_str().is_empty() {
                let leaf = OsStr::new(".");
                Spot { parent, leaf }
            } else {
                self.spot(&path, path.as_os_str().as_bytes())?
            };
            // A later entry of a layer may have removed it.
            if spot.file_type() == Some(FileType::Directory) {
                set_time(&spot, time)
                    .map_err(|error| Error::io("set the time of", &self.at.join(&path), error))?;
            }
        }
        Ok(())
    }
}

fn set_time(spot: &Spot, time: Time) -> io::Result<()> {
    let at = Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanos.into(),
    };
    let times = Timestamps {
        last_access: at,
        last_modification: at,
    };
    Ok(utimensat(
        &spot.parent,
        spot.leaf,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

pub(super) fn records<R: Read>(entry: &mut Entry<'_, R>, name: &[u8]) -> Result<Records, Error> {
    let mut records = Records::default();
    let Some(extensions) = entry.pax_extensions().map_err(Error::Broken)? else {
        return Ok(records);
    };
    for record in extensions {
        let record = record.map_err(Error::Broken)?;
        let key = record
            .key()
            .map_err(|_| Error::refused(name, "a record's name is no text"))?;
        let value = record.value_bytes();
        if key == MTIME {
            let time = std::str::from_utf8(value).ok().and_then(Time::read);
            records.time = Some(time.ok_or_else(|| Error::refused(name, "its time is none"))?);
        } else if let Some(key) = key.strip_prefix(XATTR) {
            if value.len() > LONGEST_VALUE {
                return Err(Error::refused(
                    name,
                    "an attribute is larger than Linux takes",
                ));
            }
            records.xattrs.insert(key.to_owned(), value.to_vec());
        }
    }
    Ok(records)
}
