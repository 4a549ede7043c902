//! What is said of each pod that is held. Pure.

use crate::agent::api::{
    CheckpointStanding, Left, MOST_FROZEN, SourceStanding, StateTask, TargetStanding, Word,
};
use crate::migration::api::Migration;
use crate::migration::summary::UNDECIDED;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::Serialize;

/// What it is held for, where that is gone.
const NOBODY: &str = "nobody";

/// What is said of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) node: String,
    pub(super) namespace: String,
    pub(super) pod: String,
    /// As `migration/NAME`; `nobody` where that is gone.
    pub(super) held_for: String,
    pub(super) phase: String,
    pub(super) since: Option<Time>,
    /// When it runs on by itself.
    pub(super) deadline: Option<Time>,
    pub(super) waits_for: String,
}

/// All that is held for what is there.
pub(super) fn ordered(tasks: &[StateTask], migrations: &[Migration]) -> Vec<Row> {
    let of = |task: &StateTask| {
        let is_its = |one: &&Migration| one.uid().as_ref() == Some(&task.spec.operation);
        let migration = migrations.iter().find(is_its);
        [source(task, migration)]
            .into_iter()
            .chain(targets(task))
            .chain([checkpoint(task)])
            .flatten()
            .collect::<Vec<_>>()
    };
    tasks.iter().flat_map(of).collect()
}

impl Row {
    /// Both speak of the same pod.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        let name = |row: &Self| (row.node.clone(), row.namespace.clone(), row.pod.clone());
        name(self) == name(other)
    }
}

/// One that is held for what is gone.
pub(super) fn left(node: &str, left: &Left) -> Row {
    Row {
        node: node.to_owned(),
        namespace: left.namespace.clone(),
        pod: if left.pod.is_empty() {
            left.uid.clone()
        } else {
            left.pod.clone()
        },
        held_for: NOBODY.into(),
        phase: left.phase.clone(),
        since: left.since.clone(),
        deadline: None,
        waits_for: left.waits_for(),
    }
}

fn row(task: &StateTask, pod: &str, phase: &str, waits_for: String) -> Row {
    let owner = task.owner_references().first();
    let owner = owner.map(|owner| format!("{}/{}", owner.kind.to_lowercase(), owner.name));
    Row {
        node: task.spec.node_name.clone(),
        namespace: task.namespace().unwrap_or_default(),
        pod: pod.to_owned(),
        held_for: owner.unwrap_or_else(|| task.spec.operation.clone()),
        phase: phase.to_owned(),
        since: None,
        deadline: None,
        waits_for,
    }
}

fn source(task: &StateTask, migration: Option<&Migration>) -> Option<Row> {
    let (order, status) = (task.spec.source.as_ref()?, task.status.as_ref()?);
    let report = status.source.as_ref().filter(|report| !report.is_over)?;
    let to = &order.target_node;
    let is_alone = order.word == Word::Alone;
    let (phase, waits_for) = match report.standing {
        SourceStanding::Idle | SourceStanding::Unknown => return None,
        SourceStanding::Frozen => (
            "frozen",
            format!("its state to be written, and read again on {to}"),
        ),
        SourceStanding::Verified => ("verified", "the manager's word".into()),
        SourceStanding::Released => (
            "released",
            undecided(migration).unwrap_or_else(|| format!("{to} to say that it runs there")),
        ),
        SourceStanding::Withdrawn => ("withdrawn", "its own node to let it run".into()),
        SourceStanding::Returned => ("returned", "its own node to let it run".into()),
        SourceStanding::Superseded => ("superseded", "its end here: it runs elsewhere".into()),
        SourceStanding::Killed => (
            "killed",
            undecided(migration).unwrap_or_else(|| format!("its successor to run on {to}")),
        ),
    };
    let frozen = status.measured.as_ref().and_then(|it| it.frozen_at.clone());
    let since = frozen.map(|time| Time(time.0));
    let is_timed = matches!(
        report.standing,
        SourceStanding::Frozen | SourceStanding::Verified
    );
    let patience = SignedDuration::try_from(MOST_FROZEN).unwrap_or_default();
    let deadline = since.as_ref().and_then(|since| later(since.0, patience));
    let row = Row {
        deadline: deadline.filter(|_| is_timed),
        since,
        ..row(task, &order.pod.name, phase, waits_for)
    };
    Some(if is_alone { orphaned(row, to) } else { row })
}

/// Its Migration is gone: its node was asked to follow its records, and no more.
fn orphaned(row: Row, target: &str) -> Row {
    let left = Left {
        phase: row.phase.clone(),
        target: Some(target.to_owned()).filter(|target| !target.is_empty()),
        ..Left::default()
    };
    Row {
        held_for: NOBODY.into(),
        waits_for: left.waits_for(),
        ..row
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Option<Time> {
    time.checked_add(by).ok().map(Time)
}

/// What the manager says of one that nobody can decide, with what helps.
fn undecided(migration: Option<&Migration>) -> Option<String> {
    let conditions = &migration?.status.as_ref()?.conditions;
    let mut found = conditions.iter();
    let found = found.find(|one| one.type_ == UNDECIDED && one.status == "True");
    found.map(|one| one.message.clone())
}

fn targets(task: &StateTask) -> impl Iterator<Item = Option<Row>> {
    let status = task.status.as_ref();
    let report = status.and_then(|status| status.target.as_ref());
    let order = task.spec.target.as_ref();
    let pods = report.map_or(&[][..], |report| &report.pods);
    pods.iter().map(move |pod| {
        let order = order?;
        let (phase, waits_for) = match pod.standing {
            TargetStanding::Opening => ("preparing", "its node to make it ready".to_owned()),
            TargetStanding::Waiting => ("waiting", format!("the state from {}", order.source_node)),
            TargetStanding::Claimed => ("claimed", "its containers to be restored".to_owned()),
            _ => return None,
        };
        let named = order.pod.as_ref().filter(|named| named.uid == pod.uid);
        let name = named.map_or(&pod.uid, |named| &named.name);
        Some(row(task, name, phase, waits_for))
    })
}

fn checkpoint(task: &StateTask) -> Option<Row> {
    let (order, status) = (task.spec.checkpoint.as_ref()?, task.status.as_ref()?);
    let report = status.checkpoint.as_ref()?;
    if report.standing != CheckpointStanding::Frozen {
        return None;
    }
    let waits_for = "its state to be written; then it runs on".into();
    let patience = SignedDuration::from_secs(order.deadline_seconds.into());
    let since = report.taken_at.clone();
    Some(Row {
        deadline: since.as_ref().and_then(|since| later(since.0, patience)),
        since,
        ..row(task, &order.pod.name, "frozen", waits_for)
    })
}
