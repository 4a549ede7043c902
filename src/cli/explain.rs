//! `holdfast explain daemonset`: how a share comes about, for people or for programs.

mod arguments;

pub use arguments::{Explain, What};

use crate::cli::files;
use crate::cli::table::{about, answer, columns};
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::sizing::explain::{
    ContainerAmount, Explanation, Question, ResourceShare, RunningPod, explain,
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
    let asked = Question {
        namespace: &namespace,
        name,
        node: &node,
        own: &installation_namespace,
    };
    answer(output, &explain(&snapshot, &asked)?, table)
}

/// The explanation for people.
fn table(told: &Explanation) -> String {
    let mut text = format!(
        "DaemonSet {} on node {}, by template {}\n",
        told.daemonset, told.node, told.template
    );
    if let Some(why) = &told.obstacle {
        text.push_str(&format!("  no pod of it lands there: {why}\n"));
    }
    if let Some(why) = &told.reason {
        text.push_str(&format!("  {why}\n"));
    }
    if let Some(of) = &told.overridden_by {
        text.push_str(&format!("  the numbers of {of} count on this node\n"));
    }
    if !told.limit_ranges.is_empty() {
        let all = told.limit_ranges.join(", ");
        text.push_str(&format!("  LimitRanges of the namespace: {all}\n"));
    }
    if !told.resources.is_empty() {
        text.push_str("\nShare of the pod\n");
        let rows: Vec<_> = told.resources.iter().map(steps).collect();
        text.push_str(&columns("  ", &rows));
    }
    let rows: Vec<_> = told
        .containers
        .iter()
        .flat_map(|part| {
            part.amounts
                .iter()
                .map(|amount| (part.name.as_str(), part.role, amount))
        })
        .map(|(name, role, amount)| parts(name, role, amount))
        .collect();
    if !rows.is_empty() {
        text.push_str("\nContainers\n");
        let head = ["name", "role", "resource", "request", "limit", "why"];
        let head = vec![head.map(str::to_uppercase).to_vec()];
        text.push_str(&columns("  ", &[head, rows].concat()));
    }
    if !told.notes.is_empty() {
        text.push_str("\nNotes\n");
        for note in &told.notes {
            text.push_str(&format!("  - {note}\n"));
        }
    }
    if let Some(pod) = &told.pod {
        text.push_str(&running(pod));
    }
    if let Some(share) = &told.share {
        text.push_str(&format!("\nAnnotation\n  holdfast.dev/share: {share}\n"));
    }
    if let Some(patch) = &told.patch {
        text.push_str("\nPatch\n");
        for operation in patch.as_array().into_iter().flatten() {
            text.push_str(&format!("  {operation}\n"));
        }
    }
    text
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

fn parts(name: &str, role: &str, amount: &ContainerAmount) -> Vec<String> {
    let shown = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".into());
    vec![
        name.into(),
        role.into(),
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
    let mut text = format!("\nPod {} is there now: {state}\n", pod.name);
    if let Some(resize) = &pod.resize {
        text.push_str(&format!("  resize {resize}\n"));
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
