//! What a template would do before it is applied: every pod's share on every node, before and after, from the webhook's own code;
//! whether all shares still fit; and what it would mean for the pods that run. Pure.

mod given;
mod pods;
#[cfg(test)]
mod tests;

pub(crate) use pods::Fates;

use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::excess::{Excess, excess};
use crate::sizing::findings;
use crate::sizing::kinds::kinds;
use crate::sizing::load::asked;
use crate::sizing::share::Bound;
use crate::sizing::snapshot::{Named, Snapshot};
use crate::sizing::view::DaemonSetView;
use given::{Given, Memory};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Two states of a cluster, and what of them is looked at.
pub(crate) struct Trial<'a> {
    pub(crate) before: &'a Snapshot,
    pub(crate) after: &'a Snapshot,
    /// The templates and DaemonSets that are tried.
    pub(crate) templates: BTreeSet<String>,
    pub(crate) daemonsets: BTreeSet<Named>,
    /// Only this node.
    pub(crate) node: Option<&'a str>,
}

/// What would be.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Forecast {
    pub(crate) rows: Vec<Row>,
    /// Containers that a template names and a DaemonSet lacks, and namespaces that are left out.
    pub(crate) warnings: Vec<String>,
    /// Shares that come to more than nodes have.
    pub(crate) excess: Excesses,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pods: Option<Fates>,
}

/// Where shares come to more than nodes have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Excesses {
    pub(crate) before: Vec<String>,
    pub(crate) after: Vec<String>,
}

/// What the pods of one DaemonSet ask for on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) node: String,
    #[serde(rename = "daemonSet")]
    pub(crate) daemonset: String,
    /// Requests or limits of some container would be others.
    pub(crate) is_changed: bool,
    pub(crate) requests: Vec<Change>,
    /// In a few words each.
    pub(crate) remarks: Vec<String>,
    /// In sentences.
    pub(crate) notes: Vec<String>,
}

/// What a pod asks for of one resource in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    pub(crate) resource: &'static str,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// Looks at every node.
pub(crate) fn forecast(trial: &Trial) -> Forecast {
    let (before, after) = (Memory::of(trial.before), Memory::of(trial.after));
    let candidates: Vec<_> = trial
        .after
        .daemonsets()
        .filter_map(|(named, now)| Some((named, now, trial.interest(named, now)?)))
        .collect();
    let mut forecast = Forecast::default();
    let mut fates = Fates::default();
    for (name, node) in trial.after.nodes() {
        if trial.node.is_some_and(|only| *only != **name) {
            continue;
        }
        for (named, now, is_meant) in &candidates {
            if !now.landing.is_on(name, node) {
                continue;
            }
            let former = trial.before.daemonset(&named.0, &named.1).unwrap_or(now);
            let one = Given::of(&before, (named, former), (name, node));
            let two = Given::of(&after, (named, now), (name, node));
            let row = row((name, named), &one, &two);
            if *is_meant || row.is_changed {
                forecast.rows.push(row);
                pods::count(&mut fates, trial, &after, (named, now), (name, node));
            }
        }
    }
    forecast.warnings = trial.warnings(&candidates);
    forecast.excess = Excesses {
        before: excesses(trial.before),
        after: excesses(trial.after),
    };
    forecast.pods = trial.after.pods().next().is_some().then_some(fates);
    forecast
}

impl Trial<'_> {
    /// Whether a DaemonSet is meant (`true`), or may change because it looks at others (`false`).
    pub(crate) fn interest(&self, named: &Named, now: &DaemonSetView) -> Option<bool> {
        let names_it = |daemonset: &DaemonSetView| {
            let template = daemonset.template.as_deref();
            template.is_some_and(|name| self.templates.contains(name))
        };
        let former = self.before.daemonset(&named.0, &named.1);
        if names_it(now)
            || former.is_some_and(|former| names_it(former))
            || self.daemonsets.contains(named)
        {
            return Some(true);
        }
        let recipe = self.after.recipe(now.template.as_deref()?)?;
        recipe.looks_around().then_some(false)
    }

    fn warnings(&self, candidates: &[(&Named, &Arc<DaemonSetView>, bool)]) -> Vec<String> {
        let mut all = Vec::new();
        for ((namespace, name), now, _) in candidates.iter().filter(|(_, _, is_meant)| *is_meant) {
            let Some(template) = now.template.as_deref() else {
                continue;
            };
            let told = |why: String| format!("DaemonSet {namespace}/{name}: {why}");
            let exclusion = self.after.exclusion(namespace);
            all.extend(exclusion.map(|exclusion| told(exclusion.sentence(namespace))));
            let Some(recipe) = self.after.recipe(template) else {
                all.push(told(format!(
                    "there is no FlexDaemonsetTemplate {template} that can be used"
                )));
                continue;
            };
            all.extend(
                findings::unknown_containers(recipe, now)
                    .into_iter()
                    .map(|one| {
                        told(format!(
                            "template {template} names container {one}, which it does not have"
                        ))
                    }),
            );
        }
        all
    }
}

fn excesses(snapshot: &Snapshot) -> Vec<String> {
    let crowd = snapshot.crowd();
    let kinds = kinds(snapshot.nodes(), &crowd);
    let all = excess(&kinds.all, &crowd);
    all.iter().map(Excess::sentence).collect()
}

fn row((node, (namespace, name)): (&str, &Named), one: &Given, two: &Given) -> Row {
    let (before, after) = (asked(&one.containers), asked(&two.containers));
    let requests = Resource::ALL.into_iter().map(|resource| {
        let text = |amounts: &Amounts| amounts.of(resource).map(|amount| resource.text(amount));
        Change {
            resource: resource.key(),
            before: text(&before),
            after: text(&after),
        }
    });
    let mut row = Row {
        node: node.to_owned(),
        daemonset: format!("{namespace}/{name}"),
        is_changed: one.containers != two.containers,
        requests: requests.collect(),
        remarks: two.left.iter().map(ToString::to_string).collect(),
        notes: Vec::new(),
    };
    if row.is_changed && before == after {
        row.remarks
            .push("requests stay, parts or limits change".into());
    }
    if let Some(desired) = &two.desired {
        for resource in Resource::ALL {
            let share = desired.shares.of(resource);
            let bound = match share.bound {
                _ if share.amount.is_none() => continue,
                Bound::None => continue,
                Bound::Min => "min",
                Bound::Max => "max",
            };
            row.remarks
                .push(format!("{} at {bound}", resource.field().0));
        }
        for note in &desired.notes {
            let word = note.reason().to_owned();
            if !row.remarks.contains(&word) {
                row.remarks.push(word);
            }
            row.notes.push(note.to_string());
        }
    }
    row
}
