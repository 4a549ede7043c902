//! A Migration takes a seat on both of its nodes before it begins, waits for whoever is at work there, and leaves nothing behind.

use super::inspected::{MIGRATION, POD, Scene, message};
use super::*;
use crate::node::lease::book::{Book, Root, lease_name};
use http::StatusCode;
use serde_json::{Value, json};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/holdfast-system/leases";
const STATUS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations/m/status";
const ROOT: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations/all";

impl Scene {
    fn book(&self, node: &str) -> Option<Book> {
        let stored = self.0.stored(&format!("{LEASES}/{}", lease_name(node)))?;
        Some(Book::read(&serde_json::from_value(stored).unwrap()).unwrap())
    }

    fn seats(&self, node: &str) -> Vec<String> {
        let seats = self.book(node).unwrap_or_default().seats;
        seats.into_iter().map(|seat| seat.uid).collect()
    }

    /// The node's Lease is held by an object that is there. What it is like is nobody's business but its own.
    fn held(&self, node: &str) {
        let reference = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "plural": "migrations",
            "namespace": "apps", "name": "all", "uid": "root",
        });
        let mut book = Book::blank(node);
        book.root = Some(Root::Object(serde_json::from_value(reference).unwrap()));
        let lease = book.written(None, "holdfast-system", clock::now());
        let path = format!("{LEASES}/{}", lease_name(node));
        self.0.put(&path, serde_json::to_value(lease).unwrap());
        let root = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
            "metadata": { "name": "all", "namespace": "apps", "uid": "root" }, "spec": { "deploymentName": "web" },
        });
        self.0.put(ROOT, root);
    }

    /// As far as it comes.
    async fn settle(&self) -> MigrationStatus {
        self.pass().await;
        self.answers(&json!([]));
        self.pass().await;
        self.pass().await
    }

    fn writes(&self) -> Vec<String> {
        let mut calls = self.0.calls();
        calls.retain(|call| !call.starts_with("GET"));
        calls
    }
}

fn reason(status: &MigrationStatus) -> &str {
    &status.conditions[0].reason
}

#[tokio::test(start_paused = true)]
async fn it_has_its_seats_before_it_begins_and_none_before_its_finalizer() {
    let scene = Scene::new(&json!({}));
    scene.pass().await;
    scene.answers(&json!([]));
    scene.pass().await;
    assert_eq!(scene.0.finalizers(MIGRATION), ["holdfast.dev/migration"]);
    assert_eq!(scene.seats("n1"), [""; 0]);
    let before = scene.writes().len();
    assert_eq!(scene.pass().await.stage, Stage::Begun);
    assert_eq!([scene.seats("n1"), scene.seats("n2")], [["op"], ["op"]]);
    let writes = scene.writes().split_off(before);
    let at = |call: &str| writes.iter().position(|one| one.starts_with(call)).unwrap();
    assert!(at(&format!("POST {LEASES}")) < at(&format!("PUT {STATUS}")));
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_with_its_seats_takes_them_again_or_gives_them_back() {
    for is_pod_gone in [false, true] {
        let scene = Scene::new(&json!({}));
        scene.pass().await;
        scene.answers(&json!([]));
        scene.pass().await;
        let put = format!("PUT {STATUS}");
        scene.0.refuse_once(&put, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(scene.try_pass().await.is_err());
        assert_eq!(scene.seats("n2"), ["op"]);
        if is_pod_gone {
            scene.0.remove(POD);
            assert_eq!(reason(&scene.pass().await), "Refused");
            assert!(scene.book("n1").is_none() && scene.book("n2").is_none());
            continue;
        }
        // Its node is asked anew, and nobody is kept from it meanwhile.
        assert_eq!(reason(&scene.pass().await), "Waiting");
        assert!(scene.book("n1").is_none() && scene.book("n2").is_none());
        scene.answers(&json!([]));
        assert_eq!(scene.pass().await.stage, Stage::Begun);
        assert_eq!([scene.seats("n1"), scene.seats("n2")], [["op"], ["op"]]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_saw_it_before_it_began_takes_nothing_away() {
    let scene = Scene::new(&json!({}));
    scene.pass().await;
    scene.answers(&json!([]));
    scene.pass().await;
    let mut before = scene.0.stored(MIGRATION).unwrap();
    assert_eq!(scene.pass().await.stage, Stage::Begun);
    // What its node had answered is done with, and is asked for anew.
    assert!(scene.try_pass_of(before.clone()).await.is_ok());
    assert_eq!([scene.seats("n1"), scene.seats("n2")], [["op"], ["op"]]);
    before["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let late = scene.try_pass_of(before).await;
    assert!(late.unwrap_err().is_conflict());
    assert_eq!([scene.seats("n1"), scene.seats("n2")], [["op"], ["op"]]);
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_whoever_holds_its_node_or_the_one_that_is_named() {
    for node in ["n1", "n2"] {
        let scene = Scene::new(&json!({ "destinationNode": "n2" }));
        scene.held(node);
        let waits = scene.pass().await;
        assert_eq!((waits.stage, reason(&waits)), (Stage::New, "Waiting"));
        let who = "is held by Migration apps/all, which goes first";
        assert!(message(&waits).contains(who), "{waits:?}");
        assert!(message(&waits).contains(node), "{waits:?}");
        assert_eq!(scene.0.finalizers(MIGRATION), [""; 0]);
        // It is over.
        scene.0.remove(ROOT);
        assert_eq!(scene.settle().await.stage, Stage::Begun);
        let book = scene.book(node).unwrap();
        assert_eq!((book.root, book.seats.len()), (None, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_held_is_not_chosen() {
    let scene = Scene::new(&json!({}));
    scene.held("n2");
    let waits = scene.pass().await;
    assert_eq!(reason(&waits), "Waiting", "there is no other: {waits:?}");
    assert_eq!(
        message(&waits),
        "no node can take it: n1 is where it is; n2 is held by Migration apps/all; who holds one goes first"
    );
    let mut third = scene.0.stored("/api/v1/nodes/n2").unwrap();
    third["metadata"]["name"] = json!("n3");
    scene.0.put("/api/v1/nodes/n3", third);
    let begun = scene.settle().await;
    assert_eq!(begun.journey.unwrap().target_node, "n3");
    assert_eq!(scene.seats("n2"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_would_keep_it_anyway_is_not_waited_for() {
    let scene = Scene::new(&json!({ "destinationNode": "n2" }));
    scene.held("n2");
    let mut node = scene.0.stored("/api/v1/nodes/n2").unwrap();
    node["spec"] = json!({ "unschedulable": true });
    scene.0.put("/api/v1/nodes/n2", node);
    let refused = scene.pass().await;
    assert_eq!(reason(&refused), "Refused");
    assert!(message(&refused).contains("cordoned"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_the_holder_has_caused_runs_under_it() {
    let scene = Scene::new(&json!({}));
    scene.held("n1");
    let mut migration = scene.0.stored(MIGRATION).unwrap();
    migration["metadata"]["labels"] = json!({ "holdfast.dev/root": "root" });
    scene.0.put(MIGRATION, migration);
    assert_eq!(scene.settle().await.stage, Stage::Begun);
    let book = scene.book("n1").unwrap();
    assert!(book.root.is_some());
    assert_eq!(book.seats[0].under.as_deref(), Some("root"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_waits_for_nobody_and_says_who_is_there() {
    let scene = Scene::new(&json!({ "dryRun": true }));
    scene.held("n1");
    scene.pass().await;
    scene.answers(&json!([]));
    let told = scene.pass().await;
    assert_eq!(reason(&told), "Refused");
    let said = "node n1 is held by Migration apps/all: wait until that is over";
    assert!(message(&told).starts_with(said), "{told:?}");
    assert_eq!(told.preflight.unwrap().findings.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_its_end_it_leaves_both_and_nobody_is_kept_by_a_seat() {
    for is_forbidden in [false, true] {
        let scene = Scene::new(&json!({}));
        scene.settle().await;
        assert_eq!([scene.seats("n1"), scene.seats("n2")], [["op"], ["op"]]);
        let mut migration = scene.0.stored(MIGRATION).unwrap();
        migration["status"] = json!({ "stage": "Closed" });
        scene.0.put(MIGRATION, migration);
        if is_forbidden {
            scene.0.forbid(&format!("GET {LEASES}"));
        }
        scene.pass().await;
        if !is_forbidden {
            assert!(scene.book("n1").is_none() && scene.book("n2").is_none());
        }
        assert_eq!(scene.0.finalizers(MIGRATION), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_on_a_node_and_the_others_are_named() {
    let scene = Scene::new(&json!({}));
    for name in ["x", "y"] {
        let other: Value = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
            "metadata": { "name": name, "namespace": "apps", "uid": name }, "spec": { "podName": name },
            "status": { "stage": "Begun", "journey": { "podName": name, "podUid": name, "sourceNode": "n1", "targetNode": "n9" } },
        });
        let path = MIGRATION.replace("migrations/m", &format!("migrations/{name}"));
        scene.0.put(&path, other);
    }
    let waits = scene.pass().await;
    assert_eq!(reason(&waits), "Waiting");
    let who = "node n1 takes part in 2 other Migrations (apps/x, apps/y), which go first";
    assert!(message(&waits).starts_with(who), "{waits:?}");
}
