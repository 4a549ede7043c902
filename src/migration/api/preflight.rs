//! What was found out about a pod before anything of it was touched.

use crate::preflight::finding::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was found out before anything was touched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// The node that was named or chosen, if it can take the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What matters to the move: the list of docs/state.md says what each means.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub findings: Vec<Finding>,
    /// Of a dry run: each node, and why it cannot take the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub nodes: Vec<NodeNote>,
}

/// A node that a pod could go to, or could not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeNote {
    /// Its name.
    pub name: String,
    /// Why it cannot take the pod; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
