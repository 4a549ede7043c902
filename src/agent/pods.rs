//! The containers of a pod that are on this node, as the real runtime keeps them, and whether they run.

use crate::agent::host::{self, Host};
use crate::agent::source::Process;
use crate::hold::record::{Held, Record};
use crate::oci::cgroups::Cgroups;
use crate::oci::failure::Failure;
use crate::oci::place::{Place, Places};
use crate::oci::state::State;
use std::path::{Path, PathBuf};

/// A container of ours that has processes.
#[derive(Debug, Clone)]
pub(crate) struct Living {
    pub(crate) held: Held,
    /// The host's path of its bundle.
    pub(crate) bundle: PathBuf,
    /// Its first process.
    pub(crate) init: i32,
}

/// The containers of a pod that have processes, without its sandbox, in the order of their names.
///
/// # Errors
/// What is known of one cannot be read: then nothing is known of the pod.
pub(crate) fn living(host: &Host, uid: &str) -> Result<Vec<Living>, Failure> {
    let mut found = Vec::new();
    for place in Places::below(&host.run()).all()? {
        let place = place?;
        if place.uid == uid && !place.sandbox {
            found.extend(living_container(host, place)?);
        }
    }
    found.sort_by(|one: &Living, other| one.held.name.cmp(&other.held.name));
    Ok(found)
}

fn living_container(host: &Host, place: Place) -> Result<Option<Living>, Failure> {
    let Some(name) = place.container else {
        return Ok(None);
    };
    let Some(state) = State::of(&host.path(&place.root), &place.id)? else {
        return Ok(None);
    };
    let Some(pid) = state.pid.filter(|pid| is_same(*pid, state.start)) else {
        return Ok(None);
    };
    let cgroups = if state.cgroups.is_empty() {
        let seen = Cgroups::of_process(pid)?;
        let seen = seen.directories().iter();
        seen.map(|path| host.without(path)).collect()
    } else {
        state.cgroups
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Some(Living {
        held: Held {
            name,
            id: place.id,
            root: text(&place.root),
            cgroups: cgroups.iter().map(|path| text(path)).collect(),
        },
        bundle: place.bundle,
        init: pid,
    }))
}

/// Whether the process is still the one that began then: numbers are used again.
pub(crate) fn is_same(pid: i32, start: u64) -> bool {
    let text = std::fs::read_to_string(host::process(pid).join("stat"));
    text.is_ok_and(|text| began(&text).is_some_and(|began| start == 0 || began == start))
}

/// When a process began, by its `stat`; none where it is a zombie. Its name may hold anything, and ends with the last parenthesis.
fn began(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let began = words.nth(18)?;
    began.parse().ok().filter(|_| state != "Z" && state != "X")
}

/// The cgroups of a container that is held, as this process sees them.
pub(crate) fn cgroups(host: &Host, held: &Held) -> Cgroups {
    Cgroups::at(held.cgroups.iter().map(|path| host.path(path)))
}

/// How a held container's processes are.
///
/// # Errors
/// If that cannot be read.
pub(crate) fn process(host: &Host, held: &Held) -> Result<Process, Failure> {
    let cgroups = cgroups(host, held);
    if cgroups.is_empty()? {
        return Ok(Process::Dead);
    }
    // What is on its way to be frozen has to be thawed like what is.
    let is_frozen = cgroups.is_ordered_to_freeze()?;
    Ok(if is_frozen {
        Process::Frozen
    } else {
        Process::Running
    })
}

/// Containers, and how their processes are.
pub(crate) type HowTheyAre = Vec<(Held, Process)>;

/// The containers of a pod that have processes, and how those are that an operation holds; all of them, before it does.
///
/// # Errors
/// If that cannot be read.
pub(crate) fn held_by(
    host: &Host,
    record: &Record,
    operation: &str,
) -> Result<(Vec<Living>, HowTheyAre), Failure> {
    let mut living = living(host, record.uid.as_str())?;
    let ours = match record.hold_of(operation) {
        Some(hold) => {
            // One that began since then is not frozen.
            living.retain(|one| hold.containers.iter().any(|held| held.id == one.held.id));
            hold.containers.clone()
        }
        None => living.iter().map(|one| one.held.clone()).collect(),
    };
    let mut containers = Vec::new();
    for container in ours {
        let process = process(host, &container)?;
        containers.push((container, process));
    }
    Ok((living, containers))
}

/// The environments of all processes of the node.
pub(crate) fn environments() -> impl Iterator<Item = Vec<u8>> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path().join("environ")));
    // Who ends meanwhile has none.
    paths.filter_map(|path| std::fs::read(path).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(began(stat), Some(4711));
        assert_eq!(began(&stat.replace(" S ", " Z ")), None);
        assert_eq!(began("7 (a"), None);
    }
}
