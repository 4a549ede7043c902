//! The one table of what Holdfast consists of: each slice with its CRDs, controllers, webhooks and writes. Whoever adds a slice adds a line here.

pub mod agent;
mod cluster;
mod door;
mod manager;
mod parts;
pub mod serve;

use crate::agent::answers::admitted;
use crate::agent::api::StateTask;
use crate::agent::hands;
use crate::agent::holds;
use crate::agent::peers::certificate;
use crate::agent::preparing;
use crate::agent::store::incoming;
use crate::agent::store::release;
use crate::agent::tasks::pass;
use crate::checkpoint;
use crate::checkpoint::api::Checkpoint;
use crate::hold::shelf;
use crate::host;
use crate::kit::error::Error;
use crate::kit::names;
use crate::migration;
use crate::migration::api::Migration;
use crate::migration::gate::Successors;
use crate::node::agents::Agents;
use crate::node::lease::desk::{self, Desk};
use crate::oci::cgroups::kill;
use crate::process::clients::Clients;
use crate::process::faults::Step;
use crate::process::flags::{KeepFlags, MoveFlags};
use crate::process::health::Health;
use crate::process::installation::Installation;
use crate::process::runner::Runner;
use crate::process::telemetry::Telemetry;
use crate::process::{installation, leader, teardown};
use crate::runtime::{asking, create, delete, guard};
use crate::signer;
use crate::sizing;
use crate::sizing::api::FlexDaemonsetTemplate;
use crate::sizing::cache::Caches;
use crate::sizing::reconcile::Means;
use crate::sizing::running;
use crate::webhook::endpoint::Endpoint;
use crate::webhook::{rollover, store};
use futures::future::BoxFuture;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use kube::api::{ApiResource, GroupVersionKind};
use kube::runtime::events::{Recorder, Reporter};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One capability.
struct Slice {
    crds: fn() -> Vec<CustomResourceDefinition>,
    begin: fn(&Ground) -> Part,
    steps: &'static [&'static [Step]],
}

/// What a manager stands on, and its slices are given when it starts.
pub(crate) struct Ground {
    pub(crate) clients: Clients,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) health: Arc<Health>,
    pub(crate) namespace: String,
    pub(crate) installation: Option<Installation>,
    pub(crate) moves: MoveFlags,
    pub(crate) keep: KeepFlags,
    pub(crate) stop: CancellationToken,
}

impl Ground {
    /// The agents of this installation.
    fn agents(&self) -> Agents {
        let installation = self.installation.as_ref();
        let installation = installation.map_or("holdfast", Installation::name);
        Agents {
            namespace: self.namespace.clone(),
            account: format!("{installation}-agent"),
        }
    }
}

type Controller =
    Box<dyn Fn(Runner, Recorder) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;
type Kept = BoxFuture<'static, ()>;

/// What of a slice runs in one manager.
pub(crate) struct Part {
    /// Reviews that it answers, on every replica. What each does when it cannot answer, and why, stands in the chart's
    /// webhook configurations: shares fail open, since a DaemonSet may be what a node needs to come up.
    pub(crate) endpoints: Vec<Arc<dyn Endpoint>>,
    /// What it knows, kept on every replica until the stop; never ends before.
    pub(crate) keep: Box<dyn FnOnce(CancellationToken) -> Kept + Send + Sync>,
    /// What it does, on the leader.
    pub(crate) control: Controller,
}

const SLICES: &[Slice] = &[
    Slice {
        crds: || vec![FlexDaemonsetTemplate::crd()],
        begin: begin_sizing,
        steps: &[
            sizing::acting::STEPS,
            sizing::missing::STEPS,
            sizing::reconcile::STEPS,
        ],
    },
    Slice {
        crds: || vec![Checkpoint::crd(), StateTask::crd()],
        begin: begin_checkpoints,
        steps: &[
            checkpoint::reconcile::STEPS,
            checkpoint::keeping::STEPS,
            checkpoint::request::STEPS,
        ],
    },
    Slice {
        crds: Vec::new,
        begin: begin_signing,
        steps: &[signer::reconcile::STEPS],
    },
    Slice {
        crds: || vec![Migration::crd()],
        begin: begin_migrations,
        steps: &[
            migration::reconcile::STEPS,
            migration::hands::STEPS,
            migration::request::STEPS,
        ],
    },
];

fn begin_sizing(ground: &Ground) -> Part {
    let Ground {
        clients,
        telemetry,
        health,
        namespace,
        ..
    } = ground;
    let caches = Caches::new(Arc::clone(telemetry), namespace);
    let endpoints = running::endpoints(&caches, clients, telemetry);
    let (health, kept) = (Arc::clone(health), Arc::clone(&caches));
    let (clients, once) = (clients.clone(), clients.clone());
    Part {
        endpoints,
        keep: Box::new(move |stop| Box::pin(running::keep(kept, once, health, stop))),
        control: Box::new(move |runner, recorder| {
            let means = Means {
                clients: clients.clone(),
                recorder,
                caches: Arc::clone(&caches),
            };
            Box::pin(sizing::reconcile::run(runner, means))
        }),
    }
}

/// They are looked at by the leader alone, and nobody is asked about them at their admission: the rules stand in their schemas.
fn begin_checkpoints(ground: &Ground) -> Part {
    let (clients, agents) = (ground.clients.clone(), ground.agents());
    let limits = ground.keep;
    Part {
        endpoints: Vec::new(),
        keep: Box::new(|stop| Box::pin(stop.cancelled_owned())),
        control: Box::new(move |runner, recorder| {
            let means = checkpoint::reconcile::Means {
                clients: clients.clone(),
                recorder,
                agents: agents.clone(),
                limits,
            };
            Box::pin(checkpoint::reconcile::run(runner, means))
        }),
    }
}

/// One signs at a time: a roll-over of the authority is decided from what was signed.
fn begin_signing(ground: &Ground) -> Part {
    let (client, namespace) = (ground.clients.once.clone(), ground.namespace.clone());
    let installation = ground.installation.clone();
    Part {
        endpoints: Vec::new(),
        keep: Box::new(|stop| Box::pin(stop.cancelled_owned())),
        control: Box::new(move |runner, _recorder| {
            let means = signer::reconcile::Means {
                client: client.clone(),
                namespace: namespace.clone(),
                installation: installation.clone(),
            };
            Box::pin(signer::reconcile::run(runner, means))
        }),
    }
}

/// Successors of pods that move are gated on every replica; what moves is the leader's.
fn begin_migrations(ground: &Ground) -> Part {
    let (clients, agents) = (ground.clients.clone(), ground.agents());
    let limits = ground.moves;
    let desk = Desk::new(clients.api.clone(), &ground.namespace);
    Part {
        endpoints: vec![Arc::new(Successors::new(clients.once.clone()))],
        keep: Box::new(|stop| Box::pin(stop.cancelled_owned())),
        control: Box::new(move |runner, recorder| {
            let means = migration::reconcile::Means {
                clients: clients.clone(),
                recorder,
                agents: agents.clone(),
                desk: desk.clone(),
                limits,
            };
            let client = || clients.api.clone();
            let strays = migration::strays::run(runner.clone(), client());
            let leases = migration::seats::run(runner.clone(), client(), desk.clone());
            let moves = migration::reconcile::run(runner, means);
            Box::pin(async { tokio::try_join!(strays, leases, moves).map(drop) })
        }),
    }
}

/// Writes of the ground.
const GROUND_STEPS: &[&[Step]] = &[
    leader::STEPS,
    installation::STEPS,
    teardown::STEPS,
    store::STEPS,
    rollover::STEPS,
    desk::STEPS,
];

/// What is done on nodes.
const NODE_STEPS: &[&[Step]] = &[
    host::acts::STEPS,
    host::labels::STEPS,
    shelf::STEPS,
    kill::STEPS,
    asking::STEPS,
    create::STEPS,
    delete::STEPS,
    guard::STEPS,
    hands::STEPS,
    hands::source::STEPS,
    admitted::STEPS,
    preparing::STEPS,
    release::STEPS,
    pass::STEPS,
    holds::STEPS,
    certificate::STEPS,
    incoming::STEPS,
];

/// All CRDs, in the order in which they are printed and installed.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    SLICES.iter().flat_map(|slice| (slice.crds)()).collect()
}

/// All fault points of the manager, in the order of the table.
#[must_use]
pub fn fault_points() -> Vec<String> {
    let slices = SLICES.iter().flat_map(|slice| slice.steps).copied();
    points(GROUND_STEPS.iter().copied().chain(slices))
}

/// All fault points of what runs on nodes.
#[must_use]
pub fn node_fault_points() -> Vec<String> {
    points(NODE_STEPS.iter().copied())
}

fn points(steps: impl Iterator<Item = &'static [Step]>) -> Vec<String> {
    steps
        .flatten()
        .flat_map(|step| [format!("{step}.before"), format!("{step}.after")])
        .collect()
}

/// The kinds of our CRDs, as a client without types addresses them.
#[must_use]
pub fn kinds() -> Vec<ApiResource> {
    let kinds = crds().into_iter().filter_map(|crd| {
        let version = crd
            .spec
            .versions
            .into_iter()
            .find(|version| version.storage)?;
        let gvk = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
        Some(ApiResource::from_gvk_with_plural(
            &gvk,
            &crd.spec.names.plural,
        ))
    });
    kinds.collect()
}

fn controllers(
    controls: &[Controller],
    runner: &Runner,
    clients: &Clients,
    identity: &str,
) -> Vec<BoxFuture<'static, Result<(), Error>>> {
    let instance = (!identity.is_empty()).then(|| identity.to_owned());
    let reporter = Reporter {
        controller: names::MANAGER.into(),
        instance,
    };
    let recorder = Recorder::new(clients.api.clone(), reporter);
    controls
        .iter()
        .map(|control| control(runner.clone(), recorder.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crd_is_found_by_category_and_tells_its_story() {
        for crd in crds() {
            let name = crd.metadata.name.clone().unwrap();
            assert_eq!(
                crd.spec.names.categories.as_deref(),
                Some(&[names::CATEGORY.to_owned()][..]),
                "{name}"
            );
            for version in &crd.spec.versions {
                assert!(
                    version
                        .subresources
                        .as_ref()
                        .is_some_and(|s| s.status.is_some()),
                    "{name} has a status"
                );
                assert!(
                    version
                        .additional_printer_columns
                        .as_ref()
                        .is_some_and(|c| c.len() > 1),
                    "{name} has columns"
                );
                let schema = serde_json::to_value(&version.schema).unwrap();
                let status = &schema["openAPIV3Schema"]["properties"]["status"]["properties"];
                assert_eq!(
                    status["conditions"]["x-kubernetes-list-map-keys"],
                    serde_json::json!(["type"]),
                    "{name}"
                );
                assert!(status["observedGeneration"].is_object(), "{name}");
            }
        }
    }

    #[test]
    fn fault_points_have_names_of_their_own() {
        let points = fault_points();
        let names: std::collections::BTreeSet<_> = points.iter().collect();
        assert_eq!(names.len(), points.len());
        assert!(
            points.contains(&"process.leader.renew.before".to_owned()),
            "{points:?}"
        );
    }

    #[test]
    fn kinds_are_addressed_as_their_crds_say() {
        assert_eq!(
            kinds().first().map(|kind| kind.plural.as_str()),
            Some("flexdaemonsettemplates")
        );
    }
}
