//! What of a pod keeps it where it is, as far as its spec tells: found out before anything is touched. Pure.

mod freezing;
mod pulling;

use crate::kit::names;
use crate::migration::images::containers;
use crate::migration::journey::controller;
use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
pub(crate) use freezing::of_freeze;
use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, Pod, PodSpec, SeccompProfile, Volume,
};
use kube::ResourceExt;

/// What its spec and status say, in the order in which it is told.
pub(crate) fn findings(pod: &Pod) -> Vec<Finding> {
    let mut found: Vec<_> = standing(pod).into_iter().collect();
    let Some(spec) = &pod.spec else {
        return found;
    };
    if let Some(finalizer) = pod.finalizers().first() {
        found.push(Finding::new(
            Item::Finalizer,
            &format!(
                "it has the finalizer {finalizer}, and would not go when its state is elsewhere"
            ),
        ));
    }
    found.extend(of_host(spec));
    found.extend(spec.volumes.iter().flatten().filter_map(of_volume));
    found.extend(containers(spec).flat_map(of_container));
    found.extend(profiles(spec));
    found.extend(pulling::of_images(spec, has_owner(pod)));
    if found
        .iter()
        .all(|one| one.id != Item::NotRunning.about().id)
    {
        found.extend(not_started(pod));
    }
    found
}

/// Somebody makes its successor beside it.
fn has_owner(pod: &Pod) -> bool {
    controller(pod.owner_references()).is_some()
}

/// There is a state of it to move, and nobody else moves it.
fn standing(pod: &Pod) -> Option<Finding> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let is_marked = pod.labels().contains_key(names::MIGRATION_LABEL)
        || pod.annotations().contains_key(names::OWNER_ANNOTATION);
    let (sentence, cure) = if is_marked {
        (
            "a Migration that is gone has left it, and it is about to be given back to its owner"
                .to_owned(),
            "ask again in a moment",
        )
    } else if pod.metadata.deletion_timestamp.is_some() {
        ("the pod is being deleted".to_owned(), "name one that stays")
    } else if phase != Some("Running") {
        let phase = phase.unwrap_or("Pending");
        (
            format!("the pod is {phase}, not Running"),
            "wait until it runs",
        )
    } else {
        return None;
    };
    Some(Finding::cured(Item::NotRunning, &sentence, cure))
}

/// Whatever it shares with its node, or within itself.
fn of_host(spec: &PodSpec) -> Vec<Finding> {
    let shared = [
        (spec.host_network, "the node's network (hostNetwork)"),
        (spec.host_pid, "the node's processes (hostPID)"),
        (spec.host_ipc, "the node's shared memory (hostIPC)"),
    ];
    let shared = shared.into_iter().filter(|(is, _)| *is == Some(true));
    let mut found: Vec<_> = shared
        .map(|(_, what)| Finding::new(Item::HostNamespaces, &format!("the pod uses {what}")))
        .collect();
    let mut say = |holds: bool, item, sentence: &str| {
        found.extend(holds.then(|| Finding::new(item, sentence)));
    };
    say(
        spec.share_process_namespace == Some(true),
        Item::SharedProcesses,
        "its containers share their processes (shareProcessNamespace), and such pods cannot be moved yet",
    );
    say(
        spec.host_users == Some(false),
        Item::UserNamespace,
        "it has users of its own (hostUsers: false), and such pods cannot be moved yet",
    );
    say(
        spec.resource_claims.is_some(),
        Item::Devices,
        "it has claims of devices (resourceClaims), which stay behind",
    );
    if let Some(debugged) = spec.ephemeral_containers.iter().flatten().next() {
        let name = &debugged.name;
        say(
            true,
            Item::EphemeralContainer,
            &format!(
                "the ephemeral container {name} was added to it, and its successor would have none"
            ),
        );
    }
    found
}

fn of_volume(volume: &Volume) -> Option<Finding> {
    let name = &volume.name;
    if volume.host_path.is_some() {
        let sentence = format!("the hostPath volume {name} belongs to its node");
        return Some(Finding::new(Item::HostPath, &sentence));
    }
    if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() {
        let sentence =
            format!("the volume {name} is a claim, and pods with claims cannot be moved yet");
        return Some(Finding::new(Item::Claim, &sentence));
    }
    let moves = volume.empty_dir.is_some()
        || volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some();
    let sentence = format!("the volume {name} is of a kind that cannot be moved yet");
    (!moves).then(|| Finding::new(Item::VolumeKind, &sentence))
}

fn of_container(container: &Container) -> Vec<Finding> {
    let name = &container.name;
    let mut found = Vec::new();
    let mut say = |item, what: String| {
        found.push(Finding::new(item, &format!("container {name} {what}")));
    };
    if container.tty == Some(true) {
        say(
            Item::Terminal,
            "has a terminal, which cannot be moved".into(),
        );
    }
    let is_nested = |mount: &&k8s_openapi::api::core::v1::VolumeMount| {
        mount.sub_path.is_some() || mount.sub_path_expr.is_some()
    };
    if let Some(mount) = container.volume_mounts.iter().flatten().find(is_nested) {
        let volume = &mount.name;
        say(
            Item::SubPath,
            format!(
                "mounts a part of the volume {volume} (subPath), and such pods cannot be moved yet"
            ),
        );
    }
    if let Some(device) = device(container) {
        say(
            Item::Devices,
            format!("asks for {device}, which belongs to its node"),
        );
    }
    let mut ports = container.ports.iter().flatten();
    if let Some(port) = ports.find_map(|port| port.host_port) {
        say(
            Item::HostPort,
            format!("has the node's port {port} (hostPort)"),
        );
    }
    let hooks = container.lifecycle.as_ref();
    if hooks.is_some_and(|hooks| hooks.post_start.is_some()) {
        say(
            Item::PostStart,
            "has a postStart hook, which would run again after the move".into(),
        );
    }
    found
}

/// What is not processor, memory or disk.
fn device(container: &Container) -> Option<&str> {
    let resources = container.resources.as_ref()?;
    let amounts = [&resources.requests, &resources.limits];
    let mut names = amounts.into_iter().flatten().flat_map(|all| all.keys());
    let is_odd = |name: &&String| name.contains('/') || name.starts_with("hugepages-");
    names.find(is_odd).map(String::as_str)
}

/// Profiles that lie on a node, by the names that it has for them.
fn profiles(spec: &PodSpec) -> Vec<Finding> {
    let seccomp = |profile: &Option<SeccompProfile>| profile.as_ref()?.localhost_profile.clone();
    let armor = |profile: &Option<AppArmorProfile>| profile.as_ref()?.localhost_profile.clone();
    let pod = spec.security_context.as_ref();
    let of_pod = pod.map(|context| {
        [
            seccomp(&context.seccomp_profile),
            armor(&context.app_armor_profile),
        ]
    });
    let contexts = containers(spec).filter_map(|one| one.security_context.as_ref());
    let of_containers = contexts.map(|context| {
        [
            seccomp(&context.seccomp_profile),
            armor(&context.app_armor_profile),
        ]
    });
    let mut names: Vec<_> = of_pod
        .into_iter()
        .chain(of_containers)
        .flatten()
        .flatten()
        .collect();
    names.sort();
    names.dedup();
    let told = names.into_iter().map(|name| {
        let sentence =
            format!("it runs under the profile {name}, which lies on its node (Localhost)");
        Finding::new(Item::SecurityProfile, &sentence)
    });
    told.collect()
}

/// A container that does not run has no state.
fn not_started(pod: &Pod) -> Option<Finding> {
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
    let sentence = format!("container {} does not run at the moment", idle.next()?.name);
    Some(Finding::cured(
        Item::NotRunning,
        &sentence,
        "wait until all of them do",
    ))
}

#[cfg(test)]
mod tests;
