use super::*;
use crate::preflight::finding::{Severity, refusal};
use serde_json::{Value, json};
use std::time::Duration;

fn pod(spec: &Value) -> Pod {
    let mut whole = json!({
        "containers": [{ "name": "c" }],
        "volumes": [{ "name": "v", "emptyDir": {} }],
    });
    json_patch::merge(&mut whole, spec);
    let status = json!({ "phase": "Running", "containerStatuses": [
        { "name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": { "running": {} } },
    ] });
    serde_json::from_value(json!({ "spec": whole, "status": status })).unwrap()
}

fn container(more: &Value) -> Value {
    let mut one = json!({ "name": "c" });
    json_patch::merge(&mut one, more);
    json!({ "containers": [one] })
}

/// That one thing is found, and is told with these words.
fn found(pod: &Pod, item: Item, part: &str) {
    let all = findings(pod);
    assert_eq!(all.len(), 1, "{all:#?}");
    let about = item.about();
    assert_eq!(
        (all[0].id.as_str(), all[0].severity),
        (about.id, about.severity)
    );
    assert!(all[0].said().contains(part), "{}", all[0].said());
}

#[test]
fn a_plain_pod_has_nothing_that_is_told() {
    assert_eq!(findings(&pod(&json!({}))), []);
}

#[test]
fn host_namespaces_refuse() {
    for what in ["hostNetwork", "hostPID", "hostIPC"] {
        found(&pod(&json!({ what: true })), Item::HostNamespaces, what);
    }
}

#[test]
fn shared_processes_refuse() {
    let spec = json!({ "shareProcessNamespace": true });
    found(&pod(&spec), Item::SharedProcesses, "shareProcessNamespace");
}

#[test]
fn user_namespace_refuses() {
    found(
        &pod(&json!({ "hostUsers": false })),
        Item::UserNamespace,
        "hostUsers",
    );
}

#[test]
fn ephemeral_container_refuses() {
    let spec = json!({ "ephemeralContainers": [{ "name": "debug" }] });
    found(&pod(&spec), Item::EphemeralContainer, "debug");
}

#[test]
fn host_path_claim_and_volume_kind_refuse() {
    for (volume, item, part) in [
        (
            json!({ "hostPath": { "path": "/" } }),
            Item::HostPath,
            "hostPath",
        ),
        (
            json!({ "persistentVolumeClaim": { "claimName": "x" } }),
            Item::Claim,
            "is a claim",
        ),
        (
            json!({ "nfs": { "path": "/", "server": "s" } }),
            Item::VolumeKind,
            "of a kind",
        ),
        (
            json!({ "csi": { "driver": "fuse.example" } }),
            Item::VolumeKind,
            "of a kind",
        ),
    ] {
        let mut whole = json!({ "name": "v" });
        json_patch::merge(&mut whole, &volume);
        found(&pod(&json!({ "volumes": [whole] })), item, part);
    }
}

#[test]
fn terminal_devices_host_port_sub_path_and_post_start_refuse() {
    for (more, item, part) in [
        (json!({ "tty": true }), Item::Terminal, "tty"),
        (
            json!({ "resources": { "limits": { "nvidia.com/gpu": "1" } } }),
            Item::Devices,
            "nvidia.com/gpu",
        ),
        (
            json!({ "resources": { "requests": { "hugepages-2Mi": "1" } } }),
            Item::Devices,
            "hugepages",
        ),
        (
            json!({ "ports": [{ "containerPort": 80, "hostPort": 8080 }] }),
            Item::HostPort,
            "8080",
        ),
        (
            json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPath": "p" }] }),
            Item::SubPath,
            "subPath",
        ),
        (
            json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": "p" }] }),
            Item::SubPath,
            "subPath",
        ),
        (
            json!({ "lifecycle": { "postStart": { "sleep": { "seconds": 1 } } } }),
            Item::PostStart,
            "would run again after the move: take it away",
        ),
    ] {
        found(&pod(&container(&more)), item, part);
    }
    found(
        &pod(&json!({ "resourceClaims": [{ "name": "c" }] })),
        Item::Devices,
        "resourceClaims",
    );
}

#[test]
fn finalizer_refuses() {
    let mut held = pod(&json!({}));
    held.metadata.finalizers = Some(vec!["example.com/f".into()]);
    found(&held, Item::Finalizer, "example.com/f");
}

#[test]
fn security_profile_warns_of_one_that_lies_on_the_node() {
    let local = json!({ "type": "Localhost", "localhostProfile": "mine.json" });
    let of_pod = json!({ "securityContext": { "seccompProfile": local } });
    found(&pod(&of_pod), Item::SecurityProfile, "mine.json");
    let of_container = container(&json!({ "securityContext": { "appArmorProfile": local } }));
    found(&pod(&of_container), Item::SecurityProfile, "mine.json");
    let usual = json!({ "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } } });
    assert_eq!(findings(&pod(&usual)), []);
}

#[test]
fn not_running_refuses() {
    let mut leaving = pod(&json!({}));
    leaving.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    found(&leaving, Item::NotRunning, "being deleted");
    let mut waits = pod(&json!({}));
    waits.status.as_mut().unwrap().phase = None;
    found(&waits, Item::NotRunning, "Pending");
    let mut idle = pod(&json!({}));
    let statuses = idle.status.as_mut().unwrap().container_statuses.as_mut();
    statuses.unwrap()[0].state = None;
    found(&idle, Item::NotRunning, "container c");
    let mut marked = pod(&json!({}));
    marked
        .labels_mut()
        .insert(names::MIGRATION_LABEL.into(), "u".into());
    found(&marked, Item::NotRunning, "given back");
}

#[test]
fn all_that_is_found_is_told_and_the_first_is_said() {
    let both = pod(&json!({ "hostNetwork": true, "hostUsers": false }));
    let all = findings(&both);
    assert_eq!(all.len(), 2);
    assert!(refusal(&all).unwrap().contains("hostNetwork"));
}

const MIB: u64 = 1 << 20;

fn probed(probe: &Value, memory: u64) -> Vec<Finding> {
    let pod = pod(&container(&json!({ "livenessProbe": probe })));
    of_freeze(&pod, memory, Duration::from_secs(120))
}

#[test]
fn liveness_probe_refuses_where_the_freeze_outlasts_it_and_warns_where_it_may() {
    let quick = json!({ "httpGet": { "port": 80 }, "periodSeconds": 1, "failureThreshold": 1 });
    let one = |found: Vec<Finding>| {
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].id, "liveness-probe");
        found[0].severity
    };
    assert_eq!(one(probed(&quick, 20 * MIB)), Severity::Warns);
    assert_eq!(one(probed(&quick, 100 * MIB)), Severity::Refuses);
    let usual = json!({ "tcpSocket": { "port": 80 } });
    assert_eq!(probed(&usual, 100 * MIB), []);
    assert_eq!(one(probed(&usual, 2000 * MIB)), Severity::Warns);
    assert_eq!(
        one(probed(&json!({ "grpc": { "port": 80 } }), 4000 * MIB)),
        Severity::Refuses
    );
    let exec = json!({ "exec": { "command": ["x"] }, "periodSeconds": 1, "failureThreshold": 1 });
    assert_eq!(probed(&exec, 1000 * MIB), [], "it is not asked meanwhile");
}

#[test]
fn freeze_time_refuses_what_never_fits_and_names_the_kubelets_setting() {
    let plain = pod(&json!({}));
    let of = |memory: u64, patience: u64| {
        let found = of_freeze(&plain, memory, Duration::from_secs(patience));
        found.first().map(|one| (one.id.clone(), one.severity))
    };
    let told = |severity| Some(("freeze-time".to_owned(), severity));
    assert_eq!(of(1000 * MIB, 120), None);
    assert_eq!(of(8000 * MIB, 120), told(Severity::Warns));
    assert_eq!(of(50_000 * MIB, 120), told(Severity::Refuses));
    assert_eq!(of(10_000 * MIB, 30), told(Severity::Refuses));
    let found = of_freeze(&plain, 50_000 * MIB, Duration::from_secs(120));
    assert!(
        found[0].said().contains("runtimeRequestTimeout"),
        "{found:?}"
    );
}
