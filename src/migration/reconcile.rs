//! Moves pods: observe, plan, act. What decides is written over what it was decided on; all else may be done twice.

mod acting;
mod beginning;
mod seating;

use crate::agent::api::StateTask;
use crate::kit::error::{Error, chain, unless_gone};
use crate::kit::finalizers::finalizers;
use crate::kit::names;
use crate::migration::api::{Journey, Migration, MigrationStatus, Phase, Stage};
use crate::migration::hands::Hands;
use crate::migration::images::Fault;
use crate::migration::observing::Eyes;
use crate::migration::plan::{ImagesSeen, Observed, Step, Stop, TaskSeen, plan};
use crate::migration::sight::Sight;
use crate::migration::summary::Aside;
use crate::migration::{fetching, herding, many, summary};
use crate::node::agents::Agents;
use crate::node::lease::desk::Desk;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::flags::MoveFlags;
use crate::process::runner::{Runner, every, slow_look};
use crate::process::telemetry::MigrationMetrics;
use crate::process::writes;
use crate::write_steps;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

write_steps! {
    /// The finalizer, before anything is touched.
    HOLD,
    /// The status of a Migration: what was decided.
    STATUS,
    /// An event on a Migration.
    EVENT,
    /// The finalizer, when nothing is left to do.
    RELEASE,
}

const NAME: &str = "migration";
/// How often a Migration is looked at that waits for pods and nodes: of pods nothing is watched.
const LOOK: Duration = Duration::from_secs(1);
/// The same of one that waits for its turn: all that there is is looked at anew then.
const LATER: Duration = Duration::from_secs(5);

/// What the controller works with.
pub(crate) struct Means {
    pub(crate) clients: Clients,
    pub(crate) recorder: Recorder,
    pub(crate) agents: Agents,
    pub(crate) desk: Desk,
    pub(crate) limits: MoveFlags,
}

struct Context {
    client: Client,
    recorder: Recorder,
    agents: Agents,
    /// The Leases of nodes.
    desk: Desk,
    limits: MoveFlags,
    metrics: MigrationMetrics,
    /// Held from the look at the others until it is written that one more begins.
    beginning: Mutex<()>,
}

/// Runs until the runner stops.
pub(crate) async fn run(runner: Runner, means: Means) -> Result<(), Error> {
    let Means {
        clients,
        recorder,
        agents,
        desk,
        limits,
    } = means;
    let client = clients.api;
    let migrations: Api<Migration> = Api::all(client.clone());
    let tasks: Api<StateTask> = Api::all(client.clone());
    let context = Arc::new(Context {
        client,
        recorder,
        agents,
        desk,
        limits,
        metrics: runner.telemetry.migrations.clone(),
        beginning: Mutex::default(),
    });
    let controller = every(migrations.clone())
        .owns(migrations, watcher::Config::default())
        .owns(tasks, watcher::Config::default());
    runner.run(NAME, controller, context, reconcile).await
}

/// 1. One that is new is looked at whole: refused, or begun.
/// 2. One that has begun is observed, and the plan's steps are done in their order.
/// 3. It is looked at again soon while it moves, slowly when it has ended.
async fn reconcile(migration: Arc<Migration>, context: Arc<Context>) -> Result<Action, Error> {
    let key = migration.name_any();
    let pass = Pass {
        eyes: Eyes {
            client: context.client.clone(),
            namespace: migration.namespace().unwrap_or_default(),
        },
        migration: &migration,
        hands: Hands {
            client: context.client.clone(),
            namespace: migration.namespace().unwrap_or_default(),
        },
        context: &context,
    };
    let next = Box::pin(pass.run()).await?;
    Ok(Action::requeue(match next {
        Next::Soon => LOOK,
        Next::Later => LATER,
        Next::Over => slow_look(&key),
    }))
}

/// When a Migration is looked at again.
enum Next {
    Soon,
    /// Others go first.
    Later,
    /// Nothing is left to be done.
    Over,
}

/// One pass over one Migration.
struct Pass<'a> {
    eyes: Eyes,
    hands: Hands,
    migration: &'a Migration,
    context: &'a Context,
}

impl Pass<'_> {
    async fn run(&self) -> Result<Next, Error> {
        let status = self.migration.status.clone().unwrap_or_default();
        if many::is_of_many(&self.migration.spec) {
            return Box::pin(self.herd(&status)).await;
        }
        let Some(journey) = &status.journey else {
            return Box::pin(self.begin(&status)).await;
        };
        let mut course = journey.course(&self.operation(), &self.migration.spec);
        let sight = Box::pin(self.eyes.sight(self.migration, journey)).await?;
        let (candidates, proof) = (
            sight.candidates(self.migration),
            sight.proof(self.migration),
        );
        let [source, target] = sight.answers();
        course.target_address = self.address(journey, source).await?;
        let fault = sight.image_fault(self.migration, clock::now());
        let observed = Observed {
            course: &course,
            status: &status,
            refusal: None,
            is_deleting: self.migration.metadata.deletion_timestamp.is_some(),
            stop: self.stop(&source, &sight),
            images: ImagesSeen {
                fault: fault.as_ref().and_then(Fault::over),
                are_fetched: fetching::has_fetched(&course, sight.fetcher.as_ref()),
            },
            is_source_lost: sight.is_source_lost(),
            source_pod: sight.source_pod(&course.operation),
            pods: &candidates,
            source,
            target,
            target_proof: proof.as_ref(),
            is_target_silent: sight.is_target_silent(),
            rules: crate::hold::rules::Rules::ALL,
        };
        let steps = plan(&observed);
        let decides = steps.iter().any(|step| matches!(step, Step::Status(_)));
        let is_over = status.stage == Stage::Closed && !decides;
        let mut aside = sight.aside(self.migration);
        aside.pulling = fault.as_ref().and_then(Fault::yet).map(str::to_owned);
        match Box::pin(self.do_all(steps, &observed, &sight)).await {
            Ok(()) => {}
            // The nodes follow their records; all pods of the namespace go.
            Err(error) if observed.is_deleting && error.is_of_what_goes() => {
                self.release().await?;
                return Ok(Next::Over);
            }
            Err(error) => {
                // Whoever waits for it learns why it does not go on.
                if error.is_refused() {
                    aside.refused = Some(chain(&error));
                    self.tell(&observed, &aside, &status).await?;
                }
                return Err(error);
            }
        }
        if !decides {
            self.tell(&observed, &aside, &status).await?;
        }
        Ok(if is_over { Next::Over } else { Next::Soon })
    }

    /// The plan's steps, in their order; then, if nothing was decided, what is to be done about images.
    async fn do_all(
        &self,
        steps: Vec<Step>,
        observed: &Observed<'_>,
        sight: &Sight,
    ) -> Result<(), Error> {
        let decides = steps.iter().any(|step| matches!(step, Step::Status(_)));
        for step in steps {
            Box::pin(self.act(step, observed, sight)).await?;
        }
        if decides {
            return Ok(());
        }
        Box::pin(self.fetch(observed, sight)).await
    }

    /// Where the target's agent is. One that is away for a moment is where it was.
    async fn address(
        &self,
        journey: &Journey,
        source: TaskSeen<'_>,
    ) -> Result<Option<String>, Error> {
        let context = self.context;
        let now = context
            .agents
            .address(&context.client, &journey.target_node)
            .await?;
        let before = source
            .spec
            .and_then(|spec| spec.source.as_ref()?.target_address.clone());
        Ok(now.or(before))
    }

    fn operation(&self) -> String {
        self.migration.uid().unwrap_or_default()
    }

    /// Before the freeze it may take so long, and no longer.
    fn stop(&self, source: &TaskSeen<'_>, sight: &Sight) -> Option<Stop> {
        if self.is_late(source) {
            return Some(Stop::Late);
        }
        sight.is_unwanted.then_some(Stop::Unwanted)
    }

    fn is_late(&self, source: &TaskSeen<'_>) -> bool {
        use crate::agent::api::SourceStanding;
        let standing = source.source.map(|report| report.standing);
        let is_early = matches!(standing, None | Some(SourceStanding::Idle));
        let began = self.migration.status.as_ref();
        let began = began.and_then(|status| status.began_at.as_ref());
        let age =
            began.and_then(|began| Duration::try_from(clock::now().duration_since(began.0)).ok());
        is_early && age.is_some_and(|age| age > self.migration.spec.time())
    }

    /// Its pods move by Migrations of their own.
    async fn herd(&self, status: &MigrationStatus) -> Result<Next, Error> {
        let (eyes, hands) = (&self.eyes, &self.hands);
        let next = herding::look_after(eyes, hands, self.migration, self.stamp()).await?;
        if next.stage == Stage::Closed && next.children.is_empty() {
            let course = Journey::default().course(&self.operation(), &self.migration.spec);
            let observed = Observed::nothing(&course, &next);
            self.tell(&observed, &Aside::default(), &next).await?;
        } else if next != *status {
            self.put(next.clone()).await?;
        }
        Ok(match next.stage {
            Stage::Closed => Next::Over,
            _ => Next::Soon,
        })
    }

    fn stamp(&self) -> (Option<i64>, jiff::Timestamp) {
        (self.migration.metadata.generation, clock::now())
    }

    /// What people are told may change though nothing is decided.
    async fn tell(
        &self,
        observed: &Observed<'_>,
        aside: &Aside,
        status: &MigrationStatus,
    ) -> Result<(), Error> {
        let (told, notice) = summary::told(observed, status, aside, self.stamp());
        if Some(&told) != self.migration.status.as_ref() {
            self.put(told).await?;
        }
        self.announce(notice).await;
        Ok(())
    }

    fn migrations(&self) -> Api<Migration> {
        Api::namespaced(self.context.client.clone(), &self.eyes.namespace)
    }

    async fn put(&self, status: MigrationStatus) -> Result<(), Error> {
        let mut next = self.migration.clone();
        let before = next.status.take();
        next.status = Some(status);
        let put = writes::replace_status(&self.migrations(), (&STATUS).into(), &next).await;
        put.map(|_stored| self.count(before.as_ref(), next.status.as_ref()))
    }

    /// One that has just come to its end. Those of many pods are counted one by one.
    fn count(&self, before: Option<&MigrationStatus>, now: Option<&MigrationStatus>) {
        let was_over = before.is_some_and(|before| before.phase.is_over());
        let Some(now) = now.filter(|now| now.phase.is_over() && !was_over) else {
            return;
        };
        if many::is_of_many(&self.migration.spec) {
            return;
        }
        let outcome = match now.phase {
            Phase::Succeeded => "succeeded",
            Phase::RolledBack => "rolled_back",
            _ => "failed",
        };
        let millis = now.frozen_millis.filter(|_| now.phase == Phase::Succeeded);
        let frozen = millis.and_then(|millis| u64::try_from(millis).ok());
        self.context
            .metrics
            .ended(outcome, frozen.map(Duration::from_millis));
    }

    fn is_held(&self) -> bool {
        self.migration
            .finalizers()
            .iter()
            .any(|one| one == names::MIGRATION_FINALIZER)
    }

    async fn hold(&self) -> Result<(), Error> {
        let fields = finalizers(self.migration, names::MIGRATION_FINALIZER, true);
        writes::merge(&self.migrations(), (&HOLD).into(), self.migration, fields)
            .await
            .map(drop)
    }

    async fn release(&self) -> Result<(), Error> {
        self.unask().await?;
        if !self.is_held() {
            return Ok(());
        }
        self.rise_at_last().await?;
        let fields = finalizers(self.migration, names::MIGRATION_FINALIZER, false);
        unless_gone(
            writes::merge(
                &self.migrations(),
                (&RELEASE).into(),
                self.migration,
                fields,
            )
            .await,
        )
    }
}

#[cfg(test)]
mod tests;
