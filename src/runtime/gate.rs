//! Called as `criu`, by a real runtime: it waits at the gate until everything stands still, or sets right what is restored, and becomes the
//! real CRIU then.
//!
//! Until CRIU looks at the first process, the runtime has begun, has read what it knows of the container, has asked one CRIU for its
//! version and started another. All of that is done before the pod is frozen: whoever freezes it reads a line feed on the runtime's own
//! output when it is so far, and says a byte on its input. Said nothing but the end, nothing is dumped.
//!
//! Where a container is restored, CRIU is told to leave cgroups alone, and so restores no namespace of them: what it restores would see
//! all cgroups of the node below `/sys/fs/cgroup`, and its own limits nowhere. The real runtime puts CRIU into the container's cgroup before
//! it asks for anything: a namespace that begins there is the container's, and whatever CRIU makes is in it.

use crate::kit::names;
use crate::oci::failure::Failure;
use rustix::fd::BorrowedFd;
use rustix::net::{RecvFlags, recv};
use rustix::process::getppid;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Under this name this program is the gate.
pub(super) const NAME: &str = names::CRIU;
/// Where the real one is looked for, as a PATH.
const PROGRAMS: &str = names::CRIU_PATH_VARIABLE;
/// Set where what is restored gets a namespace.
const NAMESPACE: &str = names::CGROUP_NAMESPACE_VARIABLE;

/// By this word CRIU is asked over a socket, whose number follows.
const BY_SOCKET: &str = "swrk";
/// How each request begins: with its type.
const TYPE: u8 = 1 << 3;
/// Types that touch no process: looks at what CRIU, the processor and the kernel can do, and at versions.
const HARMLESS: [u8; 5] = [3, 7, 8, 9, 10];
/// The type that restores.
const RESTORE: u8 = 2;

/// Becomes CRIU; comes back only if that failed, or nobody wants it any more.
pub(super) fn run(arguments: &[OsString]) -> Failure {
    let Some(programs) = std::env::var_os(PROGRAMS) else {
        return Failure::new(format!("{PROGRAMS} does not say where the real {NAME} is"));
    };
    if let [verb, socket, ..] = arguments
        && verb == BY_SOCKET
        && let Err(failure) = prepare(socket)
    {
        return failure;
    }
    let mut command = Command::new(NAME);
    command.args(arguments);
    let error = command
        .env("PATH", programs)
        .env_remove(PROGRAMS)
        .env_remove(NAMESPACE)
        .exec();
    Failure::at("run", NAME.as_ref(), error)
}

/// Until it may touch a process, if that is what it is asked for; or in a namespace of its own.
fn prepare(socket: &OsStr) -> Result<(), Failure> {
    let mut begins = [0; 2];
    // It stays there, for the real one.
    let (seen, _) = recv(inherited(socket)?, &mut begins, RecvFlags::PEEK)
        .map_err(|error| Failure::new(format!("nobody says what CRIU is to do: {error}")))?;
    let is_one_of =
        |types: &[u8]| seen == begins.len() && begins[0] == TYPE && types.contains(&begins[1]);
    if is_one_of(&HARMLESS) {
        return Ok(());
    }
    if is_one_of(&[RESTORE]) {
        return match std::env::var_os(NAMESPACE) {
            Some(_) => own_cgroups(),
            None => Ok(()),
        };
    }
    wait()
}

#[expect(
    unsafe_code,
    reason = "a namespace of cgroups changes what is seen, and neither descriptors nor memory"
)]
fn own_cgroups() -> Result<(), Failure> {
    // SAFETY: see above; this process has one thread.
    let parted = unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) };
    parted.map_err(|error| Failure::new(format!("no namespace of cgroups is to be had: {error}")))
}

fn wait() -> Result<(), Failure> {
    let failed = |path: PathBuf| move |error| Failure::at("use", &path, error);
    let (output, input) = (of_runtime(1)?, of_runtime(0)?);
    let opened = OpenOptions::new().write(true).open(&output);
    let told = opened.and_then(|mut output| output.write_all(b"\n"));
    told.map_err(failed(output))?;
    let opened = File::open(&input);
    let told = opened.and_then(|mut input| input.read_exact(&mut [0]));
    told.map_err(failed(input))
}

/// What the runtime that called us inherited under this number.
fn of_runtime(number: u8) -> Result<PathBuf, Failure> {
    let parent = getppid().ok_or_else(|| Failure::new("the runtime has ended"))?;
    Ok(format!("/proc/{}/fd/{number}", parent.as_raw_nonzero()).into())
}

#[expect(
    unsafe_code,
    reason = "whoever calls us says by its argument that this descriptor is there and ours; nothing here closes it"
)]
fn inherited(number: &OsStr) -> Result<BorrowedFd<'static>, Failure> {
    let number = number.to_str().and_then(|number| number.parse().ok());
    let number: u16 = number.ok_or_else(|| Failure::new("no socket is named"))?;
    // SAFETY: see above; a number that is not open is an error of the call that uses it.
    Ok(unsafe { BorrowedFd::borrow_raw(number.into()) })
}
