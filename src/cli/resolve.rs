//! `holdfast resolve`: a person says what no program can find out, that the target of a Migration is off for sure. Its pod, which stays
//! frozen until that is known, runs on.

use crate::cli::migrations::{Row, row, table};
use crate::cli::pods::object_name;
use crate::cli::table::{Form, answer};
use crate::cli::watching::{Seen, interrupted, watch};
use crate::kit::error::Error;
use crate::migration::api::{Migration, MigrationStatus};
use crate::migration::request::{look, refused, resolve};
use crate::migration::summary::UNDECIDED;
use crate::node::select::is_ready;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::writes::{CALL_LIMIT, bounded};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt};
use std::io::{BufRead, IsTerminal, Write};

/// Say that the target of a Migration is off.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
When a pod's state was released to another node, and that node falls silent, nobody knows whether the pod runs there: a node that does not
answer may still run everything on it. So the pod stays frozen where it was, safe on disk, and the condition Undecided of its Migration says
so. It goes on by itself when the node answers. If the node never will, because its power is off, its machine is gone, or it was taken from
the network and from its disks for good, say so here. The pod then runs on from what it had in memory when it was frozen; whatever it did on
the other node since, if it ran there, is lost. If the node is on after all, the pod runs twice: look before you say it.

It takes the verb resolve on migrations.holdfast.dev, which the ClusterRole holdfast-resolver has. Your name is written into the Migration,
and into an event.

Ctrl-C ends the watching, and takes nothing back. Exit codes: 0 it went on by your word (with --no-wait: it was said), 1 it did not, 2 a
wrong flag.

Examples:
  # Which ones wait for such a word
  holdfast holds -A

  # The Migration web-1 of the namespace apps: you have seen that its target's power is off
  holdfast resolve apps/web-1 --target-is-off

  # For a program that has turned the machine off itself
  holdfast resolve apps/web-1 --target-is-off --yes -o json | jq '{phase, resolvedBy, message}'")]
pub struct Resolve {
    /// The Migration, as NAMESPACE/NAME or NAME
    #[arg(value_name = "NAMESPACE/MIGRATION", value_parser = migration_name)]
    pub migration: String,
    /// Namespace of the Migration, where its name comes without one
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// The node that it goes to runs nothing any more, and will not before its pods were taken from it
    #[arg(long, required = true)]
    pub target_is_off: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Only say it, and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

fn migration_name(text: &str) -> Result<String, String> {
    object_name(text, "a Migration's name", "apps/web-1")
}

/// Looks, asks, says it, and shows what follows; false if nothing did.
///
/// # Errors
/// There is nothing to say, or it may not be said.
pub async fn run(arguments: Resolve) -> Result<bool, Error> {
    let client = Clients::infer().await?.api;
    let (namespace, name) = match arguments.migration.split_once('/') {
        Some(parts) => parts,
        None => (arguments.namespace.as_str(), arguments.migration.as_str()),
    };
    let migration = look(&client, (namespace, name)).await?;
    let status = migration.status.clone().unwrap_or_default();
    let node = target_node(&client, &status).await?;
    if let Some(why) = refusal(&migration, node.as_ref()) {
        return Err(refused(&why));
    }
    eprint!("{}", warning(&migration));
    if !arguments.yes && !is_meant()? {
        eprintln!("Nothing was said.");
        return Ok(false);
    }
    let said = resolve(&client, &migration).await?;
    let seen = if arguments.no_wait {
        Seen::only(said)
    } else {
        let api = Api::namespaced(client, namespace);
        watch(&api, said, interrupted()).await?
    };
    if let Some(farewell) = seen.farewell() {
        eprint!("{farewell}");
    }
    let told = row(&seen.last);
    answer(arguments.output, &told, people)?;
    Ok(arguments.no_wait || (told.phase.is_over() && told.resolved_by.is_some()))
}

/// The node that is said to be off; none where it is gone, or may not be looked at: the manager looks too.
async fn target_node(client: &Client, status: &MigrationStatus) -> Result<Option<Node>, Error> {
    let Some(journey) = &status.journey else {
        return Ok(None);
    };
    let name = &journey.target_node;
    let nodes: Api<Node> = Api::all(client.clone());
    match bounded(
        CALL_LIMIT,
        "get",
        format!("node {name}"),
        nodes.get_opt(name),
    )
    .await
    {
        Err(error) if error.is_forbidden() => Ok(None),
        found => found,
    }
}

/// Why there is nothing to say.
fn refusal(migration: &Migration, node: Option<&Node>) -> Option<String> {
    let status = migration.status.clone().unwrap_or_default();
    let name = migration.name_any();
    let namespace = migration.namespace().unwrap_or_default();
    if status.phase.is_over() {
        return Some(format!(
            "the Migration {name} is over ({:?}), and nothing waits for that word",
            status.phase
        ));
    }
    if let Some(by) = &status.resolved_by {
        return Some(format!(
            "{by} has said it already: see kubectl get migration {name} -n {namespace} --watch"
        ));
    }
    if let Some(node) = node.filter(|node| is_ready(node)) {
        let node = node.name_any();
        return Some(format!(
            "node {node} is Ready: its agent says by itself whether it runs the state. See whether that runs: kubectl get pods -n holdfast-system -l app.kubernetes.io/component=agent --field-selector spec.nodeName={node}"
        ));
    }
    let mut conditions = status.conditions.iter();
    let is_undecided = conditions.any(|one| one.type_ == UNDECIDED && one.status == "True");
    (!is_undecided).then(|| {
        format!(
            "the Migration {name} is not Undecided: it goes on, or back, by itself. See holdfast migrations -n {namespace}; kubectl delete migration {name} -n {namespace} gives it up"
        )
    })
}

/// What follows, before it is said.
fn warning(migration: &Migration) -> String {
    let journey = migration.status.clone().unwrap_or_default().journey;
    let journey = journey.unwrap_or_default();
    let (pod, from, to) = (
        &journey.pod_name,
        &journey.source_node,
        &journey.target_node,
    );
    let namespace = migration.namespace().unwrap_or_default();
    format!(
        "You say that node {to} is off for sure, and runs nothing.\n\
         Then pod {namespace}/{pod} runs on, on {from}, from what it had in memory when it was frozen. Its successor on {to} is taken from the API;\n\
         what that did, if it ran, is lost. If {to} is on after all, the pod runs twice. Your name is written down.\n"
    )
}

/// A person at a terminal says yes.
fn is_meant() -> Result<bool, Error> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(refused(
            "nobody can be asked whether that is meant: say --yes too",
        ));
    }
    eprint!("Write yes to say so: ");
    let failed = |error| Error::io("read", "standard input", error);
    std::io::stderr().flush().map_err(failed)?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line).map_err(failed)?;
    Ok(line.trim() == "yes")
}

fn people(told: &Row) -> String {
    let mut text = table(std::slice::from_ref(told), clock::now());
    let said = match &told.resolved_by {
        Some(by) => format!("It went on by the word of {by}."),
        None if told.phase.is_over() => "The node was heard of: the word was not needed.".into(),
        None => format!(
            "It was said. Next: kubectl get migration {} -n {} --watch",
            told.name, told.namespace
        ),
    };
    let message = told.message.clone().filter(|message| !message.is_empty());
    for part in message.into_iter().chain([said]) {
        text.push('\n');
        text.push_str(&part);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
