//! What a Checkpoint's status says.

use crate::agent::api::ContainerReport;
use crate::kit::conditions::Finding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a Checkpoint is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// A summary, for people.
    #[serde(default)]
    pub phase: Phase,
    /// The pod's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The workload that it is a generation of: of a pod of a StatefulSet its owner's uid and its name, of all others the pod's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The node that it ran on, and that has the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When the pod was frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_millis: Option<i64>,
    /// What it takes on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// What of it each container takes.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub containers: Vec<ContainerReport>,
    /// Where it lies.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub locations: Vec<Location>,
    /// `Succeeded`, and `Copied` where copies are wanted.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A node that has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The node.
    pub node: String,
    /// Where on the node.
    pub path: String,
    /// Of its manifest, which has those of all files: `sha256:…`.
    pub digest: String,
    /// What it takes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

/// A summary of where a Checkpoint stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing was looked at.
    #[default]
    Pending,
    /// The node was asked.
    Asked,
    /// The pod is frozen.
    Frozen,
    /// The pod runs again; what was dumped is being sealed.
    Dumped,
    /// It can be used.
    Succeeded,
    /// It could not be taken: the condition says why.
    Failed,
    /// It was taken, and the node that had it is gone.
    Lost,
    /// One that a newer program knows.
    #[serde(other)]
    Unknown,
}

/// Whether it was taken, and can be used.
pub const SUCCEEDED: &str = "Succeeded";
/// Whether as many other nodes have it as are wanted; absent where none is.
pub const COPIED: &str = "Copied";

/// What is said of the copies.
pub(crate) fn copied(reason: &'static str, message: String) -> Finding {
    Finding {
        kind: COPIED,
        holds: reason == reasons::COPIED,
        reason,
        message,
    }
}

/// Why `Succeeded` and `Copied` are what they are.
pub mod reasons {
    /// The node is at it.
    pub const RUNNING: &str = "Running";
    /// It lies on the node.
    pub const TAKEN: &str = "Taken";
    /// The pod cannot be checkpointed; nothing was touched.
    pub const REFUSED: &str = "Refused";
    /// The node could not do it; the pod runs on.
    pub const FAILED: &str = "Failed";
    /// The node that has it is gone.
    pub const LOST: &str = "NodeGone";
    /// All copies are there, and were read again.
    pub const COPIED: &str = "Copied";
    /// They are on their way.
    pub const COPYING: &str = "Copying";
    /// There are not enough nodes that could have one.
    pub const TOO_FEW_NODES: &str = "TooFewNodes";
    /// Not of the condition, of an event: the node was asked to delete what it has.
    pub const FORGETTING: &str = "Forgetting";
    /// Of an event: there are as many newer ones of its pod as are kept.
    pub const SUPERSEDED: &str = "Superseded";
    /// Of an event: a node keeps more than it may, and this is the oldest there that has a newer one.
    pub const OVER_BUDGET: &str = "OverBudget";
}
