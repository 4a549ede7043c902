//! Containers that a record holds: nothing goes through to the real runtime that could run or thaw one.
//!
//! | verb | a held container |
//! |---|---|
//! | `exec` `resume` `update` `checkpoint` `restore` | refused |
//! | `kill`, `delete --force` | the agent's; without one `hold::signal` decides: it is noted, or kills as in `oci::cgroups` |

use super::api::{Ask, Line};
use super::asking::{self, Lost};
use super::call::Call;
use super::parent::Parent;
use super::records::{Held, Records};
use crate::hold::signal::{self, Signalled};
use crate::oci::failure::Failure;
use crate::oci::place::is_same_root;
use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

/// What a kill of a frozen container may take. The kubelet's patience is longer.
const KILLING: Duration = Duration::from_secs(20);

/// `exec` and its like.
pub(super) fn refuse(call: &Call) -> Result<ExitCode, Failure> {
    for id in call.line.candidates() {
        if let Some(held) = held(call, id)? {
            let verb = String::from_utf8_lossy(call.line.verb().unwrap_or_default());
            return Err(Failure::new(format!(
                "{verb} in {} is refused: {}",
                held.place.title(),
                held.why
            )));
        }
    }
    Err(call.pass())
}

/// `kill`.
pub(super) fn kill(call: &Call) -> Result<ExitCode, Failure> {
    refuse_pattern(call)?;
    for id in call.line.candidates() {
        if let Some(held) = held(call, id)? {
            let signal = call.line.operands().get(1).copied();
            let signal = signal_name(signal.unwrap_or(OsStr::new("TERM")))?;
            return kill_held(call, &held, &signal);
        }
    }
    Err(call.pass())
}

fn kill_held(call: &Call, held: &Held, signal: &str) -> Result<ExitCode, Failure> {
    let ask = Ask::Kill {
        id: held.place.id.clone(),
        signal: signal.to_owned(),
        all: call.line.is_on("all"),
    };
    match ask_agent(call, &ask)? {
        Some(Line::Done) => return Ok(ExitCode::SUCCESS),
        Some(Line::Pass) => return Err(call.pass()),
        Some(Line::Refuse { why }) => return Err(Failure::new(why)),
        // No agent, or one that does not know this question: the record is enough.
        _ => {}
    }
    if signal == "0" {
        // Whether it is there: it is.
        return Ok(ExitCode::SUCCESS);
    }
    match signal::signal(&held.record, signal, &held.place.id) {
        Signalled::Pass => return Err(call.pass()),
        Signalled::Note(wish) => Records::at(&call.settings).change(&held.record, &wish)?,
        Signalled::Kill => die(held)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Before `delete --force` of a held container: it is dead when this comes back with nothing to say.
pub(super) fn before_delete(call: &Call, held: &Held) -> Result<(), Failure> {
    let ask = Ask::Delete {
        id: held.place.id.clone(),
        force: true,
    };
    match ask_agent(call, &ask)? {
        Some(Line::Pass) => Ok(()),
        Some(Line::Refuse { why }) => Err(Failure::new(why)),
        // What the agent has killed dies no second death.
        _ => die(held),
    }
}

fn die(held: &Held) -> Result<(), Failure> {
    match held.cgroups()? {
        Some(cgroups) => cgroups.kill(KILLING),
        None => Ok(()),
    }
}

/// The container that a word of the command line names, if it is one of ours and held.
pub(super) fn held(call: &Call, id: &OsStr) -> Result<Option<Held>, Failure> {
    match call.places().get(id)? {
        Some(place) if is_same_root(&place.root, &call.root()) => {
            Records::at(&call.settings).held(place)
        }
        _ => Ok(None),
    }
}

/// crun takes a pattern for many containers: refused while one of ours is held, for it may be among them.
pub(super) fn refuse_pattern(call: &Call) -> Result<(), Failure> {
    if !call.line.is_on("regex") {
        return Ok(());
    }
    let records = Records::at(&call.settings);
    for place in call.places().all()? {
        if let Some(held) = records.held(place?)? {
            return Err(Failure::new(format!(
                "{} may be meant: {}; name containers one by one until then",
                held.place.title(),
                held.why
            )));
        }
    }
    Ok(())
}

/// The agent's last word; none without an agent.
fn ask_agent(call: &Call, ask: &Ask) -> Result<Option<Line>, Failure> {
    let parent = Parent::of_this_process();
    let mut wait = |_why| Ok(());
    match asking::once(&call.settings.socket, ask, &parent, &mut wait) {
        Ok(line) => Ok(Some(line)),
        Err(Lost::Unwanted(failure)) => Err(failure),
        Err(Lost::Away(_) | Lost::Broken(_)) => Ok(None),
    }
}

/// A signal in capitals, without `SIG`; by number where it has no name worth one.
fn signal_name(given: &OsStr) -> Result<String, Failure> {
    let text = given.to_string_lossy().to_uppercase();
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+-".contains(c);
    if name.is_empty() || name.len() > 12 || !name.chars().all(is_name) {
        return Err(Failure::new(format!("unknown signal {}", given.display())));
    }
    let numbered = [
        ("9", "KILL"),
        ("15", "TERM"),
        ("2", "INT"),
        ("3", "QUIT"),
        ("1", "HUP"),
    ];
    let named = numbered
        .iter()
        .find(|(number, _)| *number == name.trim_start_matches('0'));
    Ok(named.map_or(name, |(_, named)| named).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_one_name() {
        for (given, name) in [
            ("KILL", "KILL"),
            ("SIGKILL", "KILL"),
            ("sigkill", "KILL"),
            ("9", "KILL"),
            ("09", "KILL"),
            ("15", "TERM"),
            ("sigterm", "TERM"),
            ("0", "0"),
            ("10", "10"),
            ("RTMIN+3", "RTMIN+3"),
        ] {
            assert_eq!(signal_name(OsStr::new(given)).unwrap(), name, "{given}");
        }
        for given in ["", "SIG", "K ILL", "../x", "KILLKILLKILLKILL"] {
            assert!(signal_name(OsStr::new(given)).is_err(), "{given}");
        }
    }
}
