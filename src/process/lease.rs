//! What a Lease says, and what a candidate may do about it. Pure: monotonic time and the time of day are arguments.
//!
//! | observed | a candidate does |
//! |---|---|
//! | no Lease | creates it (a 409 means that somebody was quicker) |
//! | no Lease, but one that was held a lease duration ago or less | waits: its holder may not have noticed |
//! | nobody holds it | takes it |
//! | another holds it, record changed less than a lease duration ago | waits |
//! | another holds it, record unchanged for a lease duration | takes it |
//! | it holds it itself (a restart under the same name) | takes it again |

use crate::kit::error::Error;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use std::time::Duration;
use tokio::time::Instant;

/// Who wants to lead, under which Lease, and how fast.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the Lease lives.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// Who we are: unique among the candidates.
    pub identity: String,
    /// How long a record must stand still before others may take over.
    pub duration: Duration,
    /// After how long without a renewal a leader gives up.
    pub renew_deadline: Duration,
    /// How often a leader renews, and a candidate looks.
    pub retry: Duration,
}

impl Settings {
    /// Refuses times that could make two leaders.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        let problem = if self.identity.is_empty() {
            Some("the identity is empty: set --identity, for example to the pod's name")
        } else if self.retry.is_zero() {
            Some("the retry period must be above zero")
        } else if self.renew_deadline <= self.retry {
            Some("the renew deadline must be longer than the retry period")
        } else if self.duration <= self.renew_deadline {
            Some("the lease duration must be longer than the renew deadline")
        } else if self.duration < Duration::from_secs(1) {
            Some("the lease duration must be a second or more")
        } else {
            None
        };
        problem.map_or(Ok(()), |why| {
            Err(Error::Invalid {
                what: "the leader election's setting".into(),
                why: why.into(),
            })
        })
    }
}

/// What a candidate saw, and since when it has looked like that.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) lease: Lease,
    pub(crate) unchanged_since: Instant,
}

impl Sight {
    fn spec(&self) -> Option<&LeaseSpec> {
        self.lease.spec.as_ref()
    }

    pub(crate) fn holder(&self) -> &str {
        self.spec()
            .and_then(|spec| spec.holder_identity.as_deref())
            .unwrap_or_default()
    }

    pub(crate) fn transitions(&self) -> i32 {
        self.spec()
            .and_then(|spec| spec.lease_transitions)
            .unwrap_or_default()
    }

    /// The record proper, without what the API server adds: a change of a label is no sign of life.
    pub(crate) fn record(&self) -> Option<(&str, Option<&MicroTime>, Option<&MicroTime>, i32)> {
        self.spec().map(|spec| {
            (
                self.holder(),
                spec.renew_time.as_ref(),
                spec.acquire_time.as_ref(),
                self.transitions(),
            )
        })
    }
}

/// What a candidate may do with what it saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Create,
    Take,
    Wait { until: Instant },
}

pub(crate) fn judge(
    settings: &Settings,
    sight: Option<&Sight>,
    vanished: Option<Instant>,
    now: Instant,
) -> Turn {
    let Some(sight) = sight else {
        return match vanished.and_then(|since| since.checked_add(settings.duration)) {
            Some(until) if until > now => Turn::Wait { until },
            _ => Turn::Create,
        };
    };
    if sight.holder().is_empty() || sight.holder() == settings.identity {
        return Turn::Take;
    }
    // The holder's own promise counts when it is longer than ours: a roll-out that shortens the flag must not rob the old leader.
    let promised = sight
        .spec()
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|s| u64::try_from(s).ok());
    let duration = settings
        .duration
        .max(Duration::from_secs(promised.unwrap_or_default()));
    match sight.unchanged_since.checked_add(duration) {
        Some(until) if until > now => Turn::Wait { until },
        _ => Turn::Take,
    }
}

impl Settings {
    /// How long running work may take to end after the Lease was lost: it is over before anybody else may lead.
    #[must_use]
    pub fn stop_limit(&self) -> Duration {
        self.duration
            .saturating_sub(self.renew_deadline)
            .mul_f64(0.75)
    }

    /// The Lease as it is when we take it. A restart under the same name counts as a change of hands: the fencing number moves.
    pub(crate) fn claim(&self, sight: Option<&Sight>, now: Timestamp) -> Lease {
        let mut lease = self.renewal(sight, now);
        let transitions = sight.map_or(0, |sight| sight.transitions().saturating_add(1));
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(self.identity.clone());
        spec.acquire_time = spec.renew_time.clone();
        spec.lease_transitions = Some(transitions);
        lease
    }

    /// The Lease as it was seen, with a new time.
    pub(crate) fn renewal(&self, sight: Option<&Sight>, now: Timestamp) -> Lease {
        let mut lease = sight.map_or_else(
            || Lease {
                metadata: ObjectMeta {
                    name: Some(self.lease.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            },
            |sight| sight.lease.clone(),
        );
        let spec = lease.spec.get_or_insert_default();
        spec.lease_duration_seconds =
            Some(i32::try_from(self.duration.as_secs().max(1)).unwrap_or(i32::MAX));
        spec.renew_time = Some(MicroTime(now));
        lease
    }
}
