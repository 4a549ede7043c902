//! `holdfast explain daemonset`: how a share comes about, for people or for programs.

mod arguments;

pub use arguments::{Explain, What};

use crate::cli::files;
use crate::cli::table::{about, answer, columns, lines};
use crate::kit::error::Error;
use crate::kit::names;
use crate::process::clients::Clients;
use crate::sizing::explain::{
    ContainerAmount, ContainerPart, Explanation, Question, ResourceShare, RunningPod, explain,
};
use crate::sizing::snapshot::Snapshot;

/// Explains, and writes nothing but the answer.
///
/// # Errors
/// What was asked about is not there, or the cluster cannot be read.
pub async fn run(arguments: Explain) -> Result<(), Error> {
    let Explain {
        what:
            What::Daemonset {
                daemonset,
                node,
                namespace,
                installation_namespace,
                cluster,
                output,
            },
    } = arguments;
    let (namespace, name) = match daemonset.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name),
        None => (namespace, daemonset.as_str()),
    };
    let snapshot = if cluster.is_empty() {
        let clients = Clients::infer().await?;
        let read = Snapshot::read_for(&clients.api, (&namespace, name), &node);
        read.await.map_err(files::told)?
    } else {
        files::cluster(&cluster)?
    };
    let snapshot = snapshot.of_installation(installation_namespace);
    let asked = Question {
        namespace: &namespace,
        name,
        node: &node,
    };
    answer(output, &explain(&snapshot, &asked)?, table)
}

/// The explanation for people.
fn table(told: &Explanation) -> String {
    let mut parts = vec![head(told)];
    if !told.resources.is_empty() {
        let rows: Vec<_> = told.resources.iter().map(steps).collect();
        parts.push(format!("Share of the pod\n{}", columns("  ", &rows)));
    }
    let amounts = |part: &ContainerPart| -> Vec<Vec<String>> {
        let all = part.amounts.iter();
        all.map(|amount| row(part, amount)).collect()
    };
    let rows: Vec<_> = told.containers.iter().flat_map(amounts).collect();
    if !rows.is_empty() {
        let titles = ["NAME", "ROLE", "RESOURCE", "REQUEST", "LIMIT", "WHY"];
        let titles = vec![titles.map(str::to_owned).to_vec()];
        let rows = columns("  ", &[titles, rows].concat());
        parts.push(format!("Containers\n{rows}"));
    }
    if !told.notes.is_empty() {
        parts.push(format!("Notes\n{}", lines("  - ", &told.notes)));
    }
    parts.extend(told.pod.as_ref().map(running));
    if let Some(share) = &told.share {
        parts.push(format!(
            "Annotation\n  {}: {share}\n",
            names::SHARE_ANNOTATION
        ));
    }
    if let Some(patch) = &told.patch {
        let operations = patch.as_array().into_iter().flatten();
        parts.push(format!("Patch\n{}", lines("  ", operations)));
    }
    parts.join("\n")
}

/// What it is about, and what keeps the pod from its share.
fn head(told: &Explanation) -> String {
    let title = format!(
        "DaemonSet {} on node {}, by template {}",
        told.daemonset, told.node, told.template
    );
    let obstacle = told.obstacle.as_ref();
    let overridden = told.overridden_by.as_ref();
    let ranges = told.limit_ranges.join(", ");
    let told = [
        Some(title),
        obstacle.map(|why| format!("  no pod of it lands there: {why}")),
        told.reason.as_ref().map(|why| format!("  {why}")),
        overridden.map(|of| format!("  the numbers of {of} count on this node")),
        (!ranges.is_empty()).then(|| format!("  LimitRanges of the namespace: {ranges}")),
    ];
    lines("", told.into_iter().flatten())
}

/// Such as `cpu  3920m × 10 % = 392m  (min 100m)  → 392m`.
fn steps(share: &ResourceShare) -> Vec<String> {
    let Some(percentage) = share.percentage else {
        return vec![share.resource.into(), "not shared: left as it is".into()];
    };
    let Some(base) = &share.base else {
        return vec![
            share.resource.into(),
            "the node has none: left as it is".into(),
        ];
    };
    let base = match (&share.others, &share.allocatable) {
        (Some(others), Some(allocatable)) => format!("({allocatable} − {others} of others)"),
        _ => base.clone(),
    };
    let bound = |name: &str, amount: &Option<String>| {
        let amount = amount.as_ref()?;
        let counts = if share.bound == Some(name) {
            " counts"
        } else {
            ""
        };
        Some(format!("{name} {amount}{counts}"))
    };
    let scaled = share
        .scale
        .as_ref()
        .map(|scale| format!("scaled to {scale}"));
    let bounds: Vec<_> = [bound("min", &share.min), bound("max", &share.max), scaled]
        .into_iter()
        .flatten()
        .collect();
    let bounds = match bounds.as_slice() {
        [] => String::new(),
        bounds => format!("({})", bounds.join(", ")),
    };
    let raw = share.raw.as_deref().unwrap_or_default();
    vec![
        share.resource.into(),
        format!("{base} × {percentage} % = {raw}"),
        bounds,
        format!(
            "→ {}",
            share
                .share
                .as_deref()
                .map_or("nothing: left as it is".into(), about)
        ),
    ]
}

fn row(part: &ContainerPart, amount: &ContainerAmount) -> Vec<String> {
    let shown = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".into());
    vec![
        part.name.clone(),
        part.role.into(),
        amount.resource.into(),
        shown(&amount.request),
        shown(&amount.limit),
        amount.why.clone(),
    ]
}

/// What the pod that is there has, beside what it should have.
fn running(pod: &RunningPod) -> String {
    let state = match (&pod.reason, pod.is_as_it_should_be) {
        (Some(why), _) => why.clone(),
        (None, true) => "it has its share".into(),
        (None, false) if pod.was_sized => "its share has changed since it got it".into(),
        (None, false) => "it was created without its share".into(),
    };
    let mut text = format!("Pod {} is there now: {state}\n", pod.name);
    if let Some(resize) = &pod.resize {
        text.extend(["  resize ", resize, "\n"]);
    }
    let shown = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".into());
    let mut rows = vec![
        [
            "CONTAINER",
            "RESOURCE",
            "REQUEST",
            "SHOULD BE",
            "LIMIT",
            "SHOULD BE",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(pod.containers.iter().map(|one| {
        vec![
            one.container.clone(),
            one.resource.into(),
            shown(&one.request.now),
            shown(&one.request.should),
            shown(&one.limit.now),
            shown(&one.limit.should),
        ]
    }));
    text + &columns("  ", &rows)
}
