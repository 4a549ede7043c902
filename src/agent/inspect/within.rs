//! What is to be seen only from within a pod's namespaces: System V objects, and which Unix socket is connected to which. A thread of its
//! own enters them, looks, and ends.

use super::reading::bounded;
use crate::agent::host;
use crate::preflight::diag::{Peers, question};
use crate::preflight::text::objects;
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, fstatfs, open, openat2};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// So many parts of an answer are taken: some 100,000 sockets.
const MOST_PARTS: u32 = 512;
/// The kernel answers at once.
const LIMIT: Duration = Duration::from_secs(5);
/// So many queues are told.
const MOST_QUEUES: usize = 16;
/// The kind of file system that a queue lies in.
const QUEUES: u64 = 0x1980_0202;

/// What is seen there.
pub(super) struct Within {
    pub(super) system_v: usize,
    /// None where the kernel does not say.
    pub(super) peers: Option<BTreeMap<u64, u64>>,
}

/// From the namespaces of this process.
pub(super) fn look(init: i32) -> Result<Within, String> {
    let thread = std::thread::Builder::new().name("within".into());
    let thread = thread.spawn(move || enter(init));
    let thread = thread.map_err(|error| format!("cannot look from within: {error}"))?;
    let looked = thread
        .join()
        .map_err(|_panic| "looking from within ended".to_owned())?;
    looked.map_err(|error| format!("its namespaces cannot be entered: {error}"))
}

fn enter(init: i32) -> std::io::Result<Within> {
    let namespaces = host::process(init).join("ns");
    let kinds = [
        ("ipc", LinkNameSpaceType::InterProcessCommunication),
        ("net", LinkNameSpaceType::Network),
    ];
    for (name, kind) in kinds {
        let file = File::open(namespaces.join(name))?;
        move_into_link_name_space(file.as_fd(), Some(kind))?;
    }
    let count = |table: &str| {
        bounded(&Path::new("/proc/sysvipc").join(table)).map_or(0, |text| objects(&text))
    };
    let system_v = ["shm", "sem", "msg"]
        .map(count)
        .into_iter()
        .fold(0, usize::saturating_add);
    Ok(Within {
        system_v,
        peers: peers().ok().flatten(),
    })
}

fn peers() -> std::io::Result<Option<BTreeMap<u64, u64>>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LIMIT))?;
    send(&socket, &question(), SendFlags::empty())?;
    let mut peers = Peers::default();
    let mut part = vec![0; 65_536];
    for _part in 0..MOST_PARTS {
        let (length, _whole) = recv(&socket, part.as_mut_slice(), RecvFlags::empty())?;
        peers.read(part.get(..length).unwrap_or_default());
        if peers.is_refused {
            return Ok(None);
        }
        if peers.is_whole {
            return Ok(Some(peers.of));
        }
    }
    Ok(None)
}

/// Names of the POSIX message queues of a container. Whatever it has made of its folder, no link of it is followed, and nothing but
/// queues is listed.
pub(super) fn queues(init: i32) -> Vec<String> {
    listed(&host::process(init).join("root")).unwrap_or_default()
}

fn listed(root: &Path) -> std::io::Result<Vec<String>> {
    let root = open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat2(&root, "dev/mqueue", flags, Mode::empty(), resolve)?;
    if u64::try_from(fstatfs(&folder)?.f_type).ok() != Some(QUEUES) {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    let names = entries.filter_map(Result::ok).take(MOST_QUEUES);
    Ok(names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn both_ends_of_a_pair_are_told_of_each_other() {
        let (one, other) = UnixStream::pair().unwrap();
        let inode = |stream: &UnixStream| rustix::fs::fstat(stream).unwrap().st_ino;
        let peers = peers().unwrap().expect("this kernel says");
        assert_eq!(peers.get(&inode(&one)), Some(&inode(&other)));
        assert_eq!(peers.get(&inode(&other)), Some(&inode(&one)));
    }

    #[test]
    fn whatever_is_no_folder_of_queues_has_none() {
        let folder = crate::testkit::folder::Folder::new();
        folder.write("dev/mqueue/x", "");
        assert!(listed(folder.path()).unwrap().is_empty());
    }
}
