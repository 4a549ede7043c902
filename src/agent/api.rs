//! `StateTask`: what the leader asks of one node for one operation, and what the agent there answers. Internal: people read
//! Migrations and Checkpoints.
//!
//! The leader writes the spec, the agent of `nodeName` alone writes the status. A StateTask that is gone decides nothing.

mod checkpoint;
mod images;
mod inspection;
mod left;
mod report;

use crate::migration::api::Decision;
pub use checkpoint::{
    CheckpointOrder, CheckpointReport, CheckpointStanding, CheckpointWord, ContainerReport,
    CopyOrder, CopyReport, CopyTarget, ProbeOrder, RoomOrder, SendingReport,
};
pub use images::{ImageNote, ImagesReport};
pub use inspection::{InspectOrder, InspectionReport};
use kube::CustomResource;
pub use left::{Left, LeftHere, MOST as MOST_LEFT};
pub use report::{
    Measured, SourceReport, SourceStanding, StateTaskStatus, TargetPod, TargetReport,
    TargetStanding,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a pod may be frozen before it is released. A kubelet waits 120 s for a container to be made, and the one on the target
/// waits that long too.
pub const MOST_FROZEN: Duration = Duration::from_secs(100);

/// A part of an operation, for one node.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "StateTask",
    plural = "statetasks",
    singular = "statetask",
    namespaced,
    derive = "PartialEq",
    category = "holdfast",
    doc = "A part of an operation, for one node. Holdfast makes and removes it.",
    status = "StateTaskStatus",
    selectable = ".spec.nodeName",
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.source.standing"
    ),
    printcolumn(
        name = "Checkpoint",
        type_ = "string",
        json_path = ".status.checkpoint.standing"
    ),
    printcolumn(
        name = "Decision",
        type_ = "string",
        json_path = ".spec.decision.outcome"
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
    { "rule": "self.nodeName == oldSelf.nodeName && self.operation == oldSelf.operation", "message": "nodeName and operation are not changed: a StateTask belongs to one node and one operation" },
]))]
pub struct StateTaskSpec {
    /// The node whose agent answers.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// The uid of the Migration or Checkpoint.
    #[schemars(length(min = 1, max = 64))]
    pub operation: String,
    /// What the leader has decided, after it was written there.
    #[serde(default)]
    pub decision: Decision,
    /// The pod that is held here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceOrder>,
    /// The pod that is to run here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetOrder>,
    /// The pod whose state is to be kept here, while it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointOrder>,
    /// The state that is to come here from another node, and be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyOrder>,
    /// The pod whose processes are looked at here, before anything of it is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect: Option<InspectOrder>,
}

/// What is asked of the node where the state is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceOrder {
    /// The pod.
    pub pod: PodName,
    /// What its state is called.
    #[schemars(length(min = 1, max = 64))]
    pub generation: String,
    /// The node that it goes to.
    pub target_node: String,
    /// Where that node's agent is to be reached: `IP:port`. The certificate of whoever answers proves who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_address: Option<String>,
    /// In which order.
    #[serde(default)]
    pub order: Order,
    /// What is to be done now.
    #[serde(default)]
    pub word: Word,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodName {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// The order of a hand-over, which the pod's owner leaves us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Order {
    /// The pod on the target waits before the source is frozen: Deployments.
    #[default]
    PrepareFirst,
    /// It is made only when the source is dead, because it has its name or place: StatefulSets, ReplicaSets, bare pods.
    FreezeFirst,
}

/// What the node of the source is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Word {
    /// Nothing yet.
    #[default]
    Stand,
    /// Freeze, dump, copy, and, where a pod waits for it, release.
    Freeze,
    /// Give it up, unless it was released.
    Withdraw,
    /// Where no pod waits: everything is safe; kill it.
    Supersede,
    /// The Migration is gone: the records decide, as if there were no orders, and what they come to is reported.
    Alone,
    /// One that a newer program knows: nothing is done.
    #[serde(other)]
    Unknown,
}

/// What is asked of the node where the state is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetOrder {
    /// The pod that waits there, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// In which order. Where the pod is made last, the source is dead before it is allowed to run, and no release names it.
    #[serde(default)]
    pub order: Order,
    /// The node that it comes from: nobody else is let in with it.
    #[serde(default)]
    pub source_node: String,
    /// The uid of the pod that it is the state of.
    #[serde(default)]
    pub source_uid: String,
    /// The generation that comes.
    #[serde(default)]
    pub generation: String,
    /// The containers that are restored, native sidecars among them.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub restores: Vec<String>,
    /// The images that it needs: what is restored is put into the same one, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["container"]))]
    pub images: Vec<ImageNote>,
    /// The kubelet was asked for those for which it is to be.
    #[serde(default)]
    pub asked: bool,
    /// Init containers that had finished.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub finished: Vec<String>,
    /// Volumes are filled before it starts.
    #[serde(default)]
    pub fills_volumes: bool,
    /// Uids of pods in which nothing is to run, unless something did already.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub revoke: Vec<String>,
}
