//! What a node knows of one pod UID, as it lies on disk: `<uid>.json`. Nothing here changes a record; `source` and `admission` do.
//!
//! A record that cannot be read, because it is cut off or a newer program wrote it, is never treated as absent.

mod tokens;

use crate::hold::uid::Uid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
pub use tokens::{Admission, AdmissionState, Token, TokenState, What};

/// The format that this program reads and writes.
pub const VERSION: u32 = 1;

/// What a node knows of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: Uid,
    /// Containers that were told to start fresh, and may do so again without an agent.
    #[serde(default)]
    pub started: BTreeSet<String>,
    /// How the last hold ended, once it has.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// Nothing of this pod runs but by the agent's word.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// What may run in this pod.
    #[serde(default)]
    pub admission: Option<Admission>,
    /// Below an admission: one for each container that is to be restored or started, spent once in each attempt.
    #[serde(default)]
    pub tokens: BTreeMap<String, Token>,
}

impl Record {
    /// Of a pod of which nothing is known. A pod without a file is treated as if it had this.
    #[must_use]
    pub fn blank(namespace: &str, pod: &str, uid: Uid) -> Self {
        Self {
            version: VERSION,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid,
            started: BTreeSet::new(),
            ended: None,
            hold: None,
            admission: None,
            tokens: BTreeMap::new(),
        }
    }

    /// Reads a record, which must be that of `uid`.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    pub fn parse(text: &[u8], uid: &Uid) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(text)
            .map_err(|error| format!("it is not a whole record: {error}"))?;
        if version != VERSION {
            return Err(format!(
                "it has version {version}, and this program reads version {VERSION}: run the newer program again"
            ));
        }
        let record: Self = serde_json::from_slice(text)
            .map_err(|error| format!("it is not a record of version {VERSION}: {error}"))?;
        if record.uid != *uid {
            return Err(format!("it is that of pod {}", record.uid));
        }
        Ok(record)
    }

    /// The file's content.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        // All maps have text for keys, so there is nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Is the pod held for this operation?
    #[must_use]
    pub fn hold_of(&self, operation: &str) -> Option<&Hold> {
        self.hold
            .as_ref()
            .filter(|hold| hold.operation == operation)
    }

    /// Every container's token of this attempt is done.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.tokens.is_empty()
            && self
                .tokens
                .values()
                .all(|token| token.state == TokenState::Done)
    }

    /// The attempt is over and did not succeed: nothing of it may begin any more.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.tokens
            .values()
            .any(|token| token.state == TokenState::Failed)
    }

    /// Some container was begun, and nobody knows yet what became of it.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.tokens
            .values()
            .any(|token| token.state == TokenState::Begun)
    }
}

/// How a hold ended: its operation does not hold this pod again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Which operation held the pod.
    pub operation: String,
    /// The state that it ended in.
    pub state: HoldState,
    /// Why it came back after a release.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// CRIU died on a container of it.
    #[serde(default)]
    pub damaged: bool,
}

/// Nothing of a pod runs but by the agent's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The uid of the operation that holds it.
    pub operation: String,
    /// What for.
    pub role: Role,
    /// Where its state goes.
    pub target: Option<Target>,
    /// What its state is called.
    pub generation: String,
    /// When it is withdrawn, if it was not released before.
    pub deadline: Deadline,
    /// How far it is.
    pub state: HoldState,
    /// Why it came back after a release.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// It ran, or may have, in another pod than the one that is meant now: that this one did not run proves nothing.
    #[serde(default)]
    pub ran: bool,
    /// It was thawed, or is about to be: whatever is dead from now on died running.
    #[serde(default)]
    pub thawing: bool,
    /// The pod's containers.
    pub containers: Vec<Held>,
    /// Those that had started before and run no more: its init containers. They do not run again where it comes back from its state.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub finished: BTreeSet<String>,
    /// Signals that were asked for meanwhile, delivered after a thaw.
    #[serde(default)]
    pub wishes: Vec<String>,
    /// CRIU died on a container: it may hold foreign code, and what was dumped of it counts for nothing.
    #[serde(default)]
    pub damaged: bool,
}

/// What a pod is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It goes elsewhere.
    Source,
    /// It stays, and is always withdrawn.
    Checkpoint,
}

/// Where a pod's state goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The node.
    pub node: String,
    /// The pod that waits there. None where it is made only after this one is dead: then no release names a pod, and the hold ends
    /// in `superseded` without one.
    pub uid: Option<Uid>,
}

/// A point in time that outlives processes, and no boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadline {
    /// The boot's id.
    pub boot: String,
    /// `CLOCK_BOOTTIME`.
    pub nanos: u64,
}

impl Deadline {
    /// Whether it has passed at this moment. A boot later everything has.
    #[must_use]
    pub fn has_passed(&self, now: &Self) -> bool {
        self.boot != now.boot || self.nanos <= now.nanos
    }
}

/// How far a hold is. What may follow what: `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldState {
    /// About to be frozen, or frozen.
    Frozen,
    /// It runs here again.
    Withdrawn,
    /// It may be restored elsewhere.
    Released,
    /// It was released, did not run there, and runs here again.
    Returned,
    /// It runs elsewhere, or will: here it is to die.
    Superseded,
    /// It is dead.
    Killed,
}

/// How it is known that a released pod did not run, or will not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Proof {
    /// The target's record says so, and is final.
    Revoked,
    /// The target's node is fenced.
    Fenced,
    /// The target's node carries the taint `out-of-service`.
    OutOfService,
    /// Its machine is gone: the cloud says so, or it was removed.
    MachineGone,
    /// A person says that it is off.
    TargetIsOff {
        /// The person's name.
        by: String,
    },
}

impl Proof {
    /// The target may have run: what is here now counts as a failover.
    #[must_use]
    pub fn is_failover(&self) -> bool {
        *self != Self::Revoked
    }
}

/// A container of a held pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its name in the pod.
    pub name: String,
    /// The runtime's id.
    pub id: String,
    /// The runtime's root of state.
    pub root: String,
    /// Its cgroups, as paths on the host.
    pub cgroups: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_cut_off_newer_or_another_pods_is_not_read() {
        let uid = Uid::try_from("u1").unwrap();
        let record = Record::blank("ns", "web", uid.clone());
        let text = record.text();
        assert_eq!(Record::parse(&text, &uid), Ok(record));
        for end in 0..text.len() {
            assert!(Record::parse(&text[..end], &uid).is_err());
        }
        let text = String::from_utf8(text).unwrap();
        let newer = text.replace("\"version\":1", "\"version\":2");
        let why = Record::parse(newer.as_bytes(), &uid).unwrap_err();
        assert!(why.contains("version 2"), "{why}");
        let unknown = text.replace("\"version\":1", "\"version\":1,\"more\":1");
        assert!(Record::parse(unknown.as_bytes(), &uid).is_err());
        assert!(Record::parse(text.as_bytes(), &Uid::try_from("u2").unwrap()).is_err());
    }

    #[test]
    fn a_deadline_does_not_outlive_its_boot() {
        let at = |boot: &str, nanos| Deadline {
            boot: boot.into(),
            nanos,
        };
        assert!(!at("b", 2).has_passed(&at("b", 1)));
        assert!(at("b", 2).has_passed(&at("b", 2)));
        assert!(at("b", 2).has_passed(&at("c", 1)));
    }
}
