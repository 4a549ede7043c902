//! What is not needed any more of a pod that went elsewhere, or did not.

use super::Tools;
use super::looking::{Sight, Subject};
use crate::agent::hands::Memory;
use crate::agent::orders::Ordered;
use crate::agent::store::Found;
use crate::hold::record::{HoldState, Record};
use crate::hold::shelf::Whose;
use crate::kit::error::chain;
use crate::migration::api::Outcome;
use crate::oci::failure::Failure;
use crate::oci::place::{Place, Places};

impl Tools<'_> {
    /// What is not needed any more goes: a state that is not to go elsewhere, and one that runs there.
    pub(super) async fn tidy(
        &self,
        operation: &str,
        (subject, sight): (&Subject, &Sight),
        ordered: &Ordered,
        memory: &mut Memory,
    ) -> Result<(), String> {
        let record = &sight.record;
        let outcome = ordered.order().map(|task| task.spec.decision.outcome);
        let is_gone = is_killed(record) && outcome == Some(Outcome::Restored);
        if sight.found != Found::Nothing && (is_gone || is_back(record, operation)) {
            // Whatever came of it, nobody writes there any more.
            let _settled = memory.settled().await;
            let generation = subject.generation.clone();
            let forgotten = tokio::task::spawn_blocking(move || generation.forget()).await;
            let forgotten = forgotten.map_err(|error| error.to_string())?;
            forgotten.map_err(|failure| failure.to_string())?;
        }
        // Nobody asks for it any more, and nothing of the pod is here.
        let is_left = matches!(ordered, Ordered::Gone) && is_killed(record);
        if is_left && !self.is_here(&subject.whose)? {
            let forgotten = self.records.forget(record.clone()).await;
            forgotten.map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    fn is_here(&self, whose: &Whose) -> Result<bool, String> {
        let places = Places::below(&self.host.run()).all();
        let places = places.map_err(|failure| failure.to_string())?;
        let is_its = |place: &Result<Place, Failure>| {
            // One that cannot be read may be one of its.
            place
                .as_ref()
                .map_or(true, |place| place.uid == whose.uid.as_str())
        };
        Ok(places.iter().any(is_its))
    }
}

fn is_killed(record: &Record) -> bool {
    let hold = record.hold.as_ref();
    hold.is_some_and(|hold| hold.state == HoldState::Killed)
}

/// It runs here again, as it was. Where it died frozen, it is restored from what was dumped: that stays. An admission of another
/// operation is of the move that brought it here.
fn is_back(record: &Record, operation: &str) -> bool {
    let ended = record.ended.as_ref();
    let admission = record.admission.as_ref();
    record.hold.is_none()
        && ended.is_some_and(|ended| ended.operation == operation)
        && admission.is_none_or(|admission| admission.operation != operation)
}

#[cfg(test)]
mod tests {
    use super::super::looking::home_from;
    use super::*;
    use serde_json::{Value, json};

    fn record(admission: &Value) -> Record {
        let ended =
            json!({ "operation": "op", "state": "withdrawn", "proof": null, "damaged": false });
        let record = json!({
            "version": 1, "namespace": "ns", "pod": "web", "uid": "u1", "started": [], "ended": ended,
            "hold": null, "admission": admission, "tokens": {},
        });
        let text = record.to_string();
        Record::parse(text.as_bytes(), &"u1".try_into().unwrap()).unwrap()
    }

    fn admitted(operation: &str) -> Value {
        json!({
            "operation": operation, "attempt": 1, "state": "claimed", "what": { "generation": "g" },
            "finished": [], "prepared": true, "ran": true,
        })
    }

    #[test]
    fn what_came_home_needs_its_state_and_what_only_runs_on_does_not() {
        assert!(is_back(&record(&Value::Null), "op"));
        assert!(is_back(&record(&admitted("former")), "op"));
        assert!(!is_back(&record(&admitted("op")), "op"));
        assert!(!is_back(&record(&Value::Null), "another"));
    }

    #[test]
    fn what_came_home_is_known_without_an_order_too() {
        assert_eq!(home_from(&record(&admitted("op")), "op"), Some("g"));
        assert_eq!(home_from(&record(&admitted("former")), "op"), None);
        assert_eq!(home_from(&record(&Value::Null), "op"), None);
    }
}
