//! What is to be seen of a Migration that has begun, and what that comes to for its plan. Pure.

use crate::agent::api::{Measured, SourceStanding, StateTask};
use crate::migration::api::{Migration, MigrationStatus, ProofKind, ProofNote};
use crate::migration::equal::{differs, digest};
use crate::migration::images::{self, Fault, fault};
use crate::migration::observing::status;
use crate::migration::plan::{Candidate, SourcePod, TaskSeen};
use crate::migration::pods::{is_alive, is_detached, is_gated};
use crate::migration::request::{key, said_off};
use crate::migration::summary::Aside;
use crate::node::select::{is_out_of_service, is_ready};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// What there is to be seen of a Migration that has begun.
pub(crate) struct Sight {
    pub(crate) source: Option<Pod>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) tasks: [Option<StateTask>; 2],
    /// The pod that has images fetched, where one was made.
    pub(crate) fetcher: Option<Pod>,
    pub(crate) target_node: Option<Node>,
    pub(crate) source_node: Option<Node>,
    /// Its owner makes no other one in its place.
    pub(crate) is_unwanted: bool,
    pub(crate) has_replica_set: bool,
    /// Somebody else has made a pod of the name that ours is to have.
    pub(crate) is_name_taken: bool,
}

impl Sight {
    /// A pod that was seen, by its uid.
    pub(crate) fn pod(&self, uid: &str) -> Option<&Pod> {
        let mut all = self.pods.iter().chain(&self.source);
        all.find(|pod| pod.uid().as_deref() == Some(uid))
    }

    /// The orders of a node, as they were seen.
    pub(crate) fn task(&self, node: &str) -> Option<&StateTask> {
        let mut tasks = self.tasks.iter().flatten();
        tasks.find(|task| task.spec.node_name == node)
    }

    /// What both nodes have measured.
    fn measured(&self) -> Measured {
        let of = |task: &Option<StateTask>| {
            let status = task.as_ref().and_then(|task| task.status.as_ref());
            status.and_then(|status| status.measured.clone())
        };
        let [source, target] = self
            .tasks
            .each_ref()
            .map(|task| of(task).unwrap_or_default());
        Measured {
            restored_at: target.restored_at,
            ..source
        }
    }

    pub(crate) fn source_pod(&self, operation: &str) -> SourcePod {
        self.source
            .as_ref()
            .map_or(SourcePod::Gone, |pod| SourcePod::Here {
                is_detached: is_detached(pod, operation),
            })
    }

    /// Pods that wait behind our gate and are equal to the source, and those that are bound.
    pub(crate) fn candidates(&self, migration: &Migration) -> Vec<Candidate> {
        let status = status(migration);
        let is_bound = |uid: &str| {
            let mut bound = status.former.iter().chain(&status.target);
            bound.any(|bound| bound.pod_uid == uid)
        };
        let fits = |uid: &str| {
            self.pod(uid)
                .is_some_and(|pod| self.unlike(pod, status).is_none())
        };
        let all = self.pods.iter().map(|pod| Candidate {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            is_gated: is_gated(pod),
            is_alive: is_alive(pod),
        });
        all.filter(|one| is_bound(&one.uid) || (one.is_gated && fits(&one.uid)))
            .collect()
    }

    /// What of a successor is not as in the pod before it.
    fn unlike(&self, pod: &Pod, status: &MigrationStatus) -> Option<String> {
        if let Some(before) = &self.source {
            return differs(before, pod);
        }
        let known = status.journey.as_ref()?.spec_digest.as_ref();
        (known != Some(&digest(pod))).then(|| "its spec".to_owned())
    }

    /// What people are told besides what was decided.
    pub(crate) fn aside(&self, migration: &Migration) -> Aside {
        let status = status(migration);
        let is_free = status.target.is_none() && !status.decision.is_final();
        let gated = self.pods.iter().filter(|pod| is_free && is_gated(pod));
        let unlike = gated.filter_map(|pod| Some((pod.name_any(), self.unlike(pod, status)?)));
        Aside {
            name: key(migration),
            silent_since: self.silent_since(),
            measured: self.measured(),
            name_taken: self.is_name_taken && !status.decision.is_final(),
            unlike: unlike.map(|(pod, path)| format!("{pod}: {path}")).next(),
            refused: None,
            pulling: None,
            unplaced: self.unplaced(status),
            said: self.tasks.iter().flatten().find_map(complaint),
        }
    }

    /// What a scheduler says of the pod that is to get the state, while it places it nowhere.
    fn unplaced(&self, status: &MigrationStatus) -> Option<String> {
        let bound = status.target.as_ref()?;
        let pod = self.pod(&bound.pod_uid)?;
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let placed = conditions.iter().find(|one| one.type_ == "PodScheduled")?;
        let is_unplaced =
            placed.status == "False" && placed.reason.as_deref() == Some("Unschedulable");
        placed.message.clone().filter(|_| is_unplaced)
    }

    /// Why the images do not come that the target needs, while nothing stands still for them.
    pub(crate) fn image_fault(&self, migration: &Migration, now: Timestamp) -> Option<Fault> {
        let status = status(migration);
        let [source, target] = self.answers();
        let standing = source.source.map(|report| report.standing);
        let is_early = matches!(standing, None | Some(SourceStanding::Idle));
        let journey = status
            .journey
            .as_ref()
            .filter(|journey| is_early && !journey.images.is_empty())?;
        let bound = status.target.as_ref();
        let successor = bound.and_then(|bound| self.pod(&bound.pod_uid));
        let seen = images::Sight {
            report: target.target.and_then(|report| report.images.as_ref()),
            source: self.source.as_ref(),
            pods: [successor, self.fetcher.as_ref()],
            began: status.began_at.as_ref().map(|time| time.0),
        };
        fault(&seen, &journey.target_node, now)
    }

    /// The target is known to be off. The taint stays after the node is back, until somebody takes it away; and a person's word is about
    /// the silence that it was said of, and no later one.
    pub(crate) fn proof(&self, migration: &Migration) -> Option<ProofNote> {
        if !self.is_target_silent() {
            return None;
        }
        if self.target_node.as_ref().is_some_and(is_out_of_service) {
            return Some(ProofNote {
                kind: ProofKind::OutOfService,
                by: None,
            });
        }
        let since = self.silent_since();
        let since = since.or_else(|| status(migration).silent_since.clone())?;
        let by = said_off(migration, &since)?;
        Some(ProofNote {
            kind: ProofKind::TargetIsOff,
            by: Some(by),
        })
    }

    /// Since when the target's node does not answer, where its object says so.
    fn silent_since(&self) -> Option<Time> {
        let status = self.target_node.as_ref()?.status.as_ref()?;
        let mut conditions = status.conditions.iter().flatten();
        let ready = conditions.find(|one| one.type_ == "Ready")?;
        ready.last_transition_time.clone()
    }

    /// The pod's node is gone, or known to be off: nobody there will answer.
    pub(crate) fn is_source_lost(&self) -> bool {
        self.source_node
            .as_ref()
            .is_none_or(|node| !is_ready(node) && is_out_of_service(node))
    }

    /// The target does not answer. That proves nothing.
    pub(crate) fn is_target_silent(&self) -> bool {
        !self.target_node.as_ref().is_some_and(is_ready)
    }

    /// What the source's node, and the target's, were asked, and answer.
    pub(crate) fn answers(&self) -> [TaskSeen<'_>; 2] {
        self.tasks
            .each_ref()
            .map(|task| task.as_ref().map_or_else(TaskSeen::default, answer))
    }
}

pub(crate) fn answer(task: &StateTask) -> TaskSeen<'_> {
    let status = task.status.as_ref();
    TaskSeen {
        spec: Some(&task.spec),
        source: status.and_then(|status| status.source.as_ref()),
        target: status.and_then(|status| status.target.as_ref()),
        is_current: status.and_then(|status| status.observed_generation)
            == task.metadata.generation,
    }
}

/// Why a node says that a state does not go on.
fn complaint(task: &StateTask) -> Option<String> {
    let conditions = task.status.as_ref()?.conditions.iter();
    let mut failed = conditions.filter(|one| one.type_ == "Failed" && one.status == "True");
    failed.next().map(|one| one.message.clone())
}
