//! Whose turn it is: so many Migrations at once in the cluster, and one of a ReplicaSet, whose pods cannot be told from each other. How
//! many on a node, and who else is at work there, the Leases of the nodes say. Pure.

use crate::migration::api::{Journey, Migration, Stage};
use crate::process::flags::MoveFlags;
use kube::ResourceExt;

/// Whether a Migration may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may.
    Now,
    /// Others are under way: whom it waits for, as a sentence.
    Later(String),
    /// Never, and why.
    Never(String),
}

/// `all`: every Migration there is; this one may be among them.
pub(crate) fn turn(uid: &str, journey: &Journey, all: &[Migration], limits: MoveFlags) -> Turn {
    let open: Vec<_> = all
        .iter()
        .filter(|one| one.uid().as_deref() != Some(uid))
        .filter_map(|one| Some((one, open_journey(one)?)))
        .collect();
    if let Some((other, _)) = open
        .iter()
        .find(|(_, theirs)| theirs.pod_uid == journey.pod_uid)
    {
        return Turn::Never(format!(
            "the Migration {} moves this pod already: see kubectl get migrations",
            other.name_any()
        ));
    }
    let set = |journey: &Journey| {
        let owner = journey.owner.as_ref();
        owner.map(|owner| owner.replica_set_uid.clone())
    };
    let sibling = open
        .iter()
        .find(|(_, theirs)| set(theirs).is_some() && set(theirs) == set(journey));
    if let Some((other, _)) = sibling {
        return Turn::Later(format!(
            "the Migration {} moves another pod of the same Deployment: it goes first",
            other.name_any()
        ));
    }
    if open.len() >= usize::from(limits.moves) {
        return Turn::Later(format!(
            "{} other Migrations are under way, which go first: --moves",
            open.len()
        ));
    }
    Turn::Now
}

/// What moves, where it has begun and is not over.
pub(crate) fn open_journey(migration: &Migration) -> Option<&Journey> {
    let status = migration.status.as_ref()?;
    let journey = status.journey.as_ref()?;
    (status.stage == Stage::Begun).then_some(journey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIMITS: MoveFlags = MoveFlags {
        moves: 3,
        moves_per_node: 2,
    };

    fn journey(pod: &str, set: &str, from: &str, to: &str) -> Journey {
        serde_json::from_value(json!({
            "podName": pod, "podUid": pod, "sourceNode": from, "targetNode": to,
            "owner": { "deployment": "d", "deploymentUid": "d", "replicaSet": set, "replicaSetUid": set, "templateHash": "h" },
        }))
        .unwrap()
    }

    fn other(name: &str, stage: &str, journey: &Journey) -> Migration {
        serde_json::from_value(json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": name, "uid": name },
            "spec": { "podName": journey.pod_name }, "status": { "stage": stage, "journey": journey },
        }))
        .unwrap()
    }

    fn later(turn: Turn, about: &str) {
        let Turn::Later(why) = turn else {
            panic!("{turn:?}");
        };
        assert!(why.contains(about), "{why}");
    }

    #[test]
    fn one_of_a_replica_set_so_many_on_a_node_so_many_at_all() {
        let mine = journey("p", "r", "a", "b");
        let turn = |all: &[Migration]| turn("mine", &mine, all, LIMITS);
        assert_eq!(turn(&[]), Turn::Now);
        assert_eq!(turn(&[other("mine", "Begun", &mine)]), Turn::Now);
        assert!(matches!(
            turn(&[other("x", "Begun", &mine)]),
            Turn::Never(_)
        ));
        assert_eq!(turn(&[other("x", "Closed", &mine)]), Turn::Now);
        let sibling = journey("q", "r", "c", "d");
        later(turn(&[other("x", "Begun", &sibling)]), "Migration x");
        let far =
            ["x", "y", "z"].map(|name| other(name, "Begun", &journey(name, name, name, "far")));
        later(turn(&far), "3 other Migrations");
        assert_eq!(turn(&far[1..]), Turn::Now);
    }
}
