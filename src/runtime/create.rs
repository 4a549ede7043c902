//! `create`: a container of a pod is made by the agent's word alone.
//!
//! ```text
//! not a pod's ─────────────────────────────────► the real create
//! a pod's ─► its place is written ─► the agent ─► start   ► the real create
//!                                        │        no-op   ► the real create of something that ends with 0
//!                                        │        restore ► the real restore
//!                                        │        refuse  ► an error
//!                                        └ away ► started before, nothing else known: the real create; else wait
//! ```

use super::api::{Ask, Line, Restore};
use super::asking::{self, Lost, Sign};
use super::call::Call;
use super::parent::Parent;
use super::records::Records;
use super::{no_op, ticket};
use crate::engine::dump::PROGRAMS;
use crate::kit::faults::around;
use crate::kit::names;
use crate::oci::bundle::{Annotations, has_cgroup_namespace, read};
use crate::oci::command_line::Dialect;
use crate::oci::failure::Failure;
use crate::oci::gate;
use crate::oci::place::Place;
use crate::write_steps;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

write_steps! {
    /// A container's place is remembered.
    PLACE,
    /// The bundle becomes one that ends at once.
    NO_OP,
    /// A ticket for the `start` of a restored container.
    TICKET,
    /// The real create takes over; it comes back only if that failed.
    CREATE,
    /// The real restore takes over; it comes back only if that failed.
    RESTORE,
}

pub(super) fn run(call: &Call) -> Result<ExitCode, Failure> {
    let Some(place) = recognise(call) else {
        return Err(call.pass());
    };
    let parent = Parent::of_this_process();
    around(&PLACE, || call.places().put(&place))?;
    let answer = ask(call, &place, &parent);
    let answer = answer.inspect_err(|_| forget(call, &place))?;
    parent.is_there()?;
    Err(match answer {
        Line::Start => around(&CREATE, || call.pass()),
        Line::NoOp => {
            around(&NO_OP, || no_op::prepare(&call.config(), &call.program))?;
            around(&CREATE, || call.pass())
        }
        Line::Restore(restore) => become_restore(call, &place, &restore)?,
        Line::Refuse { why } => {
            forget(call, &place);
            Failure::new(why)
        }
        Line::Wait { .. } | Line::Done | Line::Pass => Failure::new(format!(
            "the agent of this node did not say what becomes of {}: is it of another version than this runtime?",
            place.title()
        )),
    })
}

/// Whose container it is; none if it is no pod's, or the real runtime will not take the bundle anyway.
fn recognise(call: &Call) -> Option<Place> {
    let id = call.line.id()?;
    let config = std::fs::read(call.config()).ok()?;
    let annotations = Annotations::of(&config);
    Place::of(&annotations, id, &call.root(), &call.bundle())
}

/// The agent's last word, or our own where it is away and the answer is on disk.
fn ask(call: &Call, place: &Place, parent: &Parent) -> Result<Line, Failure> {
    let records = Records::at(&call.settings);
    let begin = Instant::now();
    let patience = if place.sandbox {
        Duration::from_secs(call.settings.patience)
    } else {
        Duration::MAX
    };
    let left = || patience.saturating_sub(begin.elapsed());
    let question = Ask::Create {
        place: place.clone(),
    };
    let mut waits_for = String::new();
    // Looked out for only when nobody answers: the kernel takes its time to end a look-out.
    let mut sign = None;
    loop {
        let mut wait = |why: String| {
            waits_for = why;
            too_late(place, left(), &waits_for)
        };
        match asking::once(&call.settings.socket, &question, parent, &mut wait) {
            Ok(answer) => return Ok(answer),
            Err(Lost::Unwanted(failure)) => return Err(failure),
            Err(Lost::Broken(why)) => {
                waits_for = why;
                Sign::none().wait(parent, left())?;
            }
            Err(Lost::Away(why)) => {
                match records.may_start_without_agent(place) {
                    Ok(true) => return Ok(Line::Start),
                    Ok(false) => waits_for = why,
                    Err(failure) => waits_for = failure.to_string(),
                }
                // One that came between the question and the look-out is asked before anything is waited for.
                match sign.take() {
                    None => sign = Some(Sign::of(&call.settings.socket)),
                    Some(sign) => sign.wait(parent, left())?,
                }
            }
        }
        too_late(place, left(), &waits_for)?;
    }
}

fn too_late(place: &Place, left: Duration, waits_for: &str) -> Result<(), Failure> {
    if !left.is_zero() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} has waited long enough, and will be tried again: {waits_for}",
        place.title()
    )))
}

/// The container is not made now: the next `create` writes its place anew.
fn forget(call: &Call, place: &Place) {
    // What cannot be removed is found to be no container's by the agent.
    let _left_behind = call.places().remove(&place.id);
}

/// Becomes the real restore. What stands before the verb stays as it is.
fn become_restore(call: &Call, place: &Place, restore: &Restore) -> Result<Failure, Failure> {
    let paths = [&restore.image, &restore.work].into_iter();
    for path in paths.chain(&restore.config) {
        if !path.is_absolute() {
            return Err(Failure::new(format!(
                "{} cannot be restored: {} is not an absolute path",
                place.title(),
                path.display()
            )));
        }
    }
    let config = read(&place.bundle)?;
    around(&TICKET, || ticket::put(&call.settings.run, &place.id))?;
    let mut command = call.real.command(&restore_arguments(call, place, restore));
    let programs = path_with(call.settings.criu.as_deref());
    if call.dialect == Dialect::Runc && has_cgroup_namespace(&config) {
        let folder = restore.work.join("gate");
        gate::lay(&folder, &call.program, &place.id)?;
        command.env("PATH", before(folder.as_os_str(), Some(&programs)));
        command.env(names::CRIU_PATH_VARIABLE, &programs);
        command.env(names::CGROUP_NAMESPACE_VARIABLE, "1");
    } else {
        command.env("PATH", &programs);
    }
    if let Some(config) = &restore.config {
        command.env("CRIU_CONFIG_FILE", config);
    }
    Ok(around(&RESTORE, || call.real.become_command(command)))
}

fn restore_arguments(call: &Call, place: &Place, restore: &Restore) -> Vec<OsString> {
    let mut arguments = call.line.before_verb().to_vec();
    let mut say = |words: &[&std::ffi::OsStr]| arguments.extend(words.iter().map(Into::into));
    say(&["restore".as_ref(), "--detach".as_ref()]);
    say(&["--bundle".as_ref(), place.bundle.as_os_str()]);
    for name in ["pid-file", "console-socket"] {
        if let Some(value) = call.line.option(name) {
            say(&[format!("--{name}").as_ref(), value]);
        }
    }
    if call.line.is_on("no-pivot") && call.dialect == Dialect::Runc {
        say(&["--no-pivot".as_ref()]);
    }
    say(&["--image-path".as_ref(), restore.image.as_os_str()]);
    say(&["--work-path".as_ref(), restore.work.as_os_str()]);
    for argument in &restore.args {
        say(&[argument.as_ref()]);
    }
    say(&[place.id.as_ref()]);
    arguments
}

/// The runtime finds CRIU by the PATH.
fn path_with(criu: Option<&Path>) -> OsString {
    let path = std::env::var_os("PATH");
    match criu.and_then(Path::parent) {
        Some(folder) => before(folder.as_os_str(), path.as_deref()),
        None => path.unwrap_or_else(|| PROGRAMS.into()),
    }
}

fn before(folder: &OsStr, path: Option<&OsStr>) -> OsString {
    let mut all = folder.to_owned();
    if let Some(path) = path {
        all.push(":");
        all.push(path);
    }
    all
}
