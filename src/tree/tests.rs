mod hostile;
mod layer;

use super::fuzzing::Place;
use super::header::{set_xattr, xattrs};
use super::*;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, chownat, mknodat, utimensat,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

const ROOM: Bounds = Bounds {
    entries: 10_000,
    bytes: 100 << 20,
};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Everything that can be seen of a tree.
fn seen(directory: &Path) -> BTreeMap<PathBuf, String> {
    fn look(directory: &Path, name: &Path, all: &mut BTreeMap<PathBuf, String>) {
        let path = directory.join(name);
        let stat = fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        let content = if kind.is_file() {
            format!("{:?}", fs::read(&path).unwrap())
        } else if kind.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap())
        } else {
            String::new()
        };
        let links = if kind.is_dir() { 0 } else { stat.nlink() };
        let said = format!(
            "{:o} {}:{} {}.{:09} dev {} links {links} {:?} {content}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec(),
            stat.rdev(),
            xattrs(&path).unwrap(),
        );
        all.insert(name.to_owned(), said);
        if kind.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                look(directory, &name.join(entry.unwrap().file_name()), all);
            }
        }
    }
    let mut all = BTreeMap::new();
    look(directory, Path::new(""), &mut all);
    all
}

fn packed(directory: &Path, kind: Kind) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(directory, &mut archive, kind).unwrap();
    archive
}

fn set_time(path: &Path, seconds: i64, nanos: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[test]
fn everything_that_can_be_seen_of_a_tree_goes_along() {
    if !is_root() {
        println!("SKIP root: devices and owners need root");
        return;
    }
    let place = Place::new();
    let (from, to) = (place.directory("from"), place.directory("to"));
    let deep = "d".repeat(90);
    fs::create_dir_all(from.join(&deep).join(&deep)).unwrap();
    fs::write(from.join(&deep).join(&deep).join("file"), b"deep").unwrap();
    fs::write(from.join("run"), vec![7; 200_000]).unwrap();
    fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o4751)).unwrap();
    chownat(
        CWD,
        from.join("run"),
        Some(Uid::from_raw(70_000)),
        Some(Gid::from_raw(3_000_000)),
        AtFlags::empty(),
    )
    .unwrap();
    fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(from.join("run"), from.join("same")).unwrap();
    fs::write(from.join(OsStr::from_bytes(b"\xff\n\xfe")), b"").unwrap();
    symlink("/etc/../x".repeat(20), from.join("link")).unwrap();
    mknodat(
        CWD,
        from.join("pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    mknodat(
        CWD,
        from.join("null"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    set_xattr(&from.join("run"), "user.note", b"a\0b").unwrap();
    set_xattr(&from.join(&deep), "trusted.own", b"").unwrap();
    for (name, seconds) in [
        ("run", 5),
        ("link", -7),
        ("pipe", 1 << 33),
        (deep.as_str(), 9),
    ] {
        set_time(&from.join(name), seconds, 123_456_789);
    }
    fs::set_permissions(&from, fs::Permissions::from_mode(0o1770)).unwrap();
    set_time(&from, 77, 1);
    let archive = packed(&from, Kind::Volume);
    let unpacked = unpack(&to, &archive[..], Kind::Volume, ROOM).unwrap();
    assert_eq!(seen(&to), seen(&from));
    assert_eq!((unpacked.bytes, unpacked.removed), (200_004, 0));
}

#[test]
fn a_socket_is_told_and_left_out() {
    let place = Place::new();
    let from = place.directory("from");
    let _listener = std::os::unix::net::UnixListener::bind(from.join("s")).unwrap();
    let packed = pack(&from, &mut Vec::new(), Kind::Volume).unwrap();
    assert_eq!(
        (packed.entries, packed.sockets),
        (1, vec![PathBuf::from("s")])
    );
}

/// Takes a stream, and cuts a file off when much of it came.
struct Shortens(PathBuf, usize);

impl std::io::Write for Shortens {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1 = self.1.saturating_add(bytes.len());
        if self.1 > 100_000 {
            let file = fs::File::options().write(true).open(&self.0)?;
            file.set_len(200_000)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_becomes_shorter_while_it_is_read_is_told() {
    let place = Place::new();
    let from = place.directory("from");
    fs::write(from.join("a"), vec![1; 1 << 20]).unwrap();
    let told = pack(&from, Shortens(from.join("a"), 0), Kind::Volume).unwrap_err();
    assert!(told.to_string().contains("became shorter"), "{told}");
}
