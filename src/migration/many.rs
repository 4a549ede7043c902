//! A Migration of many pods: each moves by a Migration of its own, and this one tells how they fare. Which pods they are is found out
//! once. Pure.

use crate::kit::conditions::{Finding, merge};
use crate::kit::digest::Digest;
use crate::migration::api::{
    Child, Migration, MigrationSpec, MigrationStatus, Outcome, Phase, Stage,
};
use crate::migration::summary::SUCCEEDED;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};

/// More are not moved by one Migration.
pub(crate) const MOST: usize = 500;

/// It has no pod of its own.
pub(crate) fn is_of_many(spec: &MigrationSpec) -> bool {
    spec.selector.is_some() || spec.deployment_name.is_some()
}

/// One for each pod, in the order of their names.
pub(crate) fn children(migration: &Migration, pods: &[Pod]) -> Vec<Child> {
    let mut children: Vec<_> = pods
        .iter()
        .map(|pod| Child {
            name: child_name(migration, &pod.uid().unwrap_or_default()),
            pod_name: pod.name_any(),
            made: false,
            phase: Phase::Pending,
        })
        .collect();
    children.sort_by(|one, other| one.pod_name.cmp(&other.pod_name));
    children
}

/// Names of pods may be as long as those of Migrations.
fn child_name(migration: &Migration, pod: &str) -> String {
    let digest = Digest::of(pod.as_bytes());
    let short: String = digest.text().chars().take(8).collect();
    let name: String = migration.name_any().chars().take(200).collect();
    format!("{name}-{short}")
}

/// The Migration of one of them, which goes with this one.
pub(crate) fn child(migration: &Migration, note: &Child) -> Migration {
    let spec = MigrationSpec {
        pod_name: Some(note.pod_name.clone()),
        selector: None,
        deployment_name: None,
        ..migration.spec.clone()
    };
    let mut child = Migration::new(&note.name, spec);
    child.metadata.namespace = migration.namespace();
    child.metadata.owner_references = migration.controller_owner_ref(&()).map(|one| vec![one]);
    child
}

/// How the children fare: those that are there now, and those that were there and are gone.
pub(crate) fn told(
    status: &MigrationStatus,
    seen: &[Migration],
    (generation, now): (Option<i64>, Timestamp),
) -> MigrationStatus {
    let mut next = status.clone();
    for child in &mut next.children {
        let found = seen.iter().find(|one| one.name_any() == child.name);
        child.made |= found.is_some();
        child.phase = match found {
            Some(found) => found.status.clone().unwrap_or_default().phase,
            // It was deleted.
            None if child.made && !child.phase.is_over() => Phase::Failed,
            None => child.phase,
        };
    }
    let count = |phase: Phase| {
        next.children
            .iter()
            .filter(|one| one.phase == phase)
            .count()
    };
    let (moved, back, failed) = (
        count(Phase::Succeeded),
        count(Phase::RolledBack),
        count(Phase::Failed),
    );
    let all = next.children.len();
    let is_done = next.children.iter().all(|child| child.phase.is_over());
    let (phase, outcome, reason) = match (is_done, failed, back) {
        (false, _, _) => (Phase::Preflighted, Outcome::Undecided, "Moving"),
        (true, 0, 0) => (Phase::Succeeded, Outcome::Restored, "Moved"),
        (true, 0, _) => (Phase::RolledBack, Outcome::RolledBack, "RolledBack"),
        (true, _, _) => (Phase::Failed, Outcome::Failed, "Failed"),
    };
    let finding = Finding {
        kind: SUCCEEDED,
        holds: phase == Phase::Succeeded,
        reason,
        message: format!(
            "{moved} of {all} pods have moved, {back} run on where they were, {failed} could not be moved: see kubectl get migrations"
        ),
    };
    next.conditions = merge(&next.conditions, &[finding], generation, now);
    next.observed_generation = generation;
    next.phase = phase;
    next.decision.outcome = outcome;
    if is_done {
        next.stage = Stage::Closed;
    }
    let bytes = seen
        .iter()
        .filter_map(|one| one.status.as_ref()?.bytes)
        .reduce(i64::saturating_add);
    next.bytes = bytes.or(next.bytes);
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parent() -> Migration {
        serde_json::from_value(json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
            "metadata": { "name": "all", "namespace": "ns", "uid": "u" },
            "spec": { "deploymentName": "web", "destinationNode": "b", "onFailure": "Fresh" },
        }))
        .unwrap()
    }

    fn pods(names: &[&str]) -> Vec<Pod> {
        let pod = |name: &&str| {
            serde_json::from_value(json!({ "metadata": { "name": name, "uid": name } }))
        };
        names.iter().map(|name| pod(name).unwrap()).collect()
    }

    fn at(mut migration: Migration, phase: Phase) -> Migration {
        migration.status = Some(MigrationStatus {
            phase,
            bytes: Some(5),
            ..MigrationStatus::default()
        });
        migration
    }

    #[test]
    fn each_pod_moves_by_a_migration_that_asks_for_the_same() {
        let parent = parent();
        let notes = children(&parent, &pods(&["q", "p"]));
        assert_eq!([&*notes[0].pod_name, &*notes[1].pod_name], ["p", "q"]);
        assert_ne!(notes[0].name, notes[1].name);
        assert_eq!(notes, children(&parent, &pods(&["p", "q"])));
        let child = child(&parent, &notes[0]);
        assert_eq!(child.spec.pod_name.as_deref(), Some("p"));
        assert_eq!(child.spec.destination_node.as_deref(), Some("b"));
        assert_eq!(child.spec.on_failure, parent.spec.on_failure);
        assert!(!is_of_many(&child.spec) && is_of_many(&parent.spec));
        assert_eq!(child.owner_references()[0].uid, "u");
    }

    #[test]
    fn it_is_over_when_all_are_and_succeeded_when_all_have() {
        let parent = parent();
        let notes = children(&parent, &pods(&["p", "q"]));
        let begun = MigrationStatus {
            children: notes.clone(),
            stage: Stage::Begun,
            ..MigrationStatus::default()
        };
        let of = |phases: [Phase; 2]| {
            let both = [0, 1].map(|which: usize| at(child(&parent, &notes[which]), phases[which]));
            told(&begun, &both, (Some(1), Timestamp::UNIX_EPOCH))
        };
        let moving = of([Phase::Succeeded, Phase::Frozen]);
        assert_eq!(
            (moving.stage, moving.phase),
            (Stage::Begun, Phase::Preflighted)
        );
        let done = of([Phase::Succeeded, Phase::Succeeded]);
        assert_eq!((done.stage, done.phase), (Stage::Closed, Phase::Succeeded));
        assert_eq!(done.bytes, Some(10));
        assert_eq!(
            of([Phase::RolledBack, Phase::Succeeded]).phase,
            Phase::RolledBack
        );
        assert_eq!(of([Phase::RolledBack, Phase::Failed]).phase, Phase::Failed);
        // One that is not made yet is waited for; one that was deleted has failed.
        let made = told(&begun, &[], (Some(1), Timestamp::UNIX_EPOCH));
        assert_eq!(made.stage, Stage::Begun);
        let gone = told(&moving, &[], (Some(1), Timestamp::UNIX_EPOCH));
        assert_eq!(gone.phase, Phase::Failed);
        assert!(
            gone.conditions[0]
                .message
                .starts_with("1 of 2 pods have moved"),
            "{gone:?}"
        );
    }
}
