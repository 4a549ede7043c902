//! `Migration`: a pod's state moves to another node, or comes back. The leader alone writes its status; what decides is one field.

mod preflight;
mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
pub use preflight::{NodeNote, Preflight};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use status::{
    Binding, Child, Decision, Journey, MigrationStatus, Outcome, OwnerNote, Phase, PhaseTime,
    ProofKind, ProofNote, Stage, reasons,
};
use std::time::Duration;

/// How long it may take until the pod is frozen, where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(600);
/// A time such as `90s`, `10m` or `1h30m`.
const DURATION: &str = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$";

/// Moves a pod, with all that it has in memory, to another node.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "Migration",
    plural = "migrations",
    singular = "migration",
    namespaced,
    category = "holdfast",
    doc = "Moves a pod, with all that it has in memory, to another node.",
    status = "MigrationStatus",
    printcolumn(name = "Pod", type_ = "string", json_path = ".spec.podName"),
    printcolumn(name = "To", type_ = "string", json_path = ".status.target.node"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Frozen ms",
        type_ = "integer",
        json_path = ".status.frozenMillis"
    ),
    printcolumn(
        name = "Attempt",
        type_ = "integer",
        json_path = ".status.decision.attempt",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "columns share their type")]
#[schemars(extend("x-kubernetes-validations" = [
    { "rule": "[has(self.podName), has(self.selector), has(self.deploymentName), has(self.source)].filter(x, x).size() == 1", "message": "say what moves: exactly one of podName, selector, deploymentName and source" },
    { "rule": "!self.dryRun || has(self.podName)", "message": "a dry run is of one pod: say podName" },
    { "rule": "self == oldSelf", "message": "a Migration is not changed once it is made: delete it, and make another" },
]))]
pub struct MigrationSpec {
    /// The pod that moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pod_name: Option<String>,
    /// Every pod that this matches moves, each by a Migration of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Every pod of this Deployment moves, each by a Migration of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub deployment_name: Option<String>,
    /// A checkpoint is restored, instead of a pod that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MigrationSource>,
    /// Where to. Left out: a node is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub destination_node: Option<String>,
    /// How long it may take until the pod is frozen. After that it is given up, and nothing was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 18), regex(pattern = DURATION))]
    pub deadline: Option<String>,
    /// What happens when the state ran on the target, or may have, and cannot be restored again there.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How the memory travels.
    #[serde(default)]
    pub mode: Mode,
    /// It is only found out whether the pod could move, and whereto; nothing is touched.
    #[serde(default)]
    pub dry_run: bool,
}

impl MigrationSpec {
    /// How long it may take until the pod is frozen.
    #[must_use]
    pub fn time(&self) -> Duration {
        let written = self.deadline.as_deref().and_then(read_duration);
        written.filter(|time| !time.is_zero()).unwrap_or(DEADLINE)
    }
}

/// As the pattern has it: hours, minutes, seconds.
fn read_duration(text: &str) -> Option<Duration> {
    let (mut seconds, mut digits) = (0_u64, String::new());
    for letter in text.chars() {
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                digits.push(digit);
                continue;
            }
        };
        let count: u64 = digits.parse().ok()?;
        seconds = seconds.saturating_add(count.saturating_mul(unit));
        digits.clear();
    }
    digits.is_empty().then(|| Duration::from_secs(seconds))
}

/// What is restored, where no pod runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationSource {
    /// A Checkpoint of the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub checkpoint_name: String,
}

/// What happens when a state cannot be restored any more, and its pod cannot run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// Nothing starts. The checkpoint is pinned, and a person decides.
    #[default]
    Wait,
    /// The pod starts from the generation before; if there is none, as with `Wait`.
    Older,
    /// The pod starts fresh. The checkpoint is pinned.
    Fresh,
}

/// How the memory travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// All of it, while the pod is frozen.
    #[default]
    Whole,
    /// Most of it after the pod runs on the target.
    PostCopy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_their_pattern_has_them() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("1h1m1s", Some(3661)),
            ("5", None),
            ("m", None),
            ("x1s", None),
        ] {
            assert_eq!(
                read_duration(text).map(|time| time.as_secs()),
                seconds,
                "{text}"
            );
        }
        let zero = MigrationSpec {
            deadline: Some("0s".into()),
            ..MigrationSpec::default()
        };
        assert_eq!(zero.time(), DEADLINE);
    }
}
