//! Texts that many objects have in common, kept once: 5,000 nodes have 20 labels each, with the same keys, and a few hundred different
//! texts.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fewer texts than this are never looked through for those that nobody holds.
const LEAST_SWEEP: usize = 4096;
/// The same of lists: each that nobody holds keeps its texts.
const LEAST_LISTS: usize = 64;

/// Texts in use, and lists of them, each kept once.
#[derive(Default)]
pub(crate) struct Texts {
    each: Mutex<Known<str>>,
    lists: Mutex<Known<[Arc<str>]>>,
    values: Mutex<Known<[Option<Arc<str>>]>>,
}

struct Known<T: ?Sized> {
    all: HashSet<Arc<T>>,
    /// At this size those that nobody else holds are forgotten.
    sweep_at: usize,
}

impl Texts {
    /// The same text, shared with everybody who asked for it before.
    pub(crate) fn share(&self, text: &str) -> Arc<str> {
        locked(&self.each).share(text, LEAST_SWEEP, |text| text.into())
    }

    /// The same list of shared texts.
    pub(crate) fn share_list(&self, list: &[Arc<str>]) -> Arc<[Arc<str>]> {
        let mut lists = locked(&self.lists);
        lists.share(list, LEAST_LISTS, |list| list.into())
    }

    /// The same of texts of which some may be missing.
    pub(crate) fn share_values(&self, list: &[Option<Arc<str>>]) -> Arc<[Option<Arc<str>>]> {
        let mut values = locked(&self.values);
        values.share(list, LEAST_LISTS, |list| list.into())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        locked(&self.each).all.len()
    }
}

fn locked<T: ?Sized>(known: &Mutex<Known<T>>) -> MutexGuard<'_, Known<T>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: ?Sized> Default for Known<T> {
    fn default() -> Self {
        Self {
            all: HashSet::new(),
            sweep_at: 0,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Known<T> {
    fn share(&mut self, wanted: &T, least: usize, make: impl FnOnce(&T) -> Arc<T>) -> Arc<T>
    where
        Arc<T>: Borrow<T>,
    {
        if let Some(shared) = self.all.get(wanted) {
            return Arc::clone(shared);
        }
        if self.all.len() >= self.sweep_at.max(least) {
            self.all.retain(|one| Arc::strong_count(one) > 1);
            // Doubling keeps the cost of each constant, however many there are.
            self.sweep_at = self.all.len().saturating_mul(2);
            self.all.shrink_to(self.sweep_at);
        }
        let shared = make(wanted);
        self.all.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once() {
        let texts = Texts::default();
        let (one, two) = (
            texts.share("kubernetes.io/os"),
            texts.share("kubernetes.io/os"),
        );
        assert!(Arc::ptr_eq(&one, &two));
        assert!(!Arc::ptr_eq(&one, &texts.share("linux")));
        assert_eq!(texts.len(), 2);
    }

    #[test]
    fn a_list_is_kept_once() {
        let texts = Texts::default();
        let list = |all: &[&str]| {
            let all: Vec<_> = all.iter().map(|text| texts.share(text)).collect();
            texts.share_list(&all)
        };
        assert!(Arc::ptr_eq(&list(&["a", "b"]), &list(&["a", "b"])));
        assert!(!Arc::ptr_eq(&list(&["a", "b"]), &list(&["a"])));
        assert!(Arc::ptr_eq(&list(&[]), &list(&[])));
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let texts = Texts::default();
        let held = texts.share("held");
        let list = texts.share_list(&[Arc::clone(&held)]);
        for number in 0..LEAST_SWEEP {
            let keys = 0..20;
            let keys: Vec<_> = keys
                .map(|key| texts.share(&format!("{number}/{key}")))
                .collect();
            drop(texts.share_list(&keys));
        }
        let most = LEAST_SWEEP * 2 + LEAST_LISTS * 20;
        assert!(texts.len() <= most, "{}", texts.len());
        assert!(Arc::ptr_eq(&held, &texts.share("held")));
        assert!(Arc::ptr_eq(&list, &texts.share_list(&[held])));
    }
}
