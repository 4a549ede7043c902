//! What the source's agent is answered, and what it is refused.

use super::*;
use crate::agent::api::{PodName, StateTask, StateTaskSpec, TargetOrder, TargetStanding};
use crate::agent::store::manifest::Manifest;
use crate::agent::store::{Found, Generation};
use crate::migration::api::{Decision, Outcome};
use crate::testkit::folder::Folder;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use std::path::Path;

struct Node {
    _folder: Folder,
    targets: Targets,
    orders: Writer<StateTask>,
}

impl Node {
    fn new() -> Self {
        let folder = Folder::new();
        let host = Host::at(folder.path().to_owned()).seen_from(Path::new("/"));
        let records = Records::open(&host.records()).unwrap();
        let (reader, mut orders) = reflector::store();
        orders.apply_watcher_event(&Event::Init);
        orders.apply_watcher_event(&Event::InitDone);
        let node = (host, "t".to_owned());
        let targets = Targets::new(node, records, Orders::of(reader), Waiting::default());
        Self {
            _folder: folder,
            targets,
            orders,
        }
    }

    fn order(&mut self, outcome: Outcome, revoke: &[&str]) {
        let spec = StateTaskSpec {
            node_name: "t".into(),
            operation: "op".into(),
            decision: Decision {
                outcome,
                attempt: 1,
                pod_uid: Some("t1".into()),
                generation: Some("g".into()),
                ..Decision::default()
            },
            target: Some(TargetOrder {
                pod: Some(PodName {
                    name: "web-1".into(),
                    uid: "t1".into(),
                }),
                source_node: "s".into(),
                source_uid: "s1".into(),
                generation: "g".into(),
                restores: vec!["app".into()],
                revoke: revoke.iter().map(|uid| (*uid).to_owned()).collect(),
                ..TargetOrder::default()
            }),
            ..StateTaskSpec::default()
        };
        let mut task = StateTask::new("op", spec);
        task.metadata.namespace = Some("ns".into());
        self.orders.apply_watcher_event(&Event::Apply(task));
    }

    /// The state that is meant.
    fn generation(&self) -> Generation {
        let expected = self.targets.expects("op", "g").unwrap();
        let place = (expected.namespace.as_str(), expected.uid.as_str());
        let root = self.targets.0.host.checkpoints();
        Generation::of(&root, place, "g").unwrap()
    }

    /// The state is here; its manifest's digest.
    fn seal(&self) -> String {
        let generation = self.generation();
        generation.begin().unwrap();
        let manifest = Manifest {
            uid: "s1".into(),
            node: "s".into(),
            ..Manifest::of_web()
        };
        generation.seal(manifest, None).unwrap();
        match generation.look().unwrap() {
            Found::Sealed(_, digest) => digest,
            found => panic!("{found:?}"),
        }
    }

    async fn standing(&self) -> Option<TargetStanding> {
        let (report, _) = self.targets.pass("op").await.unwrap();
        report.pods.first().map(|pod| pod.standing)
    }
}

#[tokio::test]
async fn only_the_node_that_the_order_names_may_bring_its_state() {
    let mut node = Node::new();
    assert!(node.targets.admits("op", "s").is_err());
    assert!(node.targets.expects("op", "g").is_err());
    node.order(Outcome::Undecided, &[]);
    assert!(node.targets.admits("op", "s").is_ok());
    let expected = node.targets.expects("op", "g").unwrap();
    assert_eq!((&*expected.namespace, &*expected.uid), ("ns", "s1"));
    for (operation, from) in [("op", "x"), ("no", "s"), ("op", "")] {
        assert!(node.targets.admits(operation, from).is_err());
    }
    assert!(node.targets.expects("op", "h").is_err());
}

#[tokio::test]
async fn a_pod_is_claimed_when_it_is_allowed_here_and_released() {
    let mut node = Node::new();
    node.order(Outcome::Undecided, &[]);
    assert_eq!(node.standing().await, Some(TargetStanding::Opening));
    assert!(!node.targets.is_ready("op", "t1", 1).await);
    let ticket = node.targets.waiting().enter("t1", "app", None);
    assert_eq!(node.standing().await, Some(TargetStanding::Waiting));
    assert!(
        !node.targets.is_ready("op", "t1", 1).await,
        "not allowed yet"
    );
    node.order(Outcome::Allowed, &[]);
    assert!(node.targets.is_ready("op", "t1", 1).await);
    assert!(!node.targets.is_ready("op", "t1", 2).await);
    assert!(!node.targets.is_ready("op", "t2", 1).await);
    let early = node.targets.release("op", Some("t1"), "sha256:0").await;
    assert!(early.is_err());
    let digest = node.seal();
    assert_eq!(node.standing().await, Some(TargetStanding::Waiting));
    node.targets
        .release("op", Some("t2"), &digest)
        .await
        .unwrap();
    assert_eq!(node.standing().await, Some(TargetStanding::Waiting));
    node.targets
        .release("op", Some("t1"), &digest)
        .await
        .unwrap();
    assert_eq!(node.standing().await, Some(TargetStanding::Claimed));
    let standing = node.targets.standing("op").await.unwrap();
    assert!(standing.has_verified && standing.released.is_to(Some("t1")));
    drop(ticket);
}

#[tokio::test]
async fn the_source_may_void_what_did_not_run_and_nothing_it_does_not_own() {
    let mut node = Node::new();
    node.order(Outcome::Allowed, &[]);
    assert_eq!(node.standing().await, Some(TargetStanding::Opening));
    assert_eq!(node.targets.revoke("op", "t9").await.unwrap(), None);
    let voided = node.targets.revoke("op", "t1").await.unwrap().unwrap();
    assert_eq!(voided.standing, TargetStanding::Revoked);
    let digest = node.seal();
    node.targets
        .release("op", Some("t1"), &digest)
        .await
        .unwrap();
    assert_eq!(node.standing().await, Some(TargetStanding::Revoked));
}

#[tokio::test]
async fn a_pod_that_was_never_here_is_voided_by_its_uid() {
    let mut node = Node::new();
    node.order(Outcome::RolledBack, &["t7"]);
    let (report, _) = node.targets.pass("op").await.unwrap();
    let standings: Vec<_> = report
        .pods
        .iter()
        .map(|pod| (pod.uid.as_str(), pod.standing))
        .collect();
    let revoked = TargetStanding::Revoked;
    assert_eq!(standings, [("t1", revoked), ("t7", revoked)]);
}

#[tokio::test]
async fn what_had_come_of_a_state_goes_when_it_is_not_to_come_any_more() {
    let mut node = Node::new();
    node.order(Outcome::Allowed, &[]);
    let (coming, ticket) = (node.generation().incoming(), node.targets.waiting());
    let _ticket = ticket.enter("t1", "app", None);
    std::fs::create_dir_all(&coming).unwrap();
    std::fs::write(coming.join("pages-1.img"), "secrets").unwrap();
    node.standing().await;
    assert!(coming.exists(), "it may go on from there");
    node.order(Outcome::RolledBack, &["t1"]);
    assert_eq!(node.standing().await, Some(TargetStanding::Revoked));
    assert!(!coming.exists());
    // The folders of the pod and of the namespace, too.
    assert!(!coming.ancestors().nth(2).unwrap().exists());
}
