//! `holdfast checkpoints`: what Checkpoints there are.

use crate::checkpoint::api::{Checkpoint, Location, Phase, SUCCEEDED};
use crate::checkpoint::plan::size;
use crate::checkpoint::request::missing;
use crate::cli::table::{Form, answer, columns};
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::writes::{CALL_LIMIT, bounded};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

/// So many are read at once.
const PAGE: u32 = 500;

/// Show what Checkpoints there are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  # Those of one namespace
  holdfast checkpoints -n apps

  # All, the largest last
  holdfast checkpoints -A -o json | jq '.checkpoints | sort_by(.bytes)'")]
pub struct Checkpoints {
    /// Of this namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
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
    let Checkpoints {
        namespace,
        all_namespaces,
        output,
    } = arguments;
    let client = Clients::infer().await?.api;
    let api: Api<Checkpoint> = if all_namespaces {
        Api::all(client)
    } else {
        Api::namespaced(client, &namespace)
    };
    let checkpoints = read(&api).await.map_err(missing)?;
    let checkpoints = checkpoints.iter().map(row).collect();
    answer(output, &Listed { checkpoints }, |listed| {
        table(&listed.checkpoints, clock::now())
    })
}

async fn read(api: &Api<Checkpoint>) -> Result<Vec<Checkpoint>, Error> {
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = bounded(CALL_LIMIT, "list", "checkpoints".into(), api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
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
    let shown = |told: Option<String>| told.unwrap_or_else(|| "-".into());
    let created = row.created_at.as_ref();
    vec![
        row.namespace.clone(),
        row.name.clone(),
        row.pod.clone(),
        format!("{:?}", row.phase),
        shown(row.node.clone()),
        shown(row.bytes.map(size)),
        shown(row.frozen_millis.map(|millis| format!("{millis}ms"))),
        shown(created.map(|time| age(now.duration_since(time.0).as_secs()))),
    ]
}

/// In the largest unit, as kubectl says it.
fn age(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let told = units.into_iter().find_map(|(length, unit)| {
        let whole = seconds.checked_div(length).filter(|whole| *whole > 0)?;
        Some(format!("{whole}{unit}"))
    });
    told.unwrap_or_else(|| format!("{}s", seconds.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::api_server::ApiServer;
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

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        for (seconds, told) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7199, "1h"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(seconds), told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_are_read() {
        let server = ApiServer::default();
        for number in 0..PAGE.checked_add(1).unwrap() {
            let name = format!("c-{number}");
            let path = format!("/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints/{name}");
            server.put(&path, checkpoint(&name, Value::Null));
        }
        let read = read(&Api::all(server.client())).await.unwrap();
        assert_eq!(read.len(), 501);
    }
}
