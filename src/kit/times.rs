//! Times, as API objects have them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// As it is read again after it was written: one that is finer would be taken for another.
#[must_use]
pub fn in_micros(time: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
}
