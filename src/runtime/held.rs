//! Containers that a record holds: nothing goes through to the real runtime that could run or thaw one.
//!
//! | verb | a held container |
//! |---|---|
//! | `exec` `resume` `update` `checkpoint` `restore` | refused |
//! | `kill`, `delete --force` | the agent's; without one: a signal that can be caught is noted, KILL kills as in `oci::cgroups` |

use super::api::{Ask, Line};
use super::asking::{self, Lost};
use super::call::Call;
use super::parent::Parent;
use super::records::{HeldContainer, Records};
use crate::oci::failure::Failure;
use crate::oci::place::{Place, is_same_root};
use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

/// What a kill of a frozen container may take. The kubelet's patience is longer.
const KILLING: Duration = Duration::from_secs(20);

/// `exec` and its like.
pub(super) fn refuse(call: &Call) -> Result<ExitCode, Failure> {
    for id in call.line.candidates() {
        if let Some((place, held)) = held(call, id)? {
            let verb = String::from_utf8_lossy(call.line.verb().unwrap_or_default());
            return Err(Failure::new(format!(
                "{} is held by operation {} ({}): {verb} is refused until that is over",
                place.title(),
                held.operation,
                held.state
            )));
        }
    }
    Err(call.pass())
}

/// `kill`.
pub(super) fn kill(call: &Call) -> Result<ExitCode, Failure> {
    refuse_pattern(call)?;
    for id in call.line.candidates() {
        if let Some((place, held)) = held(call, id)? {
            let signal = call.line.operands().get(1).copied();
            let signal = signal_name(signal.unwrap_or(OsStr::new("TERM")))?;
            return kill_held(call, &place, &held, &signal);
        }
    }
    Err(call.pass())
}

fn kill_held(
    call: &Call,
    place: &Place,
    held: &HeldContainer,
    signal: &str,
) -> Result<ExitCode, Failure> {
    let ask = Ask::Kill {
        id: place.id.clone(),
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
    match signal {
        "KILL" => held.cgroups.kill(KILLING)?,
        // Whether it is there: it is.
        "0" => {}
        _ => Records::at(&call.settings).wish(place, &held.operation, signal)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Before `delete --force` of a held container: it is dead when this comes back with nothing to say.
pub(super) fn before_delete(
    call: &Call,
    place: &Place,
    held: &HeldContainer,
) -> Result<(), Failure> {
    let ask = Ask::Delete {
        id: place.id.clone(),
        force: true,
    };
    match ask_agent(call, &ask)? {
        Some(Line::Pass) => Ok(()),
        Some(Line::Refuse { why }) => Err(Failure::new(why)),
        // What the agent has killed dies no second death.
        _ => held.cgroups.kill(KILLING),
    }
}

/// The container that a word of the command line names, if it is one of ours and held.
pub(super) fn held(call: &Call, id: &OsStr) -> Result<Option<(Place, HeldContainer)>, Failure> {
    let Some(place) = call.places().get(id)? else {
        return Ok(None);
    };
    if !is_same_root(&place.root, &call.root()) {
        return Ok(None);
    }
    let held = Records::at(&call.settings).held(&place)?;
    Ok(held.map(|held| (place, held)))
}

/// crun takes a pattern for many containers: refused while one of ours is held, for it may be among them.
pub(super) fn refuse_pattern(call: &Call) -> Result<(), Failure> {
    if !call.line.is_on("regex") {
        return Ok(());
    }
    let records = Records::at(&call.settings);
    for place in call.places().all()? {
        let place = place?;
        if let Some(held) = records.held(&place)? {
            return Err(Failure::new(format!(
                "{} is held by operation {}: name containers one by one until that is over",
                place.title(),
                held.operation
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
