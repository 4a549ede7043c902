//! `holdfast-runtime guard --record UID`: nobody is frozen by us for ever, whatever becomes of the agent. It is started when the hold
//! is on disk and before anything is frozen, and lives as long as the freeze. What it does next is decided in `hold::guard`; it looks
//! again at the deadline, and whenever a record changes.
//!
//! When all is thawed it stays a while: a dump that ends well freezes once more what it had found frozen.

use super::call::Call;
use super::records::Records;
use crate::hold::guard::{GuardAct, guard};
use crate::hold::record::{Deadline, HoldState, Record, Role};
use crate::hold::rules::Rules;
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
    /// The record is changed: nothing was released in time, or it is about to be thawed.
    CHANGE,
    /// It runs again.
    THAW,
}

/// The first argument that means us. No runtime has such a verb.
pub(super) const VERB: &str = "guard";

/// So long a pod must have run before the guard believes that nobody freezes it again.
const QUIET: Duration = Duration::from_secs(30);

/// How often it looks at what is thawed.
const LOOK: Duration = Duration::from_millis(100);

/// A record that cannot be read or changed is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) fn run(call: &Call) -> Result<ExitCode, Failure> {
    let order = Order::read(call.arguments.get(1..).unwrap_or_default())?;
    let records = Records::at(&call.settings);
    if order.told.as_ref().is_some_and(is_of_another_boot) {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut operation, mut thawed_since) = (None, None);
    loop {
        let watch = Watch::of(&call.settings.records);
        let record = match records.read(&order.uid) {
            Ok(record) => record,
            Err(failure) => {
                // It may say that the state was released: then a thaw would make two.
                complain(&failure);
                watch.wait(None, AGAIN);
                continue;
            }
        };
        let Some(record) = record.map(|record| order.apply(record)) else {
            return Ok(ExitCode::SUCCESS);
        };
        let hold = record.hold.as_ref().map(|hold| hold.operation.clone());
        let Some(operation) = operation.get_or_insert(hold) else {
            return Ok(ExitCode::SUCCESS);
        };
        let cgroups = cgroups(&record);
        let is_frozen = cgroups
            .iter()
            .any(|one| one.is_ordered_to_freeze().unwrap_or(true));
        match guard(&record, operation, is_frozen, &now()?, Rules::ALL) {
            GuardAct::Wait => {
                let deadline = record.hold.as_ref().map(|hold| &hold.deadline);
                watch.wait(deadline, Duration::MAX);
            }
            GuardAct::Change(change) => {
                if let Err(failure) = around(&CHANGE, || records.change(&record, &change)) {
                    refused(&failure, &record, &cgroups);
                    watch.wait(None, AGAIN);
                }
            }
            GuardAct::Thaw => {
                thawed_since = None;
                around(&THAW, || thaw(&cgroups));
                if cgroups
                    .iter()
                    .any(|one| one.is_ordered_to_freeze().unwrap_or(true))
                {
                    watch.wait(None, LOOK);
                }
            }
            GuardAct::Leave if is_back(&record, operation) => {
                let since = *thawed_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= QUIET {
                    return Ok(ExitCode::SUCCESS);
                }
                watch.wait(None, LOOK);
            }
            GuardAct::Leave => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Whether it was withdrawn and still has a hold: then a dump may still be at work.
fn is_back(record: &Record, operation: &str) -> bool {
    let hold = record.hold_of(operation);
    hold.is_some_and(|hold| hold.state == HoldState::Withdrawn)
}

/// The record could not be changed. The disk may be full with the pod's own dump: a checkpoint is never released, so that letting it go
/// makes no two.
fn refused(failure: &Failure, record: &Record, cgroups: &[Cgroups]) {
    complain(failure);
    let hold = record.hold.as_ref();
    if hold.is_some_and(|hold| hold.role == Role::Checkpoint) {
        thaw(cgroups);
    }
}

fn cgroups(record: &Record) -> Vec<Cgroups> {
    let containers = record.hold.iter().flat_map(|hold| &hold.containers);
    containers.map(|held| Cgroups::at(&held.cgroups)).collect()
}

fn thaw(all: &[Cgroups]) {
    for cgroups in all {
        if let Err(failure) = cgroups.thaw() {
            complain(&failure);
        }
    }
}

/// Nobody waits for the guard: what goes wrong is tried again, and said where its output goes.
fn complain(failure: &Failure) {
    eprintln!("holdfast-runtime: {failure}");
}

fn is_of_another_boot(deadline: &Deadline) -> bool {
    now().is_ok_and(|now| now.boot != deadline.boot)
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
    /// The record with the deadline that was told.
    fn apply(&self, mut record: Record) -> Record {
        if let (Some(hold), Some(told)) = (&mut record.hold, &self.told) {
            hold.deadline = told.clone();
        }
        record
    }

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
