//! What an agent runs, from its start to its stop.

use crate::agent::answers::Answers;
use crate::agent::api::StateTask;
use crate::agent::carrying::{Carriers, MoveDesk};
use crate::agent::copies::desk::CopyDesk;
use crate::agent::garbage::Garbage;
use crate::agent::holds;
use crate::agent::host::Host;
use crate::agent::orders::Orders;
use crate::agent::peers::desk::{Desk, Desks};
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::running::Peers;
use crate::agent::records::Records;
use crate::agent::targets::Targets;
use crate::agent::waiting::Waiting;
use crate::agent::{own, socket, sweep, tasks};
use crate::kit::error::{Error, chain};
use crate::process::flags::PeerFlags;
use crate::process::health::Health;
use crate::process::telemetry::AgentMetrics;
use kube::runtime::reflector::{self, store::Writer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PART: &str = "agent";
/// How often it is looked whether a former agent has gone.
const LOOK: Duration = Duration::from_millis(500);

/// What an agent needs to know.
pub struct Setup {
    /// Where the node's root directory is mounted.
    pub root: PathBuf,
    /// Ready: it answers.
    pub health: Arc<Health>,
    /// What it counts.
    pub metrics: AgentMetrics,
    /// Its node's name.
    pub node: String,
    /// The way to the API server, if there is one. Without it no orders are seen; what protects pods goes on.
    pub client: Option<kube::Client>,
    /// How other agents are spoken with, where there is a way to the API server.
    pub peers: PeerFlags,
    /// So long nobody must have named what is deleted.
    pub garbage_after: Duration,
    /// Where an installation may be on the node.
    pub prefixes: &'static [&'static str],
}

/// Runs until the stop.
///
/// # Errors
/// It could not start.
pub async fn run(setup: Setup, stop: CancellationToken) -> Result<(), Error> {
    let Setup {
        root,
        health,
        metrics,
        node,
        client,
        peers,
        garbage_after,
        prefixes,
    } = setup;
    health.waits(PART, "the agent does not answer yet".into());
    let host = Host::at(root);
    let alone = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        alone = take(&host, &health) => alone?,
    };
    let records = Records::open(&host.records()).map_err(|error| Error::Ended {
        part: "the records",
        why: chain(&error),
    })?;
    let (reader, writer) = reflector::store();
    let orders = client.as_ref().map(|_| Orders::of(reader));
    let orders = orders.unwrap_or_default();
    let own = (host.clone(), node.clone());
    let view = holds::View::new(&own, (&records, &orders), &metrics, client.clone());
    let looking = tokio::spawn(look(view, stop.clone()));
    let targets = Targets::new(own, records.clone(), orders, Waiting::default());
    let sweeping = (metrics.clone(), garbage_after);
    let answered = (targets.clone(), prefixes);
    let answers = Answers::new(records.clone(), host.clone(), metrics.clone(), answered);
    let listener = socket::listen(&host.run())?;
    let reserve = peers.peer_disk_reserve;
    let peers = client.as_ref().and_then(|_| open(&node, &peers));
    let means = client.map(|client| tasks::Means {
        client,
        node,
        records: records.clone(),
        host: host.clone(),
        carriers: Carriers::new(peers.as_ref().map(Peers::ways)),
        ways: peers.as_ref().map(Peers::ways),
        receiving: Arc::new(Receiving::new(host.checkpoints(), reserve)),
        prefixes,
        metrics,
        stop: stop.clone(),
        targets,
    });
    let tasks = tokio::spawn(work((means, peers), sweeping, writer));
    health.is_ready(PART);
    health.is_ready("start");
    tokio::select! {
        () = socket::serve(listener, Arc::new(answers), stop.clone()) => {}
        () = beat(&health) => {}
    }
    looking.await.map_err(ended("the look at records"))?;
    tasks.await.map_err(ended("the node's orders"))?;
    // Only now may another agent answer.
    drop(alone);
    Ok(())
}

/// What is kept here is looked through: what nobody needs goes, and what is held is told.
async fn look(view: holds::View, stop: CancellationToken) {
    let (records, metrics) = (view.records.clone(), view.metrics.clone());
    let sweeping = sweep::run(records, view.host.clone(), metrics, stop.clone());
    tokio::join!(sweeping, holds::run(view, stop));
}

async fn beat(health: &Health) {
    loop {
        health.beats();
        tokio::time::sleep(LOOK).await;
    }
}

fn ended(part: &'static str) -> impl Fn(tokio::task::JoinError) -> Error {
    move |error| Error::Ended {
        part,
        why: error.to_string(),
    }
}

/// What protects pods needs no other agent.
fn open(node: &str, flags: &PeerFlags) -> Option<Peers> {
    let opened = Peers::open(node, flags);
    let failed = |error: &Error| {
        tracing::error!(error = %chain(error), "no state comes to this node or goes from it; what protects its pods goes on");
    };
    opened.inspect_err(failed).ok()
}

async fn work(
    (means, peers): (Option<tasks::Means>, Option<Peers>),
    (metrics, patience): (AgentMetrics, Duration),
    writer: Writer<StateTask>,
) {
    let Some(means) = means else {
        return;
    };
    let garbage = Garbage {
        host: means.host.clone(),
        records: means.records.clone(),
        orders: means.targets.orders().clone(),
        receiving: Arc::clone(&means.receiving),
        metrics,
        patience,
    };
    let sweeping = garbage.run(means.stop.clone());
    let copies: Arc<dyn Desk> = Arc::new(CopyDesk::new(means.targets.orders().clone()));
    let moves: Arc<dyn Desk> = Arc::new(MoveDesk::new(means.targets.clone()));
    let answering = (
        Desks::new(vec![copies, moves]),
        Arc::clone(&means.receiving),
    );
    let (client, stop) = (means.client.clone(), means.stop.clone());
    let speaking = async {
        if let Some(peers) = peers {
            peers.run(client, answering, stop).await;
        }
    };
    tokio::join!(speaking, sweeping, tasks::run(means, writer));
}

async fn take(host: &Host, health: &Health) -> Result<own::Own, Error> {
    loop {
        if let Some(own) = own::take(&host.run())? {
            return Ok(own);
        }
        let why = "another agent still runs on this node: this one answers when it has gone";
        health.waits(PART, why.into());
        health.is_ready("start");
        health.beats();
        tokio::time::sleep(LOOK).await;
    }
}
