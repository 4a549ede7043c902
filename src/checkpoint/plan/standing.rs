//! What a node's answer means for the status, and how it is said.

use crate::agent::api::{CheckpointReport, CheckpointStanding};
use crate::checkpoint::api::{CheckpointStatus, Location, Phase, SUCCEEDED, reasons};
use crate::kit::conditions::Finding;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The one condition, with this reason.
pub(super) fn finding(reason: &'static str, message: String) -> Finding {
    Finding {
        kind: SUCCEEDED,
        holds: reason == reasons::TAKEN,
        reason,
        message,
    }
}

/// Before a node has answered.
pub(super) fn asked(node: &str) -> String {
    format!("node {node} was asked, and its agent did not answer yet: one has to run there")
}

/// Why a node gave it up.
pub(super) fn why(report: &CheckpointReport, node: &str) -> String {
    let said = report.why.clone().filter(|why| !why.trim().is_empty());
    said.unwrap_or_else(|| {
        format!("node {node} gave it up and did not say why: see the log of its agent")
    })
}

/// The status with what a node says that it does, or has done.
pub(super) fn told(
    mut status: CheckpointStatus,
    report: &CheckpointReport,
    (node, now): (&str, Timestamp),
) -> (CheckpointStatus, Finding) {
    status.taken_at = report.taken_at.clone().or(status.taken_at);
    status.frozen_millis = report.frozen_millis.or(status.frozen_millis);
    status.bytes = report.bytes.or(status.bytes);
    if !report.containers.is_empty() {
        status.containers.clone_from(&report.containers);
    }
    let (phase, reason, message) = match report.standing {
        CheckpointStanding::Frozen => (
            Phase::Frozen,
            reasons::RUNNING,
            format!("the pod is frozen, and is being dumped on node {node}"),
        ),
        CheckpointStanding::Dumped => (
            Phase::Dumped,
            reasons::RUNNING,
            format!("the pod runs again; what was dumped is being sealed on node {node}"),
        ),
        CheckpointStanding::Kept => {
            status.taken_at = status.taken_at.or(Some(Time(now)));
            status.locations = location(report, node).into_iter().collect();
            (Phase::Succeeded, reasons::TAKEN, taken(&status, node))
        }
        _ => (
            Phase::Asked,
            reasons::RUNNING,
            format!("node {node} is about to begin"),
        ),
    };
    status.phase = phase;
    (status, finding(reason, message))
}

fn location(report: &CheckpointReport, node: &str) -> Option<Location> {
    Some(Location {
        node: node.to_owned(),
        path: report.path.clone()?,
        digest: report.digest.clone()?,
        bytes: report.bytes,
    })
}

fn taken(status: &CheckpointStatus, node: &str) -> String {
    let bytes = status.bytes.map(|bytes| format!(": {}", size(bytes)));
    let frozen = status.frozen_millis;
    let frozen = frozen.map(|millis| format!("; the pod was frozen for {millis} ms"));
    [Some(format!("it is on node {node}")), bytes, frozen]
        .into_iter()
        .flatten()
        .collect()
}

/// So many bytes, for people: `12.3Mi`.
#[must_use]
pub(crate) fn size(bytes: i64) -> String {
    let bytes = u64::try_from(bytes).unwrap_or_default();
    let units = [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    let told = units.into_iter().find_map(|(shift, unit)| {
        let whole = bytes.checked_shr(shift).filter(|whole| *whole > 0)?;
        let tenths = bytes.checked_mul(10)?.checked_shr(shift)?.checked_rem(10)?;
        Some(format!("{whole}.{tenths}{unit}"))
    });
    told.unwrap_or_else(|| bytes.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, told) in [
            (0, "0"),
            (-1, "0"),
            (1023, "1023"),
            (1024, "1.0Ki"),
            (12_900_000, "12.3Mi"),
            (1_i64 << 40, "1.0Ti"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }
}
