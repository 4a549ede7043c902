//! What a pod's memory says of how long it would be frozen, and who would not wait for that. Pure.

use crate::kit::probes;
use crate::migration::images::containers;
use crate::preflight::finding::Finding;
use crate::preflight::freezing::{USUAL, of_probe, time};
use crate::preflight::list::Item;
use k8s_openapi::api::core::v1::Pod;
use std::time::Duration;

/// Bytes that are written, sent and read again in a second where all goes well.
const BEST: u64 = 400 << 20;
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
        let waits = probes::patience(container);
        found.extend(waits.and_then(|waits| of_probe(&container.name, waits, memory)));
    }
    found
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
