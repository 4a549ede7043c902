//! `holdfast preflight`: what would keep a pod where it is, and where it could go. Asked by a Migration that is a dry run: it touches
//! nothing, and is deleted when it has answered.

use crate::cli::pods::{OnePod, seconds};
use crate::cli::table::{Form, answer, columns};
use crate::cli::watching::{interrupted, watch};
use crate::kit::error::Error;
use crate::migration::api::{Migration, MigrationSpec, NodeNote, Preflight as Found, Stage};
use crate::migration::request::{request, take_back};
use crate::preflight::finding::{Finding, Severity};
use crate::process::asking::{name_of, uid_of};
use crate::process::clients::Clients;
use crate::process::clock;
use clap::Subcommand;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// The longest time that an answer can be waited for here.
const LONGEST: u32 = 600;

/// What is looked at.
#[derive(Debug, Subcommand)]
pub enum Preflight {
    /// Find out whether a pod could move, and what keeps it where it is: its spec, its processes, the nodes
    Pod(Box<PreflightPod>),
}

/// Find out whether a pod could move.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at everything that a Migration looks at before it touches anything: the pod's spec and owner, the nodes, and, by the agent of its
node, what its processes do. Nothing is frozen, moved or changed. What is found comes with its cure; docs/state.md has the whole list.

It is asked for by a Migration with `dryRun: true`, which is deleted when it has answered: it takes the right to make and delete
Migrations in that namespace, which the ClusterRole holdfast-editor gives.

Exit codes: 0 it could move, 1 it could not, or nobody has answered, 2 a wrong flag.

Examples:
  # Could the pod web-5d4-x7k of the namespace apps move, and whereto?
  holdfast preflight pod apps/web-5d4-x7k

  # And to this node?
  holdfast preflight pod apps/web-5d4-x7k --to node2

  # What keeps it, for a program
  holdfast preflight pod apps/web-5d4-x7k -o json | jq '.findings[] | select(.severity == \"refuses\")'")]
pub struct PreflightPod {
    /// Which pod.
    #[command(flatten)]
    pub pod: OnePod,
    /// To this node [default: one is chosen]
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// How long an answer is waited for
    #[arg(long, default_value = "30s", value_parser = timeout)]
    pub timeout: u32,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

fn timeout(text: &str) -> Result<u32, String> {
    seconds(text, LONGEST)
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    namespace: String,
    pod: String,
    /// It could move.
    can_move: bool,
    /// There.
    node: Option<String>,
    findings: Vec<Finding>,
    nodes: Vec<NodeNote>,
    message: Option<String>,
}

/// Asks, waits, and tells; false if the pod could not move.
///
/// # Errors
/// It cannot be asked for, or nobody has answered.
pub async fn run(verb: Preflight) -> Result<bool, Error> {
    let Preflight::Pod(arguments) = verb;
    let (output, limit) = (
        arguments.output,
        Duration::from_secs(arguments.timeout.into()),
    );
    let client = Clients::infer().await?.api;
    let wanted = migration(*arguments);
    let namespace = wanted.namespace().unwrap_or_default();
    let pod = wanted.spec.pod_name.clone().unwrap_or_default();
    uid_of(&client, (&namespace, &pod)).await?;
    let made = request(&client, &wanted).await?;
    let answered = answered(&client, &made, limit).await;
    // Whatever became of it: nobody else needs it.
    let taken_back = take_back(&client, &made).await;
    let told = told(&answered?);
    answer(output, &told, people)?;
    taken_back?;
    Ok(told.can_move)
}

/// What is asked for.
fn migration(arguments: PreflightPod) -> Migration {
    let PreflightPod {
        pod,
        to,
        timeout: _,
        output: _,
    } = arguments;
    let (namespace, pod) = pod.parts();
    let now = clock::now();
    // Two of one second are not mistaken for each other.
    let name = name_of(
        &format!("preflight-{:03}-{pod}", now.subsec_millisecond()),
        now,
    );
    let spec = MigrationSpec {
        pod_name: Some(pod),
        destination_node: to,
        dry_run: true,
        ..MigrationSpec::default()
    };
    let mut migration = Migration::new(&name, spec);
    migration.metadata.namespace = Some(namespace);
    migration
}

/// As it is when it has come to its end.
async fn answered(client: &Client, made: &Migration, limit: Duration) -> Result<Migration, Error> {
    let api = Api::namespaced(client.clone(), &made.namespace().unwrap_or_default());
    let left = async {
        tokio::select! {
            () = tokio::time::sleep(limit) => {}
            () = interrupted() => {}
        }
    };
    let seen = watch(&api, made.clone(), left).await?;
    if !seen.is_left {
        return Ok(seen.last);
    }
    let status = seen.last.status.unwrap_or_default();
    Err(Error::Invalid {
        what: "the preflight".into(),
        why: format!(
            "there was no answer in time ({}): see whether the manager runs, and an agent on the pod's node: kubectl get pods -A -o wide -l app.kubernetes.io/part-of=holdfast; or wait longer, with --timeout",
            status
                .waiting
                .unwrap_or_else(|| "nobody has looked at it".into())
        ),
    })
}

fn told(migration: &Migration) -> Told {
    let status = migration.status.clone().unwrap_or_default();
    let found = status.preflight.unwrap_or_default();
    let Found {
        node,
        findings,
        nodes,
    } = found;
    Told {
        namespace: migration.namespace().unwrap_or_default(),
        pod: migration.spec.pod_name.clone().unwrap_or_default(),
        can_move: status.stage == Stage::Closed && status.given_up.is_none(),
        node,
        findings,
        nodes,
        message: status.given_up,
    }
}

fn people(told: &Told) -> String {
    let pod = format!("pod {}/{}", told.namespace, told.pod);
    let mut text = match (&told.node, told.can_move) {
        (Some(node), true) => format!("{pod} can move, to {node}.\n"),
        _ => format!("{pod} stays where it is.\n"),
    };
    for (severity, title) in [
        (Severity::Refuses, "What keeps it there"),
        (Severity::Warns, "What comes of a move"),
    ] {
        let found = told.findings.iter().filter(|one| one.severity == severity);
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            continue;
        }
        // A text takes whatever is written to it.
        let _written = writeln!(text, "\n{title}:");
        for one in found {
            let _written = writeln!(text, "  {}  {}\n      → {}", one.id, one.sentence, one.cure);
        }
    }
    if !told.nodes.is_empty() {
        let rows = told.nodes.iter().map(|note| {
            let says = match (&note.why, told.node.as_ref() == Some(&note.name)) {
                (_, true) => "it would go there",
                (Some(why), _) => why,
                (None, _) => "could take it",
            };
            vec![note.name.clone(), says.to_owned()]
        });
        let rows: Vec<_> = rows.collect();
        let _written = write!(text, "\nNodes:\n{}", columns("  ", &rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::list::Item;
    use crate::testkit::api_server::ApiServer;
    use serde_json::{Value, json};

    fn closed(status: &Value) -> Migration {
        let mut whole = json!({ "stage": "Closed" });
        json_patch::merge(&mut whole, status);
        serde_json::from_value(json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
            "metadata": { "name": "m", "namespace": "apps", "uid": "u" },
            "spec": { "podName": "web", "dryRun": true }, "status": whole,
        }))
        .unwrap()
    }

    #[test]
    fn people_see_what_keeps_it_and_the_nodes() {
        let ring = Finding::new(
            Item::IoUring,
            "container c: process 7 (web) has a ring of io_uring",
        );
        let open = Finding::new(Item::TcpEstablished, "it has an open TCP connection");
        let nodes =
            json!([{ "name": "n1", "why": "is where it is" }, { "name": "n2" }, { "name": "n3" }]);
        let status = json!({ "givenUp": "why", "decision": { "outcome": "Failed" },
            "preflight": { "node": "n2", "findings": [ring, open], "nodes": nodes } });
        let told = told(&closed(&status));
        assert!(!told.can_move);
        let text = people(&told);
        assert_eq!(
            text,
            "pod apps/web stays where it is.\n\nWhat keeps it there:\n  io-uring  container c: process 7 (web) has a ring of io_uring\n      → give its pod `seccompProfile: {type: RuntimeDefault}`, which keeps programs from it\n\nWhat comes of a move:\n  tcp-established  it has an open TCP connection\n      → none is needed where both sides connect again: they are closed\n\nNodes:\n  n1  is where it is\n  n2  it would go there\n  n3  could take it\n"
        );
    }

    #[test]
    fn one_that_nothing_keeps_can_move() {
        let status = json!({ "preflight": { "node": "n2", "findings": [] } });
        let told = told(&closed(&status));
        assert!(told.can_move);
        assert_eq!(people(&told), "pod apps/web can move, to n2.\n");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_is_taken_back() {
        let server = ApiServer::default();
        let path = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations/m";
        let made = closed(&json!({}));
        server.put(path, serde_json::to_value(&made).unwrap());
        take_back(&server.client(), &made).await.unwrap();
        assert!(server.stored(path).is_none());
        // Somebody else was quicker.
        take_back(&server.client(), &made).await.unwrap();
    }
}
