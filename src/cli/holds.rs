//! `holdfast holds`: which pods are held now, on which node, for what, since when, until when, and what each waits for.

mod rows;

use crate::agent::api::{LeftHere, StateTask};
use crate::cli::listing::{Listing, age, read, shown};
use crate::cli::table::{answer, columns};
use crate::kit::error::Error;
use crate::kit::names::HOLDS_ANNOTATION;
use crate::migration::api::Migration;
use crate::process::clients::Clients;
use crate::process::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt};
use rows::{Row, left, ordered};
use serde::Serialize;

/// Show which pods are held now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A pod is held when nothing of it may run but by the word of its node's agent: it is frozen for a Checkpoint or a Migration, or waits for a
state that comes from elsewhere.

  frozen      it stands still, and its state is being written and sent; at its deadline it runs on by itself
  verified    and its whole state is on the other node
  released    it may run there: here it stays frozen until that is known
  withdrawn, returned    it is about to run on
  superseded, killed     it runs elsewhere: what is left here goes
  preparing, waiting     it is to get a state
  claimed     it gets it

HELD FOR is `nobody` where the Migration or Checkpoint is gone: the node follows what it has on disk. That is read from the nodes' objects,
which not everybody may read.

Examples:
  # Everything that is held now
  holdfast holds -A

  # On one node, before it is taken down
  holdfast holds -A --node n2

  # Those that wait for a person, with what helps
  holdfast holds -A -o json | jq -r '.holds[] | select(.phase == \"released\") | .waitsFor'")]
pub struct Holds {
    /// Which ones.
    #[command(flatten)]
    pub listing: Listing,
    /// On this node alone
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
}

/// All of them, for programs.
#[derive(Debug, Serialize)]
struct Listed {
    holds: Vec<Row>,
    /// So many more are on nodes where there are too many to tell one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

/// Lists, and writes nothing but the answer.
///
/// # Errors
/// The cluster cannot be read.
pub async fn run(arguments: Holds) -> Result<(), Error> {
    let Holds { listing, node } = arguments;
    let tasks = listing.read::<StateTask>().await?;
    let migrations = listing.read::<Migration>().await?;
    let lefts = lefts().await?;
    let mut holds = ordered(&tasks, &migrations);
    let is_meant = |namespace: &str| {
        listing.all_namespaces || namespace.is_empty() || namespace == listing.namespace
    };
    let mut more = 0_usize;
    for (name, here) in &lefts {
        if node.as_ref().is_none_or(|node| node == name) {
            more = more.saturating_add(here.more);
            let ours = here.holds.iter().filter(|one| is_meant(&one.namespace));
            let ours: Vec<_> = ours.map(|one| left(name, one)).collect();
            holds.retain(|row| ours.iter().all(|one| !one.is_of(row)));
            holds.extend(ours);
        }
    }
    holds.retain(|row| node.as_ref().is_none_or(|node| *node == row.node));
    let listed = Listed {
        holds,
        more: (more > 0).then_some(more),
    };
    answer(listing.output, &listed, |listed| {
        table(listed, clock::now())
    })
}

/// What nodes say of themselves; nothing, and a word about it, where they may not be read.
async fn lefts() -> Result<Vec<(String, LeftHere)>, Error> {
    let nodes: Api<Node> = Api::all(Clients::infer().await?.api);
    let nodes = match read(&nodes).await {
        Err(error) if error.is_forbidden() => {
            eprintln!(
                "You may not read nodes: what is held though its Migration or Checkpoint is gone is not shown."
            );
            return Ok(Vec::new());
        }
        nodes => nodes?,
    };
    Ok(nodes.iter().filter_map(said).collect())
}

fn said(node: &Node) -> Option<(String, LeftHere)> {
    let text = node.annotations().get(HOLDS_ANNOTATION)?;
    Some((node.name_any(), serde_json::from_str(text).ok()?))
}

/// For people.
fn table(listed: &Listed, now: Timestamp) -> String {
    let more = listed
        .more
        .map(|more| format!("And {more} more that nobody orders any more.\n"))
        .unwrap_or_default();
    if listed.holds.is_empty() {
        return format!("Nothing is held: all pods run as their kubelets say.\n{more}");
    }
    let titles = [
        "NODE",
        "NAMESPACE",
        "POD",
        "HELD FOR",
        "PHASE",
        "SINCE",
        "UNTIL",
        "WAITS FOR",
    ];
    let mut cells = vec![titles.map(str::to_owned).to_vec()];
    cells.extend(listed.holds.iter().map(|row| line(row, now)));
    columns("", &cells) + &more
}

fn line(row: &Row, now: Timestamp) -> Vec<String> {
    let until = row.deadline.as_ref().map(|time| {
        let left = time.0.duration_since(now).as_secs();
        if left > 0 {
            format!("{left}s")
        } else {
            "now".into()
        }
    });
    vec![
        row.node.clone(),
        shown(Some(row.namespace.clone()).filter(|name| !name.is_empty())),
        row.pod.clone(),
        row.held_for.clone(),
        row.phase.clone(),
        age(row.since.as_ref(), now),
        shown(until),
        row.waits_for.clone(),
    ]
}

#[cfg(test)]
mod tests;
