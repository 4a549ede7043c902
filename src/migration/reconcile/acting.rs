//! What a pass does of what the plan says.

use super::{EVENT, Pass};
use crate::kit::error::{Error, unless_gone};
use crate::kit::events::Notice;
use crate::migration::api::{MigrationStatus, Stage};
use crate::migration::hands::Change;
use crate::migration::observing::task_name;
use crate::migration::plan::{Observed, Step};
use crate::migration::sight::Sight;
use crate::migration::summary::Aside;
use crate::migration::{bare, fetching, pods, summary};
use crate::process::writes;
use kube::Resource;

impl Pass<'_> {
    pub(super) async fn act(
        &self,
        step: Step,
        observed: &Observed<'_>,
        sight: &Sight,
    ) -> Result<(), Error> {
        let hands = &self.hands;
        let operation = &observed.course.operation;
        let owner = observed
            .status
            .journey
            .as_ref()
            .and_then(|journey| journey.owner.as_ref());
        match step {
            Step::Status(next) => {
                self.decide(observed, &sight.aside(self.migration), &next)
                    .await
            }
            Step::Task(spec) => {
                let name = task_name(operation, &spec.node_name);
                let above = self.migration.controller_owner_ref(&());
                let seen = sight.task(&spec.node_name);
                hands.order(*spec, seen, (&name, above)).await
            }
            Step::Detach => match (&sight.source, owner) {
                (Some(pod), Some(owner)) => {
                    let fields = pods::detach(owner, operation);
                    hands.change(Change::Detach, pod, fields).await
                }
                _ => Ok(()),
            },
            Step::Attach => match (&sight.source, owner) {
                // It was rolled away meanwhile: nobody would ever count it.
                (Some(pod), Some(_)) if !sight.has_replica_set => hands.delete_pod(pod).await,
                (Some(pod), Some(owner)) => {
                    hands
                        .change(Change::Attach, pod, pods::attach(owner, None))
                        .await
                }
                _ => Ok(()),
            },
            Step::LiftGate(binding) => match sight.pod(&binding.pod_uid) {
                Some(pod) => {
                    let fields = pods::lift(pod, &binding, operation);
                    hands.change(Change::Lift, pod, fields).await
                }
                None => Ok(()),
            },
            Step::DeletePod(uid) => hands.end_pod(sight.pod(&uid), false).await,
            Step::DropPod(uid) => hands.end_pod(sight.pod(&uid), true).await,
            Step::DeleteTask(node) => match sight.task(&node) {
                Some(task) => hands.delete_task(task).await,
                None => Ok(()),
            },
            Step::Finish => self.finish(observed, sight).await,
            Step::CreatePod => {
                let journey = observed.status.journey.as_ref();
                match journey.and_then(|journey| bare::successor(journey, operation)) {
                    Some(pod) if !sight.is_name_taken => hands.make_pod(&pod).await,
                    _ => Ok(()),
                }
            }
        }
    }

    /// Images come to the target before they are needed, and what fetched them goes.
    pub(super) async fn fetch(&self, observed: &Observed<'_>, sight: &Sight) -> Result<(), Error> {
        let owner = self.migration.controller_owner_ref(&());
        let pods = (sight.source.as_ref(), sight.fetcher.as_ref());
        match fetching::plan(observed, pods, owner) {
            Some(fetching::Act::Make(pod)) => self.hands.make_pod(&pod).await,
            Some(fetching::Act::Delete) => self.hands.end_pod(sight.fetcher.as_ref(), false).await,
            None => Ok(()),
        }
    }

    /// What was decided is written over what it was decided on, and told.
    async fn decide(
        &self,
        observed: &Observed<'_>,
        aside: &Aside,
        next: &MigrationStatus,
    ) -> Result<(), Error> {
        let (mut told, notice) = summary::told(observed, next, aside, self.stamp());
        if told.stage == Stage::Closed
            && let Some(journey) = &mut told.journey
        {
            // It is large, and nothing is made from it any more.
            journey.manifest = None;
        }
        self.put(told).await?;
        self.announce(notice).await;
        Ok(())
    }

    pub(super) async fn announce(&self, notice: Option<Notice>) {
        if let Some(notice) = notice {
            let recorder = &self.context.recorder;
            writes::tell(recorder, (&EVENT).into(), self.migration, &notice).await;
        }
    }

    /// The pod that runs now is worth as much as any other, and nobody holds the Migration any more.
    async fn finish(&self, observed: &Observed<'_>, sight: &Sight) -> Result<(), Error> {
        let winner = observed.status.decision.pod_uid.as_deref();
        let winner = winner.and_then(|uid| sight.pod(uid));
        if let Some(pod) = winner.filter(|pod| pods::is_cheap(pod)) {
            let fields = pods::settled();
            unless_gone(self.hands.change(Change::Settle, pod, fields).await)?;
        }
        self.release().await
    }
}
