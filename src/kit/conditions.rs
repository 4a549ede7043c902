//! Conditions as Kubernetes means them: one entry per type, `observedGeneration` on each, and a transition time that moves
//! only when the status changes. Pure: the time is an argument.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The summary condition of objects that live on.
pub const READY: &str = "Ready";

/// What is to be said about one aspect of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type: an adjective or past participle.
    pub kind: &'static str,
    /// True, or false.
    pub holds: bool,
    /// Why, as a `PascalCase` constant.
    pub reason: &'static str,
    /// Why, as a sentence for a person.
    pub message: String,
}

/// The conditions that follow from the former ones and what was found now.
/// Types that nobody speaks of stay as they were, at their place.
#[must_use]
pub fn merge(
    former: &[Condition],
    found: &[Finding],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut merged = former.to_vec();
    for finding in found {
        let status = if finding.holds { "True" } else { "False" };
        let since = former
            .iter()
            .find(|old| old.type_ == finding.kind && old.status == status)
            .map_or(Time(now), |old| old.last_transition_time.clone());
        let condition = Condition {
            type_: finding.kind.to_owned(),
            status: status.to_owned(),
            reason: finding.reason.to_owned(),
            message: finding.message.clone(),
            observed_generation: generation,
            last_transition_time: since,
        };
        match merged.iter_mut().find(|old| old.type_ == finding.kind) {
            Some(place) => *place = condition,
            None => merged.push(condition),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(holds: bool, message: &str) -> Finding {
        Finding {
            kind: READY,
            holds,
            reason: "Because",
            message: message.into(),
        }
    }

    #[test]
    fn keeps_the_transition_time_while_the_status_stays() {
        let first = merge(&[], &[ready(true, "a")], Some(1), at(10));
        let second = merge(&first, &[ready(true, "b")], Some(2), at(20));
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(
            (second[0].message.as_str(), second[0].observed_generation),
            ("b", Some(2))
        );
    }

    #[test]
    fn moves_the_transition_time_when_the_status_changes() {
        let first = merge(&[], &[ready(true, "a")], Some(1), at(10));
        let second = merge(&first, &[ready(false, "a")], Some(1), at(20));
        assert_eq!(
            (second.len(), second[0].last_transition_time.clone()),
            (1, Time(at(20)))
        );
    }

    #[test]
    fn leaves_conditions_of_others_alone() {
        let other = Finding {
            kind: "Checked",
            holds: true,
            reason: "R",
            message: String::new(),
        };
        let first = merge(&[], &[other], None, at(1));
        let second = merge(&first, &[ready(true, "a")], None, at(2));
        assert_eq!(
            second.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(),
            ["Checked", READY]
        );
    }
}
