//! What the records on this node say about a container: the one place where the runtime reads and changes them. What follows from
//! a record is decided in `hold`.

use crate::hold::answer::{Agent, Answer, Asked, answer};
use crate::hold::change::Change;
use crate::hold::record::Record;
use crate::hold::rules::Rules;
use crate::hold::shelf::{Shelf, ShelfError, Whose};
use crate::hold::signal;
use crate::hold::uid::Uid;
use crate::kit::error::chain;
use crate::oci::cgroups::Cgroups;
use crate::oci::failure::Failure;
use crate::oci::place::Place;
use crate::oci::settings::Settings;
use crate::oci::state::State;

/// The records of this node.
#[derive(Debug)]
pub(super) struct Records(Shelf);

/// A container of a pod that may neither run nor thaw.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) record: Record,
    /// Why nothing may run in it.
    pub(super) why: String,
}

impl Records {
    pub(super) fn at(settings: &Settings) -> Self {
        Self(Shelf::at(&settings.records))
    }

    /// Whether a container may start although nobody answers.
    ///
    /// # Errors
    /// If its pod's record cannot be read: then it waits.
    pub(super) fn may_start_without_agent(&self, place: &Place) -> Result<bool, Failure> {
        let Some(record) = self.read(&uid(place)?)? else {
            return Ok(false);
        };
        let asked = Asked {
            container: place.container.as_deref(),
            expects: place.expects.as_deref(),
        };
        let answer = answer(&record, asked, Agent::Away, Rules::ALL);
        Ok(matches!(answer, Answer::Start { .. }))
    }

    /// The container, if its pod is held.
    ///
    /// # Errors
    /// If its pod's record cannot be read: then it is as if it were held.
    pub(super) fn held(&self, place: Place) -> Result<Option<Held>, Failure> {
        let Some(record) = self.read(&uid(&place)?)? else {
            return Ok(None);
        };
        let why = signal::refusal(&record);
        Ok(why.map(|why| Held { place, record, why }))
    }

    /// Whether somebody may ask one day if this container ran: it was begun by a token, or nobody knows.
    pub(super) fn may_have_begun(&self, place: &Place) -> bool {
        let record = uid(place).and_then(|uid| self.read(&uid));
        record.map_or(true, |record| {
            let mut tokens = record.iter().flat_map(|record| &record.tokens);
            tokens.any(|(name, _)| Some(name) == place.container.as_ref())
        })
    }

    /// The record of a pod.
    ///
    /// # Errors
    /// If there is one and it cannot be read.
    pub(super) fn read(&self, uid: &Uid) -> Result<Option<Record>, Failure> {
        self.0.read(uid).map_err(|error| failure(&error))
    }

    /// Changes the record of a pod.
    ///
    /// # Errors
    /// If the record does not allow it, or cannot be written.
    pub(super) fn change(&self, of: &Record, change: &Change) -> Result<(), Failure> {
        let whose = Whose {
            namespace: of.namespace.clone(),
            pod: of.pod.clone(),
            uid: of.uid.clone(),
        };
        let changed = self.0.change(&whose, change);
        changed.map(drop).map_err(|error| failure(&error))
    }
}

impl Held {
    /// The container's cgroups: those that the hold names; of a container that it does not name, those that the real runtime does.
    ///
    /// # Errors
    /// If they cannot be found.
    pub(super) fn cgroups(&self) -> Result<Option<Cgroups>, Failure> {
        let containers = self.record.hold.iter().flat_map(|hold| &hold.containers);
        let mut same = containers.filter(|container| container.id == self.place.id);
        if let Some(container) = same.next() {
            return Ok(Some(Cgroups::at(&container.cgroups)));
        }
        let Some(state) = State::of(&self.place.root, &self.place.id)? else {
            return Ok(None);
        };
        if !state.cgroups.is_empty() {
            return Ok(Some(Cgroups::at(state.cgroups)));
        }
        match state.pid {
            Some(pid) if std::fs::exists(format!("/proc/{pid}")).unwrap_or(true) => {
                Cgroups::of_process(pid).map(Some)
            }
            _ => Ok(None),
        }
    }
}

fn uid(place: &Place) -> Result<Uid, Failure> {
    Uid::try_from(place.uid.as_str()).map_err(Failure::new)
}

fn failure(error: &ShelfError) -> Failure {
    Failure::new(chain(error))
}
