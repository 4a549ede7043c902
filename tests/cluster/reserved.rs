//! What is reserved to Holdfast, on a real API server: keys on pods and in templates, the gate, and the orders to nodes. Whoever runs these
//! tests may do everything in the cluster; the policies hold all the same. Nothing of Holdfast runs for them.

mod nodes;

use crate::world::{World, eventually, root, text, world};
use holdfast::kit::names::RESERVED;
use serde_json::{Value, json};
use std::future::ready;

/// As the manager; it is given all rights here, so that only the policies say no.
const MANAGER: &str = "--as=system:serviceaccount:holdfast-system:holdfast";
const AGENT: &str = "--as=system:serviceaccount:holdfast-system:holdfast-agent";
const CONTROLLER: &str = "--as=system:serviceaccount:kube-system:replicaset-controller";
const BINDING: &str = "clusterrolebinding reserved-keys-test";
const GATES: &str = r#"[{"op":"test","path":"/spec/schedulingGates/0/name","value":"holdfast.dev/restore"},{"op":"remove","path":"/spec/schedulingGates/0"}]"#;

/// Applies the policies of the manifests alone, and waits until the API server asks them.
async fn guarded(world: &World) {
    world.kubectl("apply --server-side --force-conflicts -k manifests/crds");
    assert!(world.apply(&policies()).status.success());
    // A run before this one may have ended in the middle.
    world.kubectl(&format!("delete {BINDING} --ignore-not-found"));
    world.kubectl("delete pod/reserved deployment/reserved statetask/reserved --ignore-not-found");
    world.kubectl(&format!("create {BINDING} --clusterrole=cluster-admin --serviceaccount=holdfast-system:holdfast --serviceaccount=holdfast-system:holdfast-agent"));
    let [order, probe] = [
        order("probe"),
        pod(&json!({ "holdfast.dev/hold": "x" }), None),
    ];
    eventually("the policies hold", 60, || {
        let all = [&order, &probe, &workload("Deployment", &probe)]
            .map(|object| create(world, object, ""));
        ready(all.iter().all(Result::is_err).then_some(()))
    })
    .await;
}

fn policies() -> String {
    let files = ["reserved", "agent"].map(|file| {
        let path = root().join(format!("manifests/state/{file}.yaml"));
        std::fs::read_to_string(path).unwrap()
    });
    let all = files.iter().flat_map(|file| file.split("\n---\n"));
    let kept: Vec<_> = all
        .filter(|one| one.contains("kind: ValidatingAdmissionPolicy"))
        .collect();
    assert_eq!(kept.len(), 12, "six policies, and a binding for each");
    kept.join("\n---\n")
}

/// A pod that never starts: no node has what it asks for.
fn pod(annotations: &Value, gate: Option<&str>) -> Value {
    let gates: Vec<_> = gate.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "reserved", "labels": { "app": "reserved" }, "annotations": annotations },
        "spec": {
            "nodeSelector": { "nowhere": "here" }, "schedulingGates": gates, "restartPolicy": "Always",
            "containers": [{ "name": "c", "image": "registry.k8s.io/pause:3.10" }],
        },
    })
}

/// An object of this kind that makes such pods.
fn workload(kind: &str, pod: &Value) -> Value {
    let mut template = json!({ "metadata": pod["metadata"], "spec": pod["spec"] });
    template["metadata"].as_object_mut().unwrap().remove("name");
    let selector = json!({ "matchLabels": { "app": "reserved" } });
    let (group, spec) = match kind {
        "Job" | "CronJob" => {
            template["spec"]["restartPolicy"] = json!("Never");
            let job = json!({ "template": template });
            let cron = json!({ "schedule": "0 0 1 1 *", "jobTemplate": { "spec": job } });
            ("batch/v1", if kind == "Job" { job } else { cron })
        }
        "ReplicationController" => (
            "v1",
            json!({ "replicas": 0, "selector": { "app": "reserved" }, "template": template }),
        ),
        "PodTemplate" => ("v1", Value::Null),
        _ => (
            "apps/v1",
            json!({ "selector": selector, "template": template }),
        ),
    };
    let mut object =
        json!({ "apiVersion": group, "kind": kind, "metadata": { "name": "reserved" } });
    if kind == "PodTemplate" {
        object["template"] = template;
    } else {
        object["spec"] = spec;
    }
    object
}

fn order(name: &str) -> Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "StateTask", "metadata": { "name": name },
        "spec": { "nodeName": "node1", "operation": "0-0" },
    })
}

/// Nothing stays: the API server is only asked whether it would be taken.
fn create(world: &World, object: &Value, who: &str) -> Result<(), String> {
    answer(&world.send(
        &format!("create --dry-run=server {who} -f -"),
        &object.to_string(),
    ))
}

fn say(world: &World, line: &str) -> Result<(), String> {
    answer(&world.kubectl_command(line).output().unwrap())
}

fn answer(output: &std::process::Output) -> Result<(), String> {
    if output.status.success() {
        Ok(())
    } else {
        Err(text(&output.stderr))
    }
}

/// By a policy of ours, in words that say what to do.
#[track_caller]
fn is_denied(said: Result<(), String>, says: &str) {
    let told = said.expect_err("it was allowed");
    assert!(
        told.contains("ValidatingAdmissionPolicy 'holdfast-") && told.contains(says),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_reserved_is_written_by_holdfast_alone() {
    let world = world().await;
    guarded(&world).await;
    keys_of_pods(&world);
    bindings(&world);
    gates(&world);
    templates(&world);
    templates_that_were_there(&world);
    orders(&world);
    migrations(&world).await;
    nodes::are_described_by_their_own_agents(&world);
    kubelets(&world);
    world.kubectl(&format!("delete {BINDING}"));
    let gone = world.send("delete -f -", &policies());
    assert!(gone.status.success(), "{gone:?}");
}

fn keys_of_pods(world: &World) {
    for key in RESERVED {
        is_denied(create(world, &pod(&json!({ key: "x" }), None), ""), key);
        let mut labelled = pod(&json!({}), None);
        labelled["metadata"]["labels"][key] = json!("x");
        is_denied(create(world, &labelled, ""), key);
        create(world, &labelled, MANAGER).unwrap();
    }
    create(
        world,
        &pod(&json!({ "holdfast.dev/share": "x", "mine": "y" }), None),
        "",
    )
    .unwrap();
    let marked = pod(&json!({ "holdfast.dev/restore": "u" }), None);
    let made = world.send(&format!("create {MANAGER} -f -"), &marked.to_string());
    assert!(made.status.success(), "{made:?}");
    for line in [
        "annotate pod reserved mine=x",
        "label pod reserved mine=x",
        "annotate pod reserved mine-",
    ] {
        say(world, line).unwrap();
    }
    for line in [
        "annotate pod reserved holdfast.dev/restore=v --overwrite",
        "annotate pod reserved holdfast.dev/restore-",
        "annotate pod reserved holdfast.dev/slot=1",
        "label pod reserved holdfast.dev/restore=u",
        // A status carries annotations too.
        r#"patch pod reserved --subresource=status --type=merge -p {"metadata":{"annotations":{"holdfast.dev/restore":"v"}}}"#,
    ] {
        is_denied(say(world, line), "Holdfast alone");
    }
    for line in [
        "annotate pod reserved holdfast.dev/restore=v --overwrite",
        "annotate pod reserved holdfast.dev/restore-",
    ] {
        say(world, &format!("{line} {MANAGER}")).unwrap();
    }
    say(world, "annotate pod reserved holdfast.dev/restore=u").unwrap_err();
    say(world, "delete pod reserved --now").unwrap();
}

/// Whoever binds a pod to a node can hand it annotations.
fn bindings(world: &World) {
    let made = world.send("create -f -", &pod(&json!({}), None).to_string());
    assert!(made.status.success(), "{made:?}");
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": "reserved", "annotations": { "holdfast.dev/restore": "u" } },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "node1" },
    });
    for path in ["bindings", "pods/reserved/binding"] {
        let line = format!("create --raw /api/v1/namespaces/default/{path} -f -");
        is_denied(
            answer(&world.send(&line, &binding.to_string())),
            "holdfast.dev/restore",
        );
    }
    say(world, "delete pod reserved --now").unwrap();
}

fn gates(world: &World) {
    let ours = pod(&json!({}), Some("holdfast.dev/restore"));
    is_denied(create(world, &ours, ""), "nobody would lift it");
    create(world, &ours, MANAGER).unwrap();
    // As our webhook leaves it, in the request of a ReplicaSet's controller, and of nobody else.
    let mut owned = ours.clone();
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "0-0", "controller": true,
    }]);
    owned["metadata"]["labels"]["holdfast.dev/migration"] = json!("0-0");
    is_denied(create(world, &owned, ""), "holdfast.dev/migration");
    create(world, &owned, CONTROLLER).unwrap();
    let mut keyed = owned.clone();
    keyed["metadata"]["annotations"]["holdfast.dev/restore"] = json!("u");
    is_denied(create(world, &keyed, CONTROLLER), "holdfast.dev/restore");
    owned["spec"]["schedulingGates"] = json!([]);
    is_denied(create(world, &owned, CONTROLLER), "holdfast.dev/migration");
    let made = world.send(&format!("create {MANAGER} -f -"), &ours.to_string());
    assert!(made.status.success(), "{made:?}");
    say(world, "annotate pod reserved mine=x").unwrap();
    let lift = format!("patch pod reserved --type=json -p {GATES}");
    is_denied(say(world, &lift), "delete the Migration");
    say(world, &format!("{lift} {MANAGER}")).unwrap();
    say(world, "delete pod reserved --now").unwrap();
    // Other gates are other people's.
    let theirs = pod(&json!({}), Some("example.com/mine"));
    let made = world.send("create -f -", &theirs.to_string());
    assert!(made.status.success(), "{made:?}");
    say(
        world,
        &lift.replace("holdfast.dev/restore", "example.com/mine"),
    )
    .unwrap();
    say(world, "delete pod reserved --now").unwrap();
}

fn templates(world: &World) {
    for kind in [
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "ReplicationController",
        "PodTemplate",
    ] {
        create(
            world,
            &workload(kind, &pod(&json!({ "mine": "x" }), None)),
            "",
        )
        .unwrap();
        let keyed = workload(kind, &pod(&json!({ "holdfast.dev/slot": "1" }), None));
        is_denied(create(world, &keyed, ""), "take it out of the template");
        let mut labelled = pod(&json!({}), None);
        labelled["metadata"]["labels"]["holdfast.dev/hold"] = json!("x");
        is_denied(
            create(world, &workload(kind, &labelled), ""),
            "holdfast.dev/hold says",
        );
        let gated = workload(kind, &pod(&json!({}), Some("holdfast.dev/restore")));
        is_denied(create(world, &gated, ""), "nobody would lift it from these");
        let theirs = workload(kind, &pod(&json!({}), Some("example.com/mine")));
        create(world, &theirs, "").unwrap();
    }
}

/// What a template had before there was a policy stands in nobody's way, and can be taken out.
fn templates_that_were_there(world: &World) {
    let mut keyed = workload(
        "Deployment",
        &pod(&json!({ "holdfast.dev/slot": "1" }), None),
    );
    keyed["spec"]["replicas"] = json!(0);
    keyed["spec"]["paused"] = json!(true);
    let made = world.send(&format!("create {MANAGER} -f -"), &keyed.to_string());
    assert!(made.status.success(), "{made:?}");
    let patch = |fields: &Value| {
        let fields = json!({ "spec": { "template": { "metadata": { "annotations": fields } } } });
        say(
            world,
            &format!("patch deployment reserved --type=merge -p {fields}"),
        )
    };
    patch(&json!({ "mine": "x" })).unwrap();
    say(world, "scale deployment reserved --replicas=0").unwrap();
    is_denied(
        patch(&json!({ "holdfast.dev/slot": "2" })),
        "take it out of the template",
    );
    is_denied(
        patch(&json!({ "holdfast.dev/hold": "x" })),
        "take it out of the template",
    );
    patch(&json!({ "holdfast.dev/slot": null })).unwrap();
    say(world, "delete deployment reserved").unwrap();
}

/// Orders are the manager's; answers are their node's agent's, who has to say which one it is.
fn orders(world: &World) {
    let says = "make a Checkpoint or a Migration instead";
    is_denied(create(world, &order("reserved"), ""), says);
    is_denied(create(world, &order("reserved"), AGENT), says);
    let made = world.send(
        &format!("create {MANAGER} -f -"),
        &order("reserved").to_string(),
    );
    assert!(made.status.success(), "{made:?}");
    let change = r#"patch statetask reserved --type=merge -p {"spec":{"decision":{"attempt":3}}}"#;
    is_denied(say(world, change), says);
    say(world, &format!("{change} {MANAGER}")).unwrap();
    say(world, "label statetask reserved mine=x").unwrap();
    let reply = r#"patch statetask reserved --subresource=status --type=merge -p {"status":{"observedGeneration":1}}"#;
    for who in ["", MANAGER, AGENT] {
        is_denied(
            say(world, &format!("{reply} {who}")),
            "by the agent of its own node alone",
        );
    }
    let claim = "--as-user-extra=authentication.kubernetes.io/node-name";
    is_denied(
        say(world, &format!("{reply} {AGENT} {claim}=node2")),
        "by the agent of its own node alone",
    );
    say(world, &format!("{reply} {AGENT} {claim}=node1")).unwrap();
    say(world, "delete statetask reserved").unwrap();
}

/// Who may make Migrations moves nothing by that alone: a state starts again by whoever may restore one.
async fn migrations(world: &World) {
    let role = |name: &str, resource: &str, verb: &str| {
        format!(
            "---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}}}
rules: [{{apiGroups: [holdfast.dev], resources: [{resource}], verbs: [{verb}]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: mover}}]
"
        )
    };
    let moves = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": "reserved" },
        "spec": { "podName": "nobody" },
    });
    let makes = || create(world, &moves, "--as=mover");
    let making = role("reserved-makes", "migrations", "create");
    assert!(world.apply(&making).status.success());
    eventually("it is refused for want of the right to restore", 30, || {
        let said = makes().err().unwrap_or_default();
        ready(said.contains("you lack the verb restore").then_some(()))
    })
    .await;
    let mut dry = moves.clone();
    dry["spec"]["dryRun"] = json!(true);
    create(world, &dry, "--as=mover").unwrap();
    let restoring = role("reserved-restores", "checkpoints", "restore");
    assert!(world.apply(&restoring).status.success());
    eventually("it is made by whoever may restore", 30, || {
        ready(makes().ok())
    })
    .await;
    for role in [making, restoring] {
        let gone = world.send("delete -f -", &role);
        assert!(gone.status.success(), "{gone:?}");
    }
}

/// A pod that carries a key starts, is reported on by its kubelet, and ends.
fn kubelets(world: &World) {
    let mut runs = pod(&json!({ "holdfast.dev/restore": "u" }), None);
    runs["spec"]["nodeSelector"] = Value::Null;
    let made = world.send(&format!("create {MANAGER} -f -"), &runs.to_string());
    assert!(made.status.success(), "{made:?}");
    world.kubectl("wait pod/reserved --for=condition=Ready --timeout=90s");
    world.kubectl("delete pod reserved --timeout=90s");
}
