//! A Migration that is new: looked at whole, then refused, or begun, or, if it is a dry run, told.

use super::{Next, Pass};
use crate::agent::api::{
    ImageNote, InspectOrder, InspectionReport, PodName, StateTask, StateTaskSpec,
};
use crate::kit::error::Error;
use crate::migration::api::{MigrationStatus, Outcome, Preflight, Stage};
use crate::migration::beginning::{Looked, look};
use crate::migration::images;
use crate::migration::plan::Observed;
use crate::migration::preflight::of_freeze;
use crate::migration::seats::under;
use crate::migration::summary::Aside;
use crate::migration::turns::Turn;
use crate::node::lease::plan::held;
use crate::preflight::finding::{Finding, refusal, told};
use crate::preflight::list::Item;
use crate::process::clock;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use std::time::Duration;

/// What a node says of a pod's processes.
enum Heard {
    /// Nothing yet.
    Nothing,
    /// This, and which images its containers run; and the order that it answers, which has done its duty.
    Findings(Vec<Finding>, Vec<ImageNote>, Option<Box<StateTask>>),
}

impl Pass<'_> {
    pub(super) async fn begin(&self, status: &MigrationStatus) -> Result<Next, Error> {
        if status.stage == Stage::Closed || self.migration.metadata.deletion_timestamp.is_some() {
            // Nothing was touched.
            self.release().await?;
            return Ok(Next::Over);
        }
        let is_dry = self.migration.spec.dry_run;
        let ledger = self.context.desk.ledger().await?;
        let held = held(&ledger.books, under(self.migration), ledger.known(&[]));
        let installation = &self.context.agents.namespace;
        let looked = look(&self.eyes, self.migration, installation, &held);
        let mut looked = Box::pin(looked).await?;
        if !is_dry && let Some(next) = self.before_asking(status, &looked).await? {
            return Box::pin(self.say(next)).await;
        }
        let Heard::Findings(heard, images, order) = self.heard(&looked).await? else {
            let node = node_of(&looked);
            let why = format!("the agent of node {node} is asked what the pod's processes do");
            Box::pin(self.say(later(status, why))).await?;
            return Ok(Next::Soon);
        };
        looked.findings.extend(heard);
        note_images(&mut looked, &images);
        // Nobody else begins between the look at the others and the word that this one has begun.
        let _turns = self.context.beginning.lock().await;
        let Some(next) = self.verdict(status, looked).await? else {
            self.hold().await?;
            return Ok(Next::Soon);
        };
        // What was heard counts once: a pass that begins anew asks anew.
        if let Some(order) = order {
            self.hands.delete_task(&order).await?;
        }
        Box::pin(self.say(next)).await
    }

    /// What is known without its node, which is not asked in vain.
    async fn before_asking(
        &self,
        status: &MigrationStatus,
        looked: &Looked,
    ) -> Result<Option<MigrationStatus>, Error> {
        if let Some(why) = refusal(&looked.findings) {
            return Ok(Some(refused(&noted(status, looked), why)));
        }
        if let Some(why) = &looked.held {
            return Ok(Some(later(status, why.clone())));
        }
        let Some(journey) = &looked.journey else {
            return Ok(None);
        };
        Ok(match self.seating(journey).await?.turn {
            Turn::Never(why) => Some(refused(status, why)),
            Turn::Later(why) => Some(later(status, why)),
            Turn::Now => None,
        })
    }

    /// What is to be written; none where the finalizer comes first.
    async fn verdict(
        &self,
        status: &MigrationStatus,
        looked: Looked,
    ) -> Result<Option<MigrationStatus>, Error> {
        let status = noted(status, &looked);
        if let Some(why) = refusal(&looked.findings) {
            return Ok(Some(refused(&status, why)));
        }
        if self.migration.spec.dry_run {
            return Ok(Some(MigrationStatus {
                stage: Stage::Closed,
                waiting: None,
                ..status
            }));
        }
        let Some(journey) = looked.journey else {
            return Ok(Some(later(&status, "it is looked at again".into())));
        };
        let seating = self.seating(&journey).await?;
        Ok(match &seating.turn {
            Turn::Never(why) => Some(refused(&status, why.clone())),
            Turn::Later(why) => Some(later(&status, why.clone())),
            Turn::Now if !self.is_held() => None,
            Turn::Now => {
                self.sit(&seating).await?;
                Some(MigrationStatus {
                    journey: Some(*journey),
                    stage: Stage::Begun,
                    began_at: Some(Time(clock::now())),
                    waiting: None,
                    ..status
                })
            }
        })
    }

    /// Asks the agent of the pod's node, once, and takes its answer.
    async fn heard(&self, looked: &Looked) -> Result<Heard, Error> {
        let Some(pod) = looked.pod.as_ref().filter(|_| looked.is_ours) else {
            return Ok(Heard::Findings(Vec::new(), Vec::new(), None));
        };
        let name = self.question();
        let Some(task) = self.eyes.task(&name).await? else {
            let spec = StateTaskSpec {
                node_name: node_of(looked),
                operation: name.clone(),
                inspect: Some(InspectOrder {
                    pod: PodName {
                        name: pod.name_any(),
                        uid: pod.uid().unwrap_or_default(),
                    },
                }),
                ..StateTaskSpec::default()
            };
            let above = self.migration.controller_owner_ref(&());
            self.hands.order(spec, None, (&name, above)).await?;
            return Ok(Heard::Nothing);
        };
        let asked = task.spec.inspect.as_ref().map(|order| &order.pod.uid);
        if asked != pod.uid().as_ref() {
            // It was about another pod of that name.
            self.hands.delete_task(&task).await?;
            return Ok(Heard::Nothing);
        }
        let status = task.status.as_ref();
        if let Some(mut report) = status.and_then(|status| status.inspection.clone()) {
            let images = std::mem::take(&mut report.images);
            let findings = with_times(report, looked);
            return Ok(Heard::Findings(findings, images, Some(Box::new(task))));
        }
        if self.is_unanswered(&task) {
            let node = node_of(looked);
            let what = format!("the agent of node {node} does not say what the pod's processes do");
            let finding = Finding::new(Item::NoAnswer, &what);
            let order = Some(Box::new(task));
            return Ok(Heard::Findings(vec![finding], Vec::new(), order));
        }
        Ok(Heard::Nothing)
    }

    fn question(&self) -> String {
        format!("inspect-{}", self.operation())
    }

    /// A pass that was given the Migration as it was before it began, or was refused, may have asked once more: whoever ends it takes the
    /// question back, because nobody else would before it is deleted.
    pub(super) async fn unask(&self) -> Result<(), Error> {
        match self.eyes.task(&self.question()).await? {
            Some(task) => self.hands.delete_task(&task).await,
            None => Ok(()),
        }
    }

    /// It may take as long as everything else before the freeze.
    fn is_unanswered(&self, task: &StateTask) -> bool {
        let asked = task.metadata.creation_timestamp.as_ref();
        let age =
            asked.and_then(|asked| Duration::try_from(clock::now().duration_since(asked.0)).ok());
        age.is_some_and(|age| age > self.migration.spec.time())
    }

    /// Written, if it is not there already. One that does not begin now keeps nothing from others.
    async fn say(&self, next: MigrationStatus) -> Result<Next, Error> {
        if next.stage != Stage::Begun {
            self.rise().await?;
        }
        let course = next
            .journey
            .clone()
            .unwrap_or_default()
            .course(&self.operation(), &self.migration.spec);
        let observed = Observed::nothing(&course, &next);
        self.tell(&observed, &Aside::default(), &next).await?;
        Ok(match next.waiting {
            Some(_) => Next::Later,
            None => Next::Soon,
        })
    }
}

fn node_of(looked: &Looked) -> String {
    let spec = looked.pod.as_ref().and_then(|pod| pod.spec.as_ref());
    spec.and_then(|spec| spec.node_name.clone())
        .unwrap_or_default()
}

/// What it needs where it goes. That its node has not answered at all is told already.
fn note_images(looked: &mut Looked, said: &[ImageNote]) {
    let (Some(pod), Some(journey)) = (&looked.pod, &mut looked.journey) else {
        return;
    };
    match images::known(pod, journey, said) {
        Ok(images) => journey.images = images,
        Err(finding) => {
            if !looked.findings.iter().any(Finding::refuses) {
                looked.findings.push(finding);
            }
        }
    }
}

/// What its memory says of the freeze, beside what its node says.
fn with_times(report: InspectionReport, looked: &Looked) -> Vec<Finding> {
    let memory = u64::try_from(report.memory_bytes).unwrap_or(0);
    let times = looked
        .pod
        .as_ref()
        .map(|pod| of_freeze(pod, memory, looked.patience));
    let mut findings = report.findings;
    findings.extend(times.into_iter().flatten());
    findings
}

/// With what was found out.
fn noted(status: &MigrationStatus, looked: &Looked) -> MigrationStatus {
    MigrationStatus {
        preflight: Some(Preflight {
            node: looked.target.clone(),
            findings: told(looked.findings.clone()),
            nodes: looked.nodes.clone(),
        }),
        ..status.clone()
    }
}

fn later(status: &MigrationStatus, why: String) -> MigrationStatus {
    MigrationStatus {
        waiting: Some(why),
        ..status.clone()
    }
}

fn refused(status: &MigrationStatus, why: String) -> MigrationStatus {
    let mut next = status.clone();
    next.stage = Stage::Closed;
    next.waiting = None;
    next.decision.outcome = Outcome::Failed;
    next.given_up = Some(why);
    next
}
