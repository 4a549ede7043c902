//! `holdfast what-if`: what templates would do on every node, before they are applied.

mod table;

use crate::cli::table::{Form, answer};
use crate::cli::{files, lint};
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::sizing::findings::absent;
use crate::sizing::forecast::{Trial, forecast};
use crate::sizing::lint::{Severity, Source};
use crate::sizing::snapshot::{Named, Snapshot};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Show what templates would do on every node, before they are applied.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is written to the cluster. DaemonSets in the files are tried too.

Examples:
  # What this template would change, node by node
  holdfast what-if -f template.yaml --changed

  # What it would give a DaemonSet that does not name it yet
  holdfast what-if -f template.yaml --daemonset apps/agent

  # Without a cluster, from what was written down of one
  kubectl get nodes,daemonsets,fdt,limitranges,namespaces,pods -A -o json >cluster.json
  holdfast what-if -f template.yaml --cluster cluster.json -o json")]
pub struct WhatIf {
    /// Files with templates: files, directories, or `-` for standard input
    #[arg(
        long = "filename",
        short = 'f',
        value_name = "FILE",
        required = true,
        num_args = 1..
    )]
    pub files: Vec<PathBuf>,
    /// A DaemonSet that does not name the template yet, as NAMESPACE/NAME
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub daemonset: Vec<String>,
    /// Only this node
    #[arg(long)]
    pub node: Option<String>,
    /// Only what changes
    #[arg(long)]
    pub changed: bool,
    /// Ask these files instead of a cluster: files or directories of objects, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub cluster: Vec<PathBuf>,
    /// Namespace of the Holdfast installation, whose own pods get no share
    #[arg(long, default_value = "holdfast-system")]
    pub installation_namespace: String,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

/// Looks ahead, and writes nothing but the answer.
///
/// # Errors
/// The files have mistakes, what was asked about is not there, or the cluster cannot be read.
pub async fn run(arguments: WhatIf) -> Result<(), Error> {
    let WhatIf {
        files: names,
        daemonset: asked,
        node,
        changed,
        cluster,
        installation_namespace,
        output,
    } = arguments;
    let sources = lint::sources(&names)?;
    let tried = usable(&sources)?;
    let clients = if cluster.is_empty() {
        Some(Clients::infer().await?)
    } else {
        None
    };
    let before = match &clients {
        Some(clients) => Snapshot::read(&clients.api).await.map_err(files::told)?,
        None => files::cluster(&cluster)?,
    };
    let before = before.of_installation(installation_namespace);
    let mut after = before.clone();
    add(&mut after, &sources)?;
    annotate(&mut after, &tried, &asked)?;
    if let Some(node) = node.as_deref().filter(|node| after.node(node).is_none()) {
        let known: Vec<_> = after.nodes().map(|(name, _)| name.to_string()).collect();
        return Err(absent("Node", node, &known));
    }
    let mut trial = Trial {
        before: &before,
        after: &after,
        templates: tried
            .templates()
            .map(|(name, _)| name.to_string())
            .collect(),
        daemonsets: tried.daemonsets().map(|(named, _)| named.clone()).collect(),
        node: node.as_deref(),
    };
    let mut with_pods = after.clone();
    if let Some(clients) = &clients {
        let namespaces = trial.namespaces();
        let read = with_pods.read_pods(&clients.api, namespaces);
        read.await.map_err(files::told)?;
    }
    trial.after = &with_pods;
    let mut told = forecast(&trial);
    if changed {
        told.rows.retain(|row| row.is_changed);
    }
    answer(output, &told, |told| table::table(told, changed))
}

/// The objects of the files by themselves, if they have no mistakes.
fn usable(sources: &[Source]) -> Result<Snapshot, Error> {
    let invalid = |why: String| Error::Invalid {
        what: "what is to be tried".into(),
        why,
    };
    let report = crate::sizing::lint::lint(sources);
    let mut mistakes = report
        .findings
        .iter()
        .filter(|one| one.severity == Severity::Error);
    if let Some(first) = mistakes.next() {
        let more = match mistakes.count() {
            0 => String::new(),
            more => format!(", and {more} more: see holdfast lint"),
        };
        return Err(invalid(lint::line(first) + &more));
    }
    let mut tried = Snapshot::default();
    add(&mut tried, sources)?;
    if tried.templates().next().is_none() && tried.daemonsets().next().is_none() {
        return Err(invalid("there is no FlexDaemonsetTemplate in it".into()));
    }
    Ok(tried)
}

fn add(snapshot: &mut Snapshot, sources: &[Source]) -> Result<(), Error> {
    for source in sources {
        for document in source.documents.iter().flatten() {
            let added = snapshot.add(document.value.clone());
            added.map_err(|why| Error::Invalid {
                what: source.file.clone(),
                why,
            })?;
        }
    }
    Ok(())
}

/// Lets the DaemonSets that were asked for name the one template that is tried.
fn annotate(after: &mut Snapshot, tried: &Snapshot, asked: &[String]) -> Result<(), Error> {
    if asked.is_empty() {
        return Ok(());
    }
    let templates: Vec<_> = tried.templates().map(|(name, _)| name.as_ref()).collect();
    let [template] = templates.as_slice() else {
        return Err(Error::Invalid {
            what: "--daemonset".into(),
            why: format!(
                "the files have {} templates ({}), and it is not said which one to try; give one of them with -f",
                templates.len(),
                templates.join(", ")
            ),
        });
    };
    for one in asked {
        let (namespace, name) = one.split_once('/').unwrap_or(("default", one));
        if after.daemonset(namespace, name).is_none() {
            let known: Vec<_> = after.daemonsets().map(|(named, _)| path(named)).collect();
            return Err(absent("DaemonSet", &format!("{namespace}/{name}"), &known));
        }
        after.annotate((namespace, name), template);
    }
    Ok(())
}

fn path((namespace, name): &Named) -> String {
    format!("{namespace}/{name}")
}

impl Trial<'_> {
    /// Where pods of those DaemonSets are that would change.
    fn namespaces(&self) -> BTreeSet<&str> {
        let all = self.after.daemonsets();
        all.filter(|(named, now)| self.interest(named, now).is_some())
            .map(|((namespace, _), _)| namespace.as_ref())
            .collect()
    }
}
