//! What the kernel shows of processes, within bounds: so many processes, descriptors and bytes, and no more. Whatever goes away while it
//! is read is left out.

use crate::agent::host::{self, Host};
use crate::oci::bundle;
use crate::oci::failure::Failure;
use crate::preflight::living::Process;
use crate::preflight::text::{Inode, mapped, memory, name, parent, watches};
use rustix::fs::{AtFlags, CWD, major, minor, statat};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// So many processes of a pod are looked at.
const MOST_PROCESSES: usize = 2048;
/// So many descriptors of a pod.
const MOST_OPEN: usize = 65_536;
/// So many files of a volume.
const MOST_FILES: usize = 4096;
/// So much of one file that the kernel shows.
const MOST_BYTES: u64 = 8 << 20;

/// What of a file that the kernel shows fits.
pub(super) fn bounded(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads processes, and remembers how much it has read.
#[derive(Default)]
pub(super) struct Reader {
    processes: usize,
    open: usize,
    pub(super) unseen: Vec<String>,
}

impl Reader {
    /// Where a link leads; nothing where it cannot be read.
    #[expect(clippy::unused_self, reason = "it is what reads")]
    pub(super) fn link(&self, path: &Path) -> String {
        let link = std::fs::read_link(path).unwrap_or_default();
        link.to_string_lossy().into_owned()
    }

    /// Those of a container that are there still.
    pub(super) fn processes(&mut self, container: &str, pids: BTreeSet<i32>) -> Vec<Process> {
        let mut found = Vec::new();
        for pid in pids {
            if self.processes >= MOST_PROCESSES {
                self.unseen.push(format!(
                    "container {container} has more processes than {MOST_PROCESSES}"
                ));
                break;
            }
            self.processes = self.processes.saturating_add(1);
            found.extend(self.process(pid));
        }
        found
    }

    fn process(&mut self, pid: i32) -> Option<Process> {
        let at = host::process(pid);
        let stat = bounded(&at.join("stat"))?;
        let mut process = Process {
            pid,
            parent: parent(&stat)?,
            name: name(&stat),
            namespaces: ["user", "pid", "net"].map(|kind| self.link(&at.join("ns").join(kind))),
            memory: bounded(&at.join("status")).map_or((0, 0), |status| memory(&status)),
            uses: ["cwd", "root", "exe"]
                .map(|link| self.link(&at.join(link)))
                .into(),
            ..Process::default()
        };
        let maps = bounded(&at.join("maps")).unwrap_or_default();
        let files: BTreeSet<_> = mapped(&maps).collect();
        process.uses.extend(files.into_iter().map(str::to_owned));
        self.descriptors(&at, &mut process);
        Some(process)
    }

    fn descriptors(&mut self, at: &Path, process: &mut Process) {
        let Ok(entries) = std::fs::read_dir(at.join("fd")) else {
            return;
        };
        for entry in entries.filter_map(Result::ok) {
            if self.open >= MOST_OPEN {
                self.unseen
                    .push(format!("it has more than {MOST_OPEN} files open"));
                return;
            }
            self.open = self.open.saturating_add(1);
            let link = self.link(&entry.path());
            if ["anon_inode:inotify", "anon_inode:[fanotify]"].contains(&link.as_str()) {
                let about = bounded(&at.join("fdinfo").join(entry.file_name())).unwrap_or_default();
                process.watches.extend(watches(&about));
            }
            process.open.push(link);
        }
    }
}

/// The volumes of a container whose files Kubernetes renews.
pub(super) struct Renewed {
    /// Where they are mounted.
    pub(super) points: Vec<String>,
    /// What is in their folders that are named by time.
    pub(super) timed: BTreeSet<Inode>,
    /// Where anything is mounted by Kubernetes and its runtime.
    pub(super) given: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Mount {
    destination: String,
    #[serde(default)]
    source: PathBuf,
}

/// Below which folders a kubelet keeps such volumes.
const KINDS: [&str; 4] = [
    "kubernetes.io~configmap",
    "kubernetes.io~secret",
    "kubernetes.io~projected",
    "kubernetes.io~downward-api",
];

pub(super) fn renewed(host: &Host, bundle: &Path) -> Result<Renewed, Failure> {
    let bundle = host.path(bundle);
    let config: Config = serde_json::from_slice(&bundle::read(&bundle)?)
        .map_err(|error| Failure::at("use", &bundle, error))?;
    let mut found = Renewed {
        points: Vec::new(),
        timed: BTreeSet::new(),
        given: Vec::new(),
    };
    for mount in config.mounts {
        if KINDS.iter().any(|kind| {
            mount
                .source
                .components()
                .any(|part| part.as_os_str() == *kind)
        }) {
            if let Ok(opened) = host.open(&mount.source) {
                timed(&opened.path(), 0, &mut found.timed);
            }
            found.points.push(mount.destination.clone());
        }
        found.given.push(mount.destination);
    }
    Ok(found)
}

/// At the top of a volume only what begins with two points and is no link is named by time; below that, all is.
fn timed(folder: &Path, depth: u8, found: &mut BTreeSet<Inode>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_named_by_time = is_folder && entry.file_name().as_encoded_bytes().starts_with(b"..");
        if found.len() >= MOST_FILES || (depth == 0 && !is_named_by_time) {
            continue;
        }
        let path = entry.path();
        if let Ok(about) = statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
            found.insert(Inode {
                device: (major(about.st_dev), minor(about.st_dev)),
                number: about.st_ino,
            });
        }
        if is_folder && depth < 8 {
            timed(&path, depth.saturating_add(1), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn only_what_lies_in_folders_named_by_time_has_another_name_elsewhere() {
        let folder = Folder::new();
        folder.write("..2026_01_01/nested/key", "x");
        folder.write("own", "x");
        std::os::unix::fs::symlink("..2026_01_01", folder.path().join("..data")).unwrap();
        let mut found = BTreeSet::new();
        timed(folder.path(), 0, &mut found);
        assert_eq!(
            found.len(),
            3,
            "the folder, the one within, and the file: {found:?}"
        );
    }

    #[test]
    fn this_very_process_can_be_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        let folder = Folder::new();
        folder.write("open", "x");
        let _open = std::fs::File::open(folder.path().join("open")).unwrap();
        let mut reader = Reader::default();
        let all = reader.processes("c", BTreeSet::from([own, i32::MAX]));
        assert_eq!(all.len(), 1, "nobody has the other number");
        let one = &all[0];
        assert!(
            one.open.iter().any(|link| link.ends_with("/open")),
            "{one:?}"
        );
        assert!(
            one.uses.iter().any(|link| link.contains("holdfast")),
            "{:?}",
            one.uses
        );
        assert!(one.namespaces[0].starts_with("user:["), "{one:?}");
        assert!(one.memory.0 > 0);
        assert!(reader.unseen.is_empty());
    }

    #[test]
    fn no_more_is_read_than_fits() {
        let mut reader = Reader {
            processes: MOST_PROCESSES,
            open: MOST_OPEN,
            unseen: Vec::new(),
        };
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(reader.processes("c", BTreeSet::from([own])).is_empty());
        reader.processes = 0;
        let all = reader.processes("c", BTreeSet::from([own]));
        assert!(all[0].open.is_empty());
        assert_eq!(reader.unseen.len(), 2, "{:?}", reader.unseen);
    }
}
