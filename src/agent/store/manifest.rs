//! What lies in a generation: whose state it is, and the digest of every file of it.

use crate::agent::api::{CheckpointReport, CheckpointStanding, ContainerReport};
use crate::hold::record::Role;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// The format that this program reads and writes.
pub(crate) const VERSION: u32 = 2;

/// What was dumped, and of whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) operation: String,
    /// What it was dumped for. An older program does not say, and it is taken for what nobody deletes.
    #[serde(default = "move_away")]
    pub(crate) role: Role,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    /// The boot in which it was dumped. What is not sealed may not be on disk yet, and does not outlive it.
    pub(crate) boot: String,
    /// When the last process of it stood still.
    pub(crate) taken_at: Time,
    /// How long it did.
    pub(crate) frozen_millis: i64,
    pub(crate) containers: Vec<ContainerReport>,
    pub(crate) volumes: Vec<VolumeNote>,
    /// Every other file of it. Empty until it is sealed.
    #[serde(default)]
    pub(crate) files: Vec<FileNote>,
}

/// A volume that went along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeNote {
    pub(crate) name: String,
    /// Its archive.
    pub(crate) file: String,
    pub(crate) bytes: i64,
}

/// A file, as it was when it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileNote {
    pub(crate) path: String,
    pub(crate) bytes: i64,
    /// Of a file that is no longer than a block, that of its bytes; else that of the digests of its blocks, one after the other.
    pub(crate) sha256: String,
}

fn move_away() -> Role {
    Role::Source
}

#[cfg(test)]
impl Manifest {
    /// Of pod `ns/web`, uid `u1`, on node `n1`, by operation `op`: nothing was dumped of it.
    pub(crate) fn of_web() -> Self {
        Self {
            version: VERSION,
            operation: "op".into(),
            role: Role::Source,
            namespace: "ns".into(),
            pod: "web".into(),
            uid: "u1".into(),
            node: "n1".into(),
            boot: "boot".into(),
            taken_at: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
            frozen_millis: 7,
            containers: Vec::new(),
            volumes: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl Manifest {
    /// What all its files take.
    pub(crate) fn bytes(&self) -> i64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What the leader is told of it.
    pub(crate) fn report(&self, standing: CheckpointStanding) -> CheckpointReport {
        let bytes = self.bytes();
        CheckpointReport {
            standing,
            taken_at: Some(self.taken_at.clone()),
            // Who sealed what another agent has dumped does not know.
            frozen_millis: Some(self.frozen_millis).filter(|millis| *millis > 0),
            bytes: (standing == CheckpointStanding::Kept).then_some(bytes),
            containers: self.containers.clone(),
            ..CheckpointReport::default()
        }
    }
}
