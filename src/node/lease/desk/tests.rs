//! Leases over an API server in memory: who is quicker, who is gone.

use super::*;
use crate::node::lease::plan::{Claim, claim, left, take};
use crate::node::lease::samples::{root, seat};
use crate::testkit::api_server::ApiServer;
use http::StatusCode;
use serde_json::json;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/holdfast-system/leases";
const ROOT: &str = "/apis/operator.kairos.io/v1alpha1/namespaces/ops/nodeops/up";

fn server() -> ApiServer {
    let server = ApiServer::default();
    server.serve_empty(LEASES);
    server
}

fn desk(server: &ApiServer) -> Desk {
    Desk::new(server.client(), "holdfast-system")
}

/// Moves that have not begun.
fn open(names: &[&str]) -> Vec<Move> {
    let moves = names.iter().map(|name| Move {
        seat: seat(name),
        nodes: Vec::new(),
    });
    moves.collect()
}

fn asked(ledger: &Ledger, who: &str, most: usize) -> Result<Vec<Book>, String> {
    let moves = open(&["m", "x"]);
    let seat = seat(who);
    let asked = Claim {
        seat: &seat,
        nodes: ["n1", "n2"],
        most,
    };
    claim(asked, &ledger.books, ledger.known(&moves))
}

fn writes(server: &ApiServer) -> Vec<String> {
    let mut calls = server.calls();
    calls.retain(|call| !call.starts_with("GET"));
    calls
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_there_while_somebody_uses_its_node() {
    let server = server();
    let desk = desk(&server);
    for who in ["m", "x", "m"] {
        let ledger = desk.ledger().await.unwrap();
        let next = asked(&ledger, who, 2).unwrap();
        desk.write(&ledger, &next).await.unwrap();
    }
    let [one, two] = ["n1", "n2"].map(|node| format!("{LEASES}/holdfast-node-{node}"));
    let lease = server.stored(&one).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "moves: apps/m, apps/x");
    for who in ["m", "x"] {
        let ledger = desk.ledger().await.unwrap();
        let next: Vec<_> = ledger.books.iter().map(|book| left(book, who)).collect();
        desk.write(&ledger, &next).await.unwrap();
    }
    let [post, put, delete] = ["POST", "PUT", "DELETE"].map(|verb| {
        let both = [&one, &two].map(|path| format!("{verb} {path}"));
        match verb {
            "POST" => [format!("POST {LEASES}"), format!("POST {LEASES}")],
            _ => both,
        }
    });
    // Asking again wrote nothing.
    assert_eq!(writes(&server), [post, put.clone(), put, delete].concat());
}

#[tokio::test(start_paused = true)]
async fn of_two_leaders_who_give_the_last_seat_away_one_is_told_to_look_again() {
    let server = server();
    let desk = desk(&server);
    let [one, other] = [desk.ledger().await.unwrap(), desk.ledger().await.unwrap()];
    let both = [asked(&one, "m", 1).unwrap(), asked(&other, "x", 1).unwrap()];
    desk.write(&one, &both[0]).await.unwrap();
    let late = desk.write(&other, &both[1]).await;
    assert!(late.unwrap_err().is_conflict());
    let again = desk.ledger().await.unwrap();
    let why = asked(&again, "x", 1).unwrap_err();
    assert!(why.contains("apps/m"), "{why}");
    // The same where there is a Lease.
    let [one, other] = [desk.ledger().await.unwrap(), desk.ledger().await.unwrap()];
    let moves = open(&["m"]);
    let held = |ledger: &Ledger| {
        let taken = take(&root("up"), &ledger.books[0], ledger.known(&moves));
        [taken.unwrap().book]
    };
    desk.write(&one, &asked(&one, "x", 2).unwrap())
        .await
        .unwrap();
    let late = desk.write(&other, &held(&other)).await;
    assert!(late.unwrap_err().is_conflict(), "a root saw a seat less");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_last_takes_nobody_elses_seat_away() {
    let server = server();
    let desk = desk(&server);
    let ledger = desk.ledger().await.unwrap();
    desk.write(&ledger, &asked(&ledger, "m", 2).unwrap())
        .await
        .unwrap();
    let [leaving, coming] = [desk.ledger().await.unwrap(), desk.ledger().await.unwrap()];
    let next = asked(&coming, "x", 2).unwrap();
    desk.write(&coming, &next).await.unwrap();
    let books = leaving.books.iter();
    let gone: Vec<_> = books.map(|book| left(book, "m")).collect();
    assert!(gone[0].is_blank());
    let late = desk.write(&leaving, &gone).await;
    assert!(late.unwrap_err().is_conflict());
    assert_eq!(desk.ledger().await.unwrap().books, next);
}

async fn is_gone(server: &ApiServer) -> bool {
    let mut book = Book::blank("n1");
    book.root = Some(Root::Object(root("up")));
    let lease = book.written(None, "holdfast-system", clock::now());
    let name = lease.name_any();
    server.put(
        &format!("{LEASES}/{name}"),
        serde_json::to_value(&lease).unwrap(),
    );
    let ledger = desk(server).ledger().await.unwrap();
    let page = desk(server).page(&name).await.unwrap();
    assert_eq!(ledger.gone, page.gone);
    ledger.gone.contains("up")
}

#[tokio::test(start_paused = true)]
async fn a_root_is_gone_when_its_object_is_and_not_when_nobody_can_say() {
    let server = server();
    let nodeop = |uid: &str| {
        json!({
            "apiVersion": "operator.kairos.io/v1alpha1", "kind": "NodeOp",
            "metadata": { "name": "up", "namespace": "ops", "uid": uid },
        })
    };
    server.put(ROOT, nodeop("up"));
    assert!(!is_gone(&server).await);
    server.put(ROOT, nodeop("other"));
    assert!(is_gone(&server).await, "a namesake");
    server.remove(ROOT);
    assert!(is_gone(&server).await);
    // The kind is not served, or not yet.
    let get = format!("GET {ROOT}");
    server.refuse_once(&get, StatusCode::NOT_FOUND);
    server.refuse_once(&get, StatusCode::NOT_FOUND);
    assert!(!is_gone(&server).await);
    server.forbid(&get);
    assert!(!is_gone(&server).await, "we may not look");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_as_it_is() {
    let server = server();
    let path = format!("{LEASES}/holdfast-node-n1");
    server.put(&path, json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "holdfast-node-n1", "namespace": "holdfast-system" } }));
    let ledger = desk(&server).ledger().await.unwrap();
    assert_eq!(ledger.books, []);
    let why = asked(&ledger, "m", 2).unwrap_err();
    assert!(why.contains("holdfast-node-n1"), "{why}");
    let none = desk(&server).page("holdfast-node-n9").await.unwrap();
    assert!(none.books.is_empty() && none.leases.is_empty());
}
