//! What is said of each thing of the list.

use super::{About, Item};
use crate::preflight::finding::Severity;

/// What is said of it.
pub(super) fn about(item: Item) -> About {
    let found = ALL.iter().find(|(one, _)| *one == item);
    found.map_or(NODE, |(_, about)| *about)
}

const fn refuses(id: &'static str, what: &'static str, cure: &'static str) -> About {
    let severity = Severity::Refuses;
    About {
        id,
        what,
        severity,
        cure,
    }
}

const fn warns(id: &'static str, what: &'static str, cure: &'static str) -> About {
    let severity = Severity::Warns;
    About {
        id,
        what,
        severity,
        cure,
    }
}

/// What is said of each; `Node` is not among them.
const ALL: [(Item, About); 41] = [
    (
        Item::NotRunning,
        refuses(
            "not-running",
            "the pod, or a container of it, does not run, or is about to go",
            "wait until all of it runs",
        ),
    ),
    (
        Item::RuntimeClass,
        refuses(
            "runtime-class",
            "it does not run under the RuntimeClass `holdfast`",
            "set runtimeClassName: holdfast in its template",
        ),
    ),
    (
        Item::Owner,
        refuses(
            "owner",
            "its owner is neither a Deployment nor nobody",
            "put a Deployment above it, where it need not be what it is",
        ),
    ),
    (
        Item::Request,
        refuses(
            "request",
            "what is asked of the move is not possible yet",
            "ask for what is",
        ),
    ),
    (
        Item::Finalizer,
        refuses(
            "finalizer",
            "it has a finalizer, and would not go when its state is elsewhere",
            "take that away",
        ),
    ),
    (
        Item::HostNamespaces,
        refuses(
            "host-namespaces",
            "hostNetwork, hostPID, hostIPC",
            "take it out of its template: what belongs to the node stays behind",
        ),
    ),
    (
        Item::SharedProcesses,
        refuses(
            "shared-processes",
            "shareProcessNamespace",
            "take that away",
        ),
    ),
    (
        Item::UserNamespace,
        refuses(
            "user-namespace",
            "users of its own (hostUsers: false), or namespaces of users, processes or network made by a program in it",
            "take hostUsers away, or run the program without its own sandbox",
        ),
    ),
    (
        Item::Devices,
        refuses(
            "devices",
            "device plugins, resourceClaims, hugepages",
            "run it without: a device belongs to its node",
        ),
    ),
    (
        Item::HostPort,
        refuses("host-port", "hostPort", "take that away"),
    ),
    (
        Item::EphemeralContainer,
        refuses(
            "ephemeral-container",
            "`kubectl debug` added a container to it",
            "make a new pod first",
        ),
    ),
    (
        Item::HostPath,
        refuses(
            "host-path",
            "hostPath volumes",
            "use an emptyDir or a claim instead",
        ),
    ),
    (
        Item::Claim,
        refuses(
            "claim",
            "claims, of files and of block devices",
            "use an emptyDir, if its files may go with it",
        ),
    ),
    (
        Item::VolumeKind,
        refuses(
            "volume-kind",
            "NFS, CSI and all other kinds of volumes but emptyDir, configMap, secret, downwardAPI and projected",
            "emptyDir, configMap, secret, downwardAPI and projected ones can",
        ),
    ),
    (
        Item::SubPath,
        refuses("sub-path", "subPath, subPathExpr", "mount all of it"),
    ),
    (
        Item::Terminal,
        refuses(
            "terminal",
            "`tty: true`, or a terminal that belongs to somebody outside of the container",
            "take tty away, or end what holds the terminal",
        ),
    ),
    (
        Item::PostStart,
        refuses(
            "post-start",
            "postStart hooks, which would run again",
            "take it away",
        ),
    ),
    (
        Item::LivenessProbe,
        refuses(
            "liveness-probe",
            "a liveness probe by HTTP, TCP or gRPC that the freeze is likely to outlast (warns where it may)",
            "raise periodSeconds or failureThreshold, or use an exec probe, which is not asked while the pod is frozen",
        ),
    ),
    (
        Item::SecurityProfile,
        warns(
            "security-profile",
            "a seccomp or AppArmor profile that lies on the node (`Localhost`)",
            "see that the same profile lies on the node that it goes to: without it the pod there is not made, and this one runs on",
        ),
    ),
    (
        Item::Image,
        refuses(
            "image",
            "the image that a container runs is not known",
            "see that an agent of this version runs on its node, and finds the node's container runtime",
        ),
    ),
    (
        Item::ImageTag,
        warns(
            "image-tag",
            "an image that is named by a tag, and may be another one by now",
            "none while the tag stays: name the image by its digest (name@sha256:…); should the node that it goes to have another image, or get one, this pod runs on",
        ),
    ),
    (
        Item::ImageAlways,
        warns(
            "image-always",
            "`imagePullPolicy: Always` of a container that is made while the pod is frozen: all of a pod that nobody owns, and of others all but the first",
            "set IfNotPresent: a registry that is slow, or away, keeps the pod frozen for longer",
        ),
    ),
    (
        Item::Successor,
        refuses(
            "successor",
            "a pod made after it would not be let in, or not be equal",
            "make it anew first, as its template has it",
        ),
    ),
    (
        Item::TcpEstablished,
        warns(
            "tcp-established",
            "open TCP connections",
            "none is needed where both sides connect again: they are closed",
        ),
    ),
    (
        Item::TcpWithin,
        warns(
            "tcp-within",
            "open TCP connections between processes of the pod",
            "none is needed where they connect again: both ends are closed",
        ),
    ),
    (
        Item::OwnAddress,
        refuses(
            "own-address",
            "TCP or UDP sockets bound to the pod's own address, which it leaves behind",
            "let the program listen on all addresses (0.0.0.0 or ::), or wait until the socket is closed",
        ),
    ),
    (
        Item::UnixOutside,
        refuses(
            "unix-outside",
            "Unix sockets connected to another container, by a volume they share, or to a process beside the container's own",
            "let the two speak over TCP, put them into one container, or end the other side",
        ),
    ),
    (
        Item::SystemV,
        refuses(
            "system-v",
            "System V shared memory, semaphores or queues in a pod of several containers (of one: it goes along)",
            "put what uses it into a pod of its own, or use POSIX shared memory (/dev/shm)",
        ),
    ),
    (
        Item::MessageQueue,
        refuses(
            "message-queue",
            "POSIX message queues",
            "use a socket or a pipe instead, or remove the queue",
        ),
    ),
    (
        Item::RenewedFiles,
        refuses(
            "renewed-files",
            "files of ConfigMap, Secret, downwardAPI or projected volumes that are open, mapped, or the working directory: their folders are named by the time of their making",
            "let the program read the file and close it",
        ),
    ),
    (
        Item::RenewedWatches,
        refuses(
            "renewed-watches",
            "inotify or fanotify watches of such files",
            "let the program watch the volume's own directory, and not what it links to",
        ),
    ),
    (
        Item::ExecProcesses,
        warns(
            "exec-processes",
            "processes that the container's first one did not begin: kubectl exec, exec probes",
            "none is needed: they end with the move",
        ),
    ),
    (
        Item::IoUring,
        refuses(
            "io-uring",
            "io_uring",
            "give its pod `seccompProfile: {type: RuntimeDefault}`, which keeps programs from it",
        ),
    ),
    (
        Item::KernelObject,
        refuses(
            "kernel-object",
            "open objects of the kernel that cannot be carried: BPF, perf, userfaultfd, KVM",
            "run the program without it",
        ),
    ),
    (
        Item::ForeignMounts,
        refuses(
            "foreign-mounts",
            "NFS, FUSE or other network files that were mounted from within",
            "unmount it, or let Kubernetes mount it",
        ),
    ),
    (
        Item::TimeNamespace,
        refuses(
            "time-namespace",
            "a kernel without time namespaces",
            "use a kernel of 5.6 or newer, with CONFIG_TIME_NS",
        ),
    ),
    (
        Item::Disk,
        refuses(
            "disk",
            "no room for the state on its node",
            "make room below /var/lib/holdfast",
        ),
    ),
    (
        Item::FreezeTime,
        refuses(
            "freeze-time",
            "more memory than goes over within the 100 s for which a pod is frozen at most (warns from half of that)",
            "give its cache less memory: what a container waits for is bounded by the kubelet's runtimeRequestTimeout",
        ),
    ),
    (
        Item::NotOurs,
        refuses(
            "not-ours",
            "its containers were not made by holdfast-runtime",
            "make the pod anew: it began before the node was prepared",
        ),
    ),
    (
        Item::Unseen,
        warns(
            "unseen",
            "more processes or files than are looked at, or some that could not be",
            "none: what CRIU cannot carry it refuses, and the pod runs on",
        ),
    ),
    (
        Item::NoAnswer,
        refuses(
            "no-answer",
            "the agent of its node does not say what its processes do",
            "see whether an agent runs on its node: kubectl get pods -A -o wide -l app.kubernetes.io/component=agent",
        ),
    ),
];

/// And of that.
const NODE: About = refuses(
    "node",
    "no node can take it: runtime, processor, kernel, architecture, cgroups, room, taints; see below",
    "name another node, or cure what is said of it",
);
