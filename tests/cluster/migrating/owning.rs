//! The Deployment of a pod that moves is changed meanwhile, in each phase of the move. Whatever comes of the move, what its owner asks for
//! comes about, no process runs twice, and nothing of the move is left.

use super::asking;
use super::dying::{manager_dies_at, the_next_leads};
use super::held::are_gone;
use super::{
    COUNTER, condition, count, ended, get, is_ready, migrate, name, node, other, pods, why,
};
use crate::protecting::protected_on;
use crate::world::{World, eventually, nothing_left};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::ready;

/// Where the leader is when the Deployment changes. It dies there, so that the change is whole before the next one looks.
const PHASES: [&str; 4] = [
    // Nothing was touched.
    "migration.hands.detach.before",
    // The pod is not counted, and the next one waits behind its gate.
    "migration.hands.lift.before",
    // The pod is killed, and runs elsewhere.
    "migration.hands.pod.before",
    "migration.hands.settle.before",
];

const EVENTS: [Event; 4] = [
    Event::ScaledDown,
    Event::ScaledToNothing,
    Event::RolledOut,
    Event::Deleted,
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    ScaledDown,
    ScaledToNothing,
    RolledOut,
    Deleted,
}

#[tokio::test]
async fn its_deployment_may_change_in_every_phase() {
    // With the runc and the CRIU that the installation brings.
    let world = protected_on("owning", &["--bare", "1,2"]);
    let pods = two(&world).await;
    asking::users_ask(&world, &pods[0]).await;
    no_scheduler_takes_the_next(&world).await;
    the_next_is_not_equal(&world).await;
    for phase in PHASES {
        for event in EVENTS {
            changes(&world, phase, event).await;
        }
    }
    world.end();
}

/// Its node is cordoned when all was looked at already. It is said why nothing goes on, and it goes back when its time is over.
async fn no_scheduler_takes_the_next(world: &World) {
    let before = two(world).await;
    let (pod, ids) = (name(&before[0]), ids(world, &before));
    let other = other(node(&before[0]));
    manager_dies_at(world, "migration.hands.lift.before", || {
        migrate(
            world,
            "unplaced",
            &json!({ "podName": pod, "deadline": "60s" }),
        );
    })
    .await;
    world.kubectl(&format!("cordon {other}"));
    let next = the_next_leads(world).await;
    eventually("it says what the scheduler says", 40, || {
        let said = why(&get(world, "get migration unplaced")["status"]);
        ready(said.contains("no scheduler places it: 0/").then_some(()))
    })
    .await;
    let status = ended(world, "unplaced").await;
    world.kubectl(&format!("uncordon {other}"));
    assert_eq!(status["phase"], "RolledBack", "{status:#}");
    assert!(
        why(&status).contains("no scheduler had placed"),
        "{status:#}"
    );
    both_run_on(world, "unplaced", &ids).await;
    drop(next);
}

async fn changes(world: &World, phase: &str, event: Event) {
    let when = format!("{phase}, {event:?}");
    let before = two(world).await;
    let ids = ids(world, &before);
    manager_dies_at(world, phase, || {
        migrate(world, "moved", &json!({ "podName": name(&before[0]) }));
    })
    .await;
    happens(world, event);
    let next = the_next_leads(world).await;
    let status = ended(world, "moved").await;
    println!("{when}: {} {}", status["phase"], why(&status));
    if let Some(ends) = ending(phase, event) {
        assert!(
            status["phase"] == ends.0 && why(&status).contains(ends.1),
            "{when}: {status:#}"
        );
    }
    is_as_asked(world, event, (&when, &ids)).await;
    world.kubectl("delete migration moved --timeout=60s");
    nothing_of_it_is_left(world, &when).await;
    drop(next);
}

/// Something writes more into the next pod than it wrote into the one before. That one gets no state, and it is said why.
async fn the_next_is_not_equal(world: &World) {
    const RANGE: &str = r#"{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"later"},
        "spec":{"limits":[{"type":"Container","default":{"memory":"64Mi"},"defaultRequest":{"memory":"64Mi"}}]}}"#;
    let before = two(world).await;
    let (pod, ids) = (name(&before[0]), ids(world, &before));
    // Before that its template is tried, and it would be refused.
    manager_dies_at(world, "migration.hands.detach.before", || {
        migrate(
            world,
            "unlike",
            &json!({ "podName": pod, "deadline": "60s" }),
        );
    })
    .await;
    assert!(world.create(RANGE).status.success());
    let next = the_next_leads(world).await;
    eventually("it says in what they differ", 40, || {
        let status = get(world, "get migration unlike")["status"].clone();
        let said = condition(&status, "SpecChanged")
            .map(|one| (one["status"] == "True", one["message"].to_string()));
        let is_said = said.is_some_and(|(is_true, why)| is_true && why.contains("resources"));
        ready(is_said.then_some(()))
    })
    .await;
    let status = ended(world, "unlike").await;
    assert_eq!(status["phase"], "RolledBack", "{status:#}");
    world.kubectl("delete limitrange later");
    both_run_on(world, "unlike", &ids).await;
    drop(next);
}

/// Both pods are as they were, and nothing is left of the move.
async fn both_run_on(world: &World, called: &str, before: &BTreeSet<String>) {
    let after = count_both(world).await;
    assert_eq!(ids(world, &after), *before, "both run on as they were");
    world.kubectl(&format!("delete migration {called} --timeout=60s"));
    nothing_of_it_is_left(world, called).await;
}

/// Two pods that count.
async fn two(world: &World) -> Vec<Value> {
    assert!(world.apply(COUNTER).status.success());
    world.kubectl("scale deployment counter --replicas=2");
    count_both(world).await
}

/// They do, and no other is there.
async fn count_both(world: &World) -> Vec<Value> {
    let both = eventually("two pods run", 120, || {
        let pods = all(world);
        ready((pods.len() == 2 && pods.iter().all(is_ready)).then_some(pods))
    })
    .await;
    eventually("both count", 30, || {
        let all = both.iter().all(|pod| count(world, name(pod)).1 > 3);
        ready(all.then_some(()))
    })
    .await;
    both
}

/// Those that are being deleted too.
fn all(world: &World) -> Vec<Value> {
    let listed = get(world, "get pods -l app=counter");
    listed["items"].as_array().unwrap().clone()
}

fn ids(world: &World, pods: &[Value]) -> BTreeSet<String> {
    pods.iter().map(|pod| count(world, name(pod)).0).collect()
}

/// How the move ends, and what is said of it, where that is certain.
fn ending(phase: &str, event: Event) -> Option<(&'static str, &'static str)> {
    let is_dead = [
        "migration.hands.pod.before",
        "migration.hands.settle.before",
    ]
    .contains(&phase);
    match event {
        Event::ScaledDown | Event::RolledOut if is_dead => Some(("Succeeded", "runs on")),
        Event::ScaledDown | Event::ScaledToNothing if phase == "migration.hands.lift.before" => {
            Some(("RolledBack", "makes no other pod in its place"))
        }
        _ => None,
    }
}

fn happens(world: &World, event: Event) {
    world.kubectl(match event {
        Event::ScaledDown => "scale deployment counter --replicas=1",
        Event::ScaledToNothing => "scale deployment counter --replicas=0",
        Event::RolledOut => "rollout restart deployment counter",
        Event::Deleted => "delete deployment counter --wait=false",
    });
}

async fn is_as_asked(world: &World, event: Event, (when, before): (&str, &BTreeSet<String>)) {
    let wanted = match event {
        Event::ScaledDown => 1,
        Event::RolledOut => 2,
        Event::ScaledToNothing | Event::Deleted => 0,
    };
    let is_of_it = |pod: &Value| {
        let restarted = &pod["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
        is_ready(pod) && (event != Event::RolledOut || restarted.is_string())
    };
    let after = eventually(&format!("{when}: what was asked for"), 120, || {
        let pods = all(world);
        let is_so = pods.len() == wanted && pods.iter().all(is_of_it);
        ready(is_so.then_some(pods))
    })
    .await;
    let after_ids = ids(world, &after);
    assert_eq!(after_ids.len(), wanted, "{when}: each is itself");
    if event == Event::ScaledDown {
        assert!(after_ids.is_subset(before), "{when}: it has its memory");
    }
    assert_eq!(pods(world).len(), wanted, "{when}");
}

async fn nothing_of_it_is_left(world: &World, when: &str) {
    nothing_left(&format!("{when}: orders and marks"), 60, || {
        let left = get(world, "get statetasks");
        let marked = get(world, "get pods -l holdfast.dev/migration");
        let is_empty = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty);
        let is_nothing = is_empty(&left) && is_empty(&marked);
        (!is_nothing).then(|| format!("{left:#}\n{marked:#}"))
    })
    .await;
    are_gone(world, when).await;
}
