//! What all programs share: a Deployment of one pod is brought up, asked, moved to the other node, and asked the same again.

use crate::migrating::{ended, get, is_ready, migrate, name, node};
use crate::world::{World, eventually, nothing_left};
use serde_json::{Value, json};
use std::future::ready;
use std::process::Output;

/// A program that is moved. What it is asked are scripts for the shell of its first container.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// What is there afterwards, in words: the row of `docs/state.md`.
    pub(super) keeps: &'static str,
    /// Whether every run of the tests moves it, or only a full one.
    pub(super) is_quick: bool,
    /// The pod's spec.
    pub(super) spec: fn() -> Value,
    /// What gives it something to keep, once it is ready.
    pub(super) prepare: &'static [&'static str],
    /// What says the same before and after, to the letter.
    pub(super) same: &'static [&'static str],
    /// What says a number that goes on growing.
    pub(super) grows: &'static [&'static str],
    /// What must succeed afterwards.
    pub(super) after: &'static [&'static str],
}

/// What a program said before it was moved.
pub(super) struct Before {
    pub(super) pod: Value,
    same: Vec<String>,
    grows: Vec<u64>,
}

/// Asks a program that listens as `serve.py` does.
pub(super) const SAME: &str = "echo same | busybox nc 127.0.0.1 8000";
pub(super) const GROWS: &str = "echo grows | busybox nc 127.0.0.1 8000";

/// A container named `c` of the image with all programs, which runs a script of the shell.
pub(super) fn container(script: &str) -> Value {
    json!({ "name": "c", "image": "localhost/programs:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script] })
}

/// The spec of a pod with one such container.
pub(super) fn shell(script: &str) -> Value {
    json!({ "containers": [container(script)] })
}

/// The spec of a pod with a program in Python, as `serve.py` begins it.
pub(super) fn python(parts: &[&str]) -> Value {
    let mut one = container("exec python3 -u -c \"$PROGRAM\"");
    // Kubernetes would look for variables in it.
    let text = parts.concat().replace("$(", "$$(");
    one["env"] = json!([{ "name": "PROGRAM", "value": text }]);
    // It answers when it has made what it is to keep.
    one["readinessProbe"] = json!({ "tcpSocket": { "port": 8000 }, "periodSeconds": 1 });
    json!({ "containers": [one] })
}

/// A Deployment of one such pod, protected.
pub(super) fn deployment(called: &str, spec: &Value) -> Value {
    let mut whole = json!({ "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 1 });
    json_patch::merge(&mut whole, spec);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": called },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": called } },
            "template": { "metadata": { "labels": { "app": called } }, "spec": whole },
        },
    })
}

pub(super) fn apply(world: &World, object: &Value) {
    let applied = world.apply(&object.to_string());
    assert!(applied.status.success(), "{applied:?}");
}

/// Its pods that are not being deleted.
pub(super) fn pods(world: &World, called: &str) -> Vec<Value> {
    let listed = get(world, &format!("get pods -l app={called}"));
    let all = listed["items"].as_array().unwrap().iter();
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    all.filter(stays).cloned().collect()
}

/// The one pod there is, once it is ready.
pub(super) async fn the_pod(world: &World, called: &str) -> Value {
    eventually(&format!("{called}: one pod, and it is ready"), 120, || {
        let pods = pods(world, called);
        ready((pods.len() == 1 && is_ready(&pods[0])).then(|| pods[0].clone()))
    })
    .await
}

/// Runs a script in the container `c` of a pod.
pub(super) fn runs(world: &World, pod: &str, script: &str) -> Output {
    let mut command = world.kubectl_command(&format!("exec {pod} -c c -- sh -c"));
    command.arg(script).output().unwrap()
}

/// What a script says, which must succeed.
pub(super) fn asked(world: &World, pod: &str, script: &str) -> String {
    let output = runs(world, pod, script);
    assert!(output.status.success(), "{pod}: {script}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn number(world: &World, pod: &str, script: &str) -> u64 {
    let said = asked(world, pod, script);
    let Ok(number) = said.parse() else {
        panic!("{pod}: {script}: no number: {said}");
    };
    number
}

/// Brings a program up and asks it.
pub(super) async fn starts(world: &World, program: &Program) -> Before {
    apply(world, &deployment(program.name, &(program.spec)()));
    let pod = the_pod(world, program.name).await;
    for script in program.prepare {
        eventually(&format!("{}: {script}", program.name), 60, || {
            ready(
                runs(world, name(&pod), script)
                    .status
                    .success()
                    .then_some(()),
            )
        })
        .await;
    }
    for script in program.grows {
        eventually(&format!("{}: it goes", program.name), 60, || {
            ready((number(world, name(&pod), script) > 0).then_some(()))
        })
        .await;
    }
    let grows = program
        .grows
        .iter()
        .map(|script| number(world, name(&pod), script));
    let grows = grows.collect();
    // Last: a question after a number may itself make something grow that is looked at here.
    let same = program
        .same
        .iter()
        .map(|script| asked(world, name(&pod), script));
    Before {
        same: same.collect(),
        grows,
        pod,
    }
}

/// Moves the pod of a Deployment to the other node; what became of it, which is ready.
pub(super) async fn moves(world: &World, called: &str, before: &Value) -> Value {
    let migration = format!("{called}-moves");
    migrate(world, &migration, &json!({ "podName": name(before) }));
    let status = ended(world, &migration).await;
    if status["phase"] != "Succeeded" {
        let agents = "logs -n holdfast-system -l app.kubernetes.io/component=agent --tail=60";
        panic!("{called}: {status:#}\n{}", world.kubectl(agents));
    }
    let after = the_pod(world, called).await;
    assert_ne!(node(&after), node(before), "{called}");
    assert_ne!(name(&after), name(before), "{called}");
    println!(
        "{called}: frozen for {} ms, {} bytes",
        status["frozenMillis"], status["bytes"]
    );
    world.kubectl(&format!("delete migration {migration} --timeout=60s"));
    after
}

/// It is the same program, and goes on.
pub(super) async fn is_the_same(world: &World, program: &Program, before: &Before, after: &Value) {
    let pod = name(after);
    for (script, said) in program.same.iter().zip(&before.same) {
        compare(program.name, script, said, &asked(world, pod, script));
    }
    for (script, counted) in program.grows.iter().zip(&before.grows) {
        let more = number(world, pod, script);
        assert!(
            more >= *counted,
            "{}: {script}: {more} after {counted}",
            program.name
        );
        let stands = format!("{}: {script}: it stands still", program.name);
        nothing_left(&stands, 60, || {
            let now = number(world, pod, script);
            let told = || world.kubectl(&format!("logs {pod} -c c --tail=3"));
            (now <= more).then(|| format!("{now} after {more}, and it says {}", told()))
        })
        .await;
    }
    for script in program.after {
        asked(world, pod, script);
    }
    let now = get(world, &format!("get pod {pod}"));
    for status in now["status"]["containerStatuses"].as_array().unwrap() {
        assert_eq!(status["restartCount"], 0, "{}: {now:#}", program.name);
    }
}

/// Fails with what differs, and no more.
fn compare(called: &str, script: &str, before: &str, after: &str) {
    let parts = |text: &str| -> Vec<String> { text.split('\t').map(str::to_owned).collect() };
    let (before, after) = (parts(before), parts(after));
    let lost: Vec<_> = before.iter().filter(|part| !after.contains(part)).collect();
    let new: Vec<_> = after.iter().filter(|part| !before.contains(part)).collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "{called}: {script}\nbefore: {lost:#?}\nafter: {new:#?}"
    );
}

/// Its Deployment and its pods are gone.
pub(super) async fn ends(world: &World, called: &str) {
    world.kubectl(&format!("delete deployment {called} --timeout=60s"));
    eventually(&format!("{called}: its pods are gone"), 90, || {
        let listed = get(world, &format!("get pods -l app={called}"));
        ready(listed["items"].as_array().unwrap().is_empty().then_some(()))
    })
    .await;
}

/// All of it, for a program that needs nothing else.
pub(super) async fn goes(world: &World, program: &Program) {
    let before = starts(world, program).await;
    let after = moves(world, program.name, &before.pod).await;
    is_the_same(world, program, &before, &after).await;
    ends(world, program.name).await;
}
