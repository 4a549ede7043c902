//! The list: what is looked for before a pod moves, what is done where it is found, and how it is cured. docs/state.md has the same
//! table; a test compares.

mod about;

use crate::preflight::finding::Severity;

/// One thing that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// It is not `Running`, or about to go.
    NotRunning,
    /// It is under no handler of ours.
    RuntimeClass,
    /// What made it cannot be gone with.
    Owner,
    /// What is asked of the move itself.
    Request,
    /// A finalizer.
    Finalizer,
    /// `hostNetwork`, `hostPID`, `hostIPC`.
    HostNamespaces,
    /// `shareProcessNamespace`.
    SharedProcesses,
    /// `hostUsers: false`, or such namespaces within it.
    UserNamespace,
    /// `resourceClaims`, device plugins, hugepages.
    Devices,
    /// `hostPort`.
    HostPort,
    /// `kubectl debug`.
    EphemeralContainer,
    /// hostPath.
    HostPath,
    /// Claims, block devices among them.
    Claim,
    /// NFS, FUSE, CSI and so on.
    VolumeKind,
    /// `subPath`.
    SubPath,
    /// `tty: true`, or a terminal of somebody else's.
    Terminal,
    /// `postStart`.
    PostStart,
    /// A freeze may outlast it.
    LivenessProbe,
    /// seccomp or LSM profile of a node's own.
    SecurityProfile,
    /// The image that a container runs is not known.
    Image,
    /// An image named by a tag.
    ImageTag,
    /// A registry is asked while the pod is frozen.
    ImageAlways,
    /// It would not be made equal.
    Successor,
    /// No node can take it.
    Node,
    /// Open connections to others.
    TcpEstablished,
    /// Open connections between containers of the pod.
    TcpWithin,
    /// Sockets bound to the pod's own address.
    OwnAddress,
    /// Unix sockets connected to what is not of their container.
    UnixOutside,
    /// System V objects.
    SystemV,
    /// POSIX message queues.
    MessageQueue,
    /// Files in `ConfigMap`, Secret and projected volumes.
    RenewedFiles,
    /// Watches of such files.
    RenewedWatches,
    /// Processes that the container's first has not begun.
    ExecProcesses,
    /// Rings.
    IoUring,
    /// Other objects of the kernel.
    KernelObject,
    /// Network files mounted from within.
    ForeignMounts,
    /// No time namespaces.
    TimeNamespace,
    /// No room for the state.
    Disk,
    /// It would be frozen for too long.
    FreezeTime,
    /// Nothing of it was made by our runtime.
    NotOurs,
    /// There is more of it than is looked at.
    Unseen,
    /// The agent does not say.
    NoAnswer,
}

/// What is said of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub id: &'static str,
    /// What is looked for.
    pub what: &'static str,
    /// What is done where it is found.
    pub severity: Severity,
    /// What to do then.
    pub cure: &'static str,
}

impl Item {
    /// All, in the order of the table.
    pub const ALL: [Self; 42] = [
        Self::NotRunning,
        Self::RuntimeClass,
        Self::Owner,
        Self::Request,
        Self::Finalizer,
        Self::HostNamespaces,
        Self::SharedProcesses,
        Self::UserNamespace,
        Self::Devices,
        Self::HostPort,
        Self::EphemeralContainer,
        Self::HostPath,
        Self::Claim,
        Self::VolumeKind,
        Self::SubPath,
        Self::Terminal,
        Self::PostStart,
        Self::LivenessProbe,
        Self::SecurityProfile,
        Self::Image,
        Self::ImageTag,
        Self::ImageAlways,
        Self::Successor,
        Self::Node,
        Self::TcpEstablished,
        Self::TcpWithin,
        Self::OwnAddress,
        Self::UnixOutside,
        Self::SystemV,
        Self::MessageQueue,
        Self::RenewedFiles,
        Self::RenewedWatches,
        Self::ExecProcesses,
        Self::IoUring,
        Self::KernelObject,
        Self::ForeignMounts,
        Self::TimeNamespace,
        Self::Disk,
        Self::FreezeTime,
        Self::NotOurs,
        Self::Unseen,
        Self::NoAnswer,
    ];

    /// What is said of it.
    #[must_use]
    pub fn about(self) -> About {
        about::about(self)
    }

    /// CRIU cannot dump it, or the pod would not outlive it; all else is in the way of a restore.
    #[must_use]
    pub fn stops_dump(self) -> bool {
        matches!(
            self,
            Self::UnixOutside | Self::IoUring | Self::KernelObject | Self::ForeignMounts
        ) || matches!(
            self,
            Self::Terminal | Self::UserNamespace | Self::Disk | Self::LivenessProbe
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_item_has_a_name_of_its_own_and_a_cure() {
        let ids: BTreeSet<_> = Item::ALL.iter().map(|item| item.about().id).collect();
        assert_eq!(ids.len(), Item::ALL.len());
        for item in Item::ALL {
            let about = item.about();
            assert!(about.cure.len() > 5 && about.what.len() > 5, "{about:?}");
            assert!(!about.cure.ends_with('.'), "{about:?}");
        }
    }

    #[test]
    fn the_table_of_the_manual_is_this_list() {
        let page = include_str!("../../docs/state.md");
        for item in Item::ALL {
            let About {
                id,
                what,
                severity,
                cure,
            } = item.about();
            let done = if severity == Severity::Warns {
                "warns"
            } else {
                "refuses"
            };
            let row = format!("| `{id}` | {what} | {done} | {cure} |");
            assert!(page.contains(&row), "docs/state.md lacks the row\n{row}");
        }
        let rows = page
            .lines()
            .filter(|line| line.contains("| refuses |") || line.contains("| warns |"));
        assert_eq!(rows.count(), Item::ALL.len());
    }
}
