//! A stream becomes files below a directory. The stream may come from a liar.

mod dress;
mod spot;

use super::Error;
use super::header::Time;
use super::name::checked;
use super::pack::OPAQUE;
use dress::{Records, records};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, linkat, makedev, mkdirat, mknodat, openat,
    openat2, symlinkat, unlinkat,
};
use spot::Spot;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// What an archive may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Files of all kinds.
    pub entries: u64,
    /// The content of regular files.
    pub bytes: u64,
}

/// What an archive is the content of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A volume: the directory is empty, and nothing comes twice.
    Volume,
    /// A writable layer, which changes the root file system beneath it: files are replaced, and what it says is gone is removed.
    Layer,
}

/// What was unpacked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files of all kinds.
    pub entries: u64,
    /// The content of regular files.
    pub bytes: u64,
    /// What a layer removed.
    pub removed: u64,
}

/// Reads everything into `directory`, which is there.
///
/// # Errors
/// The archive is not one that may be unpacked here, or the system says no. What was written until then stays.
pub fn unpack(
    directory: &Path,
    archive: impl Read,
    kind: Kind,
    bounds: Bounds,
) -> Result<Unpacked, Error> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = openat(rustix::fs::CWD, directory, flags, Mode::empty())
        .map_err(|error| Error::io("open", directory, error))?;
    let mut unpacker = Unpacker {
        root,
        at: directory.to_owned(),
        kind,
        bounds,
        made: HashSet::new(),
        times: Vec::new(),
        unpacked: Unpacked::default(),
    };
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(Error::Broken)? {
        unpacker.entry(entry.map_err(Error::Broken)?)?;
    }
    unpacker.set_times()?;
    Ok(unpacker.unpacked)
}

struct Unpacker {
    root: OwnedFd,
    at: PathBuf,
    kind: Kind,
    bounds: Bounds,
    /// Files that came from this archive: only these are linked to.
    made: HashSet<PathBuf>,
    /// Of directories, set when nothing is put into them any more.
    times: Vec<(PathBuf, Time)>,
    unpacked: Unpacked,
}

impl Unpacker {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), Error> {
        let name = entry.path_bytes().into_owned();
        let path = checked(&name)?;
        self.count(&name, &entry)?;
        let records = records(&mut entry, &name)?;
        let kind = entry.header().entry_type();
        if path.as_os_str().is_empty() {
            return match kind {
                EntryType::Directory => self.own_directory(&entry, &records),
                _ => Err(Error::refused(
                    &name,
                    "the directory itself can only be a directory",
                )),
            };
        }
        let spot = self.spot(&path, &name)?;
        let dress = match kind {
            EntryType::Directory => {
                self.directory(&spot, &path, &records)?;
                true
            }
            EntryType::Link => {
                self.link(&entry, &spot, &path, &name)?;
                false
            }
            EntryType::Char if self.kind == Kind::Layer && device(&entry)? == (0, 0) => {
                self.remove(&spot, &path)?;
                return Ok(());
            }
            _ => {
                self.make_room(&spot, &path, &name)?;
                self.file(&mut entry, &spot, &path, &name)?;
                self.made.insert(path.clone());
                true
            }
        };
        if dress {
            self.dress(&entry, &spot, (&path, kind), &records)?;
        }
        Ok(())
    }

    fn count<R: Read>(&mut self, name: &[u8], entry: &Entry<'_, R>) -> Result<(), Error> {
        let unpacked = &mut self.unpacked;
        unpacked.entries = unpacked.entries.saturating_add(1);
        unpacked.bytes = unpacked.bytes.saturating_add(entry.size());
        if unpacked.entries > self.bounds.entries {
            let why = format!("there are more than {} files", self.bounds.entries);
            return Err(Error::refused(name, why));
        }
        if unpacked.bytes > self.bounds.bytes {
            let why = format!("there are more than {} bytes", self.bounds.bytes);
            return Err(Error::refused(name, why));
        }
        Ok(())
    }

    /// Opens the directory that an entry is in, through directories alone.
    fn spot<'a>(&self, path: &'a Path, name: &[u8]) -> Result<Spot<'a>, Error> {
        let leaf = path
            .file_name()
            .ok_or_else(|| Error::refused(name, "it has no name"))?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let within =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let parent = openat2(&self.root, parent, flags, Mode::empty(), within).map_err(
            |error| match error {
                rustix::io::Errno::LOOP | rustix::io::Errno::XDEV => {
                    Error::refused(name, "the way there leads through a link")
                }
                error => Error::io("open the directory of", &self.at.join(path), error),
            },
        )?;
        Ok(Spot { parent, leaf })
    }

    fn own_directory<R: Read>(
        &mut self,
        entry: &Entry<'_, R>,
        records: &Records,
    ) -> Result<(), Error> {
        let parent = self
            .root
            .try_clone()
            .map_err(|error| Error::io("open", &self.at, error))?;
        let spot = Spot {
            parent,
            leaf: OsStr::new("."),
        };
        if self.kind == Kind::Layer {
            return Ok(());
        }
        self.dress(entry, &spot, (Path::new(""), EntryType::Directory), records)
    }

    fn directory(&mut self, spot: &Spot, path: &Path, records: &Records) -> Result<(), Error> {
        let is_opaque = records
            .xattrs
            .get(OPAQUE)
            .is_some_and(|value| value == b"y");
        match spot.file_type() {
            Some(FileType::Directory) if self.kind == Kind::Layer && is_opaque => {
                self.remove(spot, path)?;
            }
            Some(FileType::Directory) => return Ok(()),
            Some(_) if self.kind == Kind::Layer => self.remove(spot, path)?,
            Some(_) => {
                let name = path.as_os_str().as_bytes();
                return Err(Error::refused(
                    name,
                    "there is already something else of that name",
                ));
            }
            None => {}
        }
        mkdirat(&spot.parent, spot.leaf, Mode::RWXU)
            .map_err(|error| Error::io("make", &self.at.join(path), error))
    }

    /// In a layer a file replaces what was there; in a volume there is nothing.
    fn make_room(&mut self, spot: &Spot, path: &Path, name: &[u8]) -> Result<(), Error> {
        match (spot.file_type(), self.kind) {
            (None, _) => Ok(()),
            (Some(_), Kind::Layer) if !self.made.contains(path) => self.remove(spot, path),
            (Some(_), _) => Err(Error::refused(name, "it comes twice")),
        }
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        spot: &Spot,
        path: &Path,
        name: &[u8],
    ) -> Result<(), Error> {
        let at = self.at.join(path);
        let failed = |error: rustix::io::Errno| Error::io("make", &at, error);
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let flags = OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::WRONLY
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = openat(&spot.parent, spot.leaf, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(failed)?;
                fill(entry, File::from(file), &at)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                if target.is_empty() || target.contains(&0) {
                    return Err(Error::refused(name, "it is a link to nothing"));
                }
                symlinkat(OsStr::from_bytes(&target), &spot.parent, spot.leaf).map_err(failed)
            }
            EntryType::Fifo => {
                mknodat(&spot.parent, spot.leaf, FileType::Fifo, Mode::RUSR, 0).map_err(failed)
            }
            kind @ (EntryType::Char | EntryType::Block) => {
                let (major, minor) = device(entry)?;
                let kind = if kind == EntryType::Char {
                    FileType::CharacterDevice
                } else {
                    FileType::BlockDevice
                };
                mknodat(
                    &spot.parent,
                    spot.leaf,
                    kind,
                    Mode::RUSR,
                    makedev(major, minor),
                )
                .map_err(failed)
            }
            _ => Err(Error::refused(name, "it is of a kind that is not taken")),
        }
    }

    fn link<R: Read>(
        &mut self,
        entry: &Entry<'_, R>,
        spot: &Spot,
        path: &Path,
        name: &[u8],
    ) -> Result<(), Error> {
        let target = checked(&entry.link_name_bytes().unwrap_or_default())?;
        if !self.made.contains(&target) {
            return Err(Error::refused(
                name,
                "it is another name of a file that did not come before",
            ));
        }
        self.make_room(spot, path, name)?;
        let from = self.spot(&target, name)?;
        linkat(
            &from.parent,
            from.leaf,
            &spot.parent,
            spot.leaf,
            AtFlags::empty(),
        )
        .map_err(|error| Error::io("link", &self.at.join(path), error))?;
        self.made.insert(path.to_owned());
        Ok(())
    }

    fn remove(&mut self, spot: &Spot, path: &Path) -> Result<(), Error> {
        let failed = |error: io::Error| Error::io("remove", &self.at.join(path), error);
        match spot.file_type() {
            None => return Ok(()),
            Some(FileType::Directory) => std::fs::remove_dir_all(spot.path()).map_err(failed)?,
            Some(_) => unlinkat(&spot.parent, spot.leaf, AtFlags::empty())
                .map_err(|error| failed(error.into()))?,
        }
        self.unpacked.removed = self.unpacked.removed.saturating_add(1);
        Ok(())
    }
}

fn device<R: Read>(entry: &Entry<'_, R>) -> Result<(u32, u32), Error> {
    let header = entry.header();
    let major = header.device_major().map_err(Error::Broken)?;
    let minor = header.device_minor().map_err(Error::Broken)?;
    Ok((major.unwrap_or_default(), minor.unwrap_or_default()))
}

fn fill<R: Read>(entry: &mut Entry<'_, R>, mut file: File, at: &Path) -> Result<(), Error> {
    let size = entry.size();
    let mut buffer = vec![0_u8; 65_536.min(usize::try_from(size).unwrap_or(65_536).max(1))];
    let mut copied = 0_u64;
    loop {
        let read = entry.read(&mut buffer).map_err(Error::Broken)?;
        if read == 0 {
            break;
        }
        let part = buffer.get(..read).unwrap_or_default();
        io::Write::write_all(&mut file, part).map_err(|error| Error::io("write", at, error))?;
        copied = copied.saturating_add(u64::try_from(read).unwrap_or_default());
    }
    if copied != size {
        let why = io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a file is shorter than its header says",
        );
        return Err(Error::Broken(why));
    }
    Ok(())
}
