//! What the leader does for a Migration in one pass. Pure. First it decides: the status is written over the one that was seen, and
//! nothing else is done in that pass. If there is nothing to decide, everything that follows from what was decided is put in order:
//! orders to the nodes, gates, pods.
//!
//! ```text
//!  PrepareFirst   detach ─► bind ─► prepared ─► Allowed(1) ─► frozen … released ─► restored ─► Restored ─► source killed, deleted
//!  FreezeFirst    frozen … verified ─► killed ─► deleted ─► bind ─► prepared ─► Allowed(1) ─► restored ─► Restored
//! ```
//!
//! | what is known | then |
//! |---|---|
//! | the source was withdrawn, or came back | `RolledBack` |
//! | the target is voided | before the freeze another pod is bound; after it, `RolledBack` |
//! | the attempt failed and nothing ran | the target is voided; where the source is dead, the next attempt |
//! | the attempt failed and something ran | the next attempt, of the same generation; then, where the source is dead, on its node; then what `onFailure` says |
//! | the target's pod is gone, or the Migration is given up | the source withdraws, the target is voided if nothing can have run in it |
//! | a node does not answer | nothing, until there is a proof |

mod deciding;
mod ordering;

use crate::agent::api::{
    ImageNote, ImagesReport, Order, SourceReport, StateTaskSpec, TargetPod, TargetReport,
    TargetStanding,
};
use crate::hold::rules::Rules;
use crate::migration::api::{Binding, MigrationSpec, MigrationStatus, Mode, OnFailure, ProofNote};
use crate::migration::images::come_first;

/// A node's StateTask, as the leader sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskSeen<'a> {
    /// The orders; none where there is no StateTask.
    pub spec: Option<&'a StateTaskSpec>,
    /// What the node answers of the pod that it holds.
    pub source: Option<&'a SourceReport>,
    /// What it answers of the pods that are to run there.
    pub target: Option<&'a TargetReport>,
    /// It answers to these very orders.
    pub is_current: bool,
}

/// The pod that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourcePod {
    /// It is there.
    Here {
        /// Its owner does not count it.
        is_detached: bool,
    },
    /// Its uid is gone from the API.
    Gone,
}

/// A pod that may get the state: the one that is bound, or one of its owner's that waits behind its gate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its gate is there.
    pub is_gated: bool,
    /// It can still run: neither deleted nor `Failed`.
    pub is_alive: bool,
}

/// What does not change while a Migration lives.
#[derive(Debug, Clone)]
pub struct Course {
    /// The Migration's uid.
    pub operation: String,
    /// In which order.
    pub order: Order,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's uid.
    pub pod_uid: String,
    /// The node that it is on.
    pub source_node: String,
    /// The node that it goes to.
    pub target_node: String,
    /// Where that node's agent is reached, while it is known.
    pub target_address: Option<String>,
    /// What its state is called.
    pub generation: String,
    /// The generation before, if the target has it too.
    pub older: Option<String>,
    /// Nobody but us makes its successor.
    pub is_bare: bool,
    /// The containers that are restored.
    pub restores: Vec<String>,
    /// The images that it needs there.
    pub images: Vec<ImageNote>,
    /// Init containers that had finished.
    pub finished: Vec<String>,
    /// Volumes are filled before it starts.
    pub fills_volumes: bool,
    /// How often a state that ran and was lost is restored again.
    pub retries: u32,
    /// What then.
    pub on_failure: OnFailure,
}

/// Why a Migration is not to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Its time is over.
    Late,
    /// The pod's owner makes no other one in its place.
    Unwanted,
}

/// How images come, besides what the target says of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImagesSeen<'a> {
    /// Why they will not.
    pub fault: Option<&'a str>,
    /// A pod of ours has asked the kubelet for them, and got them.
    pub are_fetched: bool,
}

/// Everything that one pass needs to know.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// What does not change.
    pub course: &'a Course,
    /// What was decided, and said, before.
    pub status: &'a MigrationStatus,
    /// Why it cannot be done, if preflight says so. Asked until the source may be frozen.
    pub refusal: Option<&'a str>,
    /// It is being deleted.
    pub is_deleting: bool,
    /// Why it is not to go on, if it need not.
    pub stop: Option<Stop>,
    /// How the images come that the target needs.
    pub images: ImagesSeen<'a>,
    /// The pod's node is gone for good: nobody there will answer any more.
    pub is_source_lost: bool,
    /// The pod that moves.
    pub source_pod: SourcePod,
    /// Pods that may get the state.
    pub pods: &'a [Candidate],
    /// The source's node.
    pub source: TaskSeen<'a>,
    /// The target's node.
    pub target: TaskSeen<'a>,
    /// The target's node is known not to run anything.
    pub target_proof: Option<&'a ProofNote>,
    /// It does not answer: no proof of anything.
    pub is_target_silent: bool,
    /// Which rules hold: all.
    pub rules: Rules,
}

/// What is written, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The status, over the one that was seen.
    Status(Box<MigrationStatus>),
    /// A node's orders, over those that were seen; made where there are none.
    Task(Box<StateTaskSpec>),
    /// The source is taken from its owner, as it was seen.
    Detach,
    /// It is given back.
    Attach,
    /// A pod that was bound is let go to its node.
    LiftGate(Binding),
    /// A pod is deleted, this uid alone.
    DeletePod(String),
    /// The same at once: its node is known to be off, so that nobody there will say that it has ended.
    DropPod(String),
    /// A pod is made from the stored manifest: nobody else does.
    CreatePod,
    /// A node's StateTask is removed.
    DeleteTask(String),
    /// The Migration is let go.
    Finish,
}

/// What is done in one pass.
#[must_use]
pub fn plan(seen: &Observed<'_>) -> Vec<Step> {
    let decided = deciding::decide(seen);
    decided.map_or_else(
        || ordering::orders(seen),
        |status| vec![Step::Status(Box::new(status))],
    )
}

impl<'a> Observed<'a> {
    /// Before anything was asked, nothing is answered.
    pub(crate) fn nothing(course: &'a Course, status: &'a MigrationStatus) -> Self {
        Self {
            course,
            status,
            refusal: None,
            is_deleting: false,
            stop: None,
            images: ImagesSeen::default(),
            is_source_lost: false,
            source_pod: SourcePod::Gone,
            pods: &[],
            source: TaskSeen::default(),
            target: TaskSeen::default(),
            target_proof: None,
            is_target_silent: false,
            rules: Rules::ALL,
        }
    }
}

impl Observed<'_> {
    fn pod(&self, uid: &str) -> Option<&Candidate> {
        self.pods.iter().find(|pod| pod.uid == uid && pod.is_alive)
    }

    /// It is in the API, alive or not.
    fn exists(&self, uid: &str) -> bool {
        self.pods.iter().any(|pod| pod.uid == uid)
    }

    /// A pod that was bound is deleted, and taken from the API where its node will never say that it has ended.
    fn removal(&self, bound: &Binding) -> Option<Step> {
        let uid = &bound.pod_uid;
        let is_off = self.target_proof.is_some() && bound.node == self.course.target_node;
        if is_off {
            return self.exists(uid).then(|| Step::DropPod(uid.clone()));
        }
        self.pod(uid).map(|_| Step::DeletePod(uid.clone()))
    }

    /// All pods that were meant to get the state.
    fn bound(&self) -> impl Iterator<Item = &Binding> {
        self.status.former.iter().chain(&self.status.target)
    }

    /// What a node was asked, and answers.
    fn task(&self, node: &str) -> TaskSeen<'_> {
        if node == self.course.source_node {
            self.source
        } else {
            self.target
        }
    }

    /// What the node of a pod that was bound answers of it.
    fn report(&self, uid: &str) -> Option<&TargetPod> {
        let binding = self.bound().find(|bound| bound.pod_uid == uid)?;
        let pods = &self.task(&binding.node).target?.pods;
        pods.iter().find(|pod| pod.uid == uid)
    }

    /// How its node says that a pod stands.
    fn standing(&self, uid: &str) -> Option<TargetStanding> {
        self.report(uid).map(|pod| pod.standing)
    }

    /// The source may run again: it waits, and nothing of its state has run elsewhere.
    fn goes_back(&self) -> bool {
        self.is_prepare_first() && !self.status.ran
    }

    /// The target has all images that it needs, and the same ones: asked until the source may be frozen.
    fn are_images_proven(&self) -> bool {
        let report = self.target.target;
        let said = report.and_then(|report| report.images.as_ref());
        self.course.images.is_empty()
            || said.is_some_and(|report| report.are_proven() && !self.is_to_be_asked_for(report))
    }

    /// The kubelet may have to get one of them, get another one, or not give it to this pod; and that would come out in the freeze.
    fn is_to_be_asked_for(&self, report: &ImagesReport) -> bool {
        self.course.images.iter().any(|note| note.asked) && !report.asked
    }

    /// Nothing is touched before they are there.
    #[must_use]
    pub fn waits_for_images(&self) -> bool {
        come_first(self.course.order, &self.course.images) && !self.are_images_proven()
    }

    fn is_prepare_first(&self) -> bool {
        self.course.order == Order::PrepareFirst
    }
}

/// What owns a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A Deployment, by its ReplicaSet.
    Deployment,
    /// Nobody.
    Nobody,
    /// A StatefulSet.
    StatefulSet,
    /// A ReplicaSet of its own.
    ReplicaSet,
    /// A Job.
    Job,
    /// A `DaemonSet`, or a node's own file.
    Node,
    /// Something else.
    Other,
}

impl Owner {
    /// The order that it leaves us.
    #[must_use]
    pub fn order(self) -> Order {
        match self {
            Self::Deployment => Order::PrepareFirst,
            _ => Order::FreezeFirst,
        }
    }
}

/// What cannot be done yet, or never, as a sentence. Nothing was touched then.
#[must_use]
pub fn refusal(spec: &MigrationSpec, owner: Owner, is_ours: bool) -> Option<String> {
    let why = if spec.source.is_some() {
        "a Migration from a Checkpoint is not possible yet: name a pod that runs"
    } else if spec.mode == Mode::PostCopy {
        "mode PostCopy is not possible yet: leave mode out"
    } else if !is_ours {
        "its pod does not run under the RuntimeClass holdfast, and such pods cannot be moved yet: set runtimeClassName: holdfast in its template"
    } else {
        match owner {
            Owner::Deployment | Owner::Nobody => return None,
            Owner::StatefulSet => "pods of a StatefulSet cannot be moved yet",
            Owner::ReplicaSet => {
                "pods of a ReplicaSet without a Deployment cannot be moved yet: put a Deployment above it"
            }
            Owner::Job => "pods of a Job cannot be moved yet",
            Owner::Node => {
                "a pod of a DaemonSet, or of a node's own file, belongs to its node: it never moves"
            }
            Owner::Other => {
                "its owner is of a kind that Holdfast does not know, and might make another pod at any time: it is not moved"
            }
        }
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests;
