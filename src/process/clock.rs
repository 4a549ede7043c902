//! The one place that asks what time it is. Wall-clock time is only ever written down for people; decisions use monotonic time.

use jiff::Timestamp;

/// The time of day, for status and records.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge where time enters"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}
