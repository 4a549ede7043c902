//! A directory becomes a stream.

use super::header::{MTIME, Time, XATTR, xattrs};
use super::{Error, Kind};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, major, minor, openat, readlinkat, statat,
};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// What the overlay file system notes for itself in an upper layer: nothing of it is the program's.
const NOTES: [&[u8]; 6] = [
    b"trusted.overlay.origin",
    b"trusted.overlay.impure",
    b"trusted.overlay.nlink",
    b"trusted.overlay.upper",
    b"trusted.overlay.uuid",
    b"trusted.overlay.protattr",
];
/// A directory that hides what is below it.
pub(super) const OPAQUE: &str = "trusted.overlay.opaque";
/// The label that belongs to one pod on one node; the next one has its own.
const LABEL: &[u8] = b"security.selinux";

/// What was packed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Files of all kinds.
    pub entries: u64,
    /// The content of regular files.
    pub bytes: u64,
    /// Sockets: a file of that kind is made by whoever listens, and CRIU makes those that a program has open.
    pub sockets: Vec<PathBuf>,
}

/// Writes everything below `directory`, and the directory's own mode, owner, times and attributes.
///
/// # Errors
/// A file cannot be read, changed while it was read, or holds what cannot be carried.
pub fn pack(directory: &Path, out: impl Write, kind: Kind) -> Result<Packed, Error> {
    let mut packer = Packer {
        builder: Builder::new(out),
        kind,
        links: HashMap::new(),
        packed: Packed::default(),
    };
    let stat = look(directory)?;
    packer.entry(directory, Path::new(""), &stat)?;
    packer.below(directory, Path::new(""))?;
    packer.builder.finish().map_err(Error::Unsent)?;
    Ok(packer.packed)
}

/// What says in a layer that a file was deleted. The kernel keeps one for many of them; each is a deletion of its own.
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

struct Packer<W: Write> {
    builder: Builder<W>,
    kind: Kind,
    /// Files with several names: the name under which each went.
    links: HashMap<(u64, u64), PathBuf>,
    packed: Packed,
}

impl<W: Write> Packer<W> {
    fn below(&mut self, directory: &Path, name: &Path) -> Result<(), Error> {
        let listed = std::fs::read_dir(directory)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(|error| Error::io("list", directory, error))?;
        let mut listed: Vec<_> = listed.into_iter().map(|entry| entry.file_name()).collect();
        listed.sort();
        for leaf in listed {
            let (path, name) = (directory.join(&leaf), name.join(&leaf));
            let stat = look(&path)?;
            self.entry(&path, &name, &stat)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.below(&path, &name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &Path, stat: &Stat) -> Result<(), Error> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            self.packed.sockets.push(name.to_owned());
            return Ok(());
        }
        let mut records = vec![(MTIME.to_owned(), Time::of(stat).text().into_bytes())];
        for (key, value) in self.attributes(path)? {
            records.push((format!("{XATTR}{key}"), value));
        }
        let item = Item {
            header: header(stat),
            name,
            records,
        };
        let has_names = kind != FileType::Directory
            && stat.st_nlink > 1
            && !(self.kind == Kind::Layer && is_whiteout(stat));
        let id = (stat.st_dev, stat.st_ino);
        let former = self.links.get(&id).filter(|_| has_names).cloned();
        if let Some(former) = former {
            self.send(item, EntryType::Link, Some(former.as_os_str()), io::empty())?;
        } else {
            self.send_whole(path, item, stat)?;
            if has_names {
                self.links.insert(id, name.to_owned());
            }
        }
        self.packed.entries = self.packed.entries.saturating_add(1);
        Ok(())
    }

    fn send_whole(&mut self, path: &Path, mut item: Item, stat: &Stat) -> Result<(), Error> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                item.header.set_size(size);
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = openat(CWD, path, flags, Mode::empty())
                    .map_err(|error| Error::io("open", path, error))?;
                let content = Exact {
                    file: File::from(file),
                    left: size,
                };
                self.send(item, EntryType::Regular, None, content)?;
                self.packed.bytes = self.packed.bytes.saturating_add(size);
                Ok(())
            }
            FileType::Symlink => {
                let target = readlinkat(CWD, path, Vec::new())
                    .map_err(|error| Error::io("read", path, error))?;
                let target = OsStr::from_bytes(target.as_bytes());
                self.send(item, EntryType::Symlink, Some(target), io::empty())
            }
            FileType::Directory => self.send(item, EntryType::Directory, None, io::empty()),
            FileType::Fifo => self.send(item, EntryType::Fifo, None, io::empty()),
            kind @ (FileType::CharacterDevice | FileType::BlockDevice) => {
                let header = &mut item.header;
                let described = header
                    .set_device_major(major(stat.st_rdev))
                    .and_then(|()| header.set_device_minor(minor(stat.st_rdev)));
                described.map_err(|error| Error::io("describe", path, error))?;
                let is_block = kind == FileType::BlockDevice;
                let kind = if is_block {
                    EntryType::Block
                } else {
                    EntryType::Char
                };
                self.send(item, kind, None, io::empty())
            }
            _ => {
                let why = "it is a file of a kind that cannot be carried";
                Err(Error::refused(item.name.as_os_str().as_bytes(), why))
            }
        }
    }

    fn attributes(&self, path: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut kept = Vec::new();
        for (name, value) in
            xattrs(path).map_err(|error| Error::io("read attributes of", path, error))?
        {
            let bytes = name.as_bytes();
            let is_layer = self.kind == Kind::Layer;
            if bytes == LABEL || (is_layer && NOTES.contains(&bytes)) {
                continue;
            }
            let is_known = bytes == OPAQUE.as_bytes();
            if is_layer && bytes.starts_with(b"trusted.overlay.") && !is_known {
                let why = format!(
                    "its attribute {} says that part of it lies elsewhere in the layers below; the image store must not use redirect_dir or metacopy",
                    name.to_string_lossy()
                );
                return Err(Error::refused(path.as_os_str().as_bytes(), why));
            }
            let name = name.into_string().map_err(|_| {
                Error::refused(
                    path.as_os_str().as_bytes(),
                    "the name of an attribute is no text",
                )
            })?;
            kept.push((name, value));
        }
        Ok(kept)
    }

    fn send(
        &mut self,
        item: Item,
        kind: EntryType,
        link: Option<&OsStr>,
        content: impl Read,
    ) -> Result<(), Error> {
        let Item {
            mut header,
            name,
            mut records,
        } = item;
        header.set_entry_type(kind);
        let is_root = name.as_os_str().is_empty();
        let name = if is_root { Path::new(".") } else { name };
        // The field takes a hundred bytes; the record takes all.
        if header.set_path(name).is_err() {
            records.push(("path".into(), name.as_os_str().as_bytes().to_vec()));
            header.set_path("long").map_err(Error::Unsent)?;
        }
        if let Some(link) = link
            && header.set_link_name_literal(link.as_bytes()).is_err()
        {
            records.push(("linkpath".into(), link.as_bytes().to_vec()));
        }
        header.set_cksum();
        let records = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        self.builder
            .append_pax_extensions(records)
            .map_err(Error::Unsent)?;
        self.builder.append(&header, content).map_err(Error::Unsent)
    }
}

/// A file as it is to be described.
struct Item<'a> {
    header: Header,
    name: &'a Path,
    records: Vec<(String, Vec<u8>)>,
}

fn look(path: &Path) -> Result<Stat, Error> {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| Error::io("look at", path, error))
}

fn header(stat: &Stat) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_size(0);
    header
}

/// As many bytes as the header said, or an error: a stream with another length cannot be read.
struct Exact {
    file: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let read = self.file.read(buffer)?;
        if read == 0 {
            let why = "a file became shorter while it was packed; is the pod frozen?";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.left = self
            .left
            .saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}
