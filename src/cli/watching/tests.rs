//! Watching, with an API server in memory.

use super::*;
use crate::cli::migrations::row;
use crate::migration::api::{Migration, Phase};
use crate::testkit::api_server::ApiServer;
use serde_json::{Value, json};
use std::future::pending;

const PATH: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations/m";

fn stored(phase: &str) -> Value {
    let is_over = ["Succeeded", "RolledBack", "Failed"].contains(&phase);
    let stage = if is_over { "Closed" } else { "Begun" };
    json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
        "metadata": { "name": "m", "namespace": "apps" },
        "spec": { "podName": "web" }, "status": { "phase": phase, "stage": stage },
    })
}

/// Watches while somebody else writes, and maybe leaves.
async fn watched(
    server: &ApiServer,
    left: impl Future<Output = ()>,
    then: impl AsyncFnOnce(),
) -> Result<Seen<Migration>, Error> {
    server.put(PATH, stored("Preflighted"));
    let made: Migration = serde_json::from_value(stored("Pending")).unwrap();
    let api = Api::namespaced(server.client(), "apps");
    let watching = Box::pin(watch(&api, made, left));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        then().await;
    };
    let both = async { tokio::join!(watching, writing).0 };
    let hour = Duration::from_secs(3600);
    tokio::time::timeout(hour, both).await.expect("it ends")
}

#[tokio::test(start_paused = true)]
async fn it_is_watched_until_it_has_come_to_something() {
    for (phase, end) in [
        ("Succeeded", Phase::Succeeded),
        ("RolledBack", Phase::RolledBack),
        ("Failed", Phase::Failed),
    ] {
        let server = ApiServer::default();
        let seen = watched(&server, pending(), async || {
            server.put(PATH, stored("Frozen"));
            tokio::time::sleep(Duration::from_secs(2)).await;
            server.put(PATH, stored(phase));
        });
        let seen = seen.await.unwrap();
        assert!(!seen.is_left && seen.farewell().is_none());
        assert_eq!(row(&seen.last).phase, end);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_told_that_it_goes_on_and_how_to_cancel_it() {
    let server = ApiServer::default();
    let left = tokio::time::sleep(Duration::from_secs(2));
    let seen = watched(&server, left, async || {
        server.put(PATH, stored("Frozen"));
    });
    let seen = seen.await.unwrap();
    assert!(seen.is_left);
    assert_eq!(row(&seen.last).phase, Phase::Frozen);
    let farewell = seen.farewell().unwrap();
    assert!(
        farewell.contains("kubectl delete migration m -n apps"),
        "{farewell}"
    );
    assert!(server.stored(PATH).is_some(), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_meanwhile_is_an_error() {
    let server = ApiServer::default();
    let error = watched(&server, pending(), async || server.remove(PATH)).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("migration m") && error.contains("it was deleted"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_is_begun_again() {
    let server = ApiServer::default();
    let seen = watched(&server, pending(), async || {
        server.cut_watches();
        server.put(PATH, stored("Succeeded"));
    });
    assert!(seen.await.unwrap().last.is_over());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_is_told_so() {
    let server = ApiServer::default();
    server.forbid("GET /apis/holdfast.dev");
    let error = watched(&server, pending(), async || {}).await.unwrap_err();
    assert!(error.to_string().contains("you lack a right"), "{error}");
}
