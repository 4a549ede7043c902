//! What one container does that matters to a move. Pure.

use super::{Container, Living, Process, and_more};
use crate::preflight::finding::Finding;
use crate::preflight::list::Item;
use crate::preflight::text::{Inode, socket};
use std::collections::BTreeMap;

/// A container's own processes: its first one, and all that descend from it. They are what is dumped.
pub(super) struct Tree<'a> {
    container: &'a Container,
    own: Vec<&'a Process>,
    beside: Vec<&'a Process>,
    /// The sockets of its own processes, and one that has it.
    pub(super) sockets: BTreeMap<u64, &'a Process>,
}

impl<'a> Tree<'a> {
    pub(super) fn of(container: &'a Container) -> Self {
        let parents: BTreeMap<_, _> = container
            .processes
            .iter()
            .map(|one| (one.pid, one.parent))
            .collect();
        let is_own = |process: &&Process| {
            let mut pid = process.pid;
            // No chain is longer than there are processes; what was read while it changed may be a ring.
            for _step in 0..=parents.len() {
                if pid == container.init {
                    return true;
                }
                match parents.get(&pid) {
                    Some(parent) => pid = *parent,
                    None => return false,
                }
            }
            false
        };
        let (own, beside): (Vec<_>, Vec<_>) = container.processes.iter().partition(is_own);
        let sockets = own.iter().flat_map(|process| {
            let inodes = process.open.iter().filter_map(|link| socket(link));
            inodes.map(move |inode| (inode, *process))
        });
        Self {
            container,
            sockets: sockets.collect(),
            own,
            beside,
        }
    }

    pub(super) fn findings(&self, pod: &Living, trees: &[Tree<'_>]) -> Vec<Finding> {
        let name = &self.container.name;
        let checks = [
            self.own_address(pod),
            self.outside(pod, trees),
            self.renewed(),
            self.watched(),
            self.beside(),
            self.opens(
                Item::IoUring,
                |link| link == "anon_inode:[io_uring]",
                "has a ring of io_uring",
            ),
            self.opens(
                Item::KernelObject,
                is_odd,
                "has an object of the kernel open that cannot be carried",
            ),
            self.terminal(),
            self.namespaces(pod),
            self.mounted(),
        ];
        let found = checks.into_iter().flatten();
        found
            .map(|(item, what)| Finding::new(item, &format!("container {name}: {what}")))
            .collect()
    }

    fn own_address(&self, pod: &Living) -> Option<(Item, String)> {
        let mut bound = pod.sockets.iter().filter(|one| one.is_bound_to_pod());
        let (one, process) = bound.find_map(|one| Some((one, self.sockets.get(&one.inode)?)))?;
        let kind = if one.is_tcp { "TCP" } else { "UDP" };
        Some((
            Item::OwnAddress,
            format!(
                "{} has a {kind} socket bound to {}, an address that the pod leaves behind",
                called(process),
                one.local
            ),
        ))
    }

    /// Whatever is connected to one of its sockets, and would not go in the same image.
    fn outside(&self, pod: &Living, trees: &[Tree<'_>]) -> Option<(Item, String)> {
        let peers = pod.peers.as_ref()?;
        let (peer, process) = self.sockets.iter().find_map(|(inode, process)| {
            let peer = peers.get(inode).filter(|peer| **peer != 0)?;
            (!self.sockets.contains_key(peer)).then_some((*peer, *process))
        })?;
        let has = |process: &&&Process| process.open.iter().any(|link| socket(link) == Some(peer));
        let other = trees.iter().find(|tree| tree.sockets.contains_key(&peer));
        let whom = match (other, self.beside.iter().find(has)) {
            (Some(tree), _) => format!("container {}", tree.container.name),
            (None, Some(beside)) => format!(
                "{}, which the container's own did not begin",
                called(beside)
            ),
            (None, None) => "a process outside of it".to_owned(),
        };
        Some((
            Item::UnixOutside,
            format!(
                "{} has a Unix socket that is connected to {whom}",
                called(process)
            ),
        ))
    }

    fn renewed(&self) -> Option<(Item, String)> {
        let folders: Vec<_> = self
            .container
            .renewed
            .iter()
            .map(|point| format!("{}/..", point.trim_end_matches('/')))
            .collect();
        let is_renewed = |link: &&String| {
            folders
                .iter()
                .any(|folder| link.starts_with(folder.as_str()))
        };
        self.own.iter().find_map(|process| {
            let link = process.open.iter().chain(&process.uses).find(is_renewed)?;
            Some((
                Item::RenewedFiles,
                format!(
                    "{} holds {link}, and that file has another name in every pod",
                    called(process)
                ),
            ))
        })
    }

    fn watched(&self) -> Option<(Item, String)> {
        let is_timed = |inode: &Inode| self.container.timed.contains(inode);
        let watches = |process: &&&Process| process.watches.iter().any(is_timed);
        let process = self.own.iter().find(watches)?;
        Some((
            Item::RenewedWatches,
            format!(
                "{} watches a file of a ConfigMap, Secret or projected volume that has another name in every pod",
                called(process)
            ),
        ))
    }

    fn beside(&self) -> Option<(Item, String)> {
        let first = self.beside.first()?;
        let more = and_more(self.beside.len());
        Some((
            Item::ExecProcesses,
            format!(
                "{}{more} was begun beside the container's own, by kubectl exec or a probe, and ends with the move",
                called(first)
            ),
        ))
    }

    fn opens(
        &self,
        item: Item,
        is_it: impl Fn(&str) -> bool,
        says: &str,
    ) -> Option<(Item, String)> {
        self.own.iter().find_map(|process| {
            let link = process.open.iter().find(|link| is_it(link))?;
            Some((item, format!("{} {says} ({link})", called(process))))
        })
    }

    fn terminal(&self) -> Option<(Item, String)> {
        let is_terminal = |link: &str| {
            let is_made = link.starts_with("/dev/pts/") && !link.ends_with("ptmx");
            is_made || link == "/dev/console" || link == "/dev/tty"
        };
        let is_master = |link: &String| link.ends_with("/ptmx");
        if self
            .own
            .iter()
            .any(|process| process.open.iter().any(is_master))
        {
            // One that it made itself.
            return None;
        }
        self.opens(
            Item::Terminal,
            is_terminal,
            "has a terminal that somebody outside of the container holds",
        )
    }

    fn namespaces(&self, pod: &Living) -> Option<(Item, String)> {
        let init = self
            .own
            .iter()
            .find(|process| process.pid == self.container.init)?;
        let [users, ..] = &init.namespaces;
        if !users.is_empty() && !pod.users.is_empty() && *users != pod.users {
            return Some((Item::UserNamespace, "it has users of its own".into()));
        }
        let differs = |process: &&&Process| {
            let mut both = process.namespaces.iter().zip(&init.namespaces);
            both.any(|(one, other)| !one.is_empty() && one != other)
        };
        let process = self.own.iter().find(differs)?;
        Some((
            Item::UserNamespace,
            format!(
                "{} has a namespace of users, processes or network of its own",
                called(process)
            ),
        ))
    }

    fn mounted(&self) -> Option<(Item, String)> {
        let mut foreign = self
            .container
            .mounts
            .iter()
            .filter(|(point, kind)| point != "/" && is_foreign(kind));
        let (point, kind) = foreign.next()?;
        Some((
            Item::ForeignMounts,
            format!("files of the kind {kind} are mounted at {point}, and not by Kubernetes"),
        ))
    }
}

/// Files of the kernel's own that CRIU carries.
const CARRIED: [&str; 8] = [
    "[eventfd]",
    "[eventpoll]",
    "[signalfd]",
    "[timerfd]",
    "inotify",
    "[fanotify]",
    "[pidfd]",
    "[io_uring]",
];

/// All others; a ring has an item of its own.
fn is_odd(link: &str) -> bool {
    link.strip_prefix("anon_inode:")
        .is_some_and(|kind| !CARRIED.contains(&kind))
}

/// Kinds of file systems that live elsewhere.
const FOREIGN: [&str; 10] = [
    "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "fuse", "fuseblk", "virtiofs", "afs",
];

fn is_foreign(kind: &str) -> bool {
    FOREIGN.contains(&kind) || kind.starts_with("fuse.")
}

fn called(process: &Process) -> String {
    format!("process {} ({})", process.pid, process.name)
}
