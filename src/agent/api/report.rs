//! What an agent answers: from its records, after the fact.

use super::checkpoint::{CheckpointReport, CopyReport};
use super::images::ImagesReport;
use super::inspection::InspectionReport;
use crate::migration::api::ProofNote;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node has done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateTaskStatus {
    /// The generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Of the pod that is held here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceReport>,
    /// Of pods that are to run here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetReport>,
    /// Of the state that is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointReport>,
    /// Of the copy that is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyReport>,
    /// Of the pod whose processes were looked at here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<InspectionReport>,
    /// When it happened, and how much it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// What keeps it from going on.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What a node has measured of a move, by its own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// When the last process of the pod stood still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_at: Option<MicroTime>,
    /// What its state takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// When all of it ran again, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<MicroTime>,
}

/// How a pod stands that is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// How far it is.
    #[serde(default)]
    pub standing: SourceStanding,
    /// The hold is over: the pod runs here again, or is free to start.
    #[serde(default)]
    pub is_over: bool,
    /// It was killed while it was frozen, by somebody else.
    #[serde(default)]
    pub is_killed: bool,
    /// CRIU died on it.
    #[serde(default)]
    pub is_damaged: bool,
    /// How it is known that its target did not run, where it came back after a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofNote>,
}

/// How far a held pod is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SourceStanding {
    /// It is not held.
    #[default]
    Idle,
    /// It is frozen.
    Frozen,
    /// And its whole state is safe on both nodes.
    Verified,
    /// It was not released, and never will be.
    Withdrawn,
    /// It may run on the target.
    Released,
    /// It did not.
    Returned,
    /// It is about to die.
    Superseded,
    /// It is dead.
    Killed,
    /// One that a newer program knows.
    #[serde(other)]
    Unknown,
}

/// How the pods stand that are to run on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// The state is here, was read again, and can be used.
    #[serde(default)]
    pub is_verified: bool,
    /// How the images stand that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImagesReport>,
    /// The pods that this operation knows here.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["uid"]))]
    pub pods: Vec<TargetPod>,
}

/// How a pod stands that is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetPod {
    /// Its uid.
    pub uid: String,
    /// The attempt that it is at.
    #[serde(default)]
    #[schemars(extend("format" = "int64"))]
    pub attempt: u32,
    /// How far it is.
    #[serde(default)]
    pub standing: TargetStanding,
    /// Something of it ran, or may have: it can never be revoked.
    #[serde(default)]
    pub ran: bool,
    /// Its sandbox is gone, and no process of it is left.
    #[serde(default)]
    pub is_gone: bool,
}

/// How far a pod is that is to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TargetStanding {
    /// It is not ready to wait yet.
    #[default]
    Opening,
    /// Its first container waits.
    Waiting,
    /// It may run, and does not yet.
    Claimed,
    /// All of its containers ran.
    Restored,
    /// The attempt is over; all of it is dead.
    Failed,
    /// Nothing will ever run in it.
    Revoked,
    /// One that a newer program knows.
    #[serde(other)]
    Unknown,
}
