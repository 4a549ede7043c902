//! What is put into the cluster: programs that write down that they run, and agents that can be told where to end.

use serde_json::{Value, json};

/// Who has an owner that makes it again, and who has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Deployment,
    Nobody,
}

impl Owner {
    /// Where it counts, and its name.
    pub(super) fn slot(self) -> &'static str {
        match self {
            Self::Deployment => "deployed",
            Self::Nobody => "bare",
        }
    }
}

/// Counts twenty times a second, and says so each time with one write, opened and closed. `slot`: where it counts.
fn program(slot: &str, blob: u32) -> Value {
    let script = r#"head -c ${BLOB:-0} /dev/urandom >/dev/shm/blob; id=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo "$SLOT $id $i $(date +%s)000000000" >> /witness/$SLOT; sleep 0.05; done"#;
    json!({
        "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "c", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
            "env": [{ "name": "WITNESS", "value": "yes" }, { "name": "SLOT", "value": slot }, { "name": "BLOB", "value": blob.to_string() }],
            "volumeMounts": [{ "name": "own", "mountPath": "/own" }],
        }],
        "volumes": [{ "name": "own", "emptyDir": {} }],
    })
}

pub(super) fn object(owner: Owner, (slot, blob): (&str, u32)) -> Value {
    let labels = json!({ "app": owner.slot() });
    match owner {
        Owner::Deployment => json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": owner.slot() },
            "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels }, "spec": program(slot, blob) } },
        }),
        Owner::Nobody => {
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": owner.slot(), "labels": labels }, "spec": program(slot, blob) })
        }
    }
}

/// The installed agents, but with that program, and the libraries of its node: the image has none. Nothing is installed again.
pub(super) fn armed_agents(args: &Value) -> Value {
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    let volume = |name: &str, path: &str| json!({ "name": name, "hostPath": { "path": path, "type": "Directory" } });
    json!({ "spec": { "template": { "spec": {
        "initContainers": [{ "$patch": "delete", "name": "install" }],
        "containers": [{
            "name": "agent", "command": ["/opt/armed/bin/holdfast"], "args": args, "resources": { "limits": { "memory": "1Gi" } },
            "volumeMounts": [mount("armed", "/opt/armed"), mount("lib", "/lib"), mount("lib64", "/lib64")],
        }],
        "volumes": [volume("armed", "/opt/armed"), volume("lib", "/usr/lib"), volume("lib64", "/usr/lib64")],
    } } } })
}
