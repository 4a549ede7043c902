//! Texts of one shape: as long as each other, and different only within strings, as reviews of pods of one DaemonSet are. The index of
//! one is the index of all, so where one was read, another is only compared with it.
//!
//! What may differ is known letter by letter: within a string that is no key, not its quotes, no backslash and not what one escapes.
//! Where both texts have a plain letter there, keys, quotes, brackets, commas, colons, numbers and escapes are the same, and so is the
//! answer to whether it is JSON, and which of its fields are read.

use super::block::{BLOCK, different, odd};
use super::index::Index;
use super::tape::{Mark, Tape};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// So much is remembered: the shapes of some 500 usual pods.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// So many of them are as long as each other: a text is compared with all that are as long.
const MOST_OF_A_LENGTH: usize = 4;
/// What each takes besides its bytes.
const EACH: usize = 256;
/// A longer text is not remembered.
const LONGEST: usize = 16 * 1024;
/// Where there are more shapes than are remembered, one of so many that were not known takes the place of the oldest.
const SELDOM: usize = 8;

/// The shapes of texts that were read before.
#[derive(Debug, Default)]
pub struct Shapes {
    known: RwLock<Known>,
    unknown: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    /// By their length, by which most are told apart; the oldest of a length first.
    by_length: HashMap<usize, VecDeque<Arc<Shape>>>,
    /// The length of each, the oldest first.
    lengths: VecDeque<usize>,
    bytes: usize,
}

/// A text that was read, and what may be otherwise in another one.
#[derive(Debug)]
pub(super) struct Shape {
    text: Box<[u8]>,
    pub(super) index: Index,
    pub(super) tape: Tape,
}

impl Shapes {
    /// One that the text has, for this reader.
    pub(super) fn of<T>(&self, text: &[u8]) -> Option<Arc<Shape>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut as_long = known.by_length.get(&text.len())?.iter();
        let found = as_long.find(|shape| shape.tape.is_of::<T>() && shape.fits(text));
        found.map(Arc::clone)
    }

    /// Remembers the shape of a text, and the way of this reader through it, if it is worth it.
    pub(super) fn learn<T>(&self, text: &[u8], index: Index, way: Vec<Mark>) {
        if text.len() > LONGEST || !self.is_worth_it() {
            return;
        }
        let shape = Arc::new(Shape {
            text: text.into(),
            index: index.of_a_known_way(),
            tape: Tape::of::<T>(way),
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.add(shape);
    }

    /// Where all have room, each is; otherwise, one of some: pods whose shapes come in turn would else push each other out, and none
    /// would ever be known.
    fn is_worth_it(&self) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let has_room = known.bytes.saturating_add(LONGEST) <= MOST_BYTES;
        has_room
            || self
                .unknown
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(SELDOM)
    }
}

impl Known {
    fn add(&mut self, shape: Arc<Shape>) {
        let length = shape.text.len();
        let as_long = self.by_length.get(&length).map_or(0, VecDeque::len);
        if as_long >= MOST_OF_A_LENGTH {
            self.forget(length);
        }
        self.bytes = self.bytes.saturating_add(shape.bytes());
        self.by_length.entry(length).or_default().push_back(shape);
        self.lengths.push_back(length);
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.lengths.front().copied()
        {
            self.forget(oldest);
        }
    }

    /// Forgets the oldest of a length.
    fn forget(&mut self, length: usize) {
        if let Some(at) = self.lengths.iter().position(|one| *one == length) {
            self.lengths.remove(at);
        }
        if let Some(as_long) = self.by_length.get_mut(&length) {
            let bytes = as_long.pop_front().map_or(0, |shape| shape.bytes());
            self.bytes = self.bytes.saturating_sub(bytes);
            if as_long.is_empty() {
                self.by_length.remove(&length);
            }
        }
    }
}

impl Shape {
    fn bytes(&self) -> usize {
        let bytes = self.text.len().saturating_add(self.index.bytes());
        let bytes = bytes.saturating_add(self.tape.bytes());
        bytes.saturating_add(EACH)
    }

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
