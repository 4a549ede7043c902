//! One write: which step of its module it is, and how long it may take.

use crate::kit::error::Error;
use crate::process::faults::Step;
use std::time::Duration;

/// How long a call may take where nothing else is said.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Reads or writes with a time limit and an error that names verb and object.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn bounded<T>(
    limit: Duration,
    verb: &'static str,
    object: String,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|source| Error::api(verb, object, source)),
        Err(_elapsed) => Err(Error::TimedOut {
            verb,
            object,
            limit,
        }),
    }
}

/// One write.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub(super) step: &'a Step,
    pub(super) limit: Duration,
    /// How long a deletion waits for what it deletes, if not as long as that says itself.
    pub(super) grace: Option<u32>,
}

impl<'a> From<&'a Step> for Call<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            step,
            limit: CALL_LIMIT,
            grace: None,
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
}
