//! Which Migrations take part in which nodes, for the Leases of these. The Leases bind: a Migration begins when it stands in both. What
//! is written there and is over is struck out by whoever begins next, and by a look at each Lease.

use crate::kit::error::Error;
use crate::kit::names::{LEASE_LABEL, ROOT_LABEL};
use crate::migration::api::{Migration, Stage};
use crate::migration::many::is_of_many;
use crate::migration::observing::Eyes;
use crate::migration::turns::open_journey;
use crate::node::lease::book::{Book, Seat};
use crate::node::lease::desk::Desk;
use crate::node::lease::plan::{Move, tidied};
use crate::process::runner::{Runner, labelled};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "node-leases";
/// How often a Lease is looked at: of those who stand in it nothing is watched here.
const LOOK: Duration = Duration::from_secs(30);

/// As it stands in a Lease.
pub(crate) fn seat(migration: &Migration) -> Seat {
    Seat {
        namespace: migration.namespace().unwrap_or_default(),
        name: migration.name_any(),
        uid: migration.uid().unwrap_or_default(),
        under: under(migration).map(str::to_owned),
    }
}

/// The root operation that caused it. A policy of the chart lets nobody else write it.
pub(crate) fn under(migration: &Migration) -> Option<&str> {
    migration.labels().get(ROOT_LABEL).map(String::as_str)
}

/// Those that are not over: they have begun, or may at any time.
pub(crate) fn moves(all: &[Migration]) -> Vec<Move> {
    let is_over = |one: &&Migration| {
        let stage = one.status.as_ref().map(|status| status.stage);
        stage == Some(Stage::Closed) || is_of_many(&one.spec) || one.spec.dry_run
    };
    let open = all.iter().filter(|one| !is_over(one));
    open.map(|one| Move {
        seat: seat(one),
        nodes: open_journey(one)
            .map(|journey| vec![journey.source_node.clone(), journey.target_node.clone()])
            .unwrap_or_default(),
    })
    .collect()
}

struct Means {
    eyes: Eyes,
    desk: Desk,
}

/// Looks after the Leases until the runner stops.
pub(crate) async fn run(runner: Runner, client: Client, desk: Desk) -> Result<(), Error> {
    let leases = labelled(desk.leases(), LEASE_LABEL);
    let eyes = Eyes {
        client,
        namespace: String::new(),
    };
    let means = Arc::new(Means { eyes, desk });
    runner.run(NAME, leases, means, reconcile).await
}

/// What is over is struck out: its Migration was taken away by force, or its root is gone.
async fn reconcile(lease: Arc<Lease>, means: Arc<Means>) -> Result<Action, Error> {
    let Means { eyes, desk } = means.as_ref();
    let ledger = desk.page(&lease.name_any()).await?;
    if !ledger.books.is_empty() {
        let moves = moves(&eyes.all_migrations().await?);
        let known = ledger.known(&moves);
        let next: Vec<Book> = ledger
            .books
            .iter()
            .map(|book| tidied(book, known))
            .collect();
        desk.write(&ledger, &next).await?;
    }
    Ok(Action::requeue(LOOK))
}

#[cfg(test)]
mod tests;
