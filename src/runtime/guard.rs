//! `holdfast-runtime guard --record UID`: nobody is frozen by us for ever, whatever becomes of the agent. It is started when the hold
//! is on disk and before anything is frozen, and lives as long as the freeze.
//!
//! ```text
//! frozen, before the deadline ─► waits for the deadline, or for a change of the record
//! frozen, at the deadline     ─► withdraws, under the record's lock
//! withdrawn                   ─► thaws; stays a while, since a dump that ends well freezes once more
//! anything else               ─► its work is over
//! ```
//!
//! A container on which CRIU died is withdrawn and not thawed: it may hold foreign code, and what becomes of it is policy.

use super::call::Call;
use super::records::Records;
use crate::hold::change::{Change, HoldStep};
use crate::hold::record::{Deadline, Hold, HoldState, Record};
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::kit::faults::around;
use crate::oci::cgroups::Cgroups;
use crate::oci::clock;
use crate::oci::failure::Failure;
use crate::oci::pause;
use crate::write_steps;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

write_steps! {
    /// Nothing was released in time: the pod is given back to itself.
    WITHDRAW,
    /// It runs again.
    THAW,
}

/// The first argument that means us. No runtime has such a verb.
pub(super) const VERB: &str = "guard";

/// So long a pod must have run before the guard believes that nobody freezes it again.
const QUIET: Duration = Duration::from_secs(30);

/// A record that cannot be read or changed is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing was frozen by this hold, or it is no longer ours to thaw.
    Over,
    /// It is not time.
    Wait(Deadline),
    /// It is time.
    Withdraw(Change),
    /// It may run.
    Thaw(Vec<Cgroups>),
}

pub(super) fn run(call: &Call) -> Result<ExitCode, Failure> {
    let Order { uid, told } = Order::read(call.arguments.get(1..).unwrap_or_default())?;
    let records = Records::at(&call.settings);
    let mut thawed_since = None;
    loop {
        let watch = Watch::of(&call.settings.records);
        let now = now()?;
        let record = match records.read(&uid) {
            Ok(record) => record,
            Err(failure) => {
                // It may say that the state was released: then a thaw would make two.
                eprintln!("holdfast-runtime: {failure}");
                watch.wait(None, AGAIN);
                continue;
            }
        };
        match next(record.as_ref(), told.as_ref(), &now) {
            Next::Over => return Ok(ExitCode::SUCCESS),
            Next::Wait(deadline) => watch.wait(Some(&deadline), Duration::MAX),
            Next::Withdraw(change) => {
                let record = record.map(|record| whose(&record));
                let done =
                    record.map(|whose| around(&WITHDRAW, || records.change(&whose, &change)));
                if let Some(Err(failure)) = done {
                    eprintln!("holdfast-runtime: {failure}");
                    watch.wait(None, AGAIN);
                }
            }
            Next::Thaw(cgroups) => {
                if around(&THAW, || thaw(&cgroups)) {
                    thawed_since = None;
                }
                let since = *thawed_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= QUIET {
                    return Ok(ExitCode::SUCCESS);
                }
                watch.wait(None, Duration::from_millis(100));
            }
        }
    }
}

fn next(record: Option<&Record>, told: Option<&Deadline>, now: &Deadline) -> Next {
    let Some(hold) = record.and_then(|record| record.hold.as_ref()) else {
        return Next::Over;
    };
    let deadline = told.unwrap_or(&hold.deadline);
    match hold.state {
        // After a reboot nothing is frozen.
        _ if deadline.boot != now.boot => Next::Over,
        HoldState::Frozen if !deadline.has_passed(now) => Next::Wait(deadline.clone()),
        HoldState::Frozen => Next::Withdraw(Change::hold(&hold.operation, HoldStep::Withdraw)),
        HoldState::Withdrawn if !hold.damaged => Next::Thaw(cgroups(hold)),
        HoldState::Withdrawn
        | HoldState::Released
        | HoldState::Returned
        | HoldState::Superseded
        | HoldState::Killed => Next::Over,
    }
}

fn cgroups(hold: &Hold) -> Vec<Cgroups> {
    let containers = hold.containers.iter();
    containers.map(|held| Cgroups::at(&held.cgroups)).collect()
}

/// Thaws what is frozen; whether anything was.
fn thaw(all: &[Cgroups]) -> bool {
    let mut was_frozen = false;
    for cgroups in all {
        if cgroups.is_frozen().unwrap_or(true) {
            was_frozen = true;
            if let Err(failure) = cgroups.thaw() {
                eprintln!("holdfast-runtime: {failure}");
            }
        }
    }
    was_frozen
}

fn whose(record: &Record) -> Whose {
    Whose {
        namespace: record.namespace.clone(),
        pod: record.pod.clone(),
        uid: record.uid.clone(),
    }
}

fn now() -> Result<Deadline, Failure> {
    Ok(Deadline {
        boot: clock::boot_id()?,
        nanos: u64::try_from(clock::since_boot().as_nanos()).unwrap_or(u64::MAX),
    })
}

/// Whose freeze is guarded, and until when, if that is not the record's own deadline.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    uid: Uid,
    told: Option<Deadline>,
}

impl Order {
    fn read(arguments: &[OsString]) -> Result<Self, Failure> {
        let usage = |why: &str| {
            Failure::new(format!(
                "{why}: holdfast-runtime guard --record UID [--boot ID --deadline NANOSECONDS]"
            ))
        };
        let (mut uid, mut boot, mut nanos) = (None, None, None);
        for pair in arguments.chunks(2) {
            let words: Vec<_> = pair.iter().filter_map(|word| word.to_str()).collect();
            match words[..] {
                ["--record", value] => uid = Some(Uid::try_from(value).map_err(|why| usage(&why))?),
                ["--boot", value] => boot = Some(value.to_owned()),
                ["--deadline", value] => {
                    let number = value.parse();
                    nanos = Some(number.map_err(|_| usage("a deadline is a number"))?);
                }
                _ => return Err(usage("not understood")),
            }
        }
        let told = match (boot, nanos) {
            (Some(boot), Some(nanos)) => Some(Deadline { boot, nanos }),
            (None, None) => None,
            _ => return Err(usage("a deadline is good for one boot")),
        };
        let uid = uid.ok_or_else(|| usage("no record is named"))?;
        Ok(Self { uid, told })
    }
}

/// Changes of the records, and the clock.
struct Watch(Option<OwnedFd>);

impl Watch {
    fn of(records: &Path) -> Self {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).and_then(|watch| {
            inotify::add_watch(
                &watch,
                records,
                inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE,
            )?;
            Ok(watch)
        });
        Self(watch.ok())
    }

    /// Waits for a change, for the deadline, or so long. Without a watch or a timer it looks every second.
    fn wait(&self, deadline: Option<&Deadline>, limit: Duration) {
        let timer = deadline.map(timer);
        let is_blind = self.0.is_none() || matches!(timer, Some(Err(_)));
        let limit = if is_blind { limit.min(AGAIN) } else { limit };
        let timer = timer.and_then(Result::ok);
        let watched = [self.0.as_ref(), timer.as_ref()];
        let mut watched: Vec<_> = watched
            .into_iter()
            .flatten()
            .map(|watched| PollFd::new(watched, PollFlags::IN))
            .collect();
        pause::wait(&mut watched, limit);
    }
}

/// Readable from the deadline on, by the clock that also counts sleep.
fn timer(deadline: &Deadline) -> rustix::io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
    let at = Duration::from_nanos(deadline.nanos.max(1));
    let it_value = Timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at.subsec_nanos()),
    };
    let it_interval = Timespec::default();
    timerfd_settime(
        &timer,
        TimerfdTimerFlags::ABSTIME,
        &Itimerspec {
            it_interval,
            it_value,
        },
    )?;
    Ok(timer)
}

#[cfg(test)]
mod tests;
