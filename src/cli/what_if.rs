//! `holdfast what-if`: what templates would do on every node, before they are applied.

use crate::cli::table::{Form, answer, columns};
use crate::cli::{files, lint};
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::sizing::findings::absent;
use crate::sizing::forecast::{Change, Fates, Forecast, Row, Trial, forecast};
use crate::sizing::lint::{Severity, Source};
use crate::sizing::snapshot::{Named, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// So many notes are printed for people; programs get all of them.
const NOTES: usize = 10;

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
    let clients = match cluster.is_empty() {
        true => Some(Clients::infer().await?),
        false => None,
    };
    let before = match &clients {
        Some(clients) => Snapshot::read(&clients.api).await.map_err(files::told)?,
        None => files::cluster(&cluster)?,
    };
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
        own: &installation_namespace,
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
    answer(output, &told, |told| table(told, changed))
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

/// The forecast for people.
fn table(told: &Forecast, only_changed: bool) -> String {
    let mut text = rows(&told.rows, only_changed);
    let changed = told.rows.iter().filter(|row| row.is_changed).count();
    let nodes: BTreeSet<_> = told.rows.iter().map(|row| &row.node).collect();
    let daemonsets: BTreeSet<_> = told.rows.iter().map(|row| &row.daemonset).collect();
    text.push_str(&format!(
        "\n{changed} of {} would change (nodes: {}, DaemonSets: {}).\n",
        told.rows.len(),
        nodes.len(),
        daemonsets.len()
    ));
    if let Some(fates) = &told.pods {
        text.push_str(&pods(fates));
    }
    for (title, list) in [
        ("Warnings", &told.warnings),
        ("Over-committed now", &told.excess.before),
        ("Over-committed then", &told.excess.after),
        ("Notes", &notes(&told.rows)),
    ] {
        if !list.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            for line in list {
                text.push_str(&format!("  - {line}\n"));
            }
        }
    }
    text
}

/// What would become of the pods that run.
fn pods(fates: &Fates) -> String {
    let counts = [
        (fates.resized, "resized in place"),
        (fates.recreated, "deleted and made anew"),
        (fates.needs_recreate, "only a new pod could change"),
        (fates.kept, "kept, as the template says"),
        (fates.unchanged, "as they should be"),
    ];
    let told: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() {
        return "Running pods: none.\n".into();
    }
    format!("Running pods: {}.\n", told.join(", "))
}

fn rows(all: &[Row], only_changed: bool) -> String {
    if all.is_empty() {
        return if only_changed {
            "Nothing would change.\n".into()
        } else {
            "No DaemonSet that lands on a node names what is tried; name one with --daemonset NAMESPACE/NAME.\n".into()
        };
    }
    let is_told = |at: usize| {
        let mut changes = all.iter().filter_map(|row| row.requests.get(at));
        changes.any(|change| change.before.is_some() || change.after.is_some())
    };
    let told: Vec<_> = (0..3).filter(|at| is_told(*at)).collect();
    let titles = ["CPU", "MEMORY", "EPHEMERAL-STORAGE"];
    let mut head = vec!["NODE".to_owned(), "DAEMONSET".to_owned()];
    head.extend(
        told.iter()
            .filter_map(|at| titles.get(*at).map(ToString::to_string)),
    );
    head.push("REMARKS".into());
    let mut rows = vec![head];
    for row in all {
        let mut cells = vec![row.node.clone(), row.daemonset.clone()];
        cells.extend(told.iter().filter_map(|at| row.requests.get(*at).map(cell)));
        cells.push(row.remarks.join(", "));
        rows.push(cells);
    }
    columns("", &rows)
}

/// `392m`, or `392m → 784m` where it changes.
fn cell(change: &Change) -> String {
    let shown = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".into());
    if change.before == change.after {
        shown(&change.after)
    } else {
        format!("{} → {}", shown(&change.before), shown(&change.after))
    }
}

/// Each note once, with how often it holds.
fn notes(rows: &[Row]) -> Vec<String> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for note in rows.iter().flat_map(|row| &row.notes) {
        let count = counted.entry(note).or_default();
        *count = count.saturating_add(1);
    }
    let more = counted.len().saturating_sub(NOTES);
    let mut told: Vec<_> = counted
        .into_iter()
        .take(NOTES)
        .map(|(note, count)| match count {
            1 => note.to_owned(),
            count => format!("{note} ({count} times)"),
        })
        .collect();
    if more > 0 {
        told.push(format!("and {more} more: see -o json"));
    }
    told
}
