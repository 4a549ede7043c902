//! What becomes of Leases in which stands what is over.

use super::*;
use crate::testkit::api_server::ApiServer;
use serde_json::{Value, json};

const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/holdfast-system/leases/holdfast-node-n1";
const MIGRATIONS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations";

fn migration(name: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
        "metadata": { "name": name, "namespace": "apps", "uid": name }, "spec": { "podName": "p" }, "status": status,
    })
}

fn on(stage: &str, from: &str) -> Value {
    json!({ "stage": stage, "journey": { "podName": "p", "podUid": "p", "sourceNode": from, "targetNode": "n9" } })
}

fn server(held_by: Option<&str>, seats: &[&str]) -> ApiServer {
    let server = ApiServer::default();
    server.serve_empty("/apis/holdfast.dev/v1alpha1/migrations");
    for (name, status) in [
        ("new", json!({})),
        ("here", on("Begun", "n1")),
        ("lost", on("Begun", "n1")),
        ("far", on("Begun", "n2")),
        ("closed", on("Closed", "n1")),
        ("many", json!({})),
    ] {
        server.put(&format!("{MIGRATIONS}/{name}"), migration(name, &status));
    }
    let mut book = Book::blank("n1");
    book.seats = seats.iter().map(|name| note(name)).collect();
    book.root = held_by.map(|name| {
        serde_json::from_value(json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "plural": "migrations",
            "namespace": "apps", "name": name, "uid": name,
        }))
        .map(crate::node::lease::book::Root::Object)
        .unwrap()
    });
    let lease = book.written(None, "holdfast-system", jiff::Timestamp::UNIX_EPOCH);
    server.put(LEASE, serde_json::to_value(lease).unwrap());
    server
}

fn note(name: &str) -> Seat {
    serde_json::from_value(json!({ "namespace": "apps", "name": name, "uid": name })).unwrap()
}

async fn look(server: &ApiServer) -> Option<Book> {
    let seen: Lease = serde_json::from_value(server.stored(LEASE).unwrap_or_else(
        || json!({ "metadata": { "name": "holdfast-node-n1", "namespace": "holdfast-system" } }),
    ))
    .unwrap();
    let client = server.client();
    let eyes = Eyes {
        client: client.clone(),
        namespace: String::new(),
    };
    let desk = Desk::new(client, "holdfast-system");
    reconcile(Arc::new(seen), Arc::new(Means { eyes, desk }))
        .await
        .unwrap();
    let stored = server.stored(LEASE)?;
    Some(Book::read(&serde_json::from_value(stored).unwrap()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_struck_out_and_what_was_lost_is_written_again() {
    let server = server(None, &["gone", "closed", "far", "new", "here"]);
    let book = look(&server).await.unwrap();
    assert_eq!(book.seats, ["new", "here", "lost"].map(note));
    let calls = server.calls().len();
    look(&server).await.unwrap();
    let mut again = server.calls().split_off(calls);
    again.retain(|call| !call.starts_with("GET"));
    assert_eq!(again, [""; 0], "nothing is written twice");
}

#[tokio::test(start_paused = true)]
async fn a_lease_in_which_nobody_is_left_is_deleted() {
    let server = server(Some("gone"), &["gone", "closed"]);
    for name in ["here", "lost"] {
        server.remove(&format!("{MIGRATIONS}/{name}"));
    }
    assert_eq!(look(&server).await, None);
    assert_eq!(look(&server).await, None, "and is not made again");
}

#[tokio::test(start_paused = true)]
async fn a_root_stays_as_long_as_its_object() {
    let server = server(Some("many"), &["new"]);
    let book = look(&server).await.unwrap();
    assert_eq!(book.root.unwrap().said(), "Migration apps/many");
    server.remove(&format!("{MIGRATIONS}/many"));
    let book = look(&server).await.unwrap();
    assert_eq!(book.root, None);
    assert!(book.seats.contains(&note("new")));
}

#[test]
fn a_migration_says_under_whom_it_runs() {
    let mut object = migration("m", &json!({}));
    let of = |object: &Value| seat(&serde_json::from_value(object.clone()).unwrap());
    assert_eq!(of(&object), note("m"));
    object["metadata"]["labels"] = json!({ ROOT_LABEL: "r" });
    assert_eq!(of(&object).under.as_deref(), Some("r"));
}
