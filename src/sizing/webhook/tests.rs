//! Reviews as an API server sends them, over caches that do not have everything, and an API server that does not say it.

use super::*;
use crate::sizing::cache::world::{NODES, TEMPLATES, World, daemonset};
use crate::sizing::testkit::pod;
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const DAEMONSET: &str = "/apis/apps/v1/namespaces/monitoring/daemonsets/agent";

/// An API server with all that a pod's share hangs on.
fn world() -> World {
    let world = World::new();
    world.put_node("n1", "4");
    let mut agent = daemonset("d", "1");
    agent["metadata"]["annotations"]["flexdaemonsets.xai/resource-template"] = json!("small");
    world.server.put(DAEMONSET, agent);
    let template = json!({ "metadata": { "name": "small" }, "spec": { "cpuPercentage": 10 } });
    world.server.put(&format!("{TEMPLATES}/small"), template);
    world
}

/// The three things that are looked up.
fn looked_up() -> [String; 3] {
    [
        DAEMONSET.to_owned(),
        format!("{NODES}/n1"),
        format!("{TEMPLATES}/small"),
    ]
}

impl World {
    fn webhook(&self) -> Pods {
        let lookups = Lookups::new(Arc::clone(&self.caches), self.server.client());
        let telemetry = Arc::clone(&self.telemetry);
        Pods::new(Arc::clone(&self.caches), Arc::new(lookups), telemetry)
    }

    /// How many pods were left as they are, for this reason.
    fn left(&self, reason: &str) -> usize {
        let name = format!("holdfast_sizing_left_unsized_total{{reason=\"{reason}\"}} ");
        let text = self.telemetry.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    }
}

fn review() -> Vec<u8> {
    let object = pod("agent", "n1", json!([{ "name": "main", "image": "i" }]));
    let request = json!({ "uid": "asked", "namespace": "monitoring", "operation": "CREATE", "object": object });
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
    serde_json::to_vec(&review).unwrap()
}

/// The answer, and whether it came from memory.
async fn answered(webhook: &Pods) -> (Value, bool) {
    let body = review();
    let known = webhook.at_once(&body);
    let is_quick = known.is_some();
    let reply = if let Some(reply) = known {
        reply
    } else {
        let deadline = Instant::now().checked_add(Duration::from_secs(2));
        webhook.review(&body, deadline.unwrap()).await
    };
    let answer: Value = serde_json::from_slice(&reply.unwrap().body).unwrap();
    let response = answer["response"].clone();
    assert_eq!(
        (&response["uid"], &response["allowed"]),
        (&json!("asked"), &json!(true))
    );
    (response, is_quick)
}

/// As it came: the pod, its maker, the audit log and the metric say why.
async fn leaves(world: &World, reason: &str) {
    assert_eq!(world.left(reason), 0);
    let (response, _) = answered(&world.webhook()).await;
    assert_eq!(response.get("patch"), None, "{response}");
    let unchanged = json!(format!("unchanged: {reason}"));
    assert_eq!(response["auditAnnotations"]["sizing"], unchanged);
    assert_eq!(
        response["warnings"].as_array().map(Vec::len),
        Some(1),
        "{response}"
    );
    assert_eq!(world.left(reason), 1, "{}", world.telemetry.text());
}

#[tokio::test(start_paused = true)]
async fn what_no_watch_has_told_yet_is_looked_up_and_the_pod_gets_its_share() {
    let world = world();
    let (response, is_quick) = answered(&world.webhook()).await;
    assert!(response["patch"].is_string() && !is_quick, "{response}");
    for path in looked_up() {
        assert_eq!(world.asked(&path), 1, "{path}");
    }
    assert!(!world.telemetry.text().contains("left_unsized_total{"));
}

#[tokio::test(start_paused = true)]
async fn fx_12_a_look_that_fails_or_takes_too_long_leaves_the_pod_alone_and_is_told() {
    for path in looked_up() {
        let world = world();
        let code = StatusCode::INTERNAL_SERVER_ERROR;
        world.server.refuse_once(&format!("GET {path}"), code);
        leaves(&world, "lookup_failed").await;
    }
    let world = world();
    world.server.slow_down(Duration::from_secs(1), usize::MAX);
    leaves(&world, "lookup_failed").await;
}

#[tokio::test(start_paused = true)]
async fn fx_09_fx_10_what_is_not_there_leaves_the_pod_alone_and_is_counted() {
    let [_, node, template] = looked_up();
    for (path, reason) in [(node, "node_unknown"), (template, "template_missing")] {
        let world = world();
        world.server.remove(&path);
        leaves(&world, reason).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_minute_is_not_needed() {
    let world = world().synced().await;
    let webhook = world.webhook();
    let (before, _) = answered(&webhook).await;
    assert!(before["patch"].is_string(), "{before}");
    world.server.cut_off(true);
    world.server.cut_watches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(answered(&webhook).await, (before, true));
    assert!(world.age("nodes") > 58.0, "{}", world.age("nodes"));
}
