//! What of a pod keeps it where it is, as far as its spec tells: found out before anything is touched. Pure.

use crate::kit::names;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use kube::ResourceExt;

/// The first thing that cannot go elsewhere, and how to cure it.
pub(crate) fn refusal(pod: &Pod) -> Option<String> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let is_marked = pod.labels().contains_key(names::MIGRATION_LABEL)
        || pod.annotations().contains_key(names::OWNER_ANNOTATION);
    if is_marked {
        return Some(
            "a Migration that is gone has left it, and it is about to be given back to its owner: ask again in a moment"
                .into(),
        );
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("the pod is being deleted: name one that stays".into());
    }
    if phase != Some("Running") {
        return Some(format!(
            "the pod is {}, not Running: wait until it runs",
            phase.unwrap_or("Pending")
        ));
    }
    let spec = pod.spec.as_ref()?;
    if let Some(finalizer) = pod.finalizers().first() {
        return Some(format!(
            "it has the finalizer {finalizer}, and would not go when its state is elsewhere: take that away"
        ));
    }
    of_host(spec)
        .or_else(|| spec.volumes.iter().flatten().find_map(of_volume))
        .or_else(|| containers(spec).find_map(of_container))
        .or_else(|| not_started(pod))
}

/// Whatever it shares with its node.
fn of_host(spec: &PodSpec) -> Option<String> {
    let shared = [
        (spec.host_network, "the node's network (hostNetwork)"),
        (spec.host_pid, "the node's processes (hostPID)"),
        (spec.host_ipc, "the node's shared memory (hostIPC)"),
    ];
    let shared = shared.into_iter().find(|(is, _)| *is == Some(true));
    if let Some((_, what)) = shared {
        return Some(format!(
            "the pod uses {what}, which stays behind: it cannot be moved"
        ));
    }
    if spec.share_process_namespace == Some(true) {
        return Some(
            "its containers share their processes (shareProcessNamespace), and such pods cannot be moved yet: take that away"
                .into(),
        );
    }
    if spec.host_users == Some(false) {
        return Some(
            "it has users of its own (hostUsers: false), and such pods cannot be moved yet: take that away".into(),
        );
    }
    if spec.resource_claims.is_some() {
        return Some(
            "it has claims of devices (resourceClaims), which stay behind: it cannot be moved"
                .into(),
        );
    }
    let debugged = spec.ephemeral_containers.iter().flatten().next()?;
    Some(format!(
        "the ephemeral container {} was added to it, and its successor would have none: make a new pod first",
        debugged.name
    ))
}

fn of_volume(volume: &Volume) -> Option<String> {
    let name = &volume.name;
    if volume.host_path.is_some() {
        return Some(format!(
            "the hostPath volume {name} belongs to its node: use an emptyDir or a claim instead"
        ));
    }
    if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() {
        return Some(format!(
            "the volume {name} is a claim, and pods with claims cannot be moved yet"
        ));
    }
    let moves = volume.empty_dir.is_some()
        || volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some();
    (!moves).then(|| {
        format!(
            "the volume {name} is of a kind that cannot be moved yet: emptyDir, configMap, secret, downwardAPI and projected ones can"
        )
    })
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

fn of_container(container: &Container) -> Option<String> {
    let name = &container.name;
    if container.tty == Some(true) {
        return Some(format!(
            "container {name} has a terminal, which cannot be moved: take tty away"
        ));
    }
    let is_nested = |mount: &k8s_openapi::api::core::v1::VolumeMount| {
        mount.sub_path.is_some() || mount.sub_path_expr.is_some()
    };
    let nested = container
        .volume_mounts
        .iter()
        .flatten()
        .find(|mount| is_nested(mount));
    if let Some(mount) = nested {
        return Some(format!(
            "container {name} mounts a part of the volume {} (subPath), and such pods cannot be moved yet: mount all of it",
            mount.name
        ));
    }
    if let Some(device) = device(container) {
        return Some(format!(
            "container {name} asks for {device}, which belongs to its node: it cannot be moved"
        ));
    }
    let mut ports = container.ports.iter().flatten();
    if let Some(port) = ports.find_map(|port| port.host_port) {
        return Some(format!(
            "container {name} has the node's port {port} (hostPort): take that away"
        ));
    }
    let is_started = container.lifecycle.as_ref()?.post_start.is_some();
    is_started.then(|| {
        format!(
            "container {name} has a postStart hook, which would run again after the move: take it away"
        )
    })
}

/// What is not processor, memory or disk.
fn device(container: &Container) -> Option<&str> {
    let resources = container.resources.as_ref()?;
    let amounts = [&resources.requests, &resources.limits];
    let mut names = amounts.into_iter().flatten().flat_map(|all| all.keys());
    let is_odd = |name: &&String| name.contains('/') || name.starts_with("hugepages-");
    names.find(is_odd).map(String::as_str)
}

/// A container that does not run has no state.
fn not_started(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let inits = pod.spec.as_ref()?.init_containers.iter().flatten();
    let sidecars: Vec<_> = inits
        .filter(|one| one.restart_policy.as_deref() == Some("Always"))
        .map(|one| one.name.as_str())
        .collect();
    let before = status.init_container_statuses.iter().flatten();
    let before = before.filter(|one| sidecars.contains(&one.name.as_str()));
    let statuses = before.chain(status.container_statuses.iter().flatten());
    let mut idle = statuses.filter(|one| {
        one.state
            .as_ref()
            .is_none_or(|state| state.running.is_none())
    });
    let idle = idle.next()?;
    Some(format!(
        "container {} does not run at the moment: wait until all of them do",
        idle.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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

    #[test]
    fn what_cannot_go_along_is_refused_with_what_to_do() {
        assert_eq!(refusal(&pod(&json!({}))), None);
        let container = |more: Value| {
            let mut one = json!({ "name": "c" });
            json_patch::merge(&mut one, &more);
            json!({ "containers": [one] })
        };
        for (spec, part) in [
            (json!({ "hostNetwork": true }), "hostNetwork"),
            (json!({ "hostPID": true }), "hostPID"),
            (json!({ "hostIPC": true }), "hostIPC"),
            (
                json!({ "shareProcessNamespace": true }),
                "shareProcessNamespace",
            ),
            (json!({ "hostUsers": false }), "hostUsers"),
            (
                json!({ "ephemeralContainers": [{ "name": "debug" }] }),
                "debug",
            ),
            (
                json!({ "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] }),
                "hostPath",
            ),
            (
                json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "x" } }] }),
                "is a claim",
            ),
            (
                json!({ "volumes": [{ "name": "v", "nfs": { "path": "/", "server": "s" } }] }),
                "of a kind",
            ),
            (container(json!({ "tty": true })), "tty"),
            (
                container(json!({ "resources": { "limits": { "nvidia.com/gpu": "1" } } })),
                "nvidia.com/gpu",
            ),
            (
                container(json!({ "ports": [{ "containerPort": 80, "hostPort": 8080 }] })),
                "8080",
            ),
            (
                json!({ "resourceClaims": [{ "name": "c" }] }),
                "resourceClaims",
            ),
            (
                container(
                    json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPath": "p" }] }),
                ),
                "subPath",
            ),
            (
                container(json!({ "lifecycle": { "postStart": { "sleep": { "seconds": 1 } } } })),
                "postStart",
            ),
        ] {
            let why = refusal(&pod(&spec)).unwrap_or_default();
            assert!(why.contains(part), "{spec}: {why}");
        }
    }

    #[test]
    fn only_what_runs_can_be_moved() {
        let mut leaving = pod(&json!({}));
        leaving.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(refusal(&leaving).unwrap().contains("being deleted"));
        let mut waits = pod(&json!({}));
        waits.status.as_mut().unwrap().phase = None;
        assert!(refusal(&waits).unwrap().contains("Pending"));
        let mut idle = pod(&json!({}));
        let statuses = idle.status.as_mut().unwrap().container_statuses.as_mut();
        statuses.unwrap()[0].state = None;
        assert!(refusal(&idle).unwrap().contains("container c"));
    }
}
