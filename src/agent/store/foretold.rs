//! What a target was sent of files before they were written: memory as it was while its programs ran, page for page where CRIU would put
//! it. When the files are written, pages that came out so need not be sent again, and blocks of them not be digested. A page that did not
//! costs itself; a guess that was wrong altogether costs nothing but the time that it took.

use crate::agent::store::digests::{BLOCK, Block};
use crate::kit::digest::prints::{Print, Printer};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is compared at once.
pub(crate) const PAGE: usize = 4096;
pub(crate) const PAGES: usize = BLOCK / PAGE;
const STEP: u64 = 1 << 20;
/// So many pages are sent along rather than named anew what follows them.
const GAP: u64 = 4;

/// What the target has of each file.
pub(crate) struct Guess {
    printer: Printer,
    files: BTreeMap<String, Pages>,
}

/// Of one file.
#[derive(Default)]
struct Pages {
    /// Of each page; none where nobody knows what is there.
    prints: Vec<Option<Print>>,
    /// Of each whole block.
    blocks: Vec<Option<Block>>,
}

/// A block as it is now.
pub(crate) struct Fresh {
    prints: Vec<Option<Print>>,
    /// Which bytes of it are not as they were, from the beginning of the file.
    pub(crate) differs: Vec<Range<u64>>,
}

impl Guess {
    /// Nothing was sent yet. Where there is nothing random for a key there is none.
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            printer: Printer::new()?,
            files: BTreeMap::new(),
        })
    }

    /// How many bytes were sent, as far as it is known what they are.
    pub(crate) fn bytes(&self) -> u64 {
        let pages = self
            .files
            .values()
            .flat_map(|file| file.prints.iter().flatten());
        let page = u64::try_from(PAGE).unwrap_or_default();
        page.saturating_mul(u64::try_from(pages.count()).unwrap_or(u64::MAX))
    }

    /// A block of a file, or the end of one: what of it the target does not have.
    pub(crate) fn look(&self, path: &str, offset: u64, bytes: &[u8]) -> Fresh {
        let prints: Vec<_> = bytes
            .chunks(PAGE)
            .map(|page| self.printer.of(page))
            .collect();
        let file = self.files.get(path);
        let first = number(offset, PAGE);
        let mut differs: Vec<Range<u64>> = Vec::new();
        for ((page, print), at) in bytes.chunks(PAGE).zip(&prints).zip(first..) {
            let known = file.and_then(|file| file.prints.get(at)).copied().flatten();
            if known.is_some() && known == *print {
                continue;
            }
            let begins = place(at);
            let ends = begins.saturating_add(u64::try_from(page.len()).unwrap_or_default());
            match differs.last_mut() {
                Some(last) if begins.saturating_sub(last.end) <= GAP.saturating_mul(place(1)) => {
                    last.end = ends;
                }
                _ => differs.push(begins..ends),
            }
        }
        Fresh { prints, differs }
    }

    /// The target has it; or nobody knows.
    pub(crate) fn sent(&mut self, path: &str, offset: u64, sent: Option<(Fresh, Option<Block>)>) {
        if !self.files.contains_key(path) {
            self.files.insert(path.to_owned(), Pages::default());
        }
        let Some(file) = self.files.get_mut(path) else {
            return;
        };
        let (first, block) = (number(offset, PAGE), number(offset, BLOCK));
        let (prints, digest) = match sent {
            Some((fresh, digest)) => (fresh.prints, digest),
            None => (vec![None; PAGES], None),
        };
        for (print, at) in prints.into_iter().zip(first..) {
            put(&mut file.prints, at, print);
        }
        put(&mut file.blocks, block, digest);
    }

    /// The digest of a whole block, as the target has it.
    fn block(&self, path: &str, offset: u64) -> Option<Block> {
        let blocks = &self.files.get(path)?.blocks;
        blocks.get(number(offset, BLOCK)).copied().flatten()
    }
}

fn put<T>(list: &mut Vec<Option<T>>, at: usize, what: Option<T>) {
    while list.len() <= at {
        list.push(None);
    }
    if let Some(place) = list.get_mut(at) {
        *place = what;
    }
}

fn number(offset: u64, of: usize) -> usize {
    let of = u64::try_from(of).unwrap_or(1);
    usize::try_from(offset.checked_div(of).unwrap_or_default()).unwrap_or(usize::MAX)
}

fn place(page: usize) -> u64 {
    u64::try_from(page.saturating_mul(PAGE)).unwrap_or(u64::MAX)
}

/// The guess, and how it came out so far.
pub(crate) struct Foretold {
    guess: Guess,
    came: Mutex<BTreeMap<String, Came>>,
}

/// How a file came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Came {
    /// Up to here it was compared.
    pub(crate) upto: u64,
    /// What is not as it was guessed.
    pub(crate) differs: Vec<Range<u64>>,
}

impl Foretold {
    pub(crate) fn new(guess: Guess) -> Self {
        let came = guess
            .files
            .keys()
            .map(|path| (path.clone(), Came::default()));
        Self {
            came: Mutex::new(came.collect()),
            guess,
        }
    }

    fn came(&self) -> MutexGuard<'_, BTreeMap<String, Came>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes were guessed.
    pub(crate) fn bytes(&self) -> u64 {
        self.guess.bytes()
    }

    /// Whether something was guessed of it.
    pub(crate) fn is_about(&self, path: &str) -> bool {
        self.guess.files.contains_key(path)
    }

    /// A whole block of the file, as it was written. Its digest, where it is as it was guessed.
    pub(crate) fn compare(&self, path: &str, offset: u64, bytes: &[u8]) -> Option<Block> {
        if !self.is_about(path) {
            return None;
        }
        let Fresh { differs, .. } = self.guess.look(path, offset, bytes);
        let known = self
            .guess
            .block(path, offset)
            .filter(|_| differs.is_empty());
        if let Some(came) = self.came().get_mut(path)
            && came.upto == offset
        {
            came.upto = offset.saturating_add(STEP);
            came.differs.extend(differs);
        }
        known
    }

    /// What is to be sent of it, and was not said before; and up to where that is.
    pub(crate) fn take(&self, path: &str) -> Option<Came> {
        let mut came = self.came();
        let came = came.get_mut(path)?;
        let differs = std::mem::take(&mut came.differs);
        let upto = came.upto;
        Some(Came { upto, differs })
    }

    /// How many bytes of it are to be sent.
    pub(crate) fn waiting(&self, path: &str) -> u64 {
        let came = self.came();
        let differs = came.get(path).map_or(&[][..], |came| &came.differs);
        differs
            .iter()
            .map(|range| range.end.saturating_sub(range.start))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::digests::block;

    fn only(start: u64, end: u64) -> Vec<Range<u64>> {
        Vec::from([Range { start, end }])
    }

    fn page(of: u8) -> Vec<u8> {
        vec![of; PAGE]
    }

    /// A block with this page at this place.
    fn with(at: usize, of: u8) -> Vec<u8> {
        let pages = (0..PAGES).map(|number| if number == at { of } else { 1 });
        pages.flat_map(page).collect()
    }

    fn guessed(blocks: &[Vec<u8>]) -> Guess {
        let mut guess = Guess::new().unwrap();
        for (bytes, number) in blocks.iter().zip(0_u64..) {
            let offset = number.wrapping_mul(STEP);
            let fresh = guess.look("f", offset, bytes);
            let digest = (bytes.len() == BLOCK).then(|| block(bytes));
            guess.sent("f", offset, Some((fresh, digest)));
        }
        guess
    }

    #[test]
    fn what_was_sent_is_not_sent_again_and_what_changed_is() {
        let guess = guessed(&[with(0, 1), with(7, 2)]);
        assert_eq!(guess.bytes(), 2 * STEP);
        assert_eq!(guess.look("f", STEP, &with(7, 2)).differs, []);
        let differs = guess.look("f", STEP, &with(7, 3)).differs;
        assert_eq!(differs, only(STEP + 7 * 4096, STEP + 8 * 4096));
        // The former page is another one too, and lies next to it.
        let differs = guess.look("f", STEP, &with(9, 2)).differs;
        assert_eq!(differs, only(STEP + 7 * 4096, STEP + 10 * 4096));
        let differs = guess.look("f", STEP, &with(200, 2)).differs;
        assert_eq!(differs.len(), 2);
        assert_eq!(
            guess.look("f", 2 * STEP, &page(1)).differs,
            only(2 * STEP, 2 * STEP + 4096)
        );
        assert_eq!(guess.look("g", 0, &page(1)).differs, only(0, 4096));
    }

    #[test]
    fn what_nobody_knows_is_sent() {
        let mut guess = guessed(&[with(0, 1), with(0, 1)]);
        guess.sent("f", 0, None);
        assert_eq!(guess.look("f", 0, &with(0, 1)).differs, only(0, STEP));
        assert_eq!(guess.block("f", 0), None);
        assert_eq!(guess.look("f", STEP, &with(0, 1)).differs, []);
    }

    #[test]
    fn a_block_has_its_digest_only_as_it_was_guessed() {
        let foretold = Foretold::new(guessed(&[with(0, 1), with(7, 2), with(9, 9)]));
        assert_eq!(
            foretold.compare("f", 0, &with(0, 1)),
            Some(block(&with(0, 1)))
        );
        assert_eq!(foretold.compare("f", STEP, &with(7, 3)), None);
        let differs = only(STEP + 7 * 4096, STEP + 8 * 4096);
        assert_eq!(foretold.waiting("f"), 4096);
        assert_eq!(
            foretold.take("f"),
            Some(Came {
                upto: 2 * STEP,
                differs
            })
        );
        assert_eq!(
            foretold.take("f"),
            Some(Came {
                upto: 2 * STEP,
                differs: Vec::new()
            })
        );
        assert_eq!(foretold.compare("f", 3 * STEP, &with(0, 1)), None);
        assert_eq!(
            foretold.take("f").unwrap().upto,
            2 * STEP,
            "there is a hole before it"
        );
        assert_eq!(foretold.take("g"), None);
        assert_eq!(foretold.compare("g", 0, &with(0, 1)), None);
    }
}
