//! What is asked of a node about the state of a pod that runs on, and what it answers.

use super::PodName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pod whose state is to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointOrder {
    /// The pod.
    pub pod: PodName,
    /// What its state is called.
    #[schemars(length(min = 1, max = 64))]
    pub generation: String,
    /// Which containers; none named: all.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub containers: Vec<String>,
    /// How long it may be frozen.
    #[schemars(range(min = 1, max = 3600), extend("format" = "int64"))]
    pub deadline_seconds: u32,
    /// What is to be done now.
    #[serde(default)]
    pub word: CheckpointWord,
    /// To which nodes it is sent when it is kept here.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub copies: Vec<CopyTarget>,
    /// It was taken before: what is here is kept, and nothing is taken anew.
    #[serde(default)]
    pub is_taken: bool,
    /// How much it may be; without it, as much as fits the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomOrder>,
    /// Who would not wait for longer; without it, nobody would mind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeOrder>,
}

/// The liveness probe that waits the least.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeOrder {
    /// Whose it is.
    pub container: String,
    /// For so long it may fail until its kubelet kills the container.
    #[schemars(range(min = 1), extend("format" = "int64"))]
    pub seconds: u32,
}

/// How much more a node may keep of states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomOrder {
    /// So many bytes.
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// What has the rest, and would have to go: a sentence.
    #[serde(default)]
    pub why: String,
}

/// A node that is to have a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopyTarget {
    /// The node.
    pub node: String,
    /// Where its agent is: `IP:port`. Its certificate says whether it is that node's.
    #[schemars(length(min = 1, max = 64))]
    pub address: String,
}

/// A state that comes from another node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopyOrder {
    /// The pod.
    pub pod: PodName,
    /// What its state is called.
    #[schemars(length(min = 1, max = 64))]
    pub generation: String,
    /// The one node from which it is taken.
    #[schemars(length(min = 1, max = 253))]
    pub source_node: String,
    /// Of its manifest: no other state is taken.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// Of all its files: no more are taken.
    #[serde(default)]
    pub bytes: i64,
    /// What is to be done now: `Take` it, or `Forget`.
    #[serde(default)]
    pub word: CheckpointWord,
}

/// How a copy stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// How far it is: `Idle` until it is `Kept`.
    #[serde(default)]
    pub standing: CheckpointStanding,
    /// Why it failed: a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of its manifest: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What it takes on this disk, whatever its source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

/// How the sending of a copy stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendingReport {
    /// The node.
    pub node: String,
    /// It is verified there.
    #[serde(default)]
    pub is_sent: bool,
    /// Why it is not, yet: a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a node is to do about a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckpointWord {
    /// Take it, once, and keep it.
    #[default]
    Take,
    /// Give it up if it is not taken yet, and delete what there is of it.
    Forget,
    /// One that a newer program knows: nothing is done.
    #[serde(other)]
    Unknown,
}

/// How a checkpoint stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointReport {
    /// How far it is.
    #[serde(default)]
    pub standing: CheckpointStanding,
    /// Why it failed: a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When the pod was frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_millis: Option<i64>,
    /// What it takes on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of its manifest: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What of it each container takes.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub containers: Vec<ContainerReport>,
    /// To which nodes it was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub copies: Vec<SendingReport>,
}

/// What a container takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerReport {
    /// Its name in the pod.
    pub name: String,
    /// Its processes, with their memory.
    #[serde(default)]
    pub memory_bytes: i64,
    /// What it changed in its own files.
    #[serde(default)]
    pub layer_bytes: i64,
    /// How long its dump took.
    #[serde(default)]
    pub dump_millis: i64,
}

/// How far a checkpoint is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckpointStanding {
    /// It was not begun.
    #[default]
    Idle,
    /// The pod is frozen.
    Frozen,
    /// The pod runs again; what was dumped is being sealed.
    Dumped,
    /// It is on disk, whole.
    Kept,
    /// It was given up. The pod runs on, unless somebody else ended it.
    Failed,
    /// Nothing of it is here any more.
    Forgotten,
    /// One that a newer program knows.
    #[serde(other)]
    Unknown,
}
