//! `holdfast host` on real nodes: with containerd 1.7 and 2, and on one that has neither CRIU nor a runc that is new enough. The world
//! is one of their own, since containerd is started again and again.

mod passing;
mod telling;

use crate::world::{World, eventually, root, succeed, text};
use passing::{NODE, Node, PASSING};
use serde_json::Value;
use std::future::ready;
use std::process::Command;

const RUNTIME_CLASS: &str = "
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: holdfast}
handler: holdfast
";

fn pod(name: &str, class: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, annotations: {{holdfast.dev/restore: none, other.dev/x: theirs}}}}
spec:
  nodeName: {NODE}
  {class}
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'echo it runs; sleep 100000']
"
    )
}

/// In a cluster that has just begun the first pods are refused: their service account is not there yet.
async fn apply(world: &World, yaml: &str) {
    eventually("it is taken", 30, || {
        ready(world.apply(yaml).status.success().then_some(()))
    })
    .await;
}

async fn runs(world: &World, name: &str) -> String {
    eventually(&format!("{name} runs"), 60, || {
        let status = world.kubectl(&format!(
            "get pod {name} -o jsonpath={{.status.containerStatuses[0]}}"
        ));
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        let id = status
            .pointer("/state/running")
            .and(status["containerID"].as_str());
        ready(id.map(str::to_owned))
    })
    .await
}

/// What every installation goes through, whatever the version; `changed` is the file that it changes.
async fn comes_and_goes(world: &World, changed: &str) {
    let node = Node::new(world, NODE);
    apply(world, RUNTIME_CLASS).await;
    apply(world, &pod("before", "")).await;
    let before = runs(world, "before").await;
    let former = node.configuration();
    let installed = node.install(&[]);
    assert_eq!(installed["restarted"], true, "{installed}");
    assert!(
        installed["criu"].as_str().unwrap().contains("CRIU 4."),
        "{installed}"
    );
    assert!(
        node.sh(&format!("grep -c 'runtimes.holdfast' {changed}"))
            .starts_with(['1', '2'])
    );
    let (configured, containerd) = (node.configuration(), node.containerd());

    let again = node.install(&[]);
    assert_eq!(again["restarted"], false, "{again}");
    assert_eq!(
        (node.configuration(), node.containerd()),
        (configured, containerd),
        "a second time changes nothing"
    );
    assert_eq!(
        runs(world, "before").await,
        before,
        "a pod of before did not notice"
    );
    assert_eq!(
        world.kubectl("exec before -- echo it answers").trim(),
        "it answers"
    );

    a_pod_runs_under_it(world, &node).await;
    let refused = node.holdfast("uninstall", &[], "");
    let told = text(&refused.stderr);
    assert!(
        !refused.status.success() && told.contains("default/under") && !told.contains("before"),
        "{told}"
    );
    world.kubectl("delete pod under --wait=true");
    let gone = node.uninstall();
    assert_eq!(gone["restarted"], true, "{gone}");
    assert_eq!(node.configuration(), former, "byte for byte");
    assert_eq!(
        node.sh("ls -d /opt/holdfast /etc/containerd/conf.d 2>/dev/null || true")
            .trim(),
        ""
    );
    assert_eq!(
        node.uninstall()["prefix"],
        Value::Null,
        "twice is as good as once"
    );
    assert_eq!(runs(world, "before").await, before);
    world.kubectl("delete pod before --wait=true");
}

/// A pod under the handler is like any other, and the runtime sees which annotations are ours.
async fn a_pod_runs_under_it(world: &World, node: &Node<'_>) {
    apply(world, &pod("under", "runtimeClassName: holdfast")).await;
    runs(world, "under").await;
    assert_eq!(world.kubectl("logs under").trim(), "it runs");
    assert_eq!(
        world.kubectl("exec under -- echo it answers").trim(),
        "it answers"
    );
    let seen = node.sh(&format!("cat {PASSING}.seen"));
    assert!(
        seen.contains("\"holdfast.dev/restore\":\"none\""),
        "the runtime sees our annotations: {seen}"
    );
    assert!(!seen.contains("other.dev/x"), "and nobody else's: {seen}");
}

#[tokio::test]
async fn containerd_1_7_gets_a_handler_and_its_former_configuration_back() {
    let world = World::apart(
        "host",
        &[
            "--nodes",
            "2",
            "--bare",
            "2",
            "--k8s",
            "1.35",
            "--runtime",
            "containerd-1.7",
        ],
    );
    comes_and_goes(&world, "/etc/containerd/config.toml").await;
    others_may_write_meanwhile(&world);
    a_runtime_that_does_not_come_back_gets_its_former_configuration(&world);
    from_a_pod(&world).await;
    telling::says_what_it_found_on_the_node_object(&world);
    whoever_comes_after_a_death_finishes(&world);
    a_node_without_criu_gets_one(&world);
    world.end();
}

#[tokio::test]
async fn containerd_2_gets_a_drop_in_and_loses_it_again() {
    let world = World::apart(
        "host-2",
        &["--nodes", "1", "--k8s", "1.35", "--runtime", "containerd-2"],
    );
    comes_and_goes(&world, "/etc/containerd/conf.d/90-holdfast.toml").await;
    a_missing_configuration_is_made_and_goes_again(&world);
    world.end();
}

fn others_may_write_meanwhile(world: &World) {
    let node = Node::new(world, NODE);
    let former = node.sh("cat /etc/containerd/config.toml");
    node.install(&[]);
    node.sh("echo '[debug] # mine' >> /etc/containerd/config.toml; echo '  level = \"info\"' >> /etc/containerd/config.toml");
    assert_eq!(node.install(&[])["restarted"], false);
    node.uninstall();
    let left = node.sh("cat /etc/containerd/config.toml");
    assert_eq!(
        left,
        format!(
            "{}\n[debug] # mine\n  level = \"info\"\n",
            former.trim_end()
        )
    );
    node.sh(&format!(
        "printf '%s' '{former}' > /etc/containerd/config.toml"
    ));
}

fn a_runtime_that_does_not_come_back_gets_its_former_configuration(world: &World) {
    let node = Node::new(world, NODE);
    let former = node.configuration();
    let once = "if [ -e /run/hf-once ]; then systemctl start containerd; else touch /run/hf-once; systemctl stop containerd; fi";
    let failed = node.holdfast(
        "install",
        &["--restart-limit", "3s", "--restart-command", once],
        "",
    );
    let told = text(&failed.stderr);
    assert!(
        !failed.status.success() && told.contains("did not answer as it should within 3s"),
        "{told}"
    );
    assert!(
        told.contains("the former one is in place and in effect again"),
        "{told}"
    );
    assert_eq!(node.configuration(), former);
    node.sh("rm /run/hf-once; ctr version > /dev/null");
    node.uninstall();
}

fn a_missing_configuration_is_made_and_goes_again(world: &World) {
    let node = Node::new(world, NODE);
    // This containerd's defaults name another pause image than the node has, so nothing is started on trial.
    node.sh("mv /etc/containerd /etc/away; systemctl restart containerd");
    let installed = node.install(&["--skip-trial"]);
    assert_eq!(installed["restarted"], true, "{installed}");
    assert!(
        node.sh("cat /etc/containerd/config.toml")
            .starts_with("version = 3\n")
    );
    node.uninstall();
    assert_eq!(node.sh("ls -d /etc/containerd 2>/dev/null || true"), "");
    node.sh("mv /etc/away /etc/containerd; systemctl restart containerd");
}

/// As the agent's init container does it: a container with the host's root mounted, and no program of its own but ours.
async fn from_a_pod(world: &World) {
    let node = Node::new(world, NODE);
    let former = node.configuration();
    let program = "/host/lib64/ld-linux-x86-64.so.2 --library-path /host/usr/lib/x86_64-linux-gnu /host/root/hf/holdfast host";
    let yaml = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: installer}}
spec:
  nodeName: {NODE}
  hostPID: true
  restartPolicy: Never
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      securityContext: {{privileged: true}}
      command: [sh, -c, '{program} install --root /host --runtime-binary /host{PASSING} -o json && ls /opt 2>&1; {program} check --root /host']
      volumeMounts: [{{name: host, mountPath: /host, mountPropagation: HostToContainer}}]
  volumes: [{{name: host, hostPath: {{path: /}}}}]
"
    );
    apply(world, &yaml).await;
    let phase = eventually("the installer ends", 90, || {
        let phase = world.kubectl("get pod installer -o jsonpath={.status.phase}");
        ready(
            ["Succeeded", "Failed"]
                .contains(&phase.as_str())
                .then_some(phase),
        )
    })
    .await;
    let said = world.kubectl("logs installer");
    assert_eq!(phase, "Succeeded", "{said}");
    assert!(
        said.contains("\"prefix\": \"/opt/holdfast\"") && said.contains("No such file"),
        "the host's /opt, not the container's: {said}"
    );
    assert_eq!(
        node.install(&[])["restarted"],
        false,
        "seen from the host all is there"
    );
    world.kubectl("delete pod installer --wait=true");
    node.uninstall();
    assert_eq!(node.configuration(), former);
}

/// Dies at each of its points; the next run finishes, and an uninstallation gives the former configuration back.
fn whoever_comes_after_a_death_finishes(world: &World) {
    let node = Node::new(world, NODE);
    let former = node.configuration();
    let all = succeed(Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("faults"));
    let points: Vec<_> = all
        .lines()
        .filter(|point| point.starts_with("host.acts."))
        .collect();
    let mut done = 0;
    for point in &points {
        let die = format!("HOLDFAST_DIE_AT={point}");
        let goes = ["remove", "forget"]
            .iter()
            .any(|step| point.contains(&format!("acts.{step}.")));
        if !goes {
            node.dies("install", &die, point);
            node.install(&[]);
            assert_eq!(node.install(&[])["restarted"], false, "{point}");
        }
        for again in ["configure", "record", "restart"] {
            if point.contains(&format!("acts.{again}.")) {
                node.dies("uninstall", &die, point);
            }
        }
        if goes {
            node.install(&[]);
            node.dies("uninstall", &die, point);
        }
        node.uninstall();
        assert_eq!(node.configuration(), former, "{point}");
        assert_eq!(
            node.sh("ls -d /opt/holdfast 2>/dev/null || true"),
            "",
            "{point}"
        );
        done += 1;
    }
    assert!(done >= 16, "{points:?}");
    println!(
        "RESULT host_fault_points_done={done} host_fault_points_total={}",
        points.len()
    );
}

/// The program that freezes and the runtime are brought, work, and leave the node's own alone.
fn a_node_without_criu_gets_one(world: &World) {
    let node = Node::new(world, "node2");
    let parts = succeed(
        Command::new("python3")
            .arg(root().join("tools/node_parts.py"))
            .arg("build"),
    );
    let former = (node.configuration(), node.sh("sha256sum /usr/sbin/runc"));
    let refused = node.holdfast("install", &[], "");
    let told = text(&refused.stderr);
    assert!(
        !refused.status.success() && told.contains("runc 1.1.") && told.contains("1.2.0 or later"),
        "{told}"
    );
    node.put_folder("/root/hf/parts", parts.trim());
    node.sh("echo >> /root/hf/parts/criu/lib/libc.so.6");
    let damaged = text(
        &node
            .holdfast("install", &["--parts", "/root/hf/parts"], "")
            .stderr,
    );
    assert!(
        damaged.contains("libc.so.6") && damaged.contains("not those that the manifest names"),
        "{damaged}"
    );
    node.put_folder("/root/hf/parts", parts.trim());
    let installed = node.install(&["--parts", "/root/hf/parts"]);
    assert!(
        installed["runtime"]
            .as_str()
            .unwrap()
            .contains("/opt/holdfast/bin/runc"),
        "{installed}"
    );
    let checked = node.holdfast("check", &[], "");
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let counted = node.sh(passing::CHECKPOINT_AND_RESTORE);
    assert!(counted.contains("it went on"), "{counted}");
    assert!(
        node.sh("ls /opt/holdfast/licences/criu /opt/holdfast/licences/runc")
            .contains("criu-copyright")
    );
    node.uninstall();
    assert_eq!(
        (node.configuration(), node.sh("sha256sum /usr/sbin/runc")),
        former
    );
}
