//! Moves pods: observe, plan, act. What decides is written over what it was decided on; all else may be done twice.

use crate::agent::api::{StateTask, StateTaskSpec};
use crate::kit::error::Error;
use crate::kit::names;
use crate::migration::api::{Journey, Migration, MigrationStatus, Outcome, Stage};
use crate::migration::beginning::{Beginning, begin};
use crate::migration::observing::{Eyes, Sight, task_name};
use crate::migration::plan::{Course, Observed, SourcePod, Step, TaskSeen, plan};
use crate::migration::{pods, summary};
use crate::node::agents::Agents;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::runner::{Runner, every, slow_look};
use crate::process::writes;
use crate::write_steps;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

write_steps! {
    /// The finalizer, before anything is touched.
    HOLD,
    /// The status of a Migration: what was decided.
    STATUS,
    /// An event on a Migration.
    EVENT,
    /// A node's orders are made.
    TASK,
    /// A node's orders are changed.
    ORDER,
    /// A pod is taken from its owner.
    DETACH,
    /// It is given back.
    ATTACH,
    /// A pod's gate is lifted.
    LIFT,
    /// A pod is deleted.
    POD,
    /// A node's orders are deleted.
    DELETE_TASK,
    /// The finalizer, when nothing is left to do.
    RELEASE,
}

const NAME: &str = "migration";
/// How often a Migration is looked at that waits for pods and nodes: of pods nothing is watched.
const LOOK: Duration = Duration::from_secs(1);

/// What the controller works with.
pub(crate) struct Means {
    pub(crate) clients: Clients,
    pub(crate) recorder: Recorder,
    pub(crate) agents: Agents,
}

struct Context {
    client: Client,
    recorder: Recorder,
    agents: Agents,
}

/// Runs until the runner stops.
pub(crate) async fn run(runner: Runner, means: Means) -> Result<(), Error> {
    let Means {
        clients,
        recorder,
        agents,
    } = means;
    let client = clients.api;
    let migrations: Api<Migration> = Api::all(client.clone());
    let tasks: Api<StateTask> = Api::all(client.clone());
    let context = Arc::new(Context {
        client,
        recorder,
        agents,
    });
    let controller = every(migrations).owns(tasks, watcher::Config::default());
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
        context: &context,
    };
    let is_over = Box::pin(pass.run()).await?;
    Ok(Action::requeue(if is_over {
        slow_look(&key)
    } else {
        LOOK
    }))
}

/// One pass over one Migration.
struct Pass<'a> {
    eyes: Eyes,
    migration: &'a Migration,
    context: &'a Context,
}

impl Pass<'_> {
    async fn run(&self) -> Result<bool, Error> {
        let status = self.migration.status.clone().unwrap_or_default();
        let Some(journey) = &status.journey else {
            return Box::pin(self.begin(&status)).await;
        };
        let mut course = journey.course(&self.operation(), &self.migration.spec);
        let sight = self.eyes.sight(self.migration, journey).await?;
        let (candidates, proof) = (sight.candidates(self.migration), sight.proof());
        let [source, target] = sight.answers();
        course.target_address = self.address(journey, source).await?;
        let observed = Observed {
            course: &course,
            status: &status,
            refusal: None,
            is_deleting: self.migration.metadata.deletion_timestamp.is_some(),
            is_late: self.is_late(&source),
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
        for step in steps {
            Box::pin(self.act(step, &observed, &sight)).await?;
        }
        if !decides {
            self.tell(&observed, &status).await?;
        }
        Ok(is_over)
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
    fn is_late(&self, source: &TaskSeen<'_>) -> bool {
        use crate::agent::api::SourceStanding;
        let standing = source.source.map(|report| report.standing);
        let is_early = matches!(standing, None | Some(SourceStanding::Idle));
        let made = self.migration.meta().creation_timestamp.as_ref();
        let age =
            made.and_then(|made| Duration::try_from(clock::now().duration_since(made.0)).ok());
        is_early && age.is_some_and(|age| age > self.migration.spec.time())
    }

    async fn begin(&self, status: &MigrationStatus) -> Result<bool, Error> {
        if status.stage == Stage::Closed {
            // It was refused; nothing was touched.
            self.release().await?;
            return Ok(true);
        }
        let next = match Box::pin(begin(&self.eyes, self.migration)).await? {
            Beginning::Refused(why) => refused(status, why),
            Beginning::Begun(journey) => {
                if !self.is_held() {
                    self.hold().await?;
                    return Ok(false);
                }
                MigrationStatus {
                    journey: Some(*journey),
                    stage: Stage::Begun,
                    ..status.clone()
                }
            }
        };
        let course = next
            .journey
            .clone()
            .unwrap_or_default()
            .course(&self.operation(), &self.migration.spec);
        let observed = nothing_seen(&course, &next);
        let (told, notice) = summary::told(&observed, &next, self.stamp());
        self.put(told).await?;
        if let Some(notice) = notice {
            writes::tell(
                &self.context.recorder,
                (&EVENT).into(),
                self.migration,
                &notice,
            )
            .await;
        }
        Ok(false)
    }

    fn stamp(&self) -> (Option<i64>, jiff::Timestamp) {
        (self.migration.metadata.generation, clock::now())
    }

    async fn tell(&self, observed: &Observed<'_>, status: &MigrationStatus) -> Result<(), Error> {
        let (told, notice) = summary::told(observed, status, self.stamp());
        if told != *status {
            self.put(told).await?;
        }
        if let Some(notice) = notice {
            writes::tell(
                &self.context.recorder,
                (&EVENT).into(),
                self.migration,
                &notice,
            )
            .await;
        }
        Ok(())
    }

    fn migrations(&self) -> Api<Migration> {
        Api::namespaced(self.context.client.clone(), &self.eyes.namespace)
    }

    fn tasks(&self) -> Api<StateTask> {
        Api::namespaced(self.context.client.clone(), &self.eyes.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.context.client.clone(), &self.eyes.namespace)
    }

    async fn put(&self, status: MigrationStatus) -> Result<(), Error> {
        let mut next = self.migration.clone();
        next.status = Some(status);
        writes::replace_status(&self.migrations(), (&STATUS).into(), &next)
            .await
            .map(drop)
    }

    fn is_held(&self) -> bool {
        self.migration
            .finalizers()
            .iter()
            .any(|one| one == names::MIGRATION_FINALIZER)
    }

    async fn hold(&self) -> Result<(), Error> {
        let fields = finalizers(self.migration, true);
        writes::merge(&self.migrations(), (&HOLD).into(), self.migration, fields)
            .await
            .map(drop)
    }

    async fn release(&self) -> Result<(), Error> {
        if !self.is_held() {
            return Ok(());
        }
        let fields = finalizers(self.migration, false);
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

    async fn act(&self, step: Step, observed: &Observed<'_>, sight: &Sight) -> Result<(), Error> {
        let status = observed.status;
        let journey = status.journey.clone().unwrap_or_default();
        match step {
            Step::Status(next) => {
                let (told, notice) = summary::told(observed, &next, self.stamp());
                self.put(told).await?;
                if let Some(notice) = notice {
                    writes::tell(
                        &self.context.recorder,
                        (&EVENT).into(),
                        self.migration,
                        &notice,
                    )
                    .await;
                }
                Ok(())
            }
            Step::Task(spec) => self.order(*spec, sight).await,
            Step::Detach => match (&sight.source, &journey.owner) {
                (Some(pod), Some(owner)) => {
                    self.change(
                        &DETACH,
                        pod,
                        pods::detach(owner, &observed.course.operation),
                    )
                    .await
                }
                _ => Ok(()),
            },
            Step::Attach => match (&sight.source, &journey.owner) {
                (Some(pod), Some(owner)) => {
                    self.change(&ATTACH, pod, pods::attach(owner, sight.has_replica_set))
                        .await
                }
                _ => Ok(()),
            },
            Step::LiftGate(binding) => match sight.pod(&binding.pod_uid) {
                Some(pod) => {
                    self.change(
                        &LIFT,
                        pod,
                        pods::lift(pod, &binding, &observed.course.operation),
                    )
                    .await
                }
                None => Ok(()),
            },
            Step::DeletePod(uid) => match sight.pod(&uid) {
                Some(pod) => unless_gone(
                    writes::delete(&self.pods(), (&POD).into(), (&pod.name_any(), &uid)).await,
                ),
                None => Ok(()),
            },
            Step::DeleteTask(node) => self.delete_task(&node, sight).await,
            Step::Finish => self.release().await,
            // No pod is refused for it: `begin` refuses what nobody owns.
            Step::CreatePod => Ok(()),
        }
    }

    /// As it was seen: another uid, or another version, is another pod.
    async fn change(
        &self,
        call: &'static crate::process::faults::Step,
        pod: &Pod,
        fields: Value,
    ) -> Result<(), Error> {
        writes::merge(&self.pods(), call.into(), pod, fields)
            .await
            .map(drop)
    }

    async fn order(&self, spec: StateTaskSpec, sight: &Sight) -> Result<(), Error> {
        let name = task_name(self.migration, &spec.node_name);
        let seen = sight
            .tasks
            .iter()
            .flatten()
            .find(|task| task.spec.node_name == spec.node_name);
        if let Some(task) = seen {
            let next = StateTask {
                spec,
                ..task.clone()
            };
            return writes::replace(&self.tasks(), (&ORDER).into(), &next)
                .await
                .map(drop);
        }
        let mut task = StateTask::new(&name, spec);
        task.metadata.namespace = Some(self.eyes.namespace.clone());
        task.metadata.owner_references = self
            .migration
            .controller_owner_ref(&())
            .map(|owner| vec![owner]);
        task.metadata.labels = Some([(names::OPERATION_LABEL.to_owned(), self.operation())].into());
        writes::create(&self.tasks(), (&TASK).into(), &task)
            .await
            .map(drop)
    }

    async fn delete_task(&self, node: &str, sight: &Sight) -> Result<(), Error> {
        let seen = sight
            .tasks
            .iter()
            .flatten()
            .find(|task| task.spec.node_name == node);
        let Some(task) = seen else {
            return Ok(());
        };
        let (name, uid) = (task.name_any(), task.uid().unwrap_or_default());
        unless_gone(writes::delete(&self.tasks(), (&DELETE_TASK).into(), (&name, &uid)).await)
    }
}

fn refused(status: &MigrationStatus, why: String) -> MigrationStatus {
    let mut next = status.clone();
    next.stage = Stage::Closed;
    next.decision.outcome = Outcome::Failed;
    next.given_up = Some(why);
    next
}

/// Before anything was asked, nothing is answered.
fn nothing_seen<'a>(course: &'a Course, status: &'a MigrationStatus) -> Observed<'a> {
    Observed {
        course,
        status,
        refusal: None,
        is_deleting: false,
        is_late: false,
        source_pod: SourcePod::Gone,
        pods: &[],
        source: TaskSeen::default(),
        target: TaskSeen::default(),
        target_proof: None,
        is_target_silent: false,
        rules: crate::hold::rules::Rules::ALL,
    }
}

/// The finalizers of an object, with ours or without it.
fn finalizers(object: &impl ResourceExt, is_held: bool) -> Value {
    let others = object.finalizers().iter().map(String::as_str);
    let others = others.filter(|one| *one != names::MIGRATION_FINALIZER);
    let ours = is_held.then_some(names::MIGRATION_FINALIZER);
    let all: Vec<_> = others.chain(ours).collect();
    json!({ "metadata": { "finalizers": all } })
}

/// What is gone already need not be taken away.
fn unless_gone<T>(done: Result<T, Error>) -> Result<(), Error> {
    match done {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
