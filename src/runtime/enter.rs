//! `holdfast-runtime enter --cgroup NAME [--wait] -- PROGRAM ARGUMENT…`: a program of the host, run where the host's own programs run,
//! though whoever calls is in a container: in the namespaces of the host's first process, and in a cgroup of ours, so that neither the
//! end nor the limits of that container touch it.
//!
//! With `--wait` it says a line feed when it is there, and becomes the program when it is told a byte: to go there takes a kernel with
//! the old cgroups up to seconds, which nobody should wait for while a pod is frozen. Told nothing but the end, it ends.

use crate::oci::cgroups::host;
use crate::oci::failure::Failure;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::umask;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The first argument that means us. No runtime has such a verb.
pub(super) const VERB: &str = "enter";

/// What programs of a host share. The mounts last: after them the paths are the host's.
const NAMESPACES: [(&str, LinkNameSpaceType); 5] = [
    ("cgroup", LinkNameSpaceType::ControlGroup),
    ("ipc", LinkNameSpaceType::InterProcessCommunication),
    ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
    ("net", LinkNameSpaceType::Network),
    ("mnt", LinkNameSpaceType::Mount),
];

/// Becomes the program; comes back only if that failed.
pub(super) fn run(arguments: &[OsString]) -> Failure {
    let (cgroup, waits, program, rest) = match arguments {
        [option, cgroup, dashes, program, rest @ ..] if option == "--cgroup" && dashes == "--" => {
            (cgroup, false, program, rest)
        }
        [option, cgroup, wait, dashes, program, rest @ ..]
            if option == "--cgroup" && wait == "--wait" && dashes == "--" =>
        {
            (cgroup, true, program, rest)
        }
        _ => return usage(),
    };
    let Some(cgroup) = cgroup.to_str() else {
        return usage();
    };
    if let Err(failure) = enter().and_then(|()| host::join(cgroup)) {
        return failure;
    }
    if waits && let Err(failure) = wait() {
        return failure;
    }
    // What is written there holds the memory of programs.
    umask(Mode::from_raw_mode(0o077));
    let mut command = Command::new(program);
    let error = command.args(rest).current_dir("/").exec();
    Failure::at("run", program.as_ref(), error)
}

fn usage() -> Failure {
    Failure::new(
        "not understood: holdfast-runtime enter --cgroup NAME [--wait] -- PROGRAM ARGUMENT…",
    )
}

fn wait() -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("nobody says what to do: {error}"));
    let mut out = std::io::stdout();
    out.write_all(b"\n")
        .and_then(|()| out.flush())
        .map_err(failed)?;
    std::io::stdin().read_exact(&mut [0]).map_err(failed)
}

fn enter() -> Result<(), Failure> {
    // All are opened first: what one of them hides is not found afterwards.
    let opened: Vec<_> = NAMESPACES
        .iter()
        .map(|(name, kind)| open(name).map(|namespace| (namespace, *kind, *name)))
        .collect::<Result<_, _>>()?;
    for (namespace, kind, name) in opened {
        move_into_link_name_space(namespace.as_fd(), Some(kind))
            .map_err(|error| Failure::at("enter", &path(name), error))?;
    }
    Ok(())
}

fn open(name: &str) -> Result<OwnedFd, Failure> {
    let path = path(name);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat(CWD, &path, flags, Mode::empty()).map_err(|error| Failure::at("open", &path, error))
}

/// In the host's PID namespace, which the caller shares, its first process is number 1.
fn path(name: &str) -> PathBuf {
    format!("/proc/1/ns/{name}").into()
}
