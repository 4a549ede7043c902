//! For how long a pod stands still by its memory, and whose liveness probe would not wait for that. Pure.

use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
use std::time::Duration;

/// Bytes that are written, sent and read again in a second: what an ordinary disk and network do.
pub const USUAL: u64 = 100 << 20;
/// What freezing, and beginning again, takes of itself.
const OF_ITSELF: Duration = Duration::from_millis(700);

/// How long so much takes, at so many bytes a second.
#[must_use]
pub fn time(bytes: u64, rate: u64) -> Duration {
    let millis = bytes.saturating_mul(1000).checked_div(rate).unwrap_or(0);
    OF_ITSELF.saturating_add(Duration::from_millis(millis))
}

/// What is said of a probe that waits for so long, in a pod with so much memory.
#[must_use]
pub fn of_probe(container: &str, waits: Duration, memory: u64) -> Option<Finding> {
    let usual = time(memory, USUAL);
    let sentence = format!(
        "the liveness probe of container {container} is failed after {} s, and the pod would be frozen for some {:.1} s: its kubelet would kill it",
        waits.as_secs(),
        usual.as_secs_f64()
    );
    let finding = Finding::new(Item::LivenessProbe, &sentence);
    if usual > waits {
        Some(finding)
    } else {
        (usual.saturating_mul(3) > waits).then(|| finding.as_warning())
    }
}
