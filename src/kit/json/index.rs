//! Where the brackets and the strings of a JSON text are, found block by block; and whether it is JSON at all, by its grammar.
//!
//! The grammar is checked with a few operations on words for 64 bytes at once. Between two brackets everything belongs to the same
//! object or array, so only brackets are looked at one by one. An *atom* is what stands between brackets, commas and colons: a string, a
//! number, a word, or a pair of brackets with nothing in it.

use super::block::{BLOCK, Extremes, Marks};
use super::scalar::{escape, is_scalar};

/// How deep objects and arrays may stand in each other.
const DEEPEST: usize = 64;

/// A bracket that is not one of a pair with nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bracket {
    /// Its place in the text.
    pub(super) at: u32,
    /// Of one that opens: the place, among brackets, of the one that closes.
    pub(super) partner: u32,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// For each block: quotes at which a string begins or ends, and backslashes.
    pub(super) stops: Vec<u64>,
    /// For each block: what may be any plain letter, for nothing hangs on it: letters of strings that are no keys. See `shapes.rs`.
    pub(super) free: Vec<u64>,
    pub(super) brackets: Vec<Bracket>,
    pub(super) is_ascii: bool,
}

impl Index {
    /// What is asked of the index of a text whose way is known.
    pub(super) fn of_a_known_way(self) -> Self {
        Self {
            free: self.free,
            is_ascii: self.is_ascii,
            ..Self::default()
        }
    }

    /// How much it takes.
    pub(super) fn bytes(&self) -> usize {
        let words = self.stops.capacity().saturating_add(self.free.capacity());
        let words = words.saturating_add(self.brackets.capacity());
        words.saturating_mul(size_of::<u64>())
    }

    /// Reads a text without spaces between its parts; none where there are some, or where it is no object of JSON.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut reading = Reading::new(text);
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        for block in blocks {
            reading.block(block, u64::MAX)?;
        }
        if !rest.is_empty() {
            let mut last = [b' '; BLOCK];
            last.get_mut(..rest.len())?.copy_from_slice(rest);
            let unused = u32::try_from(BLOCK.wrapping_sub(rest.len())).ok()?;
            reading.block(&last, u64::MAX.checked_shr(unused)?)?;
        }
        reading.finish()
    }
}

/// A bit that the last byte of a block hands on to the first of the next.
#[derive(Default)]
struct Carry(u64);

impl Carry {
    /// The bytes behind these.
    fn behind(&mut self, marks: u64) -> u64 {
        let behind = (marks << 1) | self.0;
        self.0 = marks >> 63;
        behind
    }

    /// The bytes behind those of these runs of ones that begin at these places: what is added there is carried to the end.
    fn ends(&mut self, runs: u64, begins: u64) -> u64 {
        let (sum, carried) = runs.carrying_add(begins, self.0 != 0);
        self.0 = u64::from(carried);
        sum & !runs
    }
}

#[derive(Default)]
struct Carries {
    /// What is left of an escape that began in the block before.
    escape: u64,
    /// Whether it was its backslash that ended that block.
    escaped: u64,
    /// All ones within a string.
    string: u64,
    atom: Carry,
    close: Carry,
    open_object: Carry,
    comma_object: Carry,
    before_value: Carry,
    quoted: Carry,
    key: Carry,
    key_begin: Carry,
    /// Whether the block before ended within a key.
    in_key: u64,
}

struct Reading<'a> {
    text: &'a [u8],
    index: Index,
    extremes: Extremes,
    carries: Carries,
    /// The brackets that are open, by their place among all.
    open: [u32; DEEPEST],
    depth: usize,
    /// How many brackets there were.
    count: u32,
    /// Whether each of them is that of an object, the innermost one last.
    kinds: u64,
    /// Where the block begins.
    base: u32,
    /// So many brackets are noted at most. Texts of people have one in some forty bytes; one that is all brackets would take many
    /// times its own size.
    most: usize,
}

/// What is outside of strings, in one block.
struct Outside {
    opens: u64,
    closes: u64,
    objects: u64,
    commas: u64,
    colons: u64,
}

impl<'a> Reading<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            index: Index {
                stops: Vec::with_capacity(text.len().div_ceil(BLOCK)),
                free: Vec::with_capacity(text.len().div_ceil(BLOCK)),
                brackets: Vec::with_capacity(text.len() / 16),
                is_ascii: false,
            },
            extremes: Extremes::new(),
            carries: Carries::default(),
            open: [0; DEEPEST],
            depth: 0,
            count: 0,
            kinds: 0,
            base: 0,
            most: (text.len() / 8).max(64),
        }
    }

    /// `valid`: the bytes of the block that belong to the text.
    fn block(&mut self, block: &[u8; BLOCK], valid: u64) -> Option<()> {
        let marks = Marks::of(block, &mut self.extremes);
        let (behind, escapes) = self.escapes(marks.backslashes)?;
        let quotes = marks.quotes & !behind;
        self.index.stops.push(quotes | marks.backslashes);
        let strings = parity(quotes) ^ self.carries.string;
        self.carries.string = (strings >> 63).wrapping_neg();
        let letters = strings & !quotes;
        let (begins, ends) = (quotes & strings, quotes & !strings);
        let outside = Outside {
            opens: marks.opens & !strings,
            closes: marks.closes & !strings,
            objects: marks.objects,
            commas: marks.commas & !strings,
            colons: marks.colons & !strings,
        };
        let (scalars, keys) = self.grammar(outside, (begins, ends), valid)?;
        let in_keys = self.in_keys(letters, keys);
        self.index.free.push(letters & !escapes & !in_keys);
        self.scalars(scalars)?;
        self.base = self.base.checked_add(64)?;
        // A backslash out of a string would be part of a scalar, and so none.
        Some(())
    }

    /// Which of the letters of strings are those of keys, that begin here or before.
    fn in_keys(&mut self, letters: u64, keys: u64) -> u64 {
        let carries = &mut self.carries;
        let first = (carries.key_begin.behind(keys) | carries.in_key) & letters;
        // What is added at its first letter is carried to its end.
        let in_keys = letters & !letters.wrapping_add(first);
        carries.in_key = in_keys >> 63;
        in_keys
    }

    /// Where numbers and words begin, and where keys do; none where brackets, commas, colons and atoms do not follow each other as they should.
    fn grammar(
        &mut self,
        outside: Outside,
        (begins, ends): (u64, u64),
        valid: u64,
    ) -> Option<(u64, u64)> {
        let Outside {
            mut opens,
            mut closes,
            objects,
            commas,
            colons,
        } = outside;
        let pairs = opens & (closes >> 1) & !(objects ^ (objects >> 1));
        let pair_ends = pairs << 1;
        opens &= !pairs;
        closes &= !pair_ends;
        let in_object = self.brackets(opens, closes, objects)?;
        let carries = &mut self.carries;
        let atoms = !(opens | closes | commas | colons) & valid;
        let after_atom = carries.atom.behind(atoms);
        let first = atoms & !after_atom;
        let after_close = carries.close.behind(closes);
        let after_open = carries.open_object.behind(opens & objects);
        let after_comma = carries.comma_object.behind(commas & in_object);
        let value = carries.before_value.behind((commas & !in_object) | colons);
        let after_quoted = carries.quoted.behind(ends | pair_ends);
        let keys = begins & (after_open | after_comma);
        // A string or a pair within what began as a number or a word is found where those are looked at.
        let mistakes = (carries.key.ends(atoms, keys) ^ colons)
            | (after_comma & !begins)
            | (after_open & !(begins | closes))
            | (value & !(first | opens))
            | (commas & !(after_atom | after_close))
            | (opens & (after_atom | after_close))
            | (first & after_close)
            | (after_quoted & atoms);
        (mistakes == 0).then_some((first & !begins & !pairs, keys))
    }

    /// Notes the brackets of a block; which of its bytes belong to an object and not to an array.
    fn brackets(&mut self, opens: u64, closes: u64, objects: u64) -> Option<u64> {
        let all = opens | closes;
        let (mut kinds, mut depth) = (self.kinds, self.depth);
        let mut of_objects = kinds & 1;
        let mut left = all;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let is_object = u64::from(objects & bit != 0);
            let number = self.count;
            self.count = number.wrapping_add(1);
            if opens & bit != 0 {
                *self.open.get_mut(depth)? = number;
                depth = depth.wrapping_add(1);
                kinds = (kinds << 1) | is_object;
            } else {
                depth = depth.checked_sub(1)?;
                if kinds & 1 != is_object {
                    return None;
                }
                kinds >>= 1;
                let opened = usize::try_from(*self.open.get(depth)?).ok()?;
                self.index.brackets.get_mut(opened)?.partner = number;
            }
            let at = self.base | bit.trailing_zeros();
            if self.index.brackets.len() >= self.most {
                return None;
            }
            self.index.brackets.push(Bracket { at, partner: 0 });
            of_objects |= (kinds & 1).wrapping_neg() & (bit << 1);
        }
        (self.kinds, self.depth) = (kinds, depth);
        // Added at its beginning, a run of ones is cleared up to the next bracket.
        Some(!all & !(!all).wrapping_add(of_objects & !all))
    }

    /// The bytes that a backslash stands before, and all bytes of escapes.
    fn escapes(&mut self, backslashes: u64) -> Option<(u64, u64)> {
        let carries = &mut self.carries;
        let mut escaped = std::mem::take(&mut carries.escaped);
        let mut all = std::mem::take(&mut carries.escape);
        let mut left = backslashes & !escaped;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let at = bit.trailing_zeros();
            let length = escape(self.text.get(usize::try_from(self.base | at).ok()?..)?)?;
            let whole = u64::MAX >> (u64::BITS.checked_sub(length)?);
            all |= whole << at;
            let over = u64::BITS.checked_sub(at)?;
            carries.escape |= whole.checked_shr(over).unwrap_or_default();
            let next = bit << 1;
            carries.escaped |= bit >> 63;
            escaped |= next;
            left &= !(bit | next);
        }
        Some((escaped, all))
    }

    fn scalars(&self, mut begins: u64) -> Option<()> {
        while begins != 0 {
            let at = usize::try_from(self.base | begins.trailing_zeros()).ok()?;
            if !is_scalar(self.text.get(at..)?) {
                return None;
            }
            begins &= begins.wrapping_sub(1);
        }
        Some(())
    }

    fn finish(self) -> Option<Index> {
        let ends_at = self.text.len().checked_sub(1)?;
        let (first, last) = (self.index.brackets.first()?, self.index.brackets.last()?);
        // Where the first is closed by the last, nothing stands beside the object between them.
        let is_whole = self.text.first() == Some(&b'{')
            && first.at == 0
            && self.depth == 0
            && first.partner.checked_add(1) == Some(self.count)
            && usize::try_from(last.at) == Ok(ends_at)
            && !self.extremes.has_control();
        let is_ascii = self.extremes.is_ascii();
        is_whole.then_some(Index {
            is_ascii,
            ..self.index
        })
    }
}

/// Each bit: whether it and those below it are an odd number of ones.
fn parity(bits: u64) -> u64 {
    let mut parity = bits;
    for shift in [1, 2, 4, 8, 16, 32] {
        parity ^= parity << shift;
    }
    parity
}
