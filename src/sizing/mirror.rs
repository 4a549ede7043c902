//! What is known of all objects of one kind, by namespace and name. Reading is the webhooks' hot path: a lock that is hardly ever
//! contended, no await, and a pointer that is cloned. While a watch lists anew, what was known stays readable until the list is whole.

use crate::sizing::texts::Texts;
use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Where objects without a namespace are kept. Not the empty text: comparing nothing costs 100 ns on processors that compare by mask,
/// more than all the rest of a look.
pub(crate) const NOWHERE: &str = "-";

/// Views of all objects of one kind, those without a namespace under `NOWHERE`.
pub(crate) struct Mirror<V> {
    content: RwLock<Content<V>>,
    is_synced: AtomicBool,
    removals: AtomicU64,
}

/// By name. The usual hash costs more than the rest of a look; names come from an API server, which tells nobody our seed.
type Names<V> = HashMap<Arc<str>, V, RandomState>;

struct Content<V> {
    namespaces: Names<Names<Entry<V>>>,
    objects: usize,
    /// Counts the lists: what the last one did not bring is gone.
    round: u32,
}

struct Entry<V> {
    view: Arc<V>,
    round: u32,
}

/// One object became another; with neither it came, or went.
#[derive(Debug, PartialEq)]
pub(crate) struct Turn<V> {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) before: Option<Arc<V>>,
    pub(crate) after: Option<Arc<V>>,
}

impl<V> Default for Mirror<V> {
    fn default() -> Self {
        Self {
            content: RwLock::new(Content {
                namespaces: Names::default(),
                objects: 0,
                round: 0,
            }),
            is_synced: AtomicBool::new(false),
            removals: AtomicU64::new(0),
        }
    }
}

impl<V> Mirror<V> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        let content = self.read();
        let entry = content.namespaces.get(namespace)?.get(name)?;
        Some(Arc::clone(&entry.view))
    }

    /// All of a namespace; without any, nothing is allocated.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Vec<Arc<V>> {
        let content = self.read();
        let Some(named) = content.namespaces.get(namespace) else {
            return Vec::new();
        };
        named
            .values()
            .map(|entry| Arc::clone(&entry.view))
            .collect()
    }

    /// Each object, by namespace and name, as they were at one moment. Nothing is locked meanwhile: whatever `look` does, it keeps
    /// nobody from reading.
    pub(crate) fn each(&self, mut look: impl FnMut(&str, &str, &Arc<V>)) {
        let all: Vec<_> = {
            let content = self.read();
            let mut all = Vec::with_capacity(content.objects);
            for (namespace, named) in &content.namespaces {
                all.extend(named.iter().map(|(name, entry)| {
                    let key = (Arc::clone(namespace), Arc::clone(name));
                    (key, Arc::clone(&entry.view))
                }));
            }
            all
        };
        for ((namespace, name), view) in &all {
            look(namespace, name, view);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.read().objects
    }

    /// Whether all objects were listed once.
    pub(crate) fn is_synced(&self) -> bool {
        self.is_synced.load(Ordering::Acquire)
    }

    /// How many objects went so far: whoever remembers an object besides can tell that it may be gone.
    pub(crate) fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    /// A list begins. One that began before and did not end is forgotten.
    pub(crate) fn begin(&self) {
        let mut content = self.write();
        content.round = content.round.wrapping_add(1);
    }

    /// The list is whole: what it did not bring is gone.
    pub(crate) fn end(&self) -> Vec<Turn<V>> {
        let mut gone = Vec::new();
        {
            let mut content = self.write();
            let round = content.round;
            content.namespaces.retain(|namespace, named| {
                let left = named.extract_if(|_, entry| entry.round != round);
                gone.extend(left.map(|(name, entry)| Turn {
                    namespace: Arc::clone(namespace),
                    name,
                    before: Some(entry.view),
                    after: None,
                }));
                !named.is_empty()
            });
            content.objects = content.objects.saturating_sub(gone.len());
        }
        self.count_removals(gone.len());
        self.is_synced.store(true, Ordering::Release);
        gone
    }

    /// An object is gone.
    pub(crate) fn remove(&self, namespace: &str, name: &str) -> Option<Turn<V>> {
        let turn = {
            let mut content = self.write();
            let named = content.namespaces.get_mut(namespace)?;
            let (name, entry) = named.remove_entry(name)?;
            let is_last = named.is_empty();
            let (namespace, _) = content.namespaces.get_key_value(namespace)?;
            let turn = Turn {
                namespace: Arc::clone(namespace),
                name,
                before: Some(entry.view),
                after: None,
            };
            if is_last {
                content.namespaces.remove(&turn.namespace);
            }
            content.objects = content.objects.saturating_sub(1);
            turn
        };
        self.count_removals(1);
        Some(turn)
    }

    /// Forgets everything, as before the first list.
    pub(crate) fn clear(&self) {
        self.is_synced.store(false, Ordering::Release);
        let mut content = self.write();
        content.namespaces = Names::default();
        content.objects = 0;
    }

    fn count_removals(&self, removed: usize) {
        let removed = u64::try_from(removed).unwrap_or(u64::MAX);
        self.removals.fetch_add(removed, Ordering::AcqRel);
    }

    fn read(&self) -> RwLockReadGuard<'_, Content<V>> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content<V>> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: PartialEq> Mirror<V> {
    /// An object is as this. One that says nothing new costs a comparison, and nobody waits for it.
    pub(crate) fn put(
        &self,
        (namespace, name): (&str, &str),
        view: V,
        texts: &Texts,
    ) -> Option<Turn<V>> {
        let is_known = {
            let content = self.read();
            let named = content.namespaces.get(namespace);
            let entry = named.and_then(|named| named.get(name));
            let same = entry.filter(|entry| *entry.view == view);
            if same.is_some_and(|entry| entry.round == content.round) {
                return None;
            }
            same.is_some()
        };
        // Only one watch writes here, so nothing changed in between.
        let mut content = self.write();
        let content = &mut *content;
        let named = match content.namespaces.get_mut(namespace) {
            Some(named) => named,
            None => content
                .namespaces
                .entry(texts.share(namespace))
                .or_default(),
        };
        if is_known && let Some(entry) = named.get_mut(name) {
            entry.round = content.round;
            return None;
        }
        let (name, view) = (texts.share(name), Arc::new(view));
        let entry = Entry {
            view: Arc::clone(&view),
            round: content.round,
        };
        let before = named.insert(Arc::clone(&name), entry);
        if before.is_none() {
            content.objects = content.objects.saturating_add(1);
        }
        Some(Turn {
            namespace: texts.share(namespace),
            name,
            before: before.map(|entry| entry.view),
            after: Some(view),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World(Mirror<u32>, Texts);

    impl World {
        fn new() -> Self {
            Self(Mirror::default(), Texts::default())
        }

        fn put(&self, name: &str, view: u32) -> Option<Turn<u32>> {
            self.0.put(("ns", name), view, &self.1)
        }

        fn seen(&self, name: &str) -> Option<u32> {
            self.0.get("ns", name).map(|view| *view)
        }
    }

    fn told(turn: Option<Turn<u32>>) -> Option<(Option<u32>, Option<u32>)> {
        turn.map(|turn| (turn.before.map(|view| *view), turn.after.map(|view| *view)))
    }

    #[test]
    fn what_comes_changes_and_goes_is_told() {
        let world = World::new();
        assert_eq!(told(world.put("a", 1)), Some((None, Some(1))));
        assert_eq!(told(world.put("a", 2)), Some((Some(1), Some(2))));
        assert_eq!((world.seen("a"), world.0.len()), (Some(2), 1));
        assert_eq!(world.0.get("other", "a"), None);
        assert_eq!(told(world.0.remove("ns", "a")), Some((Some(2), None)));
        assert_eq!((world.0.len(), world.0.removals()), (0, 1));
        assert_eq!(world.0.remove("ns", "a"), None);
        assert_eq!(world.0.of_namespace("ns").capacity(), 0);
    }

    #[test]
    fn what_says_nothing_new_replaces_nothing() {
        let world = World::new();
        world.put("a", 1);
        let before = world.0.get("ns", "a").unwrap();
        assert_eq!(world.put("a", 1), None);
        world.0.begin();
        assert_eq!(world.put("a", 1), None);
        assert_eq!(world.0.end(), []);
        assert!(Arc::ptr_eq(&before, &world.0.get("ns", "a").unwrap()));
    }

    #[test]
    fn a_list_drops_what_it_did_not_bring_when_it_is_whole() {
        let world = World::new();
        world.0.begin();
        assert!(!world.0.is_synced());
        for (name, view) in [("a", 1), ("b", 2)] {
            world.put(name, view);
        }
        assert_eq!(world.0.end(), []);
        assert!(world.0.is_synced());
        world.put("c", 3);
        world.0.begin();
        world.put("b", 20);
        let seen = ["a", "b", "c"].map(|name| world.seen(name));
        assert_eq!(seen, [Some(1), Some(20), Some(3)]);
        let mut gone: Vec<_> = world
            .0
            .end()
            .iter()
            .map(|turn| turn.name.to_string())
            .collect();
        gone.sort();
        assert_eq!(gone, ["a", "c"]);
        let seen = ["a", "b", "c"].map(|name| world.seen(name));
        assert_eq!(seen, [None, Some(20), None]);
        assert_eq!((world.0.len(), world.0.removals()), (1, 2));
    }

    #[test]
    fn a_list_that_is_cut_short_drops_nothing() {
        let world = World::new();
        for name in ["a", "b"] {
            world.put(name, 1);
        }
        world.0.begin();
        world.put("a", 1);
        // It begins again, and this time what came in the first half is not there any more.
        world.0.begin();
        world.put("b", 1);
        assert_eq!(world.seen("a"), Some(1));
        assert_eq!(world.0.end().len(), 1);
        assert_eq!((world.seen("a"), world.seen("b")), (None, Some(1)));
    }

    #[test]
    fn whoever_looks_at_each_may_read_and_write() {
        let world = World::new();
        world.put("a", 1);
        world.0.each(|namespace, name, _| {
            assert!(world.0.get(namespace, name).is_some());
            world.0.remove(namespace, name);
        });
        assert_eq!(world.0.len(), 0);
    }
}
