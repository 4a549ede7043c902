//! What a node is asked.

use super::{Observed, task_name};
use crate::agent::api::{
    CheckpointOrder, CheckpointWord, PodName, ProbeOrder, RoomOrder, StateTask, StateTaskSpec,
};
use crate::checkpoint::api::Phase;
use crate::kit::names;
use crate::preflight::freezing::patience;
use kube::{Resource, ResourceExt};

impl Observed<'_> {
    /// The `StateTask`, with this word.
    pub(super) fn order(&self, (uid, node): (&str, &str), word: CheckpointWord) -> StateTask {
        let spec = &self.checkpoint.spec;
        let probe = self.probe(uid);
        let most = probe.as_ref().map_or(u32::MAX, |probe| probe.seconds);
        let task = StateTask::new(
            &task_name(self.checkpoint),
            StateTaskSpec {
                node_name: node.to_owned(),
                operation: self.operation(),
                checkpoint: Some(CheckpointOrder {
                    pod: PodName {
                        name: spec.pod_name.clone(),
                        uid: uid.to_owned(),
                    },
                    generation: self.operation(),
                    containers: spec.containers.clone(),
                    // Whatever becomes of it: rather no Checkpoint than a container that its kubelet kills.
                    deadline_seconds: spec.deadline_seconds.min(most).max(1),
                    word,
                    copies: Vec::new(),
                    is_taken: self.status().phase == Phase::Succeeded,
                    room: self.room.map(|room| RoomOrder {
                        bytes: room.bytes,
                        why: room.why.clone(),
                    }),
                    probe,
                }),
                ..StateTaskSpec::default()
            },
        );
        self.owned(task)
    }

    /// Who of those that are to be frozen waits the least.
    fn probe(&self, uid: &str) -> Option<ProbeOrder> {
        let pod = self.pod.filter(|pod| pod.uid().as_deref() == Some(uid))?;
        let named = &self.checkpoint.spec.containers;
        let spec = pod.spec.as_ref()?;
        let all = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        let meant = all.filter(|one| named.is_empty() || named.contains(&one.name));
        let waits = meant.filter_map(|one| Some((patience(one)?, &one.name)));
        let (least, container) = waits.min()?;
        Some(ProbeOrder {
            container: container.clone(),
            seconds: u32::try_from(least.as_secs()).unwrap_or(u32::MAX),
        })
    }

    /// The Checkpoint's, and held.
    pub(super) fn owned(&self, mut task: StateTask) -> StateTask {
        task.metadata.namespace = self.checkpoint.namespace();
        // Not one that blocks its owner's deletion: a deletion in the foreground would delete it before the node has forgotten.
        task.metadata.owner_references = self
            .checkpoint
            .controller_owner_ref(&())
            .map(|owner| vec![owner]);
        // Where a whole namespace is deleted, no other could be made there to say that the node is to forget.
        task.metadata.finalizers = Some(vec![names::CHECKPOINT_FINALIZER.into()]);
        let label = (names::OPERATION_LABEL.to_owned(), self.operation());
        task.metadata.labels = Some([label].into());
        task
    }
}
