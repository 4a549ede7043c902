//! Signals to containers that are held. What can be caught is noted, and delivered if the pod ever runs here again; what cannot is the
//! end of the container, frozen as it is.

use crate::agent::answers::{Answers, whose};
use crate::hold::change::Change;
use crate::hold::record::{Hold, HoldState};
use crate::hold::shelf::Whose;
use crate::hold::signal;
use crate::kit::error::chain;
use crate::oci::cgroups::Cgroups;
use crate::runtime::api::Line;
use std::ffi::OsStr;
use std::time::Duration;

/// What a kill of a frozen container may take. The kubelet's patience is longer.
const KILLING: Duration = Duration::from_secs(20);

impl Answers {
    /// A signal to a container that the runtime found held.
    pub(super) async fn kill(&self, id: &str, signal: &str) -> Line {
        let (whose, hold) = match self.held(id).await {
            Ok(Some(held)) => held,
            Ok(None) => return Line::Pass,
            Err(why) => return Line::Refuse { why },
        };
        match signal {
            "KILL" => self.end(&hold, id).await,
            // Whether it is there: it is.
            "0" => Line::Done,
            _ => {
                let wish = Change::hold(&hold.operation, signal::wish(signal, id));
                match self.records.change(&whose, &wish).await {
                    Ok(_) => Line::Done,
                    Err(error) => Line::Refuse { why: chain(&error) },
                }
            }
        }
    }

    /// A container that the runtime found held is to be deleted: it is dead when this says that it passes.
    pub(super) async fn remove(&self, id: &str, force: bool) -> Line {
        match self.held(id).await {
            Ok(Some((_, hold))) if force => match self.end(&hold, id).await {
                Line::Done => Line::Pass,
                other => other,
            },
            Ok(_) => Line::Pass,
            Err(why) => Line::Refuse { why },
        }
    }

    /// Whose container it is, and what holds it.
    async fn held(&self, id: &str) -> Result<Option<(Whose, Hold)>, String> {
        let place = self
            .places
            .get(OsStr::new(id))
            .map_err(|failure| failure.to_string())?;
        let Some(place) = place else {
            return Ok(None);
        };
        let whose = whose(&place)?;
        let record = self.records.read(&whose.uid).await;
        let hold = record
            .map_err(|error| chain(&error))?
            .and_then(|record| record.hold);
        let holds = |hold: &Hold| {
            use HoldState::{Frozen, Released, Superseded};
            matches!(hold.state, Frozen | Released | Superseded)
        };
        Ok(hold.filter(holds).map(|hold| (whose, hold)))
    }

    async fn end(&self, hold: &Hold, id: &str) -> Line {
        let Some(container) = hold.containers.iter().find(|container| container.id == id) else {
            return Line::Pass;
        };
        let directories = container.cgroups.iter().map(|path| self.host.path(path));
        let cgroups = Cgroups::at(directories.collect::<Vec<_>>());
        let killed = tokio::task::spawn_blocking(move || cgroups.kill(KILLING)).await;
        match killed {
            Ok(Ok(())) => Line::Done,
            Ok(Err(failure)) => Line::Refuse {
                why: failure.to_string(),
            },
            Err(error) => Line::Refuse {
                why: error.to_string(),
            },
        }
    }
}
