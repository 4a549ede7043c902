//! Which images a pod's containers were made from, and whether a node has the same ones. An image is called by the digest of its
//! configuration: that is the same wherever it came from, and another one as soon as a single file of it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The image of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageNote {
    /// The container.
    pub container: String,
    /// As the pod's spec names it.
    #[serde(default)]
    pub image: String,
    /// The digest of its configuration. Of a container that is not restored it does not matter, and is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The kubelet is asked for it beforehand: while the pod is frozen it might have to get it, or might not give it to this pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

/// How the images that a move needs stand on the node that it goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagesReport {
    /// The containers whose images are not there.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub lacks: Vec<String>,
    /// It was looked after the kubelet was asked, as the order has it.
    #[serde(default)]
    pub asked: bool,
    /// One of them is another image than the one that its container was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlike: Option<String>,
    /// Nobody there can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl ImagesReport {
    /// All of them are there, and are the same.
    #[must_use]
    pub fn are_proven(&self) -> bool {
        self.lacks.is_empty() && self.unlike.is_none() && self.unknown.is_none()
    }
}
