//! What agents say to each other: HTTP/1.1 over TLS, every question a `POST` below `/v1/`, JSON both ways. A question of a newer agent
//! may have fields that this one does not know.
//!
//! | path | body | answer |
//! |---|---|---|
//! | `/v1/ready` | [`Ready`] | [`IsReady`] |
//! | `/v1/standing` | [`About`] | `PeerStanding` |
//! | `/v1/release` | [`Release`] | [`Done`] |
//! | `/v1/revoke` | [`Revoke`] | [`Revoked`] |
//! | `/v1/spare` | [`Spare`] | [`Spared`] |
//! | `/v1/held` | [`Which`] | [`Held`]: what is here of a generation |
//! | `/v1/files` | [`Which`], a line feed, then files (`stream.rs`) | [`Received`] |
//! | `/v1/end` | [`Which`], a line feed, then the manifest, byte for byte | [`Ended`] |
//!
//! Any other answer is a [`No`], with a code that is no 200.

use crate::agent::api::TargetPod;
use crate::agent::store::manifest::FileNote;
use serde::{Deserialize, Serialize};

/// A question that is no transfer is shorter, and so is the line before one.
pub(crate) const LONGEST_QUESTION: usize = 16 << 10;
/// So is any answer, and any manifest: some hundred bytes for each file.
pub(crate) const LONGEST_MANIFEST: usize = 32 << 20;

pub(crate) const READY: &str = "/v1/ready";
pub(crate) const STANDING: &str = "/v1/standing";
pub(crate) const RELEASE: &str = "/v1/release";
pub(crate) const REVOKE: &str = "/v1/revoke";
pub(crate) const SPARE: &str = "/v1/spare";
pub(crate) const HELD: &str = "/v1/held";
pub(crate) const FILES: &str = "/v1/files";
pub(crate) const END: &str = "/v1/end";

/// Whether a pod waits, in this attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    pub(crate) operation: String,
    pub(crate) uid: String,
    pub(crate) attempt: u32,
}

/// It does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IsReady {
    pub(crate) ready: bool,
}

/// An operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    pub(crate) operation: String,
}

/// The state may be restored: in this pod, or in whichever the leader allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Release {
    pub(crate) operation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    /// Of the manifest of what was sent.
    pub(crate) digest: String,
}

/// It was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {}

/// A pod is to be voided.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revoke {
    pub(crate) operation: String,
    pub(crate) uid: String,
}

/// How it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revoked {
    #[serde(default)]
    pub(crate) pod: Option<TargetPod>,
}

/// A generation comes soon, and will have so much memory when it is brought back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spare {
    pub(crate) operation: String,
    pub(crate) generation: String,
    pub(crate) bytes: u64,
}

/// So much is ready for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spared {
    pub(crate) bytes: u64,
}

/// A generation of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Which {
    pub(crate) operation: String,
    pub(crate) generation: String,
}

/// What is here of a generation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    /// All of it: the digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<String>,
    /// These files, or their beginnings.
    #[serde(default)]
    pub(crate) files: Vec<FileNote>,
}

/// What came with one question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    pub(crate) bytes: u64,
}

/// What came of it all.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ended {
    /// Every file was read again, is what the manifest says, and is on disk. With the manifest's digest.
    Verified(String),
    /// These are not what the manifest says, and are gone here.
    Wrong(Vec<String>),
}

/// Why not: a sentence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct No {
    pub(crate) why: String,
}
