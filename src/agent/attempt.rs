//! A container that is being restored, from the agent's word until it has its own life: who asked is in a cgroup of the attempt's own,
//! so that whatever comes of it can be found and killed. The real runtime puts CRIU, and with it what is restored, into the
//! container's own cgroup; where that lies is known before it is begun.

use crate::agent::host::{self, Host};
use crate::agent::poised::CGROUP;
use crate::oci::bundle;
use crate::oci::cgroups::{self, Cgroups};
use crate::oci::failure::Failure;
use crate::oci::files;
use crate::oci::place::{Place, Places, is_file_name};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::DirBuilder;
use std::path::{Path, PathBuf};

/// Who asked for a container. The number is its own for as long as this lives and it does.
#[derive(Debug)]
pub(crate) struct Asker {
    pid: i32,
    end: OwnedFd,
}

impl Asker {
    /// The process at the other end of a connection that is still open.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let end = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { pid, end })
    }

    fn is_there(&self) -> bool {
        let mut watched = [PollFd::new(&self.end, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
    }
}

/// What is known of an attempt to make a container, before anything of it is there. Gone with the next boot, as its processes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// The runtime's id of the container.
    pub(crate) id: String,
    /// The attempt's cgroup, as a path of the node.
    pub(crate) cgroup: PathBuf,
    /// The container's own, as paths of the node.
    pub(crate) own: Vec<PathBuf>,
    /// The real runtime is runc, which writes down a first process before that runs.
    pub(crate) is_runc: bool,
}

/// The part of a specification that names a container's cgroups.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    linux: Linux,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    #[serde(default)]
    cgroups_path: String,
}

impl Attempt {
    /// Of a container that is about to be made.
    ///
    /// # Errors
    /// Its specification names no cgroup, or the node has none that freezes.
    pub(crate) fn of(host: &Host, place: &Place, is_runc: bool) -> Result<Self, Failure> {
        let mounts = mounts()?;
        let root = cgroups::freezer_root(&mounts)
            .ok_or_else(|| Failure::new("this node has no hierarchy of cgroups that freezes"))?;
        let bundle = host.path(&place.bundle);
        let config: Config = serde_json::from_slice(&bundle::read(&bundle)?)
            .map_err(|error| Failure::at("use", &bundle, error))?;
        let own = cgroups::named_directories(&config.linux.cgroups_path, &mounts);
        if own.is_empty() {
            let why = "its specification names no cgroup of its own";
            return Err(Failure::at("use", &bundle, why));
        }
        Ok(Self {
            id: place.id.clone(),
            cgroup: root.join(CGROUP).join(format!("attempt-{}", place.id)),
            own,
            is_runc,
        })
    }

    /// What was known when a container was begun; none where nothing was, or before this boot.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn read(host: &Host, id: &str) -> Result<Option<Self>, Failure> {
        if !is_file_name(id) {
            return Ok(None);
        }
        let path = path(host, id);
        let Some(text) = files::read(&path)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&text);
        read.map(Some)
            .map_err(|error| Failure::at("use", &path, error))
    }

    /// Puts who asked into the attempt's cgroup, and remembers what there is to be killed.
    ///
    /// # Errors
    /// It is not there any more, or the system says no.
    pub(crate) fn take_in(&self, host: &Host, asker: &Asker) -> Result<(), Failure> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Failure::at("describe", &self.cgroup, error))?;
        files::put(&path(host, &self.id), &text)?;
        let folder = &host.path(&self.cgroup);
        let made = DirBuilder::new().recursive(true).create(folder);
        made.map_err(|error| Failure::at("make", folder, error))?;
        let processes = folder.join("cgroup.procs");
        let gone = || Failure::new("whoever asked for this container has ended meanwhile");
        if !asker.is_there() {
            return Err(gone());
        }
        std::fs::write(&processes, asker.pid.to_string())
            .map_err(|error| Failure::at("write", &processes, error))?;
        // It lived after its number was written, so the number was its own when it was.
        if asker.is_there() {
            Ok(())
        } else {
            Err(gone())
        }
    }

    /// The attempt's cgroup, as this process sees it.
    pub(crate) fn cgroups(&self, host: &Host) -> Cgroups {
        Cgroups::at([host.path(&self.cgroup)])
    }

    /// The container's own, as this process sees them.
    pub(crate) fn own(&self, host: &Host) -> Cgroups {
        Cgroups::at(self.own.iter().map(|path| host.path(path)))
    }

    /// It is over: its cgroup goes, and then what was remembered of it; or another time, where somebody is still in it.
    pub(crate) fn leave(&self, host: &Host) -> bool {
        let gone = match std::fs::remove_dir(host.path(&self.cgroup)) {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if gone {
            let _another_time = files::remove(&path(host, &self.id));
        }
        gone
    }
}

/// What attempts left behind of containers that are not there, and that no record has begun: who asked may outlive what it asked for.
/// What somebody is still in stays until another time.
///
/// # Errors
/// Something is there and cannot be read.
pub(crate) fn sweep(host: &Host, begun: &HashSet<String>) -> Result<(), Failure> {
    let folder = host.run().join("attempts");
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Failure::at("list", &folder, error))?,
    };
    let places = Places::below(&host.run());
    for entry in entries {
        let entry = entry.map_err(|error| Failure::at("list", &folder, error))?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        if begun.contains(id) || places.get(id.as_ref())?.is_some() {
            continue;
        }
        if let Some(attempt) = Attempt::read(host, id)? {
            let _another_time = attempt.leave(host);
        }
    }
    Ok(())
}

fn path(host: &Host, id: &str) -> PathBuf {
    host.run().join("attempts").join(format!("{id}.json"))
}

/// The mounts of the node.
fn mounts() -> Result<String, Failure> {
    let table: &Path = &host::process(1).join("mountinfo");
    std::fs::read_to_string(table).map_err(|error| Failure::at("read", table, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;
    use serde_json::json;

    #[test]
    fn what_nobody_needs_any_more_is_swept_and_what_is_begun_or_there_is_not() {
        let folder = Folder::new();
        let host = Host::at(folder.path().to_owned());
        for id in ["gone", "begun", "there", "lived-in"] {
            let attempt = json!({ "id": id, "cgroup": format!("/cgroups/attempt-{id}"), "own": [], "is_runc": true });
            folder.write(
                &format!("run/holdfast/attempts/{id}.json"),
                &attempt.to_string(),
            );
            let cgroup = folder.path().join(format!("cgroups/attempt-{id}"));
            std::fs::create_dir_all(cgroup).unwrap();
        }
        folder.write("cgroups/attempt-lived-in/process", "");
        let place = json!({ "id": "there", "root": "/r", "bundle": "/b", "namespace": "ns", "pod": "web", "uid": "u1", "container": "c", "sandbox": false });
        folder.write("run/holdfast/containers/there", &place.to_string());
        let is_left = |id: &str| {
            let known = Attempt::read(&host, id).unwrap().is_some();
            let cgroup = folder.path().join(format!("cgroups/attempt-{id}"));
            assert_eq!(known, cgroup.exists(), "{id}");
            known
        };
        sweep(&host, &["begun".to_owned()].into()).unwrap();
        let left = ["gone", "begun", "there", "lived-in"].map(is_left);
        assert_eq!(left, [false, true, true, true]);
    }
}
