//! What stands where in a block of JSON: one bit for each of its 64 bytes.

use wide::u8x16;

/// As many bytes as a word has bits.
pub(super) const BLOCK: usize = 64;

/// Where something stands, whether within a string or not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// `{` and `[`.
    pub(super) opens: u64,
    /// `}` and `]`.
    pub(super) closes: u64,
    /// Of brackets, those of objects; of other bytes, nothing that means anything.
    pub(super) objects: u64,
    pub(super) commas: u64,
    pub(super) colons: u64,
}

/// The least and the greatest byte of all blocks so far.
pub(super) struct Extremes {
    least: u8x16,
    greatest: u8x16,
}

impl Extremes {
    pub(super) fn new() -> Self {
        Self {
            least: u8x16::new([u8::MAX; 16]),
            greatest: u8x16::new([0; 16]),
        }
    }

    /// Whether a line break, a tab or another such byte was among them.
    pub(super) fn has_control(&self) -> bool {
        self.least.to_array().iter().any(|byte| *byte < b' ')
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.greatest.to_array().is_ascii()
    }
}

impl Marks {
    pub(super) fn of(block: &[u8; BLOCK], extremes: &mut Extremes) -> Self {
        let mut marks = Self::default();
        let (parts, _) = block.as_chunks::<16>();
        // From the last to the first, so that each part moves those behind it up.
        for part in parts.iter().rev() {
            let bytes = u8x16::new(*part);
            extremes.least = extremes.least.min(bytes);
            extremes.greatest = extremes.greatest.max(bytes);
            // The brackets of objects and of arrays differ in one bit; without it they are compared in one go.
            let fold = u8x16::new([0x20; 16]);
            let folded = bytes | fold;
            let join = |marks: &mut u64, found: u8x16| {
                *marks = (*marks << 16) | u64::from(found.to_bitmask());
            };
            let equal = |to: u8| bytes.simd_eq(u8x16::new([to; 16]));
            join(&mut marks.quotes, equal(b'"'));
            join(&mut marks.backslashes, equal(b'\\'));
            join(&mut marks.commas, equal(b','));
            join(&mut marks.colons, equal(b':'));
            join(&mut marks.opens, folded.simd_eq(u8x16::new([b'{'; 16])));
            join(&mut marks.closes, folded.simd_eq(u8x16::new([b'}'; 16])));
            // With the same bit added, the bit that is collected is set in those of objects.
            join(&mut marks.objects, bytes.saturating_add(fold));
        }
        marks
    }
}

/// Where two blocks differ.
pub(super) fn different(one: &[u8; BLOCK], two: &[u8; BLOCK]) -> u64 {
    let ((one, _), (two, _)) = (one.as_chunks::<16>(), two.as_chunks::<16>());
    let equal = |(one, two): (&[u8; 16], &[u8; 16])| u8x16::new(*one).simd_eq(u8x16::new(*two));
    let all = u8x16::new([u8::MAX; 16]);
    let parts = || one.iter().zip(two);
    if parts().fold(all, |all, part| all & equal(part)).all() {
        return 0;
    }
    let equal = parts().rev().fold(0, |equals, part| {
        (equals << 16) | u64::from(equal(part).to_bitmask())
    });
    !equal
}

/// Where a block has other letters than plain ones: quotes, backslashes, control characters, and what is not ASCII.
pub(super) fn odd(block: &[u8; BLOCK]) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    parts.iter().rev().fold(0, |odd, part| {
        let bytes = u8x16::new(*part);
        let equal = |to: u8| bytes.simd_eq(u8x16::new([to; 16]));
        // As a greatest byte of a pair, a control character leaves the other one standing.
        let last_control = u8x16::new([b' ' - 1; 16]);
        let found = equal(b'"') | equal(b'\\') | bytes.max(last_control).simd_eq(last_control);
        // The bit that is collected is set in all that is not ASCII, too.
        (odd << 16) | u64::from((found | bytes).to_bitmask())
    })
}
