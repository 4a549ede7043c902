//! What an agent says of pods that it holds though nobody orders that any more, on its node's object, which it alone writes there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// So many are told one by one: what stands on a node is read by everybody all the time.
pub const MOST: usize = 40;

/// All of them on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftHere {
    /// At most [`MOST`].
    #[serde(default)]
    pub holds: Vec<Left>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_none(more: &usize) -> bool {
    *more == 0
}

/// A pod that is held though its Migration or Checkpoint is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Its namespace; none where its record cannot be read.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The uid of the Migration or Checkpoint that is gone.
    #[serde(default)]
    pub operation: String,
    /// How its record stands: as the state of a hold, or `waiting`, `claimed`, `failed`, `unreadable`.
    pub phase: String,
    /// The node that has to say what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When its record was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl Left {
    /// The pod, as people name it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.pod.is_empty() {
            return format!("of uid {}", self.uid);
        }
        format!("{}/{}", self.namespace, self.pod)
    }

    /// What it waits for, and what helps.
    #[must_use]
    pub fn waits_for(&self) -> String {
        let target = self.target.as_deref().unwrap_or("its target");
        match self.phase.as_str() {
            "frozen" | "withdrawn" | "returned" => {
                "its own node to let it run again, which needs nobody".into()
            }
            "released" => format!(
                "the word of {target} that it did not run there: bring that node back, or kubectl delete pod ends it here"
            ),
            "superseded" | "killed" => "its pod to be deleted: kubectl delete pod".into(),
            "unreadable" => "somebody who looks at its record in /var/lib/holdfast/records: nothing of its pod starts before".into(),
            _ => "a state that nobody brings any more: kubectl delete pod ends it".into(),
        }
    }
}
