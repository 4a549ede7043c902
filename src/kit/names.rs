//! Every name that Holdfast puts on other objects, or reads from them, in one place.
//!
//! Names that users of the earlier projects know stay as they are; new ones are `holdfast.dev/*`.

/// Who writes, in `managedFields` and in the reports of events.
pub const MANAGER: &str = "holdfast.dev/manager";

/// On a DaemonSet, put there by the API server: which generation of its pod template it is at.
pub const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

/// On a DaemonSet's pods, put there by its controller: which generation of the pod template they were made from.
pub const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

/// Held by the leader on the objects of its own installation, so that a deletion waits until
/// everything that Holdfast holds elsewhere has been released.
pub const TEARDOWN_FINALIZER: &str = "holdfast.dev/teardown";

/// Held on a Checkpoint, and on what its node is asked, while a node has something of it.
pub const CHECKPOINT_FINALIZER: &str = "holdfast.dev/checkpoint";

/// On a `StateTask`: the uid of what it is a part of.
pub const OPERATION_LABEL: &str = "holdfast.dev/operation";

/// Held on a Migration that has begun.
pub const MIGRATION_FINALIZER: &str = "holdfast.dev/migration";

/// Label of a pod that was taken from its owner, and of one that waits behind our gate: the uid of the Migration that did it.
pub const MIGRATION_LABEL: &str = "holdfast.dev/migration";

/// On a pod that was taken from its owner: who that is, and by which label it counted the pod.
pub const OWNER_ANNOTATION: &str = "holdfast.dev/owner";

/// On a pod that waits for a state: the uid of the operation that brings it.
pub const RESTORE_ANNOTATION: &str = "holdfast.dev/restore";

/// The scheduling gate of a pod that is to wait for a state.
pub const GATE: &str = "holdfast.dev/restore";

/// On pods: annotations and labels that say what Holdfast does with this one pod. A policy of the chart keeps everybody else from writing
/// them, on pods and in templates. Some are not in use yet: they are kept free of other meanings.
pub const RESERVED: [&str; 7] = [
    "holdfast.dev/restore",
    "holdfast.dev/slot",
    "holdfast.dev/migration",
    "holdfast.dev/owner",
    "holdfast.dev/template-hash",
    "holdfast.dev/generation",
    "holdfast.dev/hold",
];

/// Label of a Migration that a root operation caused: the uid of that operation, under whose Lease it runs. Only the manager writes it.
pub const ROOT_LABEL: &str = "holdfast.dev/root";

/// Label of the Lease of a node that is in use.
pub const LEASE_LABEL: &str = "holdfast.dev/node-lease";

/// On it: the node.
pub const LEASE_NODE: &str = "holdfast.dev/node";

/// On it: the root operation that holds the node, named so that it can be asked about.
pub const LEASE_ROOT: &str = "holdfast.dev/held-by";

/// On it: the Migrations that take part in the node.
pub const LEASE_SEATS: &str = "holdfast.dev/moves";

/// Finalizers of ours, by prefix: released when Holdfast is removed from a cluster.
/// The second is the one that kairos-operator left on its `NodeOp`s, which we take over.
pub const OUR_FINALIZERS: [&str; 2] = ["holdfast.dev/", "nodeop-reboot.kairos.io/"];

/// On the Secret with the webhooks' authorities: since when every configuration has the next one.
pub const NEXT_ANNOUNCED: &str = "holdfast.dev/next-announced-at";

/// On the same Secret: since when the last retired authority signs no more.
pub const RETIRED_SINCE: &str = "holdfast.dev/retired-at";

/// On the same Secret, with any value: somebody asks for a new authority now.
pub const ROLL_OVER: &str = "holdfast.dev/roll-over";

/// On a webhook configuration: which bundle of authorities we wrote into it. One that it does not fit was pasted by somebody else.
pub const WRITTEN_BUNDLE: &str = "holdfast.dev/written-ca-bundle";

/// On a webhook configuration, by prefix: cert-manager keeps its bundle.
pub const CERT_MANAGER_INJECTS: &str = "cert-manager.io/inject-";

/// The category under which `kubectl get holdfast` shows all objects of ours.
pub const CATEGORY: &str = "holdfast";

/// On a DaemonSet, or on its pod template: which template gives its pods their share.
pub const TEMPLATE_ANNOTATION: &str = "flexdaemonsets.xai/resource-template";

/// On a pod: the share that it was given at admission, for people to read.
pub const SHARE_ANNOTATION: &str = "holdfast.dev/share";

/// The same, as a part of a path in a patch.
pub const SHARE_ANNOTATION_IN_PATH: &str = "holdfast.dev~1share";

/// On a namespace: `enabled` lets pods of kube-system be sized, `disabled` keeps pods of any other namespace from it.
pub const SIZING_LABEL: &str = "holdfast.dev/sizing";

/// On a node: `installed` where our handler is. It says no more than that, and stays until an uninstallation, since the kubelet looks
/// at it again for pods that run already.
pub const RUNTIME_LABEL: &str = "holdfast.dev/runtime";

/// On a node, by prefix: what an installation has found out about it.
pub const FACTS: &str = "node.holdfast.dev/";

/// A node's condition: whether pods can be checkpointed and restored there, as far as `holdfast host check` sees.
pub const FIT_CONDITION: &str = "HoldfastReady";

/// A node's taint: its check has failed.
pub const UNFIT_TAINT: &str = "holdfast.dev/unfit";

/// On a node: what its agent holds there that nobody orders any more.
pub const HOLDS_ANNOTATION: &str = "node.holdfast.dev/holds";

/// On a Migration: since when its target's node does not answer, and who says that it is off. A policy of the chart lets nobody write it
/// but with the verb `resolve`, and in the own name.
pub const OFF_ANNOTATION: &str = "holdfast.dev/target-is-off";

/// What a runtime that dumps calls. The gate before it (`runtime/gate.rs`) is called the same.
pub const CRIU: &str = "criu";

/// In the environment of a runtime that dumps: a PATH by which the gate finds the real CRIU.
pub const CRIU_PATH_VARIABLE: &str = "HOLDFAST_PROGRAMS";

/// In the environment of a runtime that restores: whatever CRIU restores is to see its own cgroup as the root of all.
pub const CGROUP_NAMESPACE_VARIABLE: &str = "HOLDFAST_CGROUP_NAMESPACE";

/// Is this finalizer one of ours?
#[must_use]
pub fn is_our_finalizer(finalizer: &str) -> bool {
    OUR_FINALIZERS
        .iter()
        .any(|prefix| finalizer.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_is_the_name() {
        assert_eq!(
            SHARE_ANNOTATION_IN_PATH,
            SHARE_ANNOTATION.replace('~', "~0").replace('/', "~1")
        );
    }

    #[test]
    fn the_policy_speaks_of_the_reserved_keys_and_of_the_gate() {
        let policy = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/charts/holdfast/templates/reserved.yaml"
        );
        let policy = std::fs::read_to_string(policy).unwrap();
        let of = |variable: &str| -> Vec<String> {
            let begin = format!("{{{{- ${variable} := ");
            let line = policy.lines().find(|line| line.starts_with(&begin));
            let quoted = line.unwrap().split('"').skip(1).step_by(2);
            quoted.map(str::to_owned).collect()
        };
        assert_eq!(of("keys"), RESERVED);
        assert_eq!(of("gate"), [GATE]);
        assert_eq!(of("off"), [OFF_ANNOTATION]);
        assert_eq!(of("root"), [ROOT_LABEL]);
        assert_eq!(
            of("mark"),
            [MIGRATION_FINALIZER],
            "the same name, as a label"
        );
        for ours in [RESTORE_ANNOTATION, MIGRATION_LABEL, OWNER_ANNOTATION] {
            assert!(RESERVED.contains(&ours), "{ours}");
        }
    }

    #[test]
    fn knows_its_own_finalizers_and_no_others() {
        assert!(is_our_finalizer(TEARDOWN_FINALIZER));
        assert!(is_our_finalizer(CHECKPOINT_FINALIZER));
        assert!(is_our_finalizer(
            "nodeop-reboot.kairos.io/clusterrolebinding"
        ));
        assert!(!is_our_finalizer("kubernetes.io/pvc-protection"));
        assert!(!is_our_finalizer("holdfast.development/x"));
    }
}
