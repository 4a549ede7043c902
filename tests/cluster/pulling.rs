//! Images of pods that move, on real nodes and from a real registry that asks who one is: what a node lacks it gets with the pod's own
//! secrets, before anything stands still; and where it cannot, or gets another image, nothing ever does.

mod registry;

use crate::migrating::{ended, get, is_ready, migrate, name, node, other, why};
use crate::protecting::{protected_on, restarts};
use crate::world::{World, eventually, text};
use registry::Registry;
use serde_json::{Value, json};
use std::future::ready;

/// Counts ten times a second under a name that it gave itself.
const COUNTS: &str = "id=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo \"$id $i\" > /new; mv /new /own; sleep 0.1; done";

/// What a pod is made from: containers with these names, each of an image of the registry.
fn template(called: &str, containers: &[(&str, &str)]) -> Value {
    let containers: Vec<_> = containers
        .iter()
        .map(|(name, image)| {
            json!({ "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", COUNTS] })
        })
        .collect();
    json!({
        "metadata": { "labels": { "app": called } },
        "spec": { "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 1, "imagePullSecrets": [{ "name": "key" }], "containers": containers },
    })
}

fn deployment(called: &str, containers: &[(&str, &str)]) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": called },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": called } }, "template": template(called, containers) },
    })
    .to_string()
}

fn bare(called: &str, image: &str) -> String {
    let mut pod = template(called, &[("c", image)]);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(called);
    pod.to_string()
}

/// The one pod of this label, once it is ready and counts.
async fn the_pod(world: &World, called: &str) -> Value {
    let what = format!("{called} has one pod that is ready");
    let pod = eventually(&what, 120, || {
        let listed = get(world, &format!("get pods -l app={called}"));
        let all = listed["items"].as_array().cloned().unwrap_or_default();
        let mut all = all
            .into_iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let one = all.next().filter(is_ready);
        ready(one.filter(|_| all.next().is_none()))
    });
    let pod = pod.await;
    let container = pod["spec"]["containers"][0]["name"].as_str().unwrap();
    eventually("it counts", 30, || {
        ready((count(world, &pod, container).1 > 3).then_some(()))
    })
    .await;
    pod
}

/// A container's name for itself, and how far it has counted.
fn count(world: &World, pod: &Value, container: &str) -> (String, u64) {
    let mut command =
        world.kubectl_command(&format!("exec {} -c {container} -- cat /own", name(pod)));
    let said = text(&command.output().unwrap().stdout);
    let (id, count) = said.trim().split_once(' ').unwrap_or_default();
    (id.to_owned(), count.parse().unwrap_or_default())
}

/// It goes to a node that has none of its images, and counts on there.
async fn goes(world: &World, called: &str, containers: &[&str]) -> Value {
    let before = the_pod(world, called).await;
    let counted: Vec<_> = containers
        .iter()
        .map(|container| count(world, &before, container))
        .collect();
    migrate(world, called, &json!({ "podName": name(&before) }));
    let status = ended(world, called).await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    let after = the_pod(world, called).await;
    assert_eq!(node(&after), other(node(&before)));
    for (container, (id, counted)) in containers.iter().zip(counted) {
        let (same, more) = count(world, &after, container);
        assert_eq!(same, id, "{container} is the same process");
        assert!(more >= counted, "{more} after {counted}");
    }
    status
}

/// It does not, and says why; the pod has never stood still, and is its owner's.
async fn stays(world: &World, called: &str, because: &[&str]) {
    let before = the_pod(world, called).await;
    let (id, counted) = count(world, &before, "c");
    migrate(world, called, &json!({ "podName": name(&before) }));
    let status = ended(world, called).await;
    assert_eq!(status["phase"], "RolledBack", "{status:#}");
    let why = why(&status);
    assert!(because.iter().all(|words| why.contains(words)), "{why}");
    let times = status["times"].as_array().cloned().unwrap_or_default();
    assert!(
        times.iter().all(|time| time["phase"] != "Frozen"),
        "{status:#}"
    );
    let after = the_pod(world, called).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    assert_eq!(restarts(&after["status"]), 0, "{after:#}");
    let (same, more) = count(world, &after, "c");
    assert!(same == id && more >= counted, "{same} {more}");
    nothing_fetches(world).await;
}

async fn nothing_fetches(world: &World) {
    eventually("no pod fetches images any more", 30, || {
        let listed = get(world, "get pods");
        let all = listed["items"].as_array().cloned().unwrap_or_default();
        let fetches = |pod: &Value| name(pod).starts_with("holdfast-images-");
        ready((!all.iter().any(fetches)).then_some(()))
    })
    .await;
}

/// What the kubelets told of the pods that fetched images.
fn fetched(world: &World) -> Vec<String> {
    let events = get(world, "get events --field-selector reason=Pulled");
    let all = events["items"].as_array().cloned().unwrap_or_default();
    let of_fetcher = |event: &&Value| {
        let pod = event["involvedObject"]["name"].as_str();
        pod.is_some_and(|pod| pod.starts_with("holdfast-images-"))
    };
    let told = all.iter().filter(of_fetcher);
    told.map(|event| event["message"].to_string()).collect()
}

#[tokio::test]
async fn images_come_with_the_pods_own_secrets_or_nothing_is_frozen() {
    // The newer Kubernetes brings the newer containerd.
    let version = std::env::var("HOLDFAST_WORLD_K8S").unwrap_or_else(|_| "1.35".into());
    let world = protected_on("pulls", &["--k8s", &version]);
    let registry = Registry::start(&world).await;
    registry.right_secret(&world);
    one_container(&world, &registry).await;
    several_containers(&world, &registry).await;
    a_bare_pod(&world, &registry).await;
    a_wrong_secret(&world, &registry).await;
    a_tag_that_has_moved(&world, &registry).await;
    a_tag_that_moves_for_whoever_asks_again(&world, &registry).await;
    an_image_that_is_nowhere(&world, &registry).await;
    world.end();
}

async fn one_container(world: &World, registry: &Registry) {
    registry.push(world, "one:1", "localhost/busybox:1");
    let image = registry.image("one:1");
    assert!(
        world
            .apply(&deployment("one", &[("c", &image)]))
            .status
            .success()
    );
    let pod = the_pod(world, "one").await;
    assert!(!registry.is_on(world, other(node(&pod)), "one:1"));
    let status = goes(world, "one", &["c"]).await;
    assert!(registry.is_on(world, other(node(&pod)), "one:1"));
    // Its own kubelet gets it, beside the pod that runs: nobody else does.
    assert_eq!(fetched(world), [""; 0]);
    let findings = status["preflight"]["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|one| one["id"] == "image-tag"),
        "{status:#}"
    );
}

/// A kubelet gets the image of a second container when the first one runs: that would be while the pod is frozen.
async fn several_containers(world: &World, registry: &Registry) {
    for name in ["app:1", "side:1"] {
        registry.push(world, name, "localhost/busybox:1");
    }
    let (app, side) = (registry.image("app:1"), registry.image("side:1"));
    let two = deployment("two", &[("c", &app), ("side", &side)]);
    assert!(world.apply(&two).status.success());
    goes(world, "two", &["c", "side"]).await;
    let told = fetched(world);
    for image in [app, side] {
        assert!(told.iter().any(|one| one.contains(&image)), "{told:?}");
    }
    nothing_fetches(world).await;
}

async fn a_bare_pod(world: &World, registry: &Registry) {
    registry.push(world, "bare:1", "localhost/busybox:1");
    let image = registry.image("bare:1");
    assert!(world.apply(&bare("bare", &image)).status.success());
    goes(world, "bare", &["c"]).await;
    assert!(fetched(world).iter().any(|one| one.contains(&image)));
    nothing_fetches(world).await;
}

async fn a_wrong_secret(world: &World, registry: &Registry) {
    registry.push(world, "wrong:1", "localhost/busybox:1");
    let image = registry.image("wrong:1");
    let made = deployment("wrong", &[("c", &image)]);
    assert!(world.apply(&made).status.success());
    the_pod(world, "wrong").await;
    registry.secret(world, "guessed");
    stays(
        world,
        "wrong",
        &[
            "cannot get the image of container c",
            "401",
            "imagePullSecrets",
        ],
    )
    .await;
    registry.right_secret(world);
}

async fn a_tag_that_has_moved(world: &World, registry: &Registry) {
    registry.push(world, "moves:1", "localhost/busybox:1");
    let image = registry.image("moves:1");
    let made = deployment("moves", &[("c", &image)]);
    assert!(world.apply(&made).status.success());
    the_pod(world, "moves").await;
    registry.push(world, "moves:1", "registry.k8s.io/pause:3.10");
    stays(
        world,
        "moves",
        &["is another image on", "its tag has moved", "by the digest"],
    )
    .await;
}

/// Its kubelet would ask the registry while the pod is frozen; what the target has under that name says nothing then.
async fn a_tag_that_moves_for_whoever_asks_again(world: &World, registry: &Registry) {
    registry.push(world, "again:1", "localhost/busybox:1");
    let image = registry.image("again:1");
    let mut pod: Value = serde_json::from_str(&bare("again", &image)).unwrap();
    pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    assert!(world.apply(&pod.to_string()).status.success());
    let pod = the_pod(world, "again").await;
    let tag = format!("ctr -n k8s.io images tag localhost/busybox:1 {image}");
    assert!(world.on_node(other(node(&pod)), &tag).status.success());
    registry.push(world, "again:1", "registry.k8s.io/pause:3.10");
    stays(
        world,
        "again",
        &["is another image on", "its tag has moved"],
    )
    .await;
}

/// Nobody makes a pod beside one that nobody owns: it would be killed before anybody asked for its image.
async fn an_image_that_is_nowhere(world: &World, registry: &Registry) {
    registry.push(world, "gone:1", "localhost/busybox:1");
    let image = registry.image("gone:1");
    assert!(world.apply(&bare("gone", &image)).status.success());
    the_pod(world, "gone").await;
    Registry::forget(world, "gone");
    stays(
        world,
        "gone",
        &["cannot get the image of container c", "not found"],
    )
    .await;
}
