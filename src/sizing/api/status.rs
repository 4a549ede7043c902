//! What a template's status says.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Holdfast found out about a template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlexDaemonsetTemplateStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many DaemonSets name this template.
    #[serde(default)]
    pub daemon_sets: i32,
    /// Their pods, by how they stand.
    #[serde(default)]
    pub pods: PodCounts,
    /// What keeps pods from their share, the most frequent first; at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub reasons: Vec<Reason>,
    /// `Ready` sums up: the template can be used as it stands. `Sized`: all pods have their share. `Overcommitted`: the shares of all
    /// DaemonSets come to more than a node has.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Pods, by how they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// All of them.
    #[serde(default)]
    pub total: i32,
    /// They have their share.
    #[serde(default)]
    pub sized: i32,
    /// They were admitted without their share.
    #[serde(default, rename = "unsized")]
    pub unsized_pods: i32,
    /// Their share has changed since they got it.
    #[serde(default)]
    pub stale: i32,
    /// Of the unsized and stale ones: a resize is on its way.
    #[serde(default)]
    pub resizing: i32,
    /// Of the unsized and stale ones: only a new pod can have the share.
    #[serde(default)]
    pub needs_recreate: i32,
}

/// What keeps some pods from their share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// In a word.
    pub reason: String,
    /// How many pods.
    pub count: i32,
    /// One of them, as `namespace/name`, or a node where there is no pod.
    pub example: String,
    /// In a sentence, about that one.
    pub message: String,
}

/// The template can be used.
pub(crate) const USABLE: &str = "Usable";
/// Something in the template cannot be used, such as a quantity that is too large.
pub(crate) const UNUSABLE: &str = "Unusable";
/// What the controller does.
pub(crate) const CHECKED: &str = "Checked";
