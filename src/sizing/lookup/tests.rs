use super::*;
use crate::sizing::cache::world::{DAEMONSETS, NODES, TEMPLATES, World, daemonset, node, until};
use http::StatusCode;
use serde_json::json;

const AGENT_PATH: &str = "/apis/apps/v1/namespaces/monitoring/daemonsets/agent";

impl World {
    fn lookups(&self) -> Lookups {
        Lookups::new(Arc::clone(&self.caches), self.server.client())
    }
}

/// The DaemonSet of a pod, by what the pod says of it.
fn agent(uid: &str, generation: Option<i64>) -> Claim<'_> {
    Claim {
        namespace: "monitoring",
        name: "agent",
        uid,
        generation,
    }
}

fn soon() -> Instant {
    Instant::now().checked_add(Duration::from_secs(2)).unwrap()
}

fn cpu(found: &Found<NodeView>) -> String {
    match found {
        Found::There(view) => view.allocatable.cpu.unwrap().decimal(),
        other => panic!("{other:?}"),
    }
}

fn node_path(name: &str) -> String {
    format!("{NODES}/{name}")
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_cache_is_not_asked_for() {
    let world = World::new();
    world.put_node("n1", "4");
    world.server.put(AGENT_PATH, daemonset("u1", "1"));
    let world = world.synced().await;
    let lookups = world.lookups();
    assert_eq!(cpu(&lookups.node("n1", soon()).await), "4");
    let found = lookups.daemonset(agent("u1", Some(1)), soon()).await;
    assert!(matches!(found, Found::There(_)), "{found:?}");
    assert_eq!(
        (world.asked(&node_path("n1")), world.asked(AGENT_PATH)),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_no_watch_has_yet_is_read_once() {
    let world = World::new();
    world.put_node("n1", "4");
    world.server.put(
        &format!("{TEMPLATES}/small"),
        json!({ "metadata": { "name": "small" }, "spec": { "cpuPercentage": 10 } }),
    );
    let lookups = world.lookups();
    for _ in 0..3 {
        assert_eq!(cpu(&lookups.node("n1", soon()).await), "4");
        let template = lookups.template("small", soon()).await;
        assert!(matches!(template, Found::There(_)), "{template:?}");
    }
    assert_eq!(world.asked(&node_path("n1")), 1);
    assert_eq!(world.asked(&format!("{TEMPLATES}/small")), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_at_once_share_one_answer() {
    let world = World::new();
    world.put_node("n1", "4");
    world
        .server
        .slow_down(Duration::from_millis(50), usize::MAX);
    let lookups = world.lookups();
    let asking = (0..200).map(|_| lookups.node("n1", soon()));
    let found = futures::future::join_all(asking).await;
    assert!(found.iter().all(|found| cpu(found) == "4"));
    assert_eq!(world.asked(&node_path("n1")), 1);
}

#[tokio::test(start_paused = true)]
async fn an_asker_that_goes_away_does_not_take_the_answer_along() {
    let world = World::new();
    world.put_node("n1", "4");
    world
        .server
        .slow_down(Duration::from_millis(200), usize::MAX);
    let lookups = world.lookups();
    let hasty = Instant::now()
        .checked_add(Duration::from_millis(20))
        .unwrap();
    assert_eq!(lookups.node("n1", hasty).await, Found::Unknown("timed_out"));
    assert_eq!(cpu(&lookups.node("n1", soon()).await), "4");
    assert_eq!(world.asked(&node_path("n1")), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_asked_for_once_a_second() {
    let world = World::new();
    let lookups = world.lookups();
    for _ in 0..3 {
        assert_eq!(lookups.node("n1", soon()).await, Found::Absent);
    }
    assert_eq!(world.asked(&node_path("n1")), 1);
    world.put_node("n1", "4");
    tokio::time::advance(Duration::from_millis(900)).await;
    assert_eq!(lookups.node("n1", soon()).await, Found::Absent);
    tokio::time::advance(Duration::from_millis(200)).await;
    assert_eq!(cpu(&lookups.node("n1", soon()).await), "4");
    assert_eq!(world.asked(&node_path("n1")), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_not_waited_for_and_not_remembered() {
    let world = World::new();
    world.put_node("n1", "4");
    world
        .server
        .slow_down(Duration::from_millis(400), usize::MAX);
    let lookups = world.lookups();
    let began = Instant::now();
    assert_eq!(
        lookups.node("n1", soon()).await,
        Found::Unknown("timed_out")
    );
    assert!(
        began.elapsed() < Duration::from_millis(310),
        "{:?}",
        began.elapsed()
    );
    world.server.slow_down(Duration::ZERO, usize::MAX);
    // Whoever comes while it is still open shares its end.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(cpu(&lookups.node("n1", soon()).await), "4");
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_no_absence() {
    let world = World::new();
    let lookups = world.lookups();
    world
        .server
        .refuse_once("GET ", StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(lookups.node("n1", soon()).await, Found::Unknown("server"));
    world.server.forbid(&format!("GET {DAEMONSETS}"));
    world.server.forbid("GET /apis/apps/v1/namespaces");
    let found = lookups.daemonset(agent("u1", None), soon()).await;
    assert_eq!(found, Found::Unknown("forbidden"));
}

#[tokio::test(start_paused = true)]
async fn a_daemonset_that_was_made_anew_is_another() {
    let world = World::new();
    world.server.put(AGENT_PATH, daemonset("u1", "1"));
    let world = world.synced().await;
    let lookups = world.lookups();
    // The watch hears nothing of what happens from here on.
    world.stop.cancel();
    world.server.put(AGENT_PATH, daemonset("u2", "1"));
    let found = lookups.daemonset(agent("u2", Some(1)), soon()).await;
    assert!(
        matches!(&found, Found::There(view) if *view.uid == *"u2"),
        "{found:?}"
    );
    assert_eq!(
        lookups.daemonset(agent("u3", Some(1)), soon()).await,
        Found::Absent
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_newer_than_the_watch_is_believed() {
    let world = World::new();
    world.server.put(AGENT_PATH, daemonset("u1", "1"));
    let world = world.synced().await;
    let lookups = world.lookups();
    world.stop.cancel();
    world.server.put(AGENT_PATH, daemonset("u1", "2"));
    for generation in [2, 2, 1] {
        let found = lookups
            .daemonset(agent("u1", Some(generation)), soon())
            .await;
        let wanted = if generation == 2 { Some(2) } else { Some(1) };
        assert!(
            matches!(&found, Found::There(view) if view.template_generation == wanted),
            "{found:?}"
        );
    }
    assert_eq!(world.asked(AGENT_PATH), 1);
    // The next change comes while the answer is remembered: it is too old.
    world.server.put(AGENT_PATH, daemonset("u1", "3"));
    let found = lookups.daemonset(agent("u1", Some(3)), soon()).await;
    assert!(
        matches!(&found, Found::There(view) if view.template_generation == Some(3)),
        "{found:?}"
    );
    assert_eq!(world.asked(AGENT_PATH), 2);
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_does_not_exist_is_asked_for_once_a_second() {
    let world = World::new();
    world.server.put(AGENT_PATH, daemonset("u1", "1"));
    let lookups = world.lookups();
    for _ in 0..5 {
        let found = lookups.daemonset(agent("u1", Some(99)), soon()).await;
        assert!(
            matches!(&found, Found::There(view) if view.template_generation == Some(1)),
            "{found:?}"
        );
    }
    assert_eq!(world.asked(AGENT_PATH), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_a_newer_one_than_is_being_read_asks_for_it() {
    let world = World::new();
    world.server.put(AGENT_PATH, daemonset("u1", "1"));
    world
        .server
        .slow_down(Duration::from_millis(50), usize::MAX);
    let lookups = world.lookups();
    let older = lookups.daemonset(agent("u1", Some(1)), soon());
    let newer = lookups.daemonset(agent("u1", Some(2)), soon());
    let (older, newer) = tokio::join!(older, newer);
    assert!(matches!(older, Found::There(_)) && matches!(newer, Found::There(_)));
    assert_eq!(world.asked(AGENT_PATH), 2);
}

#[tokio::test(start_paused = true)]
async fn the_watch_counts_more_than_what_was_read() {
    let world = World::new();
    world.put_node("n1", "4");
    let lookups = world.lookups();
    assert_eq!(cpu(&lookups.node("n1", soon()).await), "4");
    world.put_node("n1", "8");
    let world = world.synced().await;
    assert_eq!(cpu(&lookups.node("n1", soon()).await), "8");
    // And when it goes, what was read does not bring it back.
    world.server.remove(&node_path("n1"));
    until(|| world.caches.node("n1").is_none()).await;
    assert_eq!(lookups.node("n1", soon()).await, Found::Absent);
}

#[tokio::test(start_paused = true)]
async fn endless_names_fill_no_memory() {
    let world = World::new();
    let lookups = world.lookups();
    world.server.put(&node_path("first"), node("first", "4"));
    assert_eq!(cpu(&lookups.node("first", soon()).await), "4");
    for number in 0..1500 {
        assert_eq!(
            lookups.node(&number.to_string(), soon()).await,
            Found::Absent
        );
    }
    assert_eq!(lookups.nodes.remembered(), 1024);
    assert_eq!(cpu(&lookups.node("first", soon()).await), "4");
    assert_eq!(
        world.asked(&node_path("first")),
        2,
        "the oldest was forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_is_asked_than_there_are_seats() {
    let world = World::new();
    world
        .server
        .slow_down(Duration::from_millis(50), usize::MAX);
    let lookups = world.lookups();
    let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let asking = names.iter().map(|name| lookups.node(name, soon()));
    let found = futures::future::join_all(asking).await;
    let busy = found
        .iter()
        .filter(|found| **found == Found::Unknown("busy"));
    assert_eq!((busy.count(), world.server.calls().len()), (36, 64));
    assert_eq!(
        lookups.node("another", soon()).await,
        Found::Absent,
        "the seats are free again"
    );
}
