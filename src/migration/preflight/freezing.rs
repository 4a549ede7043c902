//! What a pod's memory says of how long it would be frozen, and who would not wait for that. Pure.

use crate::migration::images::containers;
use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
use k8s_openapi::api::core::v1::{Pod, Probe};
use std::time::Duration;

/// Bytes that are written, sent and read again in a second: what an ordinary disk and network do.
const USUAL: u64 = 100 << 20;
/// The same where all goes well.
const BEST: u64 = 400 << 20;
/// What freezing, and beginning again, takes of itself.
const OF_ITSELF: Duration = Duration::from_millis(700);
/// A pod is frozen for so long at most.
const MOST: Duration = Duration::from_secs(100);
/// Of what a kubelet waits for a container so much is left for what is not the state.
const SPARE: Duration = Duration::from_secs(20);

/// What would not wait. `patience`: for how long the target's kubelet waits for a container.
pub(crate) fn of_freeze(pod: &Pod, memory: u64, patience: Duration) -> Vec<Finding> {
    let (usual, best) = (time(memory, USUAL), time(memory, BEST));
    let most = patience.saturating_sub(SPARE).min(MOST);
    let mut found: Vec<_> = too_long(memory, (usual, best), most).into_iter().collect();
    let Some(spec) = &pod.spec else {
        return found;
    };
    for container in containers(spec) {
        let Some(waits) = container.liveness_probe.as_ref().and_then(waits) else {
            continue;
        };
        let name = &container.name;
        let sentence = format!(
            "the liveness probe of container {name} is failed after {} s, and the pod would be frozen for some {:.1} s: its kubelet would kill it",
            waits.as_secs(),
            usual.as_secs_f64()
        );
        let finding = Finding::new(Item::LivenessProbe, &sentence);
        if usual > waits {
            found.push(finding);
        } else if usual.saturating_mul(3) > waits {
            found.push(finding.as_warning());
        }
    }
    found
}

fn time(bytes: u64, rate: u64) -> Duration {
    let millis = bytes.saturating_mul(1000).checked_div(rate).unwrap_or(0);
    OF_ITSELF.saturating_add(Duration::from_millis(millis))
}

fn too_long(memory: u64, (usual, best): (Duration, Duration), most: Duration) -> Option<Finding> {
    let sentence = format!(
        "its memory of {} MiB takes some {} s to go over, and it may be frozen for {} s",
        memory >> 20,
        usual.as_secs(),
        most.as_secs()
    );
    let finding = Finding::new(Item::FreezeTime, &sentence);
    if best > most {
        Some(finding)
    } else {
        (usual.saturating_mul(2) > most).then(|| finding.as_warning())
    }
}

/// For how long a probe may fail until its container is killed. One that runs a program is not asked while the pod is frozen.
fn waits(probe: &Probe) -> Option<Duration> {
    if probe.exec.is_some() {
        return None;
    }
    let whole = |number: Option<i32>, or: u64| {
        let said = number.and_then(|number| u64::try_from(number).ok());
        said.filter(|number| *number > 0).unwrap_or(or)
    };
    let seconds = whole(probe.period_seconds, 10).saturating_mul(whole(probe.failure_threshold, 3));
    Some(Duration::from_secs(seconds))
}
