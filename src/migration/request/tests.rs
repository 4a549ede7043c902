//! What is asked with a person's own rights, of an API server in memory.

use super::*;
use crate::migration::api::MigrationSpec;
use crate::testkit::api_server::ApiServer;
use http::StatusCode;

const MIGRATIONS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const SINCE: &str = "2026-01-01T00:00:00Z";

#[tokio::test(start_paused = true)]
async fn it_is_made_and_a_refusal_speaks_of_migrations() {
    let mut wanted = Migration::new("m", MigrationSpec::default());
    wanted.metadata.namespace = Some("apps".into());
    let server = ApiServer::default();
    let post = format!("POST {MIGRATIONS}");
    server.refuse_saying(&post, StatusCode::NOT_FOUND, "404 page not found");
    let error = request(&server.client(), &wanted).await.unwrap_err();
    assert!(
        error.to_string().contains("it does not know Migrations"),
        "{error}"
    );
    request(&server.client(), &wanted).await.unwrap();
    assert!(server.stored(&format!("{MIGRATIONS}/m")).is_some());
}

/// A Migration whose target is silent since then.
fn silent(server: &ApiServer, since: &str) -> Migration {
    let object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration",
        "metadata": { "name": "m", "namespace": "apps" },
        "spec": { "podName": "web" }, "status": { "silentSince": since },
    });
    let path = format!("{MIGRATIONS}/m");
    server.put(&path, object);
    serde_json::from_value(server.stored(&path).unwrap()).unwrap()
}

/// The server says who asks.
fn asked_by(server: &ApiServer, name: &str) {
    server.answer_with(
        &format!("POST {REVIEWS}"),
        json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
            "metadata": {}, "status": { "userInfo": { "username": name } },
        }),
    );
}

#[tokio::test(start_paused = true)]
async fn the_word_stands_there_in_the_name_of_whoever_asks_and_means_this_silence_alone() {
    let server = ApiServer::default();
    asked_by(&server, "alice of accounts");
    let seen = silent(&server, SINCE);
    let said = resolve(&server.client(), &seen).await.unwrap();
    let at = |text: &str| Time(text.parse().unwrap());
    assert_eq!(
        said_off(&said, &at(SINCE)).as_deref(),
        Some("alice of accounts")
    );
    assert_eq!(said_off(&said, &at("2026-01-01T00:00:01Z")), None);
    assert_eq!(said_off(&seen, &at(SINCE)), None, "nothing was said there");
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_of_the_node_meanwhile_makes_them_look_again() {
    let server = ApiServer::default();
    asked_by(&server, "alice");
    let seen = silent(&server, SINCE);
    silent(&server, "2026-01-01T00:05:00Z");
    let error = resolve(&server.client(), &seen).await.unwrap_err();
    assert!(error.to_string().contains("look again"), "{error}");
    let stored = server.stored(&format!("{MIGRATIONS}/m")).unwrap();
    assert_eq!(stored["metadata"]["annotations"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn the_leader_may_write_meanwhile() {
    let server = ApiServer::default();
    asked_by(&server, "alice");
    let seen = silent(&server, SINCE);
    // Another version of it, which says the same.
    silent(&server, SINCE);
    let said = resolve(&server.client(), &seen).await.unwrap();
    assert!(said.annotations().contains_key(OFF_ANNOTATION));
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_is_told_which_role_may() {
    let server = ApiServer::default();
    asked_by(&server, "mallory");
    let seen = silent(&server, SINCE);
    let patch = format!("PATCH {MIGRATIONS}/m");
    server.refuse_saying(&patch, StatusCode::FORBIDDEN, "you lack the verb resolve");
    let error = resolve(&server.client(), &seen).await.unwrap_err();
    for says in ["you lack the verb resolve", "holdfast-resolver"] {
        assert!(error.to_string().contains(says), "{error}");
    }
    let nobody = look(&server.client(), ("apps", "other")).await.unwrap_err();
    assert!(nobody.to_string().contains("holdfast migrations -n apps"));
}
