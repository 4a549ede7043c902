//! One manager leads; when it dies, is cut off or is deleted, the other one does.

use crate::shares::{applied, daemonset, template};
use crate::world::{NAMESPACE, World, eventually, leader, pods, ready_managers, text, world};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::DeleteParams;
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::Instant;

/// Ends the manager of this pod on its node with SIGKILL: it is found by its environment, which names the pod.
fn kill(world: &World, node: &str, pod: &str) {
    let script = format!(
        r"for p in /proc/[0-9]*; do if tr '\0' '\n' 2>/dev/null <$p/environ | grep -qx HOLDFAST_IDENTITY={pod}; then kill -9 ${{p#/proc/}} && echo killed; fi; done"
    );
    let output = world.on_node(node, &script);
    assert!(
        text(&output.stdout).contains("killed"),
        "no process of {pod} on {node}: {}",
        text(&output.stderr)
    );
}

async fn node_of(client: &Client, pod: &str) -> String {
    pods(client)
        .get(pod)
        .await
        .unwrap()
        .spec
        .unwrap()
        .node_name
        .unwrap()
}

async fn wait_for_another(client: &Client, former: &str) -> String {
    eventually("another leads", 45, || async {
        let now = leader(client).await;
        (!now.is_empty() && now != former).then_some(now)
    })
    .await
}

#[tokio::test]
async fn the_replicas_stand_on_different_nodes() {
    let world = world().await;
    let client = world.install().await;
    let nodes: std::collections::BTreeSet<_> = ready_managers(&client)
        .await
        .into_iter()
        .filter_map(|pod| pod.spec?.node_name)
        .collect();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
}

#[tokio::test]
async fn a_leader_that_is_killed_is_followed_and_nobody_waits_long() {
    let world = world().await;
    let client = world.install().await;
    let former = leader(&client).await;
    let before = taken_at(&client).await;
    kill(&world, &node_of(&client, &former).await, &former);
    let killed = Instant::now();
    // Its container comes back under the same name and may take its own lease again; if it does not, the other one leads.
    let next = eventually("somebody leads after the kill", 45, || async {
        (taken_at(&client).await > before).then_some(leader(&client).await)
    })
    .await;
    println!(
        "{next} led {:.1} s after {former} was killed",
        killed.elapsed().as_secs_f64()
    );
    assert!(
        killed.elapsed() <= Duration::from_secs(20),
        "{:?}",
        killed.elapsed()
    );
}

#[tokio::test]
async fn when_the_leader_s_node_loses_power_the_other_leads_within_20_seconds() {
    let world = world().await;
    let client = world.install().await;
    let former = leader(&client).await;
    let node = node_of(&client, &former).await;
    let number = node.trim_start_matches("node");
    world.command(&["node", "kill", number]);
    let killed = Instant::now();
    let next = wait_for_another(&client, &former).await;
    let took = killed.elapsed();
    println!(
        "{next} led {:.1} s after the node of {former} lost power (SIGKILL to all)",
        took.as_secs_f64()
    );
    world.command(&["node", "start", number]);
    assert!(took <= Duration::from_secs(20), "{took:?}");
}

/// When the Lease was taken, by the wall clock that all of this machine's nodes share.
async fn taken_at(client: &Client) -> Option<MicroTime> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    leases.get("holdfast").await.ok()?.spec?.acquire_time
}

#[tokio::test]
async fn f11_a_deleted_leader_hands_over_at_once() {
    let world = world().await;
    let client = world.install().await;
    let former = leader(&client).await;
    pods(&client)
        .delete(&former, &DeleteParams::default())
        .await
        .unwrap();
    let deleted = Instant::now();
    let next = wait_for_another(&client, &former).await;
    println!(
        "{next} led {:.1} s after {former} was deleted",
        deleted.elapsed().as_secs_f64()
    );
    assert!(
        deleted.elapsed() < Duration::from_secs(14),
        "sooner than the lease runs out: it was handed back"
    );
}

#[tokio::test]
async fn a_leader_that_is_cut_off_gives_up_and_another_leads() {
    let world = world().await;
    let client = world.install().await;
    let former = leader(&client).await;
    let node = node_of(&client, &former).await;
    let number = node.trim_start_matches("node").to_owned();
    world.command(&["node", "partition", &number]);
    let next = wait_for_another(&client, &former).await;
    assert_ne!(node_of(&client, &next).await, node);
    let log = format!("cat /var/log/pods/*_{former}_*/manager/*.log");
    let said = text(&world.on_node(&node, &log).stdout);
    world.command(&["node", "heal", &number]);
    assert!(
        said.contains("the leadership ended"),
        "the one that was cut off ended by itself before another led:\n{said}"
    );
    eventually("both are ready again", 90, || async {
        (ready_managers(&client).await.len() == 2).then_some(())
    })
    .await;
}

/// What the manager may not do, and tried: from the API server's audit log.
pub(crate) fn refused(world: &World) -> Vec<String> {
    world
        .audited()
        .iter()
        .filter(|call| {
            call["user"]["username"] == "system:serviceaccount:holdfast-system:holdfast"
                && call["responseStatus"]["code"] == 403
        })
        .map(|call| format!("{} {}", call["verb"], call["requestURI"]))
        .collect()
}

#[tokio::test]
async fn it_never_asks_for_what_it_may_not_do() {
    let world = world().await;
    let client = world.install().await;
    // What came before belongs to other tests: an installation that goes away loses its rights while it still asks.
    let before = refused(&world).len();
    let former = leader(&client).await;
    pods(&client)
        .delete(&former, &DeleteParams::default())
        .await
        .unwrap();
    wait_for_another(&client, &former).await;
    let one = "containers: [{name: c, image: 'registry.k8s.io/pause:3.10'}]";
    applied(&world, &daemonset("rights", "later", one));
    eventually("the event was told", 30, || async {
        let events = world.kubectl("get events -A");
        let is_told =
            |line: &str| line.contains("daemonset/rights") && line.contains("TemplateMissing");
        events.lines().any(is_told).then_some(())
    })
    .await;
    applied(&world, &template("later", "{cpuPercentage: 5}"));
    eventually("its pods are counted", 60, || async {
        let total = world.kubectl("get fdt later -o jsonpath={.status.pods.total}");
        (total == "2").then_some(())
    })
    .await;
    world.kubectl("delete daemonset/rights fdt/later");
    assert_eq!(refused(&world).split_off(before), Vec::<String>::new());
}
