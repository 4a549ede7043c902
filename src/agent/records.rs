//! The records of this node, for many tasks: disk work stands on threads of its own, and who waits hears of each change.

use crate::agent::blocking::blocking;
use crate::hold::change::Change;
use crate::hold::record::{HoldState, Record};
use crate::hold::shelf::{Found, Shelf, ShelfError, Whose};
use crate::hold::uid::Uid;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// The records of this node.
#[derive(Clone)]
pub(crate) struct Records {
    shelf: Arc<Shelf>,
    changes: watch::Sender<u64>,
}

impl Records {
    /// Opens the shelf, which is made if it is not there.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn open(folder: &Path) -> Result<Self, ShelfError> {
        Ok(Self {
            shelf: Arc::new(Shelf::open(folder)?),
            changes: watch::Sender::new(0),
        })
    }

    /// Hears of changes from now on. The runtime and the guard change records too, and nobody hears of those.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The record of a pod, if there is one.
    pub(crate) async fn read(&self, uid: &Uid) -> Result<Option<Record>, ShelfError> {
        let (this, uid) = (Arc::clone(&self.shelf), uid.clone());
        blocking(move || this.read(&uid)).await
    }

    /// Whether this operation keeps a pod frozen now, and nobody let it go. For a thread of its own.
    pub(crate) fn is_frozen(&self, uid: &Uid, operation: &str) -> bool {
        let record = self.shelf.read(uid).ok().flatten();
        let hold = record.as_ref().and_then(|record| record.hold_of(operation));
        hold.is_some_and(|hold| hold.state == HoldState::Frozen)
    }

    /// Changes the record of a pod.
    pub(crate) async fn change(
        &self,
        whose: &Whose,
        change: &Change,
    ) -> Result<Record, ShelfError> {
        let (this, whose, change) = (Arc::clone(&self.shelf), whose.clone(), change.clone());
        let changed = blocking(move || this.change(&whose, &change)).await?;
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
        Ok(changed)
    }

    /// What is known of a pod: of one that has no record, nothing.
    pub(crate) async fn of(&self, whose: &Whose) -> Result<Record, ShelfError> {
        let blank = || Record::blank(&whose.namespace, &whose.pod, whose.uid.clone());
        Ok(self.read(&whose.uid).await?.unwrap_or_else(blank))
    }

    /// Forgets a record that is still as it was seen.
    pub(crate) async fn forget(&self, seen: Record) -> Result<(), ShelfError> {
        let this = Arc::clone(&self.shelf);
        blocking(move || this.forget(&seen)).await
    }

    /// All records, and those that cannot be read.
    pub(crate) async fn list(&self) -> Result<Vec<Found>, ShelfError> {
        let this = Arc::clone(&self.shelf);
        blocking(move || this.list()).await
    }
}
