//! What a node is asked.

use super::{Observed, task_name};
use crate::agent::api::{
    CheckpointOrder, CheckpointWord, PodName, ProbeOrder, RoomOrder, StateTask, StateTaskSpec,
};
use crate::checkpoint::api::Phase;
use crate::kit::names;
use crate::kit::probes::patience;
use kube::{Resource, ResourceExt};

impl Observed<'_> {
    /// The `StateTask`, with this word.
    pub(super) fn order(&self, (uid, node): (&str, &str), word: CheckpointWord) -> StateTask {
        let spec = &self.checkpoint.spec;
        let probe = self.probe(uid);
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
                    deadline_seconds: spec.deadline_seconds,
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

    /// Who waits the least. All containers are frozen, whichever are kept.
    fn probe(&self, uid: &str) -> Option<ProbeOrder> {
        let pod = self.pod.filter(|pod| pod.uid().as_deref() == Some(uid))?;
        let spec = pod.spec.as_ref()?;
        let inits = spec.init_containers.iter().flatten();
        let all = inits.chain(&spec.containers);
        let waits = all.filter_map(|one| Some((patience(one)?, &one.name)));
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
