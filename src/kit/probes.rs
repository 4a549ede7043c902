//! For how long a container may be silent.

use k8s_openapi::api::core::v1::Container;
use std::time::Duration;

/// For how long its liveness probe goes without an answer, at the least, until its kubelet kills it: it may be asked a moment after it
/// fell silent, and each question has its own limit. One that runs a program is not asked while the pod is frozen.
#[must_use]
pub fn patience(container: &Container) -> Option<Duration> {
    let probe = container.liveness_probe.as_ref()?;
    if probe.exec.is_some() {
        return None;
    }
    let whole = |number: Option<i32>, or: u64| {
        let said = number.and_then(|number| u64::try_from(number).ok());
        said.filter(|number| *number > 0).unwrap_or(or)
    };
    let limit = whole(probe.timeout_seconds, 1);
    let period = whole(probe.period_seconds, 10).max(limit);
    let more = whole(probe.failure_threshold, 3).saturating_sub(1);
    Some(Duration::from_secs(
        limit.saturating_add(period.saturating_mul(more)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn seconds(probe: &Value) -> Option<u64> {
        let container = json!({ "name": "c", "livenessProbe": probe });
        let container = serde_json::from_value(container).unwrap();
        patience(&container).map(|patience| patience.as_secs())
    }

    #[test]
    fn a_probe_waits_from_its_next_question_to_the_end_of_its_last() {
        for (probe, waits) in [
            (json!({ "httpGet": { "port": 80 } }), Some(21)),
            (
                json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 10, "failureThreshold": 1 }),
                Some(1),
            ),
            (
                json!({ "grpc": { "port": 80 }, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5 }),
                Some(5),
            ),
            (
                json!({ "httpGet": { "port": 80 }, "periodSeconds": 1, "failureThreshold": 3, "timeoutSeconds": 5 }),
                Some(15),
            ),
            (
                json!({ "exec": { "command": ["x"] }, "periodSeconds": 1 }),
                None,
            ),
            (json!(null), None),
        ] {
            assert_eq!(seconds(&probe), waits, "{probe}");
        }
    }
}
