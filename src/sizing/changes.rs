//! What changed in the caches, for whoever has to look again: each thing once, however often it changed meanwhile. Nobody is waited
//! for: a reader that falls far behind is told that everything may have changed.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// More changes than this are told as one.
const MOST: usize = 1024;

/// What may look different now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// Anything: look at all of it. The first change that a reader sees.
    Everything,
    Node(Arc<str>),
    /// By namespace and name.
    DaemonSet(Arc<str>, Arc<str>),
    Template(Arc<str>),
    /// In this namespace.
    LimitRange(Arc<str>),
    Namespace(Arc<str>),
    /// A pod of the DaemonSet with this uid.
    Pod(Arc<str>),
}

/// Tells changes to all readers there are.
#[derive(Default)]
pub(crate) struct Teller(Mutex<Vec<Weak<Inbox>>>);

/// Reads changes. Two of the same are one, until it is read.
pub(crate) struct Changes(Arc<Inbox>);

#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Default)]
struct Waiting {
    order: VecDeque<Change>,
    known: HashSet<Change>,
}

impl Teller {
    pub(crate) fn subscribe(&self) -> Changes {
        let inbox = Arc::<Inbox>::default();
        inbox.put(Change::Everything);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&inbox));
        Changes(inbox)
    }

    pub(crate) fn tell(&self, change: &Change) {
        let mut inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.retain(|inbox| {
            let inbox = inbox.upgrade();
            inbox.is_some_and(|inbox| {
                inbox.put(change.clone());
                true
            })
        });
    }
}

impl Inbox {
    fn put(&self, change: Change) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.known.contains(&Change::Everything) || !waiting.known.insert(change.clone()) {
            return;
        }
        if waiting.order.len() >= MOST || change == Change::Everything {
            *waiting = Waiting::default();
            waiting.known.insert(Change::Everything);
            waiting.order.push_back(Change::Everything);
        } else {
            waiting.order.push_back(change);
        }
        drop(waiting);
        self.bell.notify_one();
    }

    fn take(&self) -> Option<Change> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let change = waiting.order.pop_front()?;
        waiting.known.remove(&change);
        Some(change)
    }
}

impl Changes {
    /// The next change. It may be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.0.take() {
                return change;
            }
            self.0.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn node(name: &str) -> Change {
        Change::Node(name.into())
    }

    fn all(changes: &mut Changes) -> Vec<Change> {
        std::iter::from_fn(|| changes.next().now_or_never()).collect()
    }

    #[test]
    fn begins_with_everything_and_then_tells_each_once() {
        let teller = Teller::default();
        let mut changes = teller.subscribe();
        teller.tell(&node("swallowed by everything"));
        assert_eq!(all(&mut changes), [Change::Everything]);
        for name in ["a", "b", "a"] {
            teller.tell(&node(name));
        }
        assert_eq!(all(&mut changes), [node("a"), node("b")]);
        teller.tell(&node("a"));
        assert_eq!(all(&mut changes), [node("a")]);
    }

    #[test]
    fn a_reader_that_falls_behind_is_told_that_everything_changed() {
        let teller = Teller::default();
        let mut changes = teller.subscribe();
        assert_eq!(all(&mut changes).len(), 1);
        for number in 0..=MOST {
            teller.tell(&node(&number.to_string()));
        }
        assert_eq!(all(&mut changes), [Change::Everything]);
        teller.tell(&node("a"));
        assert_eq!(all(&mut changes), [node("a")]);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let teller = Teller::default();
        let mut changes = teller.subscribe();
        assert_eq!(changes.next().await, Change::Everything);
        assert!(changes.next().now_or_never().is_none());
        let ((), change) = tokio::join!(async { teller.tell(&node("a")) }, changes.next());
        assert_eq!(change, node("a"));
    }

    #[test]
    fn readers_that_went_are_forgotten() {
        let teller = Teller::default();
        drop(teller.subscribe());
        teller.tell(&node("a"));
        assert!(teller.0.lock().unwrap().is_empty());
    }
}
