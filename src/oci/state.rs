//! What the real runtime keeps of a container below its root: runc's `state.json`, crun's `status`.

use super::failure::Failure;
use super::files;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A container, as the real runtime remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its first process; none if the runtime had not come that far.
    pub pid: Option<i32>,
    /// When that process began, in the kernel's clock ticks since boot: with the pid, one process and no other.
    pub start: u64,
    /// Its cgroups.
    pub cgroups: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Runc {
    #[serde(default)]
    init_process_pid: i32,
    #[serde(default)]
    init_process_start: u64,
    #[serde(default)]
    cgroup_paths: BTreeMap<String, PathBuf>,
}

#[derive(Deserialize)]
struct Crun {
    #[serde(default)]
    pid: i32,
    #[serde(default, rename = "process-start-time")]
    start: u64,
}

impl State {
    /// Of a container; none if the runtime keeps nothing of it.
    ///
    /// # Errors
    /// If what it keeps cannot be read.
    pub fn of(root: &Path, id: &str) -> Result<Option<Self>, Failure> {
        let folder = root.join(id);
        let path = folder.join("state.json");
        if let Some(content) = files::read(&path)? {
            let runc: Runc = serde_json::from_slice(&content)
                .map_err(|error| Failure::at("use", &path, error))?;
            return Ok(Some(Self {
                pid: Some(runc.init_process_pid).filter(|pid| *pid > 0),
                start: runc.init_process_start,
                cgroups: runc.cgroup_paths.into_values().collect(),
            }));
        }
        let path = folder.join("status");
        let Some(content) = files::read(&path)? else {
            return Ok(None);
        };
        let crun: Crun =
            serde_json::from_slice(&content).map_err(|error| Failure::at("use", &path, error))?;
        Ok(Some(Self {
            pid: Some(crun.pid).filter(|pid| *pid > 0),
            start: crun.start,
            // crun names one path for all hierarchies; `/proc/PID/cgroup` names them all.
            cgroups: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn reads_runc() {
        let folder = Folder::new();
        folder.write(
            "c1/state.json",
            r#"{"id":"c1","init_process_pid":7,"init_process_start":9,"created":"x",
                "cgroup_paths":{"freezer":"/sys/fs/cgroup/freezer/c1","":"/sys/fs/cgroup/unified/c1"}}"#,
        );
        let state = State::of(folder.path(), "c1").unwrap().unwrap();
        assert_eq!((state.pid, state.start), (Some(7), 9));
        assert_eq!(state.cgroups.len(), 2);
    }

    #[test]
    fn a_runtime_that_had_not_come_to_a_process_has_none() {
        let folder = Folder::new();
        folder.write("c1/state.json", r#"{"id":"c1","init_process_pid":0}"#);
        let state = State::of(folder.path(), "c1").unwrap().unwrap();
        assert_eq!(state.pid, None);
        assert_eq!(State::of(folder.path(), "c2").unwrap(), None);
    }

    #[test]
    fn reads_crun() {
        let folder = Folder::new();
        folder.write(
            "c1/status",
            r#"{"pid":12,"process-start-time":5,"cgroup-path":"/c1","rootfs":"/x"}"#,
        );
        let state = State::of(folder.path(), "c1").unwrap().unwrap();
        assert_eq!((state.pid, state.start), (Some(12), 5));
    }

    #[test]
    fn a_state_that_is_cut_off_is_not_taken_for_absent() {
        let folder = Folder::new();
        folder.write("c1/state.json", r#"{"id":"c1","init_pro"#);
        assert!(State::of(folder.path(), "c1").is_err());
    }
}
