//! Keeps pods at their share, and the status of templates true: observe, plan, act, report.

use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::runner::{Runner, every, slow_look};
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::sizing::acting::Hands;
use crate::sizing::api::{FlexDaemonsetTemplate, PodCounts};
use crate::sizing::cache::Caches;
use crate::sizing::missing::{self, reference};
use crate::sizing::observed::{Crew, Observed};
use crate::sizing::observing::{crews, place};
use crate::sizing::plan::{Circumstances, Plan, Report, plan, report};
use crate::sizing::quota;
use crate::sizing::recipe::Recipe;
use crate::sizing::summary::Shortfall;
use crate::sizing::tried::Memory;
use crate::sizing::triggers::{Neighbourhood, triggers};
use crate::write_steps;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::ListParams;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// The status of a template.
    STATUS,
    /// An event on a template.
    EVENT,
    /// An event on a DaemonSet.
    DAEMONSET_EVENT,
}

const NAME: &str = "sizing";
const MANAGER: &str = "flexdaemonsets.xai/sizing";
/// When it is looked whether the caches are filled.
const FILLING: Duration = Duration::from_secs(1);
/// More quotas than this in one namespace are not looked through.
const MOST_QUOTAS: u32 = 50;

/// What the controller works with.
pub(crate) struct Means {
    pub(crate) clients: Clients,
    pub(crate) recorder: Recorder,
    pub(crate) caches: Arc<Caches>,
}

struct Context {
    client: Client,
    templates: Api<FlexDaemonsetTemplate>,
    recorder: Recorder,
    caches: Arc<Caches>,
    neighbourhood: Arc<Neighbourhood>,
    hands: Hands,
    counts: Mutex<HashMap<String, PodCounts>>,
}

/// Runs until the runner stops. Meanwhile pods are remembered.
pub(crate) async fn run(runner: Runner, means: Means) -> Result<(), Error> {
    let Means {
        clients,
        recorder,
        caches,
    } = means;
    let context = Arc::new(Context {
        client: clients.api.clone(),
        templates: Api::all(clients.api.clone()),
        recorder: recorder.clone(),
        caches: Arc::clone(&caches),
        neighbourhood: Arc::default(),
        hands: Hands {
            client: clients.api,
            memory: Memory::default(),
            metrics: runner.telemetry.sizing.clone(),
        },
        counts: Mutex::default(),
    });
    let heard = {
        let context = Arc::clone(&context);
        move || context.count(None)
    };
    let triggers = triggers(
        Arc::clone(&caches),
        Arc::clone(&context.neighbourhood),
        heard,
    );
    let controller = every(context.templates.clone()).reconcile_on(triggers);
    // Pods are forgotten only after the last pass: one that sees none would say so.
    let done = CancellationToken::new();
    let work = async {
        let _ends_the_rest = done.clone().drop_guard();
        runner.run(NAME, controller, context, reconcile).await
    };
    let pods = Arc::clone(&caches).run_pods(clients.once, done.clone());
    let (worked, (), ()) = tokio::join!(
        work,
        pods,
        missing::run(Arc::clone(&caches), recorder, done.clone())
    );
    worked
}

/// 1. A template that is being deleted is left alone: nothing of ours is held for it.
/// 2. Pods are resized or deleted, as far as the plan goes now.
/// 3. The status is applied if it says something new, and told if it changed.
async fn reconcile(
    template: Arc<FlexDaemonsetTemplate>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if template.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let caches = &context.caches;
    if let Err(missing) = caches.are_synced().and_then(|()| caches.are_pods_synced()) {
        tracing::debug!(controller = NAME, missing, "waiting for the caches");
        return Ok(Action::requeue(FILLING));
    }
    let seen = context.observe(&template);
    let mut plan = plan(&seen);
    let acted = context.hands.act(&seen, &mut plan).await;
    let (circumstances, looked) = context.circumstances(&template, &seen).await;
    let report = report(&template, &seen, &plan, &circumstances);
    let said = context.say(&template, &seen, &report).await;
    acted.and(looked).and(said)?;
    Ok(Action::requeue(next_look(&template, &seen, &plan)))
}

fn next_look(template: &FlexDaemonsetTemplate, seen: &Observed, plan: &Plan) -> Duration {
    let slow = slow_look(&template.name_any());
    let again = plan.again().map(|time| time.duration_since(seen.now));
    // A moment later, so that the time has surely come.
    let again = again.and_then(|time| Duration::try_from(time).ok());
    again.map_or(slow, |again| {
        slow.min(again.saturating_add(Duration::from_secs(1)))
    })
}

impl Context {
    fn observe(&self, template: &FlexDaemonsetTemplate) -> Observed {
        let recipe = Recipe::read(&template.spec);
        let name = template.name_any();
        let neighbours = self.neighbourhood.get(&self.caches);
        let now = clock::now();
        Observed {
            crews: crews(
                (&name, recipe.as_ref().ok()),
                &self.caches,
                &neighbours,
                &self.hands.memory,
            ),
            recipe,
            created: template.creation_timestamp().map_or(now, |time| time.0),
            refusal: self.hands.memory.refusal(),
            now,
        }
    }

    /// What is known besides pods; and, where quotas could not be looked at, the error.
    async fn circumstances(
        &self,
        template: &FlexDaemonsetTemplate,
        seen: &Observed,
    ) -> (Circumstances, Result<(), Error>) {
        let neighbours = self.neighbourhood.get(&self.caches);
        let mut circumstances = Circumstances {
            overcommitment: neighbours.overcommitment(&template.name_any()),
            shortfalls: Vec::new(),
        };
        let mut looked = Ok(());
        for (at, crew) in seen.crews.iter().enumerate() {
            match self.shortfall(at, crew, seen).await {
                Ok(shortfall) => circumstances.shortfalls.extend(shortfall),
                Err(error) => looked = looked.and(Err(error)),
            }
        }
        (circumstances, looked)
    }

    /// Pods that are missing because of a quota.
    async fn shortfall(
        &self,
        at: usize,
        crew: &Crew,
        seen: &Observed,
    ) -> Result<Option<Shortfall>, Error> {
        let rollout = &crew.view.rollout;
        let missing = rollout.desired.saturating_sub(rollout.scheduled);
        let (Ok(recipe), Ok(pods @ 1..)) = (&seen.recipe, usize::try_from(missing)) else {
            return Ok(None);
        };
        if crew.exclusion.is_some() {
            return Ok(None);
        }
        let Some((name, node)) = self.empty_node(crew) else {
            return Ok(None);
        };
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &crew.namespace);
        let params = ListParams::default().limit(MOST_QUOTAS);
        let what = format!("resourcequotas of {}", crew.namespace);
        let quotas = bounded(CALL_LIMIT, "list", what, quotas.list(&params)).await?;
        let neighbours = self.neighbourhood.get(&self.caches);
        let place = place(Some(recipe), &name, node, &neighbours);
        let refusal = place.and_then(|place| quota::refusal(&quotas.items, crew, recipe, &place));
        Ok(refusal.map(|message| Shortfall {
            crew: at,
            pods,
            node: name,
            message,
        }))
    }

    /// The first node, by name, that the DaemonSet has no pod on.
    fn empty_node(&self, crew: &Crew) -> Option<(String, Arc<crate::sizing::view::NodeView>)> {
        let here = crew.pods.iter().filter(|pod| pod.is_here());
        let taken: BTreeSet<_> = here.filter_map(|pod| pod.view.node.as_deref()).collect();
        let mut first = None::<(String, _)>;
        self.caches.each_node(|name, node| {
            let is_first = first
                .as_ref()
                .is_none_or(|(known, _)| name < known.as_str());
            if is_first && !taken.contains(name) && crew.view.landing.is_on(name, node) {
                first = Some((name.to_owned(), Arc::clone(node)));
            }
        });
        first
    }

    async fn say(
        &self,
        template: &FlexDaemonsetTemplate,
        seen: &Observed,
        report: &Report,
    ) -> Result<(), Error> {
        let name = template.name_any();
        self.count(Some((&name, report.pods)));
        if let Some(status) = &report.status {
            let call = (&STATUS).into();
            let applied = writes::apply_status(&self.templates, call, MANAGER, &name, status);
            match applied.await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for notice in &report.notices {
            tracing::info!(controller = NAME, %name, reason = notice.reason, "{}", notice.note);
            writes::tell(&self.recorder, (&EVENT).into(), template, notice).await;
        }
        for (at, notice) in &report.crew_notices {
            let Some(crew) = seen.crews.get(*at) else {
                continue;
            };
            tracing::info!(controller = NAME, %name, namespace = %crew.namespace, daemonset = %crew.name, reason = notice.reason, "{}", notice.note);
            let regarding = reference(&crew.namespace, &crew.name, &crew.view.uid);
            let call = (&DAEMONSET_EVENT).into();
            writes::tell_about(&self.recorder, call, &regarding, notice).await;
        }
        Ok(())
    }

    /// Counts pods over all templates that are there.
    fn count(&self, one: Option<(&str, PodCounts)>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|name, _| self.caches.template(name).is_some());
        if let Some((name, pods)) = one {
            counts.insert(name.to_owned(), pods);
        }
        for (state, pods) in [
            ("sized", (|pods| pods.sized) as fn(&PodCounts) -> i32),
            ("unsized", |pods| pods.unsized_pods),
            ("stale", |pods| pods.stale),
            ("resizing", |pods| pods.resizing),
            ("needs_recreate", |pods| pods.needs_recreate),
        ] {
            let all = counts.values().map(|one| i64::from(pods(one)));
            let sum = all.fold(0_i64, i64::saturating_add);
            self.hands.metrics.stand(state, sum);
        }
    }
}

#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;
