//! What the records on this node say about a container: the one place where the runtime reads and changes them.

use crate::hold::answer::{Agent, Answer, Asked, answer};
use crate::hold::change::{Change, HoldStep};
use crate::hold::record::{Hold, HoldState, Record};
use crate::hold::rules::Rules;
use crate::hold::shelf::{Shelf, ShelfError, Whose};
use crate::hold::uid::Uid;
use crate::kit::error::chain;
use crate::oci::cgroups::Cgroups;
use crate::oci::failure::Failure;
use crate::oci::place::Place;
use crate::oci::settings::Settings;

/// The records of this node.
#[derive(Debug)]
pub(super) struct Records(Shelf);

/// A container that may neither run nor thaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldContainer {
    pub(super) operation: String,
    pub(super) state: HoldState,
    pub(super) cgroups: Cgroups,
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

    /// The container, if it is held.
    ///
    /// # Errors
    /// If its pod's record cannot be read: then it is as if it were held.
    pub(super) fn held(&self, place: &Place) -> Result<Option<HeldContainer>, Failure> {
        let record = self.read(&uid(place)?)?;
        let Some(hold) = record.and_then(|record| record.hold) else {
            return Ok(None);
        };
        Ok(held_container(&hold, &place.id))
    }

    /// Notes a signal that a held container is to get if it ever runs here again.
    ///
    /// # Errors
    /// If that cannot be written, or the pod is not held any more.
    pub(super) fn wish(&self, place: &Place, operation: &str, signal: &str) -> Result<(), Failure> {
        let change = Change::hold(operation, HoldStep::Wish(signal.to_owned()));
        self.change(&whose(place)?, &change)
    }

    /// The record of a pod.
    ///
    /// # Errors
    /// If there is one and it cannot be read.
    pub(super) fn read(&self, uid: &Uid) -> Result<Option<Record>, Failure> {
        self.0.read(uid).map_err(|error| failure(&error))
    }

    /// # Errors
    /// If the record does not allow it, or cannot be written.
    pub(super) fn change(&self, whose: &Whose, change: &Change) -> Result<(), Failure> {
        let changed = self.0.change(whose, change);
        changed.map(drop).map_err(|error| failure(&error))
    }
}

/// A container of a hold that still holds it: what was superseded is frozen until it is dead.
fn held_container(hold: &Hold, id: &str) -> Option<HeldContainer> {
    let holds = match hold.state {
        HoldState::Frozen | HoldState::Released | HoldState::Superseded => true,
        HoldState::Withdrawn | HoldState::Returned | HoldState::Killed => false,
    };
    let container = hold
        .containers
        .iter()
        .find(|container| container.id == id)?;
    holds.then(|| HeldContainer {
        operation: hold.operation.clone(),
        state: hold.state,
        cgroups: Cgroups::at(&container.cgroups),
    })
}

fn uid(place: &Place) -> Result<Uid, Failure> {
    Uid::try_from(place.uid.as_str()).map_err(Failure::new)
}

fn whose(place: &Place) -> Result<Whose, Failure> {
    Ok(Whose {
        namespace: place.namespace.clone(),
        pod: place.pod.clone(),
        uid: uid(place)?,
    })
}

fn failure(error: &ShelfError) -> Failure {
    Failure::new(chain(error))
}
