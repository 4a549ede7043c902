//! The kill of a container that is frozen: not one of its instructions is run any more.
//!
//! The unified hierarchy does it by itself. The old freezer does not even let the dead die: so each process gets SIGKILL while it is
//! frozen, they are listed again until there is none for whom it does not wait, and only then are they thawed. A signal that can be
//! caught is never their only end.

use super::{Cgroups, Freezer, pending};
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::oci::pause;
use crate::write_steps;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::time::{Duration, Instant};

write_steps! {
    /// The container stands still.
    FREEZE,
    /// SIGKILL waits for every process.
    SIGNAL,
}

/// How long the old freezer may take. What it does not hold then is killed all the same.
const FREEZING: Duration = Duration::from_secs(2);

impl Cgroups {
    /// Kills all that is in them, frozen or not, and waits until they are empty. Killing twice is as good as once.
    ///
    /// # Errors
    /// If something is left within the limit, or no cgroup is named at all.
    pub fn kill(&self, limit: Duration) -> Result<(), Failure> {
        if self.directories.is_empty() {
            return Err(Failure::new(
                "the container cannot be killed: none of its cgroups is known",
            ));
        }
        if self.freezer.is_none() && !self.is_empty()? {
            // What does not freeze is nobody's own cgroup: others may live there.
            return self.freezer_path().map(drop);
        }
        let begin = Instant::now();
        let left = || limit.saturating_sub(begin.elapsed());
        if !self.is_killed_by_the_kernel()? {
            // An empty or vanished cgroup cannot be frozen, and need not be.
            let _not_frozen = around(&FREEZE, || self.freeze(FREEZING.min(left())));
            around(&SIGNAL, || self.signal_all(left()))?;
        }
        let is_empty = pause::until(left(), || {
            // Whoever works on the container may freeze it again meanwhile.
            self.thaw()?;
            self.is_empty()
        })?;
        if is_empty {
            return Ok(());
        }
        let pids: Vec<_> = self.pids()?.iter().map(i32::to_string).collect();
        Err(Failure::new(format!(
            "the container was killed, but after {limit:?} these processes are still there: {}",
            pids.join(", ")
        )))
    }

    /// Whether the kernel has a word for it (Linux 5.14), and did it.
    fn is_killed_by_the_kernel(&self) -> Result<bool, Failure> {
        let Some(Freezer::Unified(path)) = &self.freezer else {
            return Ok(false);
        };
        let file = path.join("cgroup.kill");
        if !file.exists() {
            return Ok(false);
        }
        match std::fs::write(&file, "1") {
            Ok(()) => Ok(true),
            Err(error) if super::is_gone(&error) => Ok(true),
            Err(error) => Err(Failure::at("write", &file, error)),
        }
    }

    /// Until SIGKILL waits for every one of them.
    fn signal_all(&self, limit: Duration) -> Result<(), Failure> {
        let is_done = pause::until(limit, || {
            let mut is_done = true;
            for pid in self.pids()? {
                if !is_dying(pid) {
                    is_done = false;
                    signal(pid)?;
                }
            }
            Ok(is_done)
        })?;
        if is_done {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the container cannot be killed: within {limit:?} not every process in {} got its SIGKILL",
            self.names()
        )))
    }
}

fn is_dying(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    // Who is gone needs no signal.
    status.map_or(true, |status| pending::is_dying(&status))
}

fn signal(pid: i32) -> Result<(), Failure> {
    let Some(target) = Pid::from_raw(pid).filter(|target| *target != getpid() && pid > 1) else {
        return Err(Failure::new(format!(
            "the container cannot be killed: process {pid} in its cgroup is not its own"
        )));
    };
    match kill_process(target, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot kill process {pid}: {error}"))),
    }
}
