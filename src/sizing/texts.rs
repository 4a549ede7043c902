//! Texts that many objects have in common, kept once: 5,000 nodes have 20 labels each, and a few hundred different texts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Fewer texts than this are never looked through for those that nobody holds.
const LEAST_SWEEP: usize = 4096;

/// Texts in use, each kept once.
#[derive(Default)]
pub(crate) struct Texts(Mutex<Known>);

#[derive(Default)]
struct Known {
    texts: HashSet<Arc<str>>,
    /// At this size those that nobody else holds are forgotten.
    sweep_at: usize,
}

impl Texts {
    /// The same text, shared with everybody who asked for it before.
    pub(crate) fn share(&self, text: &str) -> Arc<str> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *guard;
        if let Some(shared) = known.texts.get(text) {
            return Arc::clone(shared);
        }
        if known.texts.len() >= known.sweep_at.max(LEAST_SWEEP) {
            known.texts.retain(|text| Arc::strong_count(text) > 1);
            // Doubling keeps the cost of a text constant, however many there are.
            known.sweep_at = known.texts.len().saturating_mul(2);
            known.texts.shrink_to(known.sweep_at);
        }
        let shared = Arc::<str>::from(text);
        known.texts.insert(Arc::clone(&shared));
        shared
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().texts.len()
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
    fn texts_that_nobody_holds_are_forgotten() {
        let texts = Texts::default();
        let held = texts.share("held");
        for number in 0..LEAST_SWEEP * 20 {
            drop(texts.share(&number.to_string()));
        }
        assert!(texts.len() <= LEAST_SWEEP, "{}", texts.len());
        assert!(Arc::ptr_eq(&held, &texts.share("held")));
    }
}
