//! `holdfast checkpoints`: what Checkpoints there are.

use crate::checkpoint::api::{Checkpoint, Location, Phase, SUCCEEDED};
use crate::checkpoint::plan::size;
use crate::cli::listing::{Listing, age, shown};
use crate::cli::table::{answer, columns};
use crate::kit::error::Error;
use crate::process::clock;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;

/// Show what Checkpoints there are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  # Those of one namespace
  holdfast checkpoints -n apps

  # All, the largest last
  holdfast checkpoints -A -o json | jq '.checkpoints | sort_by(.bytes)'")]
pub struct Checkpoints {
    /// Which ones.
    #[command(flatten)]
    pub listing: Listing,
}

/// What is said of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod: String,
    pub(crate) phase: Phase,
    pub(crate) node: Option<String>,
    pub(crate) bytes: Option<i64>,
    pub(crate) frozen_millis: Option<i64>,
    pub(crate) created_at: Option<Time>,
    pub(crate) taken_at: Option<Time>,
    pub(crate) pinned: bool,
    pub(crate) slot: Option<String>,
    pub(crate) locations: Vec<Location>,
    pub(crate) message: Option<String>,
}

/// All of them, for programs.
#[derive(Debug, Serialize)]
struct Listed {
    checkpoints: Vec<Row>,
    /// What of them lies where.
    nodes: Vec<Kept>,
}

/// What a node keeps of those that are listed.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Kept {
    node: String,
    checkpoints: usize,
    bytes: i64,
}

/// Lists, and writes nothing but the answer.
///
/// # Errors
/// The cluster cannot be read.
pub async fn run(arguments: Checkpoints) -> Result<(), Error> {
    let listing = arguments.listing;
    let checkpoints = listing.read::<Checkpoint>().await?;
    let checkpoints: Vec<_> = checkpoints.iter().map(row).collect();
    let nodes = kept(&checkpoints);
    let listed = Listed { checkpoints, nodes };
    answer(listing.output, &listed, |listed| {
        let rows = table(&listed.checkpoints, clock::now());
        // Of one namespace it would be told for the whole.
        let is_all = listing.all_namespaces && !listed.nodes.is_empty();
        let nodes = is_all.then(|| places(&listed.nodes));
        rows + &nodes.unwrap_or_default()
    })
}

fn kept(rows: &[Row]) -> Vec<Kept> {
    let mut nodes = BTreeMap::<&str, Kept>::new();
    for row in rows {
        for location in &row.locations {
            let kept = nodes.entry(&location.node).or_default();
            let bytes = location.bytes.or(row.bytes).unwrap_or_default().max(0);
            kept.node.clone_from(&location.node);
            kept.checkpoints = kept.checkpoints.saturating_add(1);
            kept.bytes = kept.bytes.saturating_add(bytes);
        }
    }
    nodes.into_values().collect()
}

fn places(nodes: &[Kept]) -> String {
    let mut cells = vec![["ON", "CHECKPOINTS", "SIZE"].map(str::to_owned).to_vec()];
    let lines = nodes.iter();
    cells.extend(lines.map(|one| {
        let count = one.checkpoints.to_string();
        vec![one.node.clone(), count, size(one.bytes)]
    }));
    format!("\n{}", columns("", &cells))
}

/// What is said of a Checkpoint.
pub(crate) fn row(checkpoint: &Checkpoint) -> Row {
    let status = checkpoint.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.into_iter();
    let summary = conditions.find(|one| one.type_ == SUCCEEDED);
    Row {
        namespace: checkpoint.namespace().unwrap_or_default(),
        name: checkpoint.name_any(),
        pod: checkpoint.spec.pod_name.clone(),
        phase: status.phase,
        node: status.node,
        bytes: status.bytes,
        frozen_millis: status.frozen_millis,
        created_at: checkpoint.creation_timestamp(),
        taken_at: status.taken_at,
        pinned: checkpoint.spec.pinned,
        slot: status.slot,
        locations: status.locations,
        message: summary.map(|one| one.message),
    }
}

/// For people.
pub(crate) fn table(rows: &[Row], now: Timestamp) -> String {
    if rows.is_empty() {
        return "There are no Checkpoints.\n".into();
    }
    let titles = [
        "NAMESPACE",
        "NAME",
        "POD",
        "PHASE",
        "NODE",
        "SIZE",
        "FROZEN",
        "PINNED",
        "AGE",
    ];
    let mut cells = vec![titles.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|row| line(row, now)));
    columns("", &cells)
}

fn line(row: &Row, now: Timestamp) -> Vec<String> {
    vec![
        row.namespace.clone(),
        row.name.clone(),
        row.pod.clone(),
        format!("{:?}", row.phase),
        shown(row.node.clone()),
        shown(row.bytes.map(size)),
        shown(row.frozen_millis.map(|millis| format!("{millis}ms"))),
        shown(row.pinned.then(|| "yes".to_owned())),
        age(row.created_at.as_ref(), now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checkpoint(name: &str, status: Value) -> Value {
        json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
            "metadata": { "name": name, "namespace": "apps", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "podName": "web" }, "status": status,
        })
    }

    #[test]
    fn people_see_a_table() {
        let taken =
            json!({ "phase": "Succeeded", "node": "n1", "bytes": 12_900_000, "frozenMillis": 45 });
        let rows = [taken, json!({ "phase": "Fancy" }), Value::Null].map(|status| {
            let read: Checkpoint = serde_json::from_value(checkpoint("c", status)).unwrap();
            row(&read)
        });
        let now = "2026-01-01T02:30:00Z".parse().unwrap();
        let expected = "\
NAMESPACE  NAME  POD  PHASE      NODE  SIZE    FROZEN  PINNED  AGE
apps       c     web  Succeeded  n1    12.3Mi  45ms    -       2h
apps       c     web  Unknown    -     -       -       -       2h
apps       c     web  Pending    -     -       -       -       2h
";
        assert_eq!(table(&rows, now), expected);
        assert_eq!(table(&[], now), "There are no Checkpoints.\n");
    }

    #[test]
    fn what_each_node_keeps_is_added_up() {
        let on = |node: &str, bytes: Option<i64>| json!({ "node": node, "path": "/x", "digest": "d", "bytes": bytes });
        let taken = |locations: Value| json!({ "phase": "Succeeded", "bytes": 1024, "locations": locations });
        let rows = [
            taken(json!([on("n1", None), on("n2", Some(2048))])),
            taken(json!([on("n1", Some(1024))])),
            taken(json!([on("n1", Some(-1))])),
        ]
        .map(|status| row(&serde_json::from_value(checkpoint("c", status)).unwrap()));
        let expected = "
ON  CHECKPOINTS  SIZE
n1  3            2.0Ki
n2  1            2.0Ki
";
        assert_eq!(places(&kept(&rows)), expected);
    }
}
