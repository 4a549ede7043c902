//! What a Migration's status says. The decision is changed with the `resourceVersion` that it was decided on, by the leader alone.

use crate::agent::api::{ImageNote, Order};
use crate::hold::record::{Proof, What};
use crate::migration::api::Preflight;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a Migration is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// A summary, for people.
    #[serde(default)]
    pub phase: Phase,
    /// Whether anything was touched, and whether everything is done.
    #[serde(default)]
    pub stage: Stage,
    /// Why it has not begun yet: others go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    /// What was found out before anything was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// What moves: found out when it began, and not changed after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journey: Option<Journey>,
    /// Of a Migration of many pods: that of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub children: Vec<Child>,
    /// Where the state may run. Nothing else says so.
    #[serde(default)]
    pub decision: Decision,
    /// The pod that is to get the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Binding>,
    /// Pods that were to get it before, and never will.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["podUid"]))]
    pub former: Vec<Binding>,
    /// Some attempt ran, or may have, and was lost: there is no way back.
    #[serde(default)]
    pub ran: bool,
    /// How many of those could not be helped by another pod.
    #[serde(default)]
    #[schemars(extend("format" = "int64"))]
    pub failures: u32,
    /// The target's node is known to be off: how. Its pod is deleted, and what it says later counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_off: Option<ProofNote>,
    /// Since when the target's node does not answer, where that keeps it from being decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Time>,
    /// Who has said that the target's node is off, where it was gone on with by that word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    /// It was given up: why. What is frozen comes back, unless it runs elsewhere already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// When each phase was first seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["phase"]))]
    pub times: Vec<PhaseTime>,
    /// How long nothing of the pod ran: from the freeze to the last container that runs on the target, by the clocks of both nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_millis: Option<i64>,
    /// What its state takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// `Succeeded`, `Undecided`, `NameTaken`, `SpecChanged`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The Migration of one of many pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Child {
    /// Its name.
    pub name: String,
    /// Its pod.
    pub pod_name: String,
    /// It was seen.
    #[serde(default)]
    pub made: bool,
    /// How far it is.
    #[serde(default)]
    pub phase: Phase,
}

/// When a phase was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// By the clock of whoever saw it: `Frozen` the pod's node's, `Restored` the target's, all others the manager's.
    pub at: MicroTime,
}

/// What moves, from where, and whereto.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Journey {
    /// The pod's name.
    pub pod_name: String,
    /// The pod's uid.
    pub pod_uid: String,
    /// Its node.
    pub source_node: String,
    /// The node that it goes to.
    pub target_node: String,
    /// In which order.
    #[serde(default)]
    pub order: Order,
    /// What made it, and makes its successor; none of a pod that nobody owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerNote>,
    /// The containers that are restored, native sidecars among them.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub restores: Vec<String>,
    /// The images that it needs there: what is restored is put into the same one, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["container"]))]
    pub images: Vec<ImageNote>,
    /// Init containers that had finished.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub finished: Vec<String>,
    /// It has volumes that are filled before it starts.
    #[serde(default)]
    pub fills_volumes: bool,
    /// The digest of the pod's spec: its successor must have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_digest: Option<String>,
    /// Of a pod that nobody owns: what it is made from again, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// A Deployment, and the ReplicaSet of it that made a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerNote {
    /// The Deployment's name.
    pub deployment: String,
    /// Its uid.
    pub deployment_uid: String,
    /// The ReplicaSet's name.
    pub replica_set: String,
    /// Its uid.
    pub replica_set_uid: String,
    /// The label by which it counts the pod.
    pub template_hash: String,
    /// What the pod's user has said of its deletion, in place of which something else stands while it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_cost: Option<String>,
}

/// A pod that is to get a state, bound to it before its gate is lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Its node.
    pub node: String,
    /// Its name.
    pub pod_name: String,
    /// Its uid.
    pub pod_uid: String,
}

/// Whether anything was touched, and whether everything is done. Written before the first step outside, and after the last: orders
/// that are not there were never given, or are lost, or are not needed any more, and only this tells which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// Nothing was touched.
    #[default]
    New,
    /// Pods and nodes may have been.
    Begun,
    /// Both nodes have done what was decided.
    Closed,
    /// One that a newer program knows: nothing is done.
    #[serde(other)]
    Unknown,
}

/// A summary of where a Migration stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing was looked at.
    #[default]
    Pending,
    /// It can be done. Nothing was touched.
    Preflighted,
    /// The pod on the target waits.
    Prepared,
    /// The source is frozen.
    Frozen,
    /// Its state is on the source's disk.
    Dumped,
    /// And on the target's.
    Copied,
    /// And was read again there.
    Verified,
    /// All containers run on the target.
    Restored,
    /// The source is gone.
    Succeeded,
    /// The source runs on.
    RolledBack,
    /// Neither.
    Failed,
    /// One that a newer program knows.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// Nothing follows it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::RolledBack | Self::Failed)
    }
}

/// Where a state may run.
///
/// ```text
///  Undecided ──► Allowed(1) ──► Allowed(2) …   when the former attempt can never run any more
///      │             ├──► Restored
///      └─────────────┼──► RolledBack
///                    └──► Failed
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What was decided.
    #[serde(default)]
    pub outcome: Outcome,
    /// The attempt that it speaks of, from 1.
    #[serde(default)]
    #[schemars(extend("format" = "int64"))]
    pub attempt: u32,
    /// The pod that may run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// That pod's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// From which generation. None: fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// An earlier attempt ran, or may have: that this one did not run proves nothing any more.
    #[serde(default)]
    pub ran: bool,
    /// How it is known that the pod did not run, where the source comes back after a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofNote>,
}

impl Decision {
    /// What the pod starts from.
    #[must_use]
    pub fn what(&self) -> What {
        self.generation
            .clone()
            .map_or(What::Fresh, What::Generation)
    }

    /// Nothing follows it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Restored | Outcome::RolledBack | Outcome::Failed
        )
    }

    /// This pod may run, in this attempt.
    #[must_use]
    pub fn allows(&self, uid: &str) -> bool {
        self.outcome == Outcome::Allowed && self.pod_uid.as_deref() == Some(uid)
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// Nothing yet: the state runs where it always did.
    #[default]
    Undecided,
    /// The pod may run it, once the source has released it.
    Allowed,
    /// It runs there. The source is to die.
    Restored,
    /// It runs, or will, where it always did.
    RolledBack,
    /// Neither: what is left of it is a checkpoint.
    Failed,
    /// One that a newer program knows: nothing is done.
    #[serde(other)]
    Unknown,
}

/// How it is known that a pod did not run, or will not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProofNote {
    /// How.
    pub kind: ProofKind,
    /// Who said so, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProofKind {
    /// The pod's node has voided it, for ever.
    Revoked,
    /// The node is fenced.
    Fenced,
    /// The node carries the taint `out-of-service`.
    OutOfService,
    /// The machine is gone: the cloud says so, or it was removed.
    MachineGone,
    /// A person says that it is off.
    TargetIsOff,
    /// One that a newer program knows: it proves nothing.
    #[serde(other)]
    Unknown,
}

impl ProofNote {
    /// The word of the pod's own node.
    #[must_use]
    pub fn revoked() -> Self {
        Self {
            kind: ProofKind::Revoked,
            by: None,
        }
    }

    /// As a node's record has it. None where it proves nothing to this program.
    #[must_use]
    pub fn proof(&self) -> Option<Proof> {
        Some(match self.kind {
            ProofKind::Revoked => Proof::Revoked,
            ProofKind::Fenced => Proof::Fenced,
            ProofKind::OutOfService => Proof::OutOfService,
            ProofKind::MachineGone => Proof::MachineGone,
            ProofKind::TargetIsOff => Proof::TargetIsOff {
                by: self.by.clone().unwrap_or_default(),
            },
            ProofKind::Unknown => return None,
        })
    }
}

/// Reasons in conditions and events.
pub mod reasons {
    /// The pod was killed while it was frozen, before its state was safe.
    pub const SOURCE_KILLED: &str = "SourceKilled";
    /// CRIU died on a container.
    pub const DAMAGED: &str = "Damaged";
    /// It took too long.
    pub const TOO_LATE: &str = "TooLate";
    /// Its owner makes no other pod in its place.
    pub const UNWANTED: &str = "Unwanted";
    /// The Migration is being deleted.
    pub const CANCELLED: &str = "Cancelled";
    /// The pod on the target is gone.
    pub const TARGET_GONE: &str = "TargetGone";
    /// The state could not be restored.
    pub const RESTORE_FAILED: &str = "RestoreFailed";
}
