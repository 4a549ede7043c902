//! Every change of a record there is. Pure: a record in, a record or a sentence out. The plans of the agents say changes, the shelf
//! and the model apply them.
//!
//! A change that is in effect already changes nothing; so each may be tried again after a crash.

use crate::hold::record::{Deadline, Held, HoldState, Proof, Record, Role, Target, What};
use crate::hold::rules::Rules;
use crate::hold::uid::Uid;
use crate::hold::{admission, source};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a change must not be, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// The record after a change.
pub type Changed = Result<Record, Refusal>;

pub(crate) fn refuse(why: impl Into<String>) -> Changed {
    Err(Refusal(why.into()))
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// A container is told to start fresh, and may do so again without an agent.
    Note {
        /// Its name.
        container: String,
    },
    /// A change of what a pod is held for.
    Hold {
        /// The operation's uid.
        operation: String,
        /// Which.
        step: HoldStep,
    },
    /// A change of what may run in a pod.
    Admit {
        /// The operation's uid.
        operation: String,
        /// Which.
        step: AdmissionStep,
    },
}

/// A change of a hold. `source` says what may follow what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HoldStep {
    /// The pod is held; only then it is frozen.
    Begin(Beginning),
    /// The state goes to another pod than was said before.
    Retarget {
        /// This one.
        target: Target,
        /// It ran, or may have, in one of those before.
        ran: bool,
    },
    /// A signal was asked for.
    Wish(String),
    /// CRIU died on a container.
    Damage,
    /// It runs here again.
    Withdraw,
    /// It may be restored in this pod.
    Release(Uid),
    /// It did not run in this pod, and runs here again.
    Return(Uid, Proof),
    /// It is about to be thawed.
    Thaw,
    /// It runs elsewhere, or will: here it is to die.
    Supersede,
    /// It is dead.
    Kill,
    /// It runs, all of it: the hold is over.
    End,
    /// Its processes died frozen: these containers start again, from this. The hold is over.
    Home {
        /// From what.
        what: What,
        /// Which containers.
        containers: BTreeSet<String>,
    },
}

/// What a hold begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Beginning {
    /// What for.
    pub role: Role,
    /// Where its state goes.
    pub target: Option<Target>,
    /// What its state is called.
    pub generation: String,
    /// When it is withdrawn at the latest.
    pub deadline: Deadline,
    /// The pod's containers.
    pub containers: Vec<Held>,
}

/// A change of an admission. `admission` says what may follow what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AdmissionStep {
    /// The pod is to wait for a state.
    Open {
        /// For which attempt.
        attempt: u32,
        /// The containers that are to be restored.
        restores: BTreeSet<String>,
        /// Init containers that had finished.
        finished: BTreeSet<String>,
        /// Its volumes are filled, or an init container is skipped.
        prepared: bool,
    },
    /// This may run in it.
    Claim {
        /// In this attempt.
        attempt: u32,
        /// From this.
        what: What,
    },
    /// A container is told to begin.
    Begin {
        /// In this attempt.
        attempt: u32,
        /// Its name.
        container: String,
        /// The boot in which it is begun.
        boot: String,
        /// The cgroup in which the attempt lives until the container has its own.
        cgroup: String,
        /// The runtime's id of the container.
        id: String,
    },
    /// A container ran.
    Done {
        /// In this attempt.
        attempt: u32,
        /// Its name.
        container: String,
    },
    /// The attempt is over: all of its processes are dead, shown by empty cgroups.
    Fail {
        /// This attempt.
        attempt: u32,
        /// The boot in which that was shown.
        boot: String,
        /// What became of each container that was begun.
        ends: BTreeMap<String, End>,
    },
    /// Another attempt, of the whole pod.
    Again {
        /// Its number.
        attempt: u32,
        /// From this.
        what: What,
    },
    /// Nothing will ever run in this pod.
    Revoke,
}

/// What became of a container that was begun and is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The runtime's own state shows that its first process never ran.
    NeverRan,
    /// It ran, or nobody can say that it did not.
    MayHaveRan,
}

impl Change {
    /// A change of a hold.
    #[must_use]
    pub fn hold(operation: &str, step: HoldStep) -> Self {
        Self::Hold {
            operation: operation.to_owned(),
            step,
        }
    }

    /// A change of an admission.
    #[must_use]
    pub fn admit(operation: &str, step: AdmissionStep) -> Self {
        Self::Admit {
            operation: operation.to_owned(),
            step,
        }
    }

    /// A pod is about to be held.
    #[must_use]
    pub fn is_beginning(&self) -> bool {
        matches!(
            self,
            Self::Hold {
                step: HoldStep::Begin(_),
                ..
            }
        )
    }

    /// The record after this change.
    ///
    /// # Errors
    /// A sentence that says why it must not be.
    pub fn apply(&self, record: Record, rules: Rules) -> Changed {
        match self {
            Self::Note { container } => note(record, container),
            Self::Hold { operation, step } => source::change(record, operation, step, rules),
            Self::Admit { operation, step } => admission::change(record, operation, step, rules),
        }
    }
}

fn note(mut record: Record, container: &str) -> Changed {
    if record.hold.is_some() || record.admission.is_some() {
        return refuse(format!(
            "pod {} is held or waits for a state: its containers do not start again without the agent",
            record.uid
        ));
    }
    record.started.insert(container.to_owned());
    Ok(record)
}

impl fmt::Display for HoldState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frozen => "frozen",
            Self::Withdrawn => "withdrawn",
            Self::Released => "released",
            Self::Returned => "returned",
            Self::Superseded => "superseded",
            Self::Killed => "killed",
        })
    }
}

#[cfg(test)]
mod tests;
