//! What the processes of a pod do that matters to a move of it. Pure: what was seen goes in, findings come out.

mod tree;

use crate::preflight::finding::{Finding, told};
use crate::preflight::list::Item;
use crate::preflight::text::{Inet, Inode};
use std::collections::{BTreeMap, BTreeSet};
use tree::Tree;

/// What is to be seen of a pod's processes, once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Living {
    /// Its containers.
    pub containers: Vec<Container>,
    /// The sockets of its network.
    pub sockets: Vec<Inet>,
    /// Which Unix sockets are connected to which, by the numbers of their files; none where the kernel does not say.
    pub peers: Option<BTreeMap<u64, u64>>,
    /// System V objects that all its containers share.
    pub system_v: usize,
    /// Names of its POSIX message queues.
    pub queues: Vec<String>,
    /// The kernel has time namespaces.
    pub has_time: bool,
    /// The namespace of users of the node's first process.
    pub users: String,
    /// Bytes that are free where its state is kept; none where nobody knows.
    pub room: Option<u64>,
    /// What could not be looked at, or was too much.
    pub unseen: Vec<String>,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its first process.
    pub init: i32,
    /// All of its cgroup.
    pub processes: Vec<Process>,
    /// Where volumes are mounted into it whose files Kubernetes renews.
    pub renewed: Vec<String>,
    /// The files in their folders that are named by time.
    pub timed: BTreeSet<Inode>,
    /// What else is mounted within it: where, and of what kind, and not by Kubernetes.
    pub mounts: Vec<(String, String)>,
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number on the node.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// What it calls itself, in plain letters.
    pub name: String,
    /// What it has open: where each descriptor leads.
    pub open: Vec<String>,
    /// Files that are mapped, its working directory, its root.
    pub uses: Vec<String>,
    /// What it watches.
    pub watches: Vec<Inode>,
    /// Its namespaces of users, processes and network.
    pub namespaces: [String; 3],
    /// Its memory: its own, and shared.
    pub memory: (u64, u64),
}

impl Living {
    /// Bytes that a dump writes, about.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let of = |container: &Container| {
            let all = container.processes.iter();
            let own = all.clone().map(|one| one.memory.0);
            // Each of them has the same shared pages.
            let shared = all.map(|one| one.memory.1).max().unwrap_or(0);
            own.fold(shared, u64::saturating_add)
        };
        let all = self.containers.iter().map(of);
        all.fold(0, u64::saturating_add)
    }

    /// Everything that was found, what refuses first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        if self.containers.is_empty() {
            let why = "no container of it was made by holdfast-runtime on its node";
            return vec![Finding::new(Item::NotOurs, why)];
        }
        let trees: Vec<_> = self.containers.iter().map(Tree::of).collect();
        let mut found = self.of_pod(&trees);
        for tree in &trees {
            found.extend(tree.findings(self, &trees));
        }
        told(found)
    }

    fn of_pod(&self, trees: &[Tree<'_>]) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut say = |item, sentence: String| found.push(Finding::new(item, &sentence));
        if !self.has_time {
            say(
                Item::TimeNamespace,
                "the kernel of its node has no time namespaces, so its clocks would go back".into(),
            );
        }
        if self.system_v > 0 && self.containers.len() > 1 {
            let (objects, containers) = (self.system_v, self.containers.len());
            say(
                Item::SystemV,
                format!(
                    "its {containers} containers share {objects} objects of System V (shared memory, semaphores or queues), and each would take them along"
                ),
            );
        }
        if let Some(queue) = self.queues.first() {
            say(
                Item::MessageQueue,
                format!(
                    "it has the POSIX message queue /{queue}{}, which is lost on the way",
                    and_more(self.queues.len())
                ),
            );
        }
        if let Some(room) = self.room.filter(|room| *room < self.memory()) {
            let need = self.memory();
            say(
                Item::Disk,
                format!(
                    "its memory takes {need} bytes, and the disk of its node has {room} left for states"
                ),
            );
        }
        if self.peers.is_none() {
            say(
                Item::Unseen,
                "the kernel does not say which Unix sockets are connected to which".into(),
            );
        }
        if let Some(first) = self.unseen.first() {
            say(
                Item::Unseen,
                format!(
                    "not all of it was looked at: {first}{}",
                    and_more(self.unseen.len())
                ),
            );
        }
        found.extend(self.connections(trees));
        found
    }

    /// Connections that are closed by a move.
    fn connections(&self, trees: &[Tree<'_>]) -> Vec<Finding> {
        let is_its = |inode: u64| trees.iter().any(|tree| tree.sockets.contains_key(&inode));
        let open: Vec<_> = self
            .sockets
            .iter()
            .filter(|one| one.is_connected() && is_its(one.inode))
            .collect();
        let ends: BTreeSet<_> = open.iter().map(|one| (one.local, one.remote)).collect();
        let (within, without): (Vec<&Inet>, Vec<&Inet>) = open
            .into_iter()
            .partition(|one| ends.contains(&(one.remote, one.local)));
        let mut found = Vec::new();
        if let Some(first) = without.first() {
            let more = and_more(without.len());
            found.push(Finding::new(
                Item::TcpEstablished,
                &format!(
                    "it has an open TCP connection, {} with {}{more}, which is closed by the move",
                    first.local, first.remote
                ),
            ));
        }
        if let Some(first) = within.first() {
            // Each has two ends.
            let more = and_more(within.len().div_ceil(2));
            found.push(Finding::new(Item::TcpWithin, &format!("processes of it have an open TCP connection with each other, {} with {}{more}, which is closed by the move", first.local, first.remote)));
        }
        found
    }
}

/// How many there are beside the first.
fn and_more(all: usize) -> String {
    match all.saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

#[cfg(test)]
mod tests;
