//! What a node is asked about the processes of a pod before anything of it is touched, and what it answers.

use super::PodName;
use super::images::ImageNote;
use crate::preflight::finding::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pod whose processes are looked at, once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectOrder {
    /// The pod.
    pub pod: PodName,
}

/// What its processes do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectionReport {
    /// What matters to a move.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub findings: Vec<Finding>,
    /// What its memory takes, about.
    #[serde(default)]
    pub memory_bytes: i64,
    /// Which image each of its containers was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["container"]))]
    pub images: Vec<ImageNote>,
}
