//! Whoever waits for our answer. If it goes away while we wait, nobody wants the container any more, and making it later would make
//! one that nobody knows.

use crate::oci::failure::Failure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};

/// The process that started this one.
#[derive(Debug)]
pub(super) struct Parent {
    pid: Option<Pid>,
    end: Option<OwnedFd>,
}

impl Parent {
    pub(super) fn of_this_process() -> Self {
        let pid = getppid();
        let end = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { pid, end }
    }

    /// What is readable once it has ended.
    pub(super) fn watch(&self) -> Option<PollFd<'_>> {
        let end = self.end.as_ref()?;
        Some(PollFd::new(end, PollFlags::IN))
    }

    /// # Errors
    /// If it has ended.
    pub(super) fn is_there(&self) -> Result<(), Failure> {
        let ended = self.watch().is_some_and(|watch| {
            let now = rustix::event::Timespec::default();
            poll(&mut [watch], Some(&now)).is_ok_and(|ready| ready > 0)
        });
        if ended || getppid() != self.pid {
            return Err(Failure::new(
                "whoever asked for this container has ended meanwhile: it is not made",
            ));
        }
        Ok(())
    }
}
