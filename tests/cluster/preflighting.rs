//! What keeps a pod where it is, on real nodes: programs that do it, `holdfast preflight pod` that finds it, and Migrations that are
//! refused before anything stands still.

use crate::migrating::{ended, get, is_ready, migrate, name, node, why};
use crate::protecting::{protected, restarts};
use crate::world::{World, eventually, root, succeed};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::ready;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a container does is put into it when it waits.
const WAITS: &str = "until [ -e /go ]; do sleep 0.1; done; exec /doer $(cat /go)";

/// A Deployment of one pod with these containers, a ConfigMap, and a volume that they share.
fn deployment(called: &str, containers: &[&str]) -> String {
    let containers: Vec<_> = containers
        .iter()
        .map(|name| {
            json!({
                "name": name, "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", WAITS],
                "volumeMounts": [{ "name": "shared", "mountPath": "/shared" }, { "name": "config", "mountPath": "/etc/config" }],
            })
        })
        .collect();
    let volumes = json!([{ "name": "shared", "emptyDir": {} }, { "name": "config", "configMap": { "name": "config" } }]);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": called },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": called } }, "template": {
            "metadata": { "labels": { "app": called } },
            "spec": { "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 1, "containers": containers, "volumes": volumes },
        } },
    })
    .to_string()
}

/// The one pod of a Deployment, once it runs.
async fn the_pod(world: &World, called: &str) -> Value {
    eventually(
        &format!("{called} has one pod, and it is ready"),
        90,
        || {
            let listed = get(world, &format!("get pods -l app={called}"));
            let all = listed["items"].as_array().cloned().unwrap_or_default();
            let mut all = all
                .iter()
                .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            let one = all.next().filter(|pod| is_ready(pod)).cloned();
            ready(one.filter(|_| all.next().is_none()))
        },
    )
    .await
}

/// The program, compiled.
fn doer() -> PathBuf {
    let program = std::env::temp_dir().join(format!("holdfast-doer-{}", std::process::id()));
    let source = root().join("tests/cluster/preflighting/doer.c");
    succeed(
        Command::new("cc")
            .args(["-static", "-O1", "-o"])
            .arg(&program)
            .arg(source),
    );
    program
}

/// Puts a file into a container.
fn put(world: &World, (pod, container): (&str, &str), file: &str, content: Stdio) {
    let mut command = world.kubectl_command(&format!("exec -i {pod} -c {container} -- sh -c"));
    let script = format!("cat > {file}.new && chmod 755 {file}.new && mv {file}.new {file}");
    succeed(command.arg(script).stdin(content));
}

/// Lets a container do this.
fn does(world: &World, place: (&str, &str), words: &str) {
    let program = doer();
    put(
        world,
        place,
        "/doer",
        std::fs::File::open(&program).unwrap().into(),
    );
    std::fs::write(program.with_extension("go"), words).unwrap();
    put(
        world,
        place,
        "/go",
        std::fs::File::open(program.with_extension("go"))
            .unwrap()
            .into(),
    );
    std::fs::remove_file(program.with_extension("go")).unwrap();
    std::fs::remove_file(program).unwrap();
}

async fn has_done(world: &World, (pod, container): (&str, &str)) {
    eventually(&format!("{container} of {pod} has done it"), 30, || {
        let log = world.kubectl(&format!("logs {pod} -c {container}"));
        ready(log.contains("done").then_some(()))
    })
    .await;
}

fn preflight(world: &World, words: &str) -> Output {
    let mut command = world.holdfast(&["preflight", "pod"]);
    command.args(words.split(' ')).output().unwrap()
}

/// What it tells, and its exit code.
fn told(world: &World, words: &str) -> (Value, Option<i32>) {
    let output = preflight(world, &format!("{words} -o json"));
    let told = serde_json::from_slice(&output.stdout);
    (
        told.unwrap_or_else(|error| panic!("{error}: {output:?}")),
        output.status.code(),
    )
}

fn ids(told: &Value, severity: &str) -> BTreeSet<String> {
    let all = told["findings"].as_array().unwrap().iter();
    let all = all.filter(|one| one["severity"] == severity);
    all.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

/// It runs on, and was never anything else.
fn is_untouched(world: &World, before: &Value) {
    let after = get(world, &format!("get pod {}", name(before)));
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(restarts(&after["status"]), 0, "{after:#}");
    assert_eq!(
        after["metadata"]["labels"], before["metadata"]["labels"],
        "it is its ReplicaSet's"
    );
    assert!(is_ready(&after), "{after:#}");
}

#[tokio::test]
async fn what_keeps_a_pod_where_it_is_is_found_before_anything_is_touched() {
    let world = protected("preflight");
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "config" }, "data": { "key": "value" } });
    assert!(world.apply(&config.to_string()).status.success());
    all_that_refuses_is_found(&world).await;
    what_warns_moves(&world).await;
    one_that_does_nothing_of_it_can_move(&world).await;
    a_wrong_call_is_told(&world);
    let left = get(&world, "get migrations");
    let is_dry = |one: &&Value| one["spec"]["dryRun"] == true;
    assert_eq!(
        left["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_dry)
            .count(),
        0,
        "{left:#}"
    );
    world.end();
}

async fn all_that_refuses_is_found(world: &World) {
    assert!(
        world
            .apply(&deployment("busy", &["app", "side"]))
            .status
            .success()
    );
    let before = the_pod(world, "busy").await;
    let pod = name(&before).to_owned();
    let address = before["status"]["podIP"].as_str().unwrap();
    let key = "/etc/config/key";
    does(
        world,
        (&pod, "app"),
        &format!(
            "listen {address} hold {key} watch {key} system-v queue shared ring serve /shared/socket"
        ),
    );
    does(world, (&pod, "side"), "call /shared/socket");
    for container in ["app", "side"] {
        has_done(world, (&pod, container)).await;
    }
    let (found, code) = told(world, &pod);
    assert_eq!(code, Some(1), "{found:#}");
    let mut expected: BTreeSet<_> = [
        "own-address",
        "renewed-files",
        "renewed-watches",
        "system-v",
        "message-queue",
        "unix-outside",
    ]
    .map(str::to_owned)
    .into();
    if world
        .kubectl(&format!("logs {pod} -c app"))
        .contains("a ring")
    {
        expected.insert("io-uring".to_owned());
    } else {
        println!("SKIP io_uring: this kernel has none");
    }
    assert_eq!(ids(&found, "refuses"), expected, "{found:#}");
    for one in found["findings"].as_array().unwrap() {
        assert!(!one["cure"].as_str().unwrap().is_empty(), "{one}");
    }
    let sentences = found["findings"].to_string();
    for part in [
        &format!("bound to {address}:7001"),
        "connected to container side",
        "/jobs",
        "(doer)",
    ] {
        assert!(sentences.contains(part), "{part}: {found:#}");
    }
    a_migration_is_refused(world, &before, &found).await;
    a_checkpoint_is_refused(world, &before);
    world.kubectl("delete deployment busy --wait=false");
}

/// It says so to people too, and a Migration is refused with the same words.
async fn a_migration_is_refused(world: &World, before: &Value, found: &Value) {
    let pod = name(before);
    let output = preflight(world, pod);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("stays where it is") && text.contains("own-address"),
        "{text}"
    );
    migrate(world, "busy", &json!({ "podName": pod }));
    let status = ended(world, "busy").await;
    assert_eq!(status["phase"], "Failed", "{status:#}");
    let first = found["findings"][0]["sentence"].as_str().unwrap();
    assert!(why(&status).contains(first), "{first}\n{status:#}");
    assert!(
        status["preflight"]["findings"]
            .to_string()
            .contains("own-address"),
        "{status:#}"
    );
    assert!(status["journey"].is_null(), "{status:#}");
    is_untouched(world, before);
}

/// A Checkpoint of it is refused by what cannot be dumped, and nothing was frozen.
fn a_checkpoint_is_refused(world: &World, before: &Value) {
    let pod = name(before);
    let checkpoint = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint", "metadata": { "name": "busy" }, "spec": { "podName": pod },
    });
    assert!(world.apply(&checkpoint.to_string()).status.success());
    world.kubectl("wait checkpoint/busy --for=jsonpath={.status.phase}=Failed --timeout=60s");
    let status = get(world, "get checkpoint busy")["status"].clone();
    assert!(
        why(&status).contains("connected to container"),
        "{status:#}"
    );
    assert!(status["takenAt"].is_null(), "{status:#}");
    is_untouched(world, before);
}

async fn what_warns_moves(world: &World) {
    assert!(
        world
            .apply(&deployment("warned", &["app"]))
            .status
            .success()
    );
    let before = the_pod(world, "warned").await;
    let pod = name(&before).to_owned();
    // A watch of the volume itself, and System V objects of one container, go along.
    does(
        world,
        (&pod, "app"),
        "everywhere within system-v shared watch /etc/config",
    );
    has_done(world, (&pod, "app")).await;
    let mut beside = world.kubectl_command(&format!("exec {pod} -c app -- sleep 1000"));
    let mut beside = beside.stdout(Stdio::null()).spawn().unwrap();
    let found = eventually("it warns of what was begun beside", 30, || {
        let (found, code) = told(world, &pod);
        assert_eq!(code, Some(0), "{found:#}");
        ready(
            ids(&found, "warns")
                .contains("exec-processes")
                .then_some(found),
        )
    })
    .await;
    assert_eq!(
        ids(&found, "warns"),
        ["exec-processes", "tcp-within"].map(str::to_owned).into(),
        "{found:#}"
    );
    assert!(ids(&found, "refuses").is_empty(), "{found:#}");
    migrate(world, "warned", &json!({ "podName": pod }));
    let status = ended(world, "warned").await;
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    assert_eq!(
        found["node"], status["journey"]["targetNode"],
        "as it was said"
    );
    assert!(
        status["preflight"]["findings"]
            .to_string()
            .contains("tcp-within"),
        "{status:#}"
    );
    let after = the_pod(world, "warned").await;
    assert_ne!(node(&after), node(&before));
    let log = world.kubectl(&format!("logs {} -c app", name(&after)));
    assert!(!log.contains("lost"), "its semaphore is what it was: {log}");
    assert_eq!(restarts(&after["status"]), 0);
    beside.kill().unwrap();
    beside.wait().unwrap();
    world.kubectl("delete deployment warned --wait=false");
}

async fn one_that_does_nothing_of_it_can_move(world: &World) {
    assert!(world.apply(&deployment("plain", &["app"])).status.success());
    let pod = the_pod(world, "plain").await;
    let (found, code) = told(world, name(&pod));
    assert_eq!(code, Some(0), "{found:#}");
    assert_eq!(found["findings"], json!([]), "{found:#}");
    assert_eq!(found["canMove"], true);
    let nodes = found["nodes"].as_array().unwrap();
    assert!(
        nodes
            .iter()
            .any(|one| one["name"] == node(&pod) && one["why"] == "is where it is"),
        "{found:#}"
    );
    let (found, code) = told(world, &format!("{} --to {}", name(&pod), node(&pod)));
    assert_eq!(code, Some(1), "{found:#}");
    assert!(
        found["message"]
            .as_str()
            .unwrap()
            .contains("is where it is"),
        "{found:#}"
    );
    is_untouched(world, &pod);
}

fn a_wrong_call_is_told(world: &World) {
    assert_eq!(preflight(world, "UPPER").status.code(), Some(2));
    let nobody = preflight(world, "nobody");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("there is none of this name"),
        "{nobody:?}"
    );
}
