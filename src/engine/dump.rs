//! How the processes of a container are dumped: by the real runtime and CRIU, while the container is frozen and stays so.

pub mod pages;

use crate::kit::names;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What CRIU is told besides what the runtime tells it. Connections are closed in the images, not in the program that runs on; one that
/// nobody has accepted yet, as that of a probe that comes while all is frozen, is left out: whoever made it tries again. So no packet can do
/// harm meanwhile, and the network is not locked: rules of a firewall that come and go again cost more than a small dump.
pub const CONFIG: &str = "tcp-close\nskip-in-flight\nnetwork-lock skip\nghost-limit 1073741824\n";

/// By this runc tells CRIU the same. A runc that knows it tells CRIU the opposite without it, and is believed; older ones say nothing.
pub const SKIPS_IN_FLIGHT: &str = "--tcp-skip-in-flight";

/// What CRIU writes to where it works.
pub const LOG: &str = "dump.log";

/// A container that is to be dumped. All paths are the host's, and absolute.
#[derive(Debug)]
pub struct Dump<'a> {
    /// The real runtime.
    pub real: &'a Path,
    /// The CRIU that it is to use, if that is not the one of the PATH.
    pub criu: Option<&'a Path>,
    /// A folder in which the gate is called as CRIU is.
    pub gate: &'a Path,
    /// A file with [`CONFIG`].
    pub config: &'a Path,
    /// The runtime's root of state.
    pub root: &'a str,
    /// The runtime's id of the container.
    pub id: &'a str,
    /// Where the images go.
    pub images: &'a Path,
    /// Where CRIU works and logs.
    pub work: &'a Path,
    /// The real runtime knows [`SKIPS_IN_FLIGHT`].
    pub skips_in_flight: bool,
}

/// A program's arguments, itself the first of them, and what is added to its environment.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// Variables.
    pub variables: Vec<(&'static str, OsString)>,
}

impl Dump<'_> {
    /// The command that dumps it.
    #[must_use]
    pub fn command(&self) -> Command {
        let skips = self.skips_in_flight.then_some(SKIPS_IN_FLIGHT.as_ref());
        let words: [&std::ffi::OsStr; 12] = [
            self.real.as_os_str(),
            "--root".as_ref(),
            self.root.as_ref(),
            "checkpoint".as_ref(),
            "--leave-running".as_ref(),
            // CRIU would move what it restores, and cannot in nested cgroups of the old kind.
            "--manage-cgroups-mode".as_ref(),
            "ignore".as_ref(),
            "--file-locks".as_ref(),
            "--image-path".as_ref(),
            self.images.as_os_str(),
            "--work-path".as_ref(),
            self.work.as_os_str(),
        ];
        let words = words.into_iter().chain(skips).chain([self.id.as_ref()]);
        let programs = path(self.criu);
        let mut gate = self.gate.as_os_str().to_owned();
        gate.push(":");
        gate.push(&programs);
        Command {
            words: words.map(OsString::from).collect(),
            variables: vec![
                ("PATH", gate),
                (names::CRIU_PATH_VARIABLE, programs),
                ("CRIU_CONFIG_FILE", self.config.as_os_str().to_owned()),
            ],
        }
    }
}

/// Where a host's programs are looked for.
pub const PROGRAMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The same, and ours before the host's.
fn path(criu: Option<&Path>) -> OsString {
    let mut path = OsString::new();
    if let Some(folder) = criu.and_then(Path::parent) {
        path.push(folder);
        path.push(":");
    }
    path.push(PROGRAMS);
    path
}

/// The containers' folders of one generation: images, CRIU's work, and the files beside them.
#[must_use]
pub fn folder(generation: &Path, container: &str) -> PathBuf {
    generation.join("containers").join(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_nobody_has_accepted_is_no_reason_to_fail() {
        let told: Vec<_> = CONFIG.lines().collect();
        assert!(told.contains(&"skip-in-flight") && told.contains(&"tcp-close"));
    }

    #[test]
    fn the_container_stays_frozen_and_our_criu_is_found_first_but_for_the_gate() {
        let dump = Dump {
            real: Path::new("/usr/sbin/runc"),
            criu: Some(Path::new("/opt/holdfast/bin/criu")),
            gate: Path::new("/run/holdfast/gate"),
            config: Path::new("/run/holdfast/criu.conf"),
            root: "/run/containerd/runc/k8s.io",
            id: "c1",
            images: Path::new("/i"),
            work: Path::new("/w"),
            skips_in_flight: true,
        };
        let command = dump.command();
        let words: Vec<_> = command
            .words
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect();
        assert_eq!(
            words.join(" "),
            "/usr/sbin/runc --root /run/containerd/runc/k8s.io checkpoint --leave-running --manage-cgroups-mode ignore --file-locks --image-path /i --work-path /w --tcp-skip-in-flight c1"
        );
        let older = Dump {
            skips_in_flight: false,
            ..dump
        };
        assert_eq!(older.command().words.len() + 1, command.words.len());
        let [path, programs] = [0, 1].map(|number| command.variables[number].1.to_str().unwrap());
        assert!(programs.starts_with("/opt/holdfast/bin:/usr/local/sbin:"));
        assert_eq!(path, format!("/run/holdfast/gate:{programs}"));
    }
}
