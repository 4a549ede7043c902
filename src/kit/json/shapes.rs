//! Texts of one shape: as long as each other, and different only within strings, as reviews of pods of one DaemonSet are. The index of
//! one is the index of all, so where one was read, another is only compared with it.
//!
//! What may differ is known letter by letter: within a string, not its quotes, no backslash and not what one escapes. Where both texts
//! have a plain letter there, quotes, brackets, commas, colons, numbers and escapes are the same, and so is the answer to whether it is
//! JSON.

use super::block::{BLOCK, different, odd};
use super::index::Index;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// So many shapes are remembered: 3 MiB with usual pods, and 9 at most.
const MOST: usize = 256;
/// So many of them are as long as each other: a text is compared with all that are as long.
const MOST_OF_A_LENGTH: usize = 4;
/// A longer text is not remembered.
const LONGEST: usize = 16 * 1024;
/// Where there are more shapes than are remembered, one of so many that were not known takes the place of another.
const SELDOM: usize = 8;

/// The shapes of texts that were read before.
#[derive(Debug, Default)]
pub struct Shapes {
    /// With their lengths: most are told apart by those.
    known: RwLock<Vec<(usize, Arc<Shape>)>>,
    unknown: AtomicUsize,
}

/// A text that was read, and what may be otherwise in another one.
#[derive(Debug)]
pub(super) struct Shape {
    text: Box<[u8]>,
    pub(super) index: Index,
}

impl Shapes {
    /// One that the text has.
    pub(super) fn of(&self, text: &[u8]) -> Option<Arc<Shape>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut as_long = known.iter().filter(|(length, _)| *length == text.len());
        let found = as_long.find(|(_, shape)| shape.fits(text));
        found.map(|(_, shape)| Arc::clone(shape))
    }

    /// Remembers the shape of a text, if it is worth it.
    pub(super) fn learn(&self, text: &[u8], index: Index) {
        let before = self.unknown.fetch_add(1, Ordering::Relaxed);
        if text.len() > LONGEST || (before >= MOST && !before.is_multiple_of(SELDOM)) {
            return;
        }
        let shape = Shape {
            text: text.into(),
            index: index.tight(),
        };
        let shape = (text.len(), Arc::new(shape));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_as_long = |known: &&mut (usize, Arc<Shape>)| known.0 == text.len();
        let as_long = known.iter_mut().filter(is_as_long).count();
        let turn = before / SELDOM;
        let place = if as_long >= MOST_OF_A_LENGTH {
            known
                .iter_mut()
                .filter(is_as_long)
                .nth(turn % MOST_OF_A_LENGTH)
        } else if known.len() >= MOST {
            known.get_mut(turn % MOST)
        } else {
            known.push(shape);
            return;
        };
        if let Some(place) = place {
            *place = shape;
        }
    }
}

impl Shape {
    fn fits(&self, text: &[u8]) -> bool {
        if text.len() != self.text.len() {
            return false;
        }
        let (ours, our_rest) = self.text.as_chunks::<BLOCK>();
        let (theirs, their_rest) = text.as_chunks::<BLOCK>();
        let free = &self.index.free;
        let mut blocks = ours.iter().zip(theirs).zip(free);
        let fit = blocks.all(|((ours, theirs), free)| block_fits(ours, theirs, *free));
        fit && block_fits(
            &padded(our_rest),
            &padded(their_rest),
            free.last().copied().unwrap_or_default(),
        )
    }
}

/// Whether a block differs from the one that is known only where it may, and has only plain letters there.
fn block_fits(known: &[u8; BLOCK], block: &[u8; BLOCK], free: u64) -> bool {
    let different = different(known, block);
    different == 0 || (different & !free == 0 && odd(block) & different == 0)
}

fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    if let Some(place) = block.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    block
}
