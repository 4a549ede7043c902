//! `holdfast migrations`: which pods move, or have moved.

use crate::checkpoint::plan::size;
use crate::cli::listing::{Listing, age, shown};
use crate::cli::table::{answer, columns};
use crate::kit::error::Error;
use crate::migration::api::{Migration, Phase, PhaseTime};
use crate::migration::summary::SUCCEEDED;
use crate::process::clock;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::Serialize;

/// Show which pods move, or have moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  # Those of one namespace
  holdfast migrations -n apps

  # All that did not end well, and why
  holdfast migrations -A -o json | jq '.migrations[] | select(.phase == \"Failed\" or .phase == \"RolledBack\") | .message'")]
pub struct Migrations {
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
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// The pod that has the state, or is to get it.
    pub(crate) target_pod: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) attempt: u32,
    pub(crate) bytes: Option<i64>,
    pub(crate) frozen_millis: Option<i64>,
    /// Who has said that its target is off, where it went on by that word.
    pub(crate) resolved_by: Option<String>,
    pub(crate) created_at: Option<Time>,
    /// When each phase was first seen.
    pub(crate) times: Vec<PhaseTime>,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

/// All of them, for programs.
#[derive(Debug, Serialize)]
struct Listed {
    migrations: Vec<Row>,
}

/// Lists, and writes nothing but the answer.
///
/// # Errors
/// The cluster cannot be read.
pub async fn run(arguments: Migrations) -> Result<(), Error> {
    let listing = arguments.listing;
    let migrations = listing.read::<Migration>().await?;
    let migrations = migrations.iter().map(row).collect();
    answer(listing.output, &Listed { migrations }, |listed| {
        table(&listed.migrations, clock::now())
    })
}

/// What is said of a Migration.
pub(crate) fn row(migration: &Migration) -> Row {
    let status = migration.status.clone().unwrap_or_default();
    let (journey, spec) = (status.journey.as_ref(), &migration.spec);
    let to = status.target.as_ref().map(|target| &target.node);
    let to = to.or(journey.map(|journey| &journey.target_node));
    let deployment = || Some(format!("deployment/{}", spec.deployment_name.as_ref()?));
    // Any other one that holds needs a person.
    let mut conditions = status.conditions.iter();
    let summary = conditions.clone().find(|one| one.type_ == SUCCEEDED);
    let needy = conditions.find(|one| one.type_ != SUCCEEDED && one.status == "True");
    let matters = needy.or(summary);
    Row {
        namespace: migration.namespace().unwrap_or_default(),
        name: migration.name_any(),
        pod: shown(spec.pod_name.clone().or_else(deployment)),
        from: journey.map(|journey| journey.source_node.clone()),
        to: to.or(spec.destination_node.as_ref()).cloned(),
        target_pod: status.target.as_ref().map(|target| target.pod_name.clone()),
        phase: status.phase,
        attempt: status.decision.attempt,
        bytes: status.bytes,
        frozen_millis: status.frozen_millis,
        resolved_by: status.resolved_by.clone(),
        created_at: migration.creation_timestamp(),
        times: status.times.clone(),
        reason: matters.map(|one| one.reason.clone()),
        message: matters.map(|one| one.message.clone()),
    }
}

/// For people.
pub(crate) fn table(rows: &[Row], now: Timestamp) -> String {
    if rows.is_empty() {
        return "There are no Migrations.\n".into();
    }
    let titles = [
        "NAMESPACE",
        "NAME",
        "POD",
        "FROM",
        "TO",
        "PHASE",
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
        shown(row.from.clone()),
        shown(row.to.clone()),
        format!("{:?}", row.phase),
        shown(row.bytes.map(size)),
        shown(row.frozen_millis.map(|millis| format!("{millis}ms"))),
        age(row.created_at.as_ref(), now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(spec: &Value, status: &Value) -> Row {
        let object = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
            "metadata": { "name": "m", "namespace": "apps", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": spec, "status": status,
        });
        row(&serde_json::from_value(object).unwrap())
    }

    fn condition(kind: &str, status: &str, message: &str) -> Value {
        json!({ "type": kind, "status": status, "reason": "Because", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z" })
    }

    #[test]
    fn people_see_from_where_to_where() {
        let journey =
            json!({ "podName": "web", "podUid": "u", "sourceNode": "n1", "targetNode": "n2" });
        let target = json!({ "node": "n2", "podName": "web-2", "podUid": "v" });
        let rows = [
            read(
                &json!({ "podName": "web" }),
                &json!({ "phase": "Restored", "journey": journey, "target": target, "bytes": 12_900_000, "frozenMillis": 412 }),
            ),
            read(
                &json!({ "podName": "web", "destinationNode": "n3" }),
                &Value::Null,
            ),
            read(
                &json!({ "deploymentName": "web" }),
                &json!({ "phase": "Fancy" }),
            ),
        ];
        let now = "2026-01-01T00:02:30Z".parse().unwrap();
        let expected = "\
NAMESPACE  NAME  POD             FROM  TO  PHASE     SIZE    FROZEN  AGE
apps       m     web             n1    n2  Restored  12.3Mi  412ms   2m
apps       m     web             -     n3  Pending   -       -       2m
apps       m     deployment/web  -     -   Unknown   -       -       2m
";
        assert_eq!(table(&rows, now), expected);
        assert_eq!(rows[0].target_pod.as_deref(), Some("web-2"));
        assert_eq!(table(&[], now), "There are no Migrations.\n");
    }

    #[test]
    fn what_needs_a_person_matters_most() {
        for (holds, message) in [("False", "it moves"), ("True", "n2 does not answer")] {
            let conditions = [
                condition("Succeeded", "False", "it moves"),
                condition("Undecided", holds, "n2 does not answer"),
            ];
            let told = read(
                &json!({ "podName": "web" }),
                &json!({ "conditions": conditions }),
            );
            assert_eq!(told.message.as_deref(), Some(message));
        }
    }
}
