//! One write: which step of its module it is, and how long it may take.

use crate::process::faults::Step;
use std::time::Duration;

/// How long a call may take where nothing else is said.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// One write.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub(super) step: &'a Step,
    pub(super) limit: Duration,
    /// How long a deletion waits for what it deletes, if not as long as that says itself.
    pub(super) grace: Option<u32>,
    /// The version that a deletion was decided on, if it is only right for that one.
    pub(super) version: Option<&'a str>,
}

impl<'a> From<&'a Step> for Call<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            step,
            limit: CALL_LIMIT,
            grace: None,
            version: None,
        }
    }
}

impl Step {
    /// This step, with a time limit of its own.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Call<'_> {
        Call {
            limit,
            ..Call::from(self)
        }
    }

    /// This step, as a deletion that waits for nobody: of a pod whose node will never say that it has ended.
    #[must_use]
    pub fn at_once(&self) -> Call<'_> {
        Call {
            grace: Some(0),
            ..Call::from(self)
        }
    }

    /// This step, as a deletion of what was seen and of no later version of it: somebody may have begun to need it.
    #[must_use]
    pub fn as_seen<'a>(&'a self, version: Option<&'a str>) -> Call<'a> {
        Call {
            version,
            ..Call::from(self)
        }
    }
}
