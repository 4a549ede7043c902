//! The forecast for people: rows by node, what becomes of running pods, and each note once.

use crate::cli::table::{columns, lines};
use crate::sizing::forecast::{Change, Fates, Forecast, Row};
use std::collections::{BTreeMap, BTreeSet};

/// So many notes are printed for people; programs get all of them.
const NOTES: usize = 10;

/// The forecast for people.
pub(super) fn table(told: &Forecast, only_changed: bool) -> String {
    let changed = told.rows.iter().filter(|row| row.is_changed).count();
    let nodes: BTreeSet<_> = told.rows.iter().map(|row| &row.node).collect();
    let daemonsets: BTreeSet<_> = told.rows.iter().map(|row| &row.daemonset).collect();
    let summary = format!(
        "{changed} of {} would change (nodes: {}, DaemonSets: {}).\n{}",
        told.rows.len(),
        nodes.len(),
        daemonsets.len(),
        told.pods.as_ref().map(pods).unwrap_or_default()
    );
    let remarks = notes(&told.rows);
    let lists = [
        ("Warnings", &told.warnings),
        ("Over-committed now", &told.excess.before),
        ("Over-committed then", &told.excess.after),
        ("Notes", &remarks),
    ];
    let mut parts = vec![rows(&told.rows, only_changed), summary];
    for (title, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        parts.push(format!("{title}\n{}", lines("  - ", list)));
    }
    parts.join("\n")
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
