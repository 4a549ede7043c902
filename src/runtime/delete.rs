//! `delete`: keeps what the real runtime knew of a container that was begun by a token, since that decides whether it may have run;
//! and forgets the container once it is gone.

use super::api::{Evidence, Seen, evidence_path};
use super::call::Call;
use super::records::Records;
use super::{held, ticket};
use crate::kit::faults::around;
use crate::oci::clock;
use crate::oci::command_line::Dialect;
use crate::oci::failure::Failure;
use crate::oci::files;
use crate::oci::place::{Place, is_same_root};
use crate::oci::real::end_as;
use crate::oci::state::State;
use crate::write_steps;
use std::path::Path;
use std::process::ExitCode;

write_steps! {
    /// What the real runtime knew of a container is kept.
    EVIDENCE,
    /// The container is forgotten.
    FORGET,
}

pub(super) fn run(call: &Call) -> Result<ExitCode, Failure> {
    held::refuse_pattern(call)?;
    let place = match call.line.id() {
        Some(id) => call.places().get(id)?,
        None => None,
    };
    let ours = place.filter(|place| is_same_root(&place.root, &call.root()));
    let Some(place) = ours else {
        return Err(call.pass());
    };
    if call.line.is_on("force")
        && let Some(held) = held::held(call, place.id.as_ref())?
    {
        held::before_delete(call, &held)?;
    }
    if Records::at(&call.settings).may_have_begun(&place) {
        keep(call, &place)?;
    }
    let status = call.real.run(call.arguments)?;
    // Some runtimes say that it failed when there was nothing to delete.
    if status.success() || State::of(&place.root, &place.id) == Ok(None) {
        around(&FORGET, || {
            ticket::take(&call.settings.run, &place.id)?;
            call.places().remove(&place.id)
        })?;
    }
    Ok(end_as(status))
}

/// Keeps the evidence. What was seen once is not unseen by a second `delete`, which finds nothing any more.
fn keep(call: &Call, place: &Place) -> Result<(), Failure> {
    let path = evidence_path(&call.settings.run, &place.id);
    let before = files::read(&path)?;
    let before = before.and_then(|text| serde_json::from_slice::<Evidence>(&text).ok());
    let boot = clock::boot_id()?;
    let seen = seen(&place.root, &place.id, call.dialect);
    if before.is_some_and(|before| before.boot == boot && !before.seen.shows_that_nothing_ran()) {
        return Ok(());
    }
    let evidence = Evidence {
        place: place.clone(),
        boot,
        seen,
    };
    let text = serde_json::to_vec(&evidence).map_err(|error| Failure::at("write", &path, error))?;
    around(&EVIDENCE, || files::put(&path, &text))
}

fn seen(root: &Path, id: &str, dialect: Dialect) -> Seen {
    match State::of(root, id) {
        Ok(Some(State { pid: Some(pid), .. })) => Seen::Init { pid },
        // When crun writes its state down is not known to us.
        Ok(_) if dialect == Dialect::Crun => Seen::Unknown {
            why: "crun does not say whether a first process was there".into(),
        },
        Ok(Some(_)) => Seen::NoInit,
        Ok(None) => Seen::NoState,
        Err(failure) => Seen::Unknown {
            why: failure.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn only_runc_shows_that_nothing_ran() {
        let folder = Folder::new();
        let sees = |dialect| seen(folder.path(), "c1", dialect);
        assert_eq!(sees(Dialect::Runc), Seen::NoState);
        assert!(!sees(Dialect::Crun).shows_that_nothing_ran());
        folder.write("c1/state.json", r#"{"init_process_pid":0}"#);
        assert_eq!(sees(Dialect::Runc), Seen::NoInit);
        folder.write("c1/state.json", r#"{"init_process_pid":5}"#);
        assert_eq!(sees(Dialect::Runc), Seen::Init { pid: 5 });
        folder.write("c1/state.json", "{");
        assert!(!sees(Dialect::Runc).shows_that_nothing_ran());
    }
}
