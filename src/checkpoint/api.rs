//! `Checkpoint`: the state of a pod at one moment, kept on its node. The leader alone writes the status.

mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub(crate) use status::copied;
pub use status::{COPIED, CheckpointStatus, Location, Phase, SUCCEEDED, reasons};

/// How long a pod may be frozen where nothing else is said.
pub const DEADLINE_SECONDS: u32 = 120;

/// More would be a waste of disks.
pub const MOST_COPIES: u32 = 8;

/// Ten years.
pub const LONGEST_TTL: u32 = 315_360_000;

/// The state of a pod at one moment.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "Checkpoint",
    plural = "checkpoints",
    singular = "checkpoint",
    shortname = "ckpt",
    namespaced,
    category = "holdfast",
    doc = "The state of a pod at one moment: memory, files and volumes of all its containers, kept on its node while the pod runs on.",
    status = "CheckpointStatus",
    printcolumn(name = "Pod", type_ = "string", json_path = ".spec.podName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Bytes", type_ = "integer", json_path = ".status.bytes"),
    printcolumn(
        name = "Frozen-ms",
        type_ = "integer",
        json_path = ".status.frozenMillis"
    ),
    printcolumn(name = "Taken", type_ = "date", json_path = ".status.takenAt"),
    printcolumn(
        name = "Copied",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Copied')].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Succeeded')].message"
    )
)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "columns share their type")]
#[schemars(extend("x-kubernetes-validations" = [
    { "rule": "self.podName == oldSelf.podName && has(self.podUid) == has(oldSelf.podUid) && (!has(self.podUid) || self.podUid == oldSelf.podUid) && self.deadlineSeconds == oldSelf.deadlineSeconds && self.containers == oldSelf.containers && self.copies == oldSelf.copies", "message": "what was taken is not changed afterwards: only ttlSeconds and pinned may be" },
]))]
pub struct CheckpointSpec {
    /// The pod, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub pod_name: String,
    /// Its uid: no other pod of this name is meant. Without it, the pod that has the name when the Checkpoint is first looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub pod_uid: Option<String>,
    /// Which containers; none named: all of them, native sidecars too. All are frozen in any case.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub containers: Vec<String>,
    /// How long the pod may be frozen. What is not done by then is given up, and the pod runs on.
    #[serde(default = "deadline")]
    #[schemars(range(min = 1, max = 3600), extend("format" = "int64"))]
    pub deadline_seconds: u32,
    /// On so many other nodes it is kept too.
    #[serde(default)]
    #[schemars(range(min = 0, max = MOST_COPIES), extend("format" = "int64"))]
    pub copies: u32,
    /// So long after it was taken the Checkpoint is deleted, and its data with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LONGEST_TTL), extend("format" = "int64"))]
    pub ttl_seconds: Option<u32>,
    /// It is kept, whatever `ttlSeconds` says, and however many newer ones there are.
    #[serde(default)]
    pub pinned: bool,
}

const fn deadline() -> u32 {
    DEADLINE_SECONDS
}

impl CheckpointSpec {
    /// When it is to go, if it was taken then.
    #[must_use]
    pub fn ends(&self, taken: &Time) -> Option<Time> {
        let seconds = self.ttl_seconds.filter(|_| !self.pinned)?;
        let span = jiff::SignedDuration::from_secs(i64::from(seconds));
        taken.0.checked_add(span).ok().map(Time)
    }
}
