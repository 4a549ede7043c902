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
    pub(crate) locations: Vec<Location>,
    pub(crate) message: Option<String>,
}

/// All of them, for programs.
#[derive(Debug, Serialize)]
struct Listed {
    checkpoints: Vec<Row>,
}

/// Lists, and writes nothing but the answer.
///
/// # Errors
/// The cluster cannot be read.
pub async fn run(arguments: Checkpoints) -> Result<(), Error> {
    let listing = arguments.listing;
    let checkpoints = listing.read::<Checkpoint>().await?;
    let checkpoints = checkpoints.iter().map(row).collect();
    answer(listing.output, &Listed { checkpoints }, |listed| {
        table(&listed.checkpoints, clock::now())
    })
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
NAMESPACE  NAME  POD  PHASE      NODE  SIZE    FROZEN  AGE
apps       c     web  Succeeded  n1    12.3Mi  45ms    2h
apps       c     web  Unknown    -     -       -       2h
apps       c     web  Pending    -     -       -       2h
";
        assert_eq!(table(&rows, now), expected);
        assert_eq!(table(&[], now), "There are no Checkpoints.\n");
    }
}
