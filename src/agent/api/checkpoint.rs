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
