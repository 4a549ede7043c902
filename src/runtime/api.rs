//! What the runtime and the agent say to each other over the agent's socket, one JSON object a line; and what the runtime leaves
//! behind for the agent. A connection is one question.

use crate::oci::place::Place;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of [`Question`].
pub const VERSION: u32 = 1;

/// A line may have this many bytes.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What the runtime asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub version: u32,
    /// What it is about.
    #[serde(flatten)]
    pub ask: Ask,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// A container is to be made.
    Create {
        /// Which.
        place: Place,
    },
    /// A signal is to be sent to a held container.
    Kill {
        /// The runtime's id of the container.
        id: String,
        /// In capitals, without `SIG`.
        signal: String,
        /// To all of its processes.
        all: bool,
    },
    /// A held container is to be deleted.
    Delete {
        /// The runtime's id of the container.
        id: String,
        /// Though it lives.
        force: bool,
    },
}

/// What the agent answers. Any number of `wait`, then one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Line {
    /// Another line comes, within [`LONGEST_SILENCE`](super::asking::LONGEST_SILENCE).
    Wait {
        /// What is waited for.
        why: String,
    },
    /// The container starts fresh.
    Start,
    /// The container ends at once, with 0.
    NoOp,
    /// Not done, and why.
    Refuse {
        /// A sentence for people.
        why: String,
    },
    /// The container is restored. Whoever asked is in the attempt's cgroup when this comes.
    Restore(Restore),
    /// It was done.
    Done,
    /// It is for the real runtime.
    Pass,
}

/// What a container is restored from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// CRIU's images.
    pub image: PathBuf,
    /// Where CRIU works and logs.
    pub work: PathBuf,
    /// The attempt.
    pub attempt: u32,
    /// What CRIU is told besides what the runtime tells it: a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// More for the real runtime's `restore`.
    #[serde(default)]
    pub args: Vec<String>,
}

/// What the real runtime knew of a container just before it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who it was.
    pub place: Place,
    /// The boot in which this was seen.
    pub boot: String,
    /// What was seen.
    pub seen: Seen,
}

/// Whether a container's first process ever was there. runc writes it down before that process runs, so `NoState` and `NoInit` say
/// that nothing ran; everything else says that it may have run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// runc kept nothing of it.
    NoState,
    /// runc kept something, and no first process.
    NoInit,
    /// This was its first process.
    Init {
        /// Its pid on the host.
        pid: i32,
    },
    /// It is not known.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Seen {
    /// Whether it is shown that nothing of the container ran.
    #[must_use]
    pub fn shows_that_nothing_ran(&self) -> bool {
        matches!(self, Self::NoState | Self::NoInit)
    }
}

/// Where evidence lies.
#[must_use]
pub fn evidence_folder(run: &Path) -> PathBuf {
    run.join("evidence")
}

/// Where the evidence of a container lies.
#[must_use]
pub fn evidence_path(run: &Path, id: &str) -> PathBuf {
    evidence_folder(run).join(format!("{id}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_on_the_socket_are_these() {
        let kill = Question {
            version: VERSION,
            ask: Ask::Kill {
                id: "c1".into(),
                signal: "TERM".into(),
                all: false,
            },
        };
        assert_eq!(
            serde_json::to_value(kill).unwrap(),
            json!({"version":1,"ask":"kill","id":"c1","signal":"TERM","all":false})
        );
        for (line, answer) in [
            (json!({"do":"start"}), Line::Start),
            (json!({"do":"no-op"}), Line::NoOp),
            (json!({"do":"done"}), Line::Done),
            (
                json!({"do":"wait","why":"x"}),
                Line::Wait { why: "x".into() },
            ),
            (
                json!({"do":"restore","image":"/i","work":"/w","attempt":2}),
                Line::Restore(Restore {
                    image: "/i".into(),
                    work: "/w".into(),
                    attempt: 2,
                    config: None,
                    args: Vec::new(),
                }),
            ),
        ] {
            assert_eq!(serde_json::from_value::<Line>(line).unwrap(), answer);
        }
    }
}
