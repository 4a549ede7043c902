//! The leader dies at each of its points in a move; the next one brings it to an end, and the pod counts on: never two, never none.

use super::held::are_gone;
use super::{count, ended, get, migrate, name, node, the_pod};
use crate::faults::{Running, manager_of};
use crate::world::{World, eventually, nothing_left, succeed};
use serde_json::{Value, json};
use std::future::ready;
use std::io::Read;
use std::process::Command;

/// Points that a move passes only when something else went wrong, and where they are visited.
const ELSEWHERE: [&str; 7] = [
    // A Migration that is given up, and pods that one left behind: `super::coming_back`.
    "migration.hands.attach.",
    "migration.hands.free.",
    "migration.hands.forget.",
    // A target that is off: `super::resolving`.
    "migration.hands.drop.",
    // A pod that nobody owns: `super::bare`.
    "migration.hands.again.",
    // A Migration of many pods: `super::many`.
    "migration.hands.child.",
    // A node that somebody else uses: `super::held`.
    "node.lease.desk.write.",
];

pub(super) async fn dies_at_every_point(world: &World) {
    let all = succeed(Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("faults"));
    let is_of_a_move = |point: &&str| {
        // Those of `migration.request` are a user's program's.
        let is_leaders = [
            "migration.reconcile.",
            "migration.hands.",
            "node.lease.desk.",
        ]
        .into_iter()
        .any(|module| point.starts_with(module));
        is_leaders && !ELSEWHERE.into_iter().any(|one| point.starts_with(one))
    };
    let points: Vec<_> = all.lines().filter(is_of_a_move).collect();
    assert!(points.len() >= 22, "{points:?}");
    for (number, point) in points.iter().enumerate() {
        dies_at(world, point, &format!("dying-{number}")).await;
    }
    println!(
        "RESULT move_fault_points_done={} move_fault_points_total={}",
        points.len(),
        points.len()
    );
}

/// A manager of this world's installation, on this machine, with the rights of an installed one and no more.
pub(super) fn manager(world: &World, identity: &str) -> Command {
    let mut command = manager_of(world, identity, ("holdfast-system", "holdfast"));
    let token = world.kubectl("create token holdfast -n holdfast-system --duration=1h");
    command.env("KUBECONFIG", world.kubeconfig_of("manager", &token));
    command
}

/// Whoever leads now is to lead no more.
pub(super) fn free_lease(world: &World) {
    world.kubectl(
        r#"patch lease holdfast -n holdfast-system --type=merge -p {"spec":{"holderIdentity":""}}"#,
    );
}

pub(super) async fn leads(world: &World, manager: &mut Running, identity: &str) {
    leads_anew(world, manager, identity, None).await;
}

/// So often somebody has begun to lead.
fn terms(world: &World) -> u64 {
    let said =
        world.kubectl("get lease holdfast -n holdfast-system -o jsonpath={.spec.leaseTransitions}");
    said.trim().parse().unwrap_or_default()
}

/// Since when a manager runs, if it does.
fn runs_since(world: &World, pod: &str) -> String {
    world.kubectl(&format!(
        "get pod {pod} -n holdfast-system --ignore-not-found -o jsonpath={{.status.containerStatuses[0].state.running.startedAt}}"
    ))
}

/// An installed one may be quicker: then it is to lead no more, and all try again. Where the dead led under the same name, it is not over
/// before another term has begun.
async fn leads_anew(world: &World, manager: &mut Running, identity: &str, before: Option<u64>) {
    let mut former = None;
    eventually(&format!("{identity} leads"), 60, || {
        let holder = world
            .kubectl("get lease holdfast -n holdfast-system -o jsonpath={.spec.holderIdentity}");
        let is_dead = manager.0.try_wait().unwrap().is_some();
        let is_new = || before.is_none_or(|before| terms(world) > before);
        if is_dead || (holder == identity && is_new()) {
            return ready(Some(()));
        }
        if holder.starts_with("holdfast-") {
            former = Some((runs_since(world, &holder), holder));
            free_lease(world);
        }
        ready(None)
    })
    .await;
    // It ends when it notices, and works until then: some seconds.
    if let Some((since, pod)) = former {
        eventually(&format!("{pod} leads no more"), 30, || {
            ready((runs_since(world, &pod) != since).then_some(()))
        })
        .await;
    }
}

/// A leader that dies at a point, for which something is asked of it.
pub(super) async fn manager_dies_at(world: &World, point: &str, ask: impl FnOnce()) {
    let mut command = manager(world, "dies");
    let before = Some(terms(world));
    let mut dying = Running(command.env("HOLDFAST_DIE_AT", point).spawn().unwrap());
    leads_anew(world, &mut dying, "dies", before).await;
    ask();
    eventually(&format!("{point}: it is dead"), 90, || {
        ready(dying.0.try_wait().unwrap())
    })
    .await;
    let mut said = String::new();
    let mut stderr = dying.0.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(
        said.contains(&format!("fault point {point}: the process ends here")),
        "{point} was never reached:\n{said}"
    );
}

/// One that begins again under the name of the dead, and so has not to wait until its Lease is over.
pub(super) async fn the_next_leads(world: &World) -> Running {
    let before = Some(terms(world));
    let mut next = Running(manager(world, "dies").spawn().unwrap());
    leads_anew(world, &mut next, "dies", before).await;
    next
}

async fn dies_at(world: &World, point: &str, called: &str) {
    let before = the_pod(world).await;
    let (id, counted) = count(world, name(&before));
    manager_dies_at(world, point, || {
        migrate(world, called, &json!({ "podName": name(&before) }));
    })
    .await;
    let mut next = Running(manager(world, "next").spawn().unwrap());
    leads(world, &mut next, "next").await;
    let status = ended(world, called).await;
    assert_eq!(status["phase"], "Succeeded", "{point}: {status:#}");
    let after = the_pod(world).await;
    assert_ne!(node(&after), node(&before), "{point}");
    let (same, more) = count(world, name(&after));
    assert_eq!(same, id, "{point}: it is the same process");
    assert!(more >= counted, "{point}");
    world.kubectl(&format!("delete migration {called} --timeout=60s"));
    nothing_is_left(world, point, &after).await;
    // It is killed, and does not give the lead back: an installed one would take it, and end when it is taken away again.
    drop(next);
}

pub(super) async fn nothing_is_left(world: &World, point: &str, pod: &Value) {
    nothing_left(&format!("{point}: orders"), 60, || {
        let left = get(world, "get statetasks");
        let is_empty = left["items"].as_array().is_some_and(Vec::is_empty);
        (!is_empty).then(|| format!("{left:#}"))
    })
    .await;
    are_gone(world, point).await;
    let pod = get(world, &format!("get pod {}", name(pod)));
    let metadata = &pod["metadata"];
    assert_eq!(
        metadata["labels"]["holdfast.dev/migration"],
        Value::Null,
        "{point}"
    );
    let cost = &metadata["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
    assert_eq!(*cost, Value::Null, "{point}");
}
