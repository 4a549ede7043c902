//! A kubelet asks on while a pod is frozen, and kills what does not answer.

use super::{checkpoint, ended, get, why};
use crate::protecting::restarts;
use crate::world::{World, eventually};
use serde_json::json;
use std::future::ready;

/// Serves a page; another process of it has so much memory.
fn serves(name: &str, memory: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  runtimeClassName: holdfast
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'touch /page; mkfifo /never; sleep 100000 < /never & dd if=/dev/zero of=/never bs={memory} count=1 & exec httpd -f -p 8000 -h /']
      livenessProbe: {{httpGet: {{path: /page, port: 8000}}, periodSeconds: 5, failureThreshold: 1, timeoutSeconds: 5}}
"
    )
}

/// One that would be frozen for too long is left alone; one that would not is kept; neither is killed.
pub(super) async fn is_not_killed_by_its_probe(world: &World) {
    for (name, memory, phase) in [("large", "600M", "Failed"), ("small", "1M", "Succeeded")] {
        assert!(world.apply(&serves(name, memory)).status.success());
        world.kubectl(&format!(
            "wait pod/{name} --for=condition=Ready --timeout=90s"
        ));
        let has_grown = format!("exec {name} -- sh -c");
        eventually("it has its memory", 30, || {
            let mut command = world.kubectl_command(&has_grown);
            let command = command.arg("grep -h VmRSS /proc/[0-9]*/status | sort -k2 -n | tail -1");
            let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let kilobytes = said.split_whitespace().nth(1).and_then(|n| n.parse().ok());
            let wanted = memory.trim_end_matches('M').parse::<u64>().unwrap() * 1000;
            ready(kilobytes.filter(|has: &u64| *has >= wanted).map(drop))
        })
        .await;
        checkpoint(world, name, &json!({ "podName": name }));
        let status = ended(world, name).await;
        assert_eq!(status["phase"], phase, "{status:#}");
        if phase == "Failed" {
            let why = why(&status);
            assert!(
                why.contains("the liveness probe of container c is failed after 5 s"),
                "{why}"
            );
        }
        assert_eq!(
            restarts(&get(world, &format!("get pod {name}"))["status"]),
            0
        );
        world.kubectl(&format!(
            "delete pod/{name} checkpoint/{name} --timeout=60s"
        ));
    }
}
