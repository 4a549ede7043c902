//! What is around a program: what a pod is afterwards, the containers beside it, and what can be done with it right after a move.

use super::counting::{COUNTS, busybox, counter, counts, counts_on};
use super::driver::{apply, asked, deployment, ends, moves, the_pod};
use crate::migrating::{get, name, node};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

/// Two containers of different images, a native sidecar with a startup probe, and an init container that would wipe what they share.
pub(super) async fn goes_in_one_cut(world: &World) {
    let mount = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let mut one = busybox();
    one["command"][2] = json!(COUNTS.replace(
        "mv /new /own;",
        "mv /new /own; cp /own /shared/at; mv /shared/at /shared/c;"
    ));
    let mut other = counter("localhost/programs:1");
    other["name"] = json!("other");
    let mut side = busybox();
    side["name"] = json!("side");
    side["restartPolicy"] = json!("Always");
    side["startupProbe"] = json!({ "exec": { "command": ["cat", "/own"] }, "periodSeconds": 1, "failureThreshold": 30 });
    let wipe = json!({ "name": "wipe", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", "rm -rf /shared/*; echo wiped"] });
    let mut spec = json!({ "initContainers": [wipe, side], "containers": [one, other], "volumes": [{ "name": "shared", "emptyDir": {} }] });
    for kind in ["initContainers", "containers"] {
        for container in spec[kind].as_array_mut().unwrap() {
            container["volumeMounts"] = mount.clone();
        }
    }
    apply(world, &deployment("cut", &spec));
    let before = the_pod(world, "cut").await;
    let all = ["c", "other", "side"];
    let mut counted = Vec::new();
    for container in all {
        counted.push(counts(world, name(&before), container).await);
    }
    asked(world, name(&before), "echo kept > /shared/mark");
    let after = moves(world, "cut", &before).await;
    for (container, before) in all.into_iter().zip(&counted) {
        counts_on(world, name(&after), container, before).await;
    }
    assert_eq!(asked(world, name(&after), "cat /shared/mark"), "kept");
    let after = get(world, &format!("get pod {}", name(&after)));
    let sidecar = after["status"]["initContainerStatuses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "side")
        .unwrap();
    assert_eq!(
        (&sidecar["started"], &sidecar["restartCount"]),
        (&json!(true), &json!(0)),
        "{after:#}"
    );
    ends(world, "cut").await;
}

/// What the pod says of itself afterwards: the table *What the pod is afterwards* of `docs/state.md`.
pub(super) async fn says_who_it_is(world: &World) {
    let mut one = busybox();
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    one["env"] = json!([{ "name": "POD", "valueFrom": field("metadata.name") }, { "name": "ADDRESS", "valueFrom": field("status.podIP") }]);
    one["volumeMounts"] = json!([{ "name": "about", "mountPath": "/about" }]);
    let item =
        |path: &str, called: &str| json!({ "path": called, "fieldRef": { "fieldPath": path } });
    let about = json!({ "name": "about", "downwardAPI": { "items": [item("metadata.name", "name"), item("metadata.uid", "uid")] } });
    apply(
        world,
        &deployment(
            "identity",
            &json!({ "containers": [one], "volumes": [about] }),
        ),
    );
    let before = the_pod(world, "identity").await;
    let counted = counts(world, name(&before), "c").await;
    let after = moves(world, "identity", &before).await;
    counts_on(world, name(&after), "c", &counted).await;
    let (new, old) = (name(&after), name(&before));
    let said = |script: &str| asked(world, new, script);
    assert_eq!(said("hostname"), old, "the hostname is memory");
    let hosts = said("cat /etc/hosts");
    assert!(hosts.contains(new) && !hosts.contains(old), "{hosts}");
    let of_its_program = "tr '\\0' '\\n' < /proc/1/environ";
    let variables = said(of_its_program);
    assert!(variables.contains(&format!("POD={old}")), "{variables}");
    assert!(
        variables.contains(&format!(
            "ADDRESS={}",
            before["status"]["podIP"].as_str().unwrap()
        )),
        "{variables}"
    );
    assert_eq!(
        said("echo $POD"),
        new,
        "what is started by exec has the new pod's"
    );
    assert_eq!(said("cat /about/name"), new);
    assert_eq!(
        said("cat /about/uid"),
        after["metadata"]["uid"].as_str().unwrap()
    );
    let token = said(
        "cut -d. -f2 /run/secrets/kubernetes.io/serviceaccount/token 2>/dev/null || cut -d. -f2 /var/run/secrets/kubernetes.io/serviceaccount/token",
    );
    assert_eq!(
        claims(&token)["kubernetes.io"]["pod"]["uid"],
        after["metadata"]["uid"],
        "the token is the new pod's"
    );
    let address = said("ip -4 -o addr show dev eth0");
    assert!(
        address.contains(after["status"]["podIP"].as_str().unwrap()),
        "{address}"
    );
    ends(world, "identity").await;
}

/// What a token says, by its middle part.
fn claims(part: &str) -> Value {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part.trim())
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Right after a move it can be looked into, has its limits, is killed and started again as any, and is rolled out fresh.
pub(super) async fn is_a_pod_like_any(world: &World) {
    let mut one = busybox();
    one["command"][2] = json!(COUNTS.replace("sleep 0.1;", "sleep 0.1; test -e /end && exit 7;"));
    one["resources"] = json!({ "limits": { "memory": "64Mi", "cpu": "200m" } });
    apply(world, &deployment("any", &json!({ "containers": [one] })));
    let before = the_pod(world, "any").await;
    let counted = counts(world, name(&before), "c").await;
    let after = moves(world, "any", &before).await;
    let pod = name(&after).to_owned();
    counts_on(world, &pod, "c", &counted).await;
    let log = world.kubectl(&format!("logs {pod} -c c"));
    assert!(log.starts_with(&counted.0), "{log}");
    has_its_limits(world, &after);
    is_counted(world, &after).await;
    // Its end is an ordinary crash: the kubelet starts it again, fresh.
    asked(world, &pod, "touch /end");
    eventually("it is started again", 90, || {
        let now = get(world, &format!("get pod {pod}"));
        let status = &now["status"]["containerStatuses"][0];
        let has_crashed = status["lastState"]["terminated"]["exitCode"] == 7;
        ready((status["restartCount"] == 1 && has_crashed && status["ready"] == true).then_some(()))
    })
    .await;
    let fresh = counts(world, &pod, "c").await;
    assert_ne!(fresh.0, counted.0, "it starts fresh");
    // So does what is rolled out, and nothing of the move is left on it.
    world.kubectl("rollout restart deployment/any");
    world.kubectl("rollout status deployment/any --timeout=120s");
    let rolled = the_pod(world, "any").await;
    assert_ne!(counts(world, name(&rolled), "c").await.0, fresh.0);
    let annotations = rolled["metadata"]["annotations"].to_string();
    assert!(
        !annotations.contains("holdfast.dev/restore"),
        "{annotations}"
    );
    ends(world, "any").await;
}

/// What the kernel keeps the container to on its new node, and that its processes are there. What it sees of that itself, in
/// /sys/fs/cgroup, is another matter where cgroups are of the old kind: `docs/state.md` says so.
fn has_its_limits(world: &World, pod: &Value) {
    let id = &pod["status"]["containerStatuses"][0]["containerID"];
    let id = id.as_str().unwrap().rsplit('/').next().unwrap();
    let script = format!(
        "for file in $(find /sys/fs/cgroup -path '*{id}/memory.limit_in_bytes' -o -path '*{id}/memory.max' -o -path '*{id}/cpu.cfs_quota_us' | sort -u); do \
         echo $(cat $file) $(wc -l < $(dirname $file)/cgroup.procs); done"
    );
    let said = world.on_node(node(pod), &script);
    let said = String::from_utf8(said.stdout).unwrap();
    let amounts: Vec<Vec<u64>> = said
        .lines()
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .collect();
    let is_kept = |amount: u64| {
        let holds = |one: &Vec<u64>| one.first() == Some(&amount) && one.get(1) > Some(&0);
        amounts.iter().any(holds)
    };
    assert!(is_kept(64 << 20) && is_kept(20_000), "{said}");
}

/// The kubelet knows what it takes.
async fn is_counted(world: &World, pod: &Value) {
    let path = format!("get --raw /api/v1/nodes/{}/proxy/stats/summary", node(pod));
    eventually("its memory and processor time are known", 90, || {
        let summary: Value = serde_json::from_str(&world.kubectl(&path)).unwrap();
        let pods = summary["pods"].as_array().cloned().unwrap_or_default();
        let ours = pods
            .iter()
            .find(|one| one["podRef"]["uid"] == pod["metadata"]["uid"])
            .cloned();
        let is_known = |one: &Value| {
            let container = &one["containers"][0];
            container["memory"]["workingSetBytes"].as_u64() > Some(0)
                && container["cpu"]["usageCoreNanoSeconds"].as_u64() > Some(0)
        };
        ready(ours.filter(is_known).map(drop))
    })
    .await;
}
