//! The agent dies at each of its points; the next one brings what it began to an end, and the pod runs on.

use super::{COUNTED, checkpoint, count, ended, get, why};
use crate::protecting::{AGENTS, restarts};
use crate::world::{World, eventually, succeed, text};
use serde_json::json;
use std::future::ready;
use std::path::Path;
use std::process::Command;

/// A pod whose `RuntimeClass` is not ours.
const ELSEWHERE: &str = "elsewhere";
const FOLDER: &str = "/root/hf";
/// Points of the record that a checkpoint passes.
const OF_RECORD: [&str; 4] = ["hold", "withdraw", "thaw", "end"];

/// Points of what goes from node to node, of what is restored, and of what nobody orders any more: no Checkpoint passes them on its own
/// node.
const OF_TWO_NODES: [&str; 7] = [
    "agent.peers.",
    "agent.store.incoming.",
    "agent.store.release.",
    "agent.hands.source.",
    "agent.answers.",
    "agent.preparing.",
    "agent.holds.",
];

/// What makes the agent pass a point.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// It takes one.
    Takes,
    /// It cannot: the pod's containers did not come through our runtime, though it has a `RuntimeClass`.
    Refuses,
    /// It deletes one.
    Forgets,
}

fn way(point: &str) -> Way {
    match point.split('.').nth(2) {
        Some("fail") => Way::Refuses,
        Some("forget") => Way::Forgets,
        _ => Way::Takes,
    }
}

pub(super) async fn dies_at_every_point(world: &World) {
    let node = get(world, &format!("get pod {COUNTED}"))["spec"]["nodeName"]
        .as_str()
        .unwrap()
        .to_owned();
    let plain =
        "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: plain}, handler: runc}";
    assert!(world.apply(plain).status.success());
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {ELSEWHERE}}}, spec: {{runtimeClassName: plain, nodeName: {node}, containers: [{{name: c, image: \"localhost/busybox:1\", imagePullPolicy: Never, command: [sleep, '100000']}}]}}}}"
    );
    assert!(world.apply(&pod).status.success());
    world.kubectl(&format!(
        "wait pod/{ELSEWHERE} --for=condition=Ready --timeout=60s"
    ));
    let agent = Agent::begin(world, &node).await;
    let all = succeed(Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("faults"));
    let is_ours = |point: &&str| {
        let of_record = |step: &str| point.starts_with(&format!("hold.shelf.{step}."));
        // What needs another node stands elsewhere.
        let is_of_two = OF_TWO_NODES
            .into_iter()
            .any(|module| point.starts_with(module));
        (point.starts_with("agent.") && !is_of_two) || OF_RECORD.into_iter().any(of_record)
    };
    let points: Vec<_> = all.lines().filter(is_ours).collect();
    for (number, point) in points.iter().enumerate() {
        agent.dies_at(point, &format!("dying-{number}")).await;
    }
    world.kubectl("patch daemonset holdfast-agent -n holdfast-system --type=json -p [{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector/nowhere\"}]");
    world.kubectl("rollout status daemonset/holdfast-agent -n holdfast-system --timeout=120s");
    assert!(points.len() >= 24, "{points:?}");
    println!(
        "RESULT agent_fault_points_done={} agent_fault_points_total={}",
        points.len(),
        points.len()
    );
}

/// An agent that can be told where to die, in the place of the installed one.
struct Agent<'a> {
    world: &'a World,
    node: &'a str,
}

impl<'a> Agent<'a> {
    async fn begin(world: &'a World, node: &'a str) -> Self {
        world.kubectl("patch daemonset holdfast-agent -n holdfast-system --type=merge -p {\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"nowhere\":\"here\"}}}}}");
        eventually("the installed agents are gone", 90, || {
            let left = get(world, &format!("get pods {AGENTS}"));
            ready(left["items"].as_array().unwrap().is_empty().then_some(()))
        })
        .await;
        for program in [
            env!("CARGO_BIN_EXE_holdfast"),
            env!("CARGO_BIN_EXE_holdfast-runtime"),
        ] {
            let program = Path::new(program);
            let name = program.file_name().unwrap().to_str().unwrap();
            world.put_on_node(node, &format!("{FOLDER}/{name}"), program);
        }
        let agent = Self { world, node };
        agent.is_given_its_account();
        agent
    }

    /// With a token that is bound to its node, as the kubelet gives it one.
    fn is_given_its_account(&self) {
        let (world, node) = (self.world, self.node);
        let token = world.kubectl(&format!("create token holdfast-agent -n holdfast-system --bound-object-kind=Node --bound-object-name={node} --duration=2h"));
        let file = world.kubeconfig_of("agent", &token);
        world.put_on_node(node, &format!("{FOLDER}/kubeconfig"), &file);
    }

    fn sh(&self, script: &str) -> String {
        let output = self.world.on_node(self.node, script);
        text(&output.stdout) + &text(&output.stderr)
    }

    fn command(variables: &str) -> String {
        format!(
            "cd {FOLDER}; {variables} KUBECONFIG={FOLDER}/kubeconfig ./holdfast agent --node=$(hostname) --metrics-bind-address=127.0.0.1:18080 --health-probe-bind-address=127.0.0.1:18081"
        )
    }

    /// Runs an agent until this is so.
    async fn lives_until<T>(&self, what: &str, ask: impl Fn() -> Option<T>) -> T {
        let begins = format!(
            "({}) >agent.log 2>&1 & echo $! >{FOLDER}/pid",
            Self::command("exec env")
        );
        self.sh(&begins);
        let answer = eventually(what, 60, || ready(ask())).await;
        self.sh(&format!(
            "kill $(cat {FOLDER}/pid); tail --pid=$(cat {FOLDER}/pid) -f /dev/null"
        ));
        answer
    }

    async fn dies_at(&self, point: &str, name: &str) {
        let world = self.world;
        let way = way(point);
        let pod = if way == Way::Refuses {
            ELSEWHERE
        } else {
            COUNTED
        };
        checkpoint(world, name, &json!({ "podName": pod }));
        if way == Way::Forgets {
            self.lives_until(point, || is_ended(world, name)).await;
            world.kubectl(&format!("delete checkpoint {name} --wait=false"));
        }
        // The guard thaws too: whoever is first.
        let may_be_late = point.contains(".thaw.");
        let patience = if may_be_late { 15 } else { 60 };
        let said = self.sh(&format!(
            "({}); echo code $?",
            Self::command(&format!(
                "timeout -s KILL {patience} env HOLDFAST_DIE_AT={point}"
            ))
        ));
        let is_late = may_be_late && said.contains("code 137");
        assert!(said.contains("code 134") || is_late, "{point}: {said}");
        match way {
            Way::Forgets => {
                let gone = || is_gone(world, name);
                self.lives_until(point, gone).await;
            }
            Way::Takes | Way::Refuses => {
                self.lives_until(point, || is_ended(world, name)).await;
                let status = ended(world, name).await;
                let is_given_up = why(&status).contains("given up") || way == Way::Refuses;
                assert!(
                    status["phase"] == "Succeeded" || is_given_up,
                    "{point}: {status:#}"
                );
            }
        }
        let before = count(world);
        eventually(point, 30, || {
            ready((count(world) > before + 3).then_some(()))
        })
        .await;
        assert_eq!(
            restarts(&get(world, &format!("get pod {COUNTED}"))["status"]),
            0,
            "{point}"
        );
        let left = self.sh("ls /var/lib/holdfast/checkpoints/default/*/ 2>/dev/null | grep part");
        assert_eq!(left, "", "{point}");
    }
}

fn is_ended(world: &World, name: &str) -> Option<()> {
    let status = get(world, &format!("get checkpoint {name}"))["status"].clone();
    let phase = status["phase"].as_str().unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed").then_some(())
}

fn is_gone(world: &World, name: &str) -> Option<()> {
    let left = world.kubectl(&format!("get checkpoint {name} --ignore-not-found -o name"));
    left.trim().is_empty().then_some(())
}
