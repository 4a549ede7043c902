//! Asking and watching, with an API server in memory.

use super::*;
use crate::testkit::api_server::ApiServer;
use clap::{Args, Command, FromArgMatches};
use serde_json::json;

const PATH: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints/c";

fn parse(arguments: &[&str]) -> Result<MakeCheckpoint, clap::Error> {
    let command = MakeCheckpoint::augment_args(Command::new("checkpoint").no_binary_name(true));
    MakeCheckpoint::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn asked(arguments: &[&str]) -> Checkpoint {
    checkpoint(parse(arguments).unwrap())
}

#[test]
fn what_is_said_is_asked_for() {
    let all = [
        "apps/web",
        "--name",
        "c",
        "--container",
        "a",
        "-c",
        "b",
        "--deadline",
        "1m30s",
        "--ttl",
        "24h",
        "--pin",
    ];
    let asked_for = asked(&all);
    assert_eq!(
        (
            asked_for.namespace().as_deref(),
            asked_for.name_any().as_str()
        ),
        (Some("apps"), "c")
    );
    let spec = asked_for.spec;
    assert_eq!(spec.containers, ["a", "b"]);
    assert_eq!(
        (spec.deadline_seconds, spec.ttl_seconds, spec.pinned),
        (90, Some(86_400), true)
    );
    let least = asked(&["web", "-n", "apps"]);
    assert!(
        least.name_any().starts_with("web-20"),
        "{}",
        least.name_any()
    );
    assert_eq!(least.namespace().as_deref(), Some("apps"));
    assert_eq!(
        (least.spec.deadline_seconds, least.spec.ttl_seconds),
        (120, None)
    );
}

#[test]
fn names_that_no_pod_can_have_are_answered_with_what_to_write() {
    for name in ["", "apps/", "/web", "apps/web/main", "apps/Web", "../web"] {
        let error = parse(&[name]).unwrap_err().to_string();
        assert!(error.contains("write it like apps/web"), "{name}: {error}");
    }
}

#[test]
fn times_that_cannot_be_used_are_answered_with_what_to_write() {
    for (flag, value) in [
        ("--deadline", "0s"),
        ("--deadline", "2h"),
        ("--deadline", "1500ms"),
        ("--ttl", "0s"),
        ("--ttl", "999999h"),
    ] {
        let error = parse(&["web", flag, value]).unwrap_err().to_string();
        assert!(
            error.contains("whole seconds, from 1s to"),
            "{flag} {value}: {error}"
        );
    }
    let error = parse(&["web", "--ttl", "soon"]).unwrap_err().to_string();
    assert!(error.contains("write it like"), "{error}");
}

fn stored(phase: &str) -> serde_json::Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
        "metadata": { "name": "c", "namespace": "apps" },
        "spec": { "podName": "web" }, "status": { "phase": phase },
    })
}

/// Watches while somebody else writes.
async fn watched(server: &ApiServer, then: impl FnOnce()) -> Result<Checkpoint, Error> {
    server.put(PATH, stored("Asked"));
    let made = serde_json::from_value(stored("Pending")).unwrap();
    let api = Api::namespaced(server.client(), "apps");
    let mut view = View::new();
    let watching = Box::pin(watch(&api, made, &mut view));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        then();
    };
    tokio::join!(watching, writing).0
}

#[tokio::test(start_paused = true)]
async fn it_is_watched_until_it_has_come_to_something() {
    for phase in ["Succeeded", "Failed", "Lost"] {
        let server = ApiServer::default();
        let seen = watched(&server, || {
            server.put(PATH, stored("Frozen"));
            server.put(PATH, stored(phase));
        });
        let seen = seen.await.unwrap();
        assert_eq!(format!("{:?}", row(&seen).phase), phase);
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_deleted_meanwhile_is_an_error() {
    let server = ApiServer::default();
    let error = watched(&server, || server.remove(PATH)).await.unwrap_err();
    assert!(error.to_string().contains("it was deleted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_is_begun_again() {
    let server = ApiServer::default();
    let seen = watched(&server, || {
        server.cut_watches();
        server.put(PATH, stored("Succeeded"));
    });
    assert!(is_over(&seen.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_is_told_so() {
    let server = ApiServer::default();
    server.forbid("GET /apis/holdfast.dev");
    let error = watched(&server, || {}).await.unwrap_err();
    assert!(error.to_string().contains("you lack a right"), "{error}");
}
