//! Who waits for an answer now: containers that are about to be made, and the processes that ask for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Everybody who waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    asking: BTreeMap<u64, Asking>,
}

#[derive(Debug)]
struct Asking {
    uid: String,
    container: String,
    pid: Option<i32>,
}

impl Waiting {
    /// Somebody waits, until the ticket is dropped.
    pub(crate) fn enter(&self, uid: &str, container: &str, pid: Option<i32>) -> Ticket {
        let number = self.with(|inner| {
            inner.last = inner.last.wrapping_add(1);
            let asking = Asking {
                uid: uid.to_owned(),
                container: container.to_owned(),
                pid,
            };
            inner.asking.insert(inner.last, asking);
            inner.last
        });
        Ticket {
            waiting: self.clone(),
            number,
        }
    }

    /// Whether somebody waits for this container.
    pub(crate) fn is(&self, uid: &str, container: &str) -> bool {
        self.with(|inner| {
            let mut asking = inner.asking.values();
            asking.any(|asking| asking.uid == uid && asking.container == container)
        })
    }

    /// The processes that wait: whatever cgroup they are in, nothing comes of them without our word.
    pub(crate) fn pids(&self) -> BTreeSet<i32> {
        self.with(|inner| {
            inner
                .asking
                .values()
                .filter_map(|asking| asking.pid)
                .collect()
        })
    }

    fn with<T>(&self, what: impl FnOnce(&mut Inner) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Somebody who waits. Dropped, nobody waits any more: an answer is on its way, or whoever asked has gone.
#[derive(Debug)]
pub(crate) struct Ticket {
    waiting: Waiting,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.with(|inner| inner.asking.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_known_until_the_ticket_is_gone() {
        let waiting = Waiting::default();
        let first = waiting.enter("u1", "a", Some(7));
        let second = waiting.enter("u1", "a", None);
        assert!(waiting.is("u1", "a"));
        assert!(!waiting.is("u1", "b") && !waiting.is("u2", "a"));
        assert_eq!(waiting.pids(), [7].into());
        drop(first);
        assert!(waiting.is("u1", "a") && waiting.pids().is_empty());
        drop(second);
        assert!(!waiting.is("u1", "a"));
    }
}
