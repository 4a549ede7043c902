//! Base64, written into place. It is the longest part of an answer, so two letters are looked up at once.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The two letters for twelve bits.
#[allow(
    clippy::indexing_slicing,
    reason = "the compiler does it, and says if it cannot"
)]
static PAIRS: [[u8; 2]; 4096] = {
    let mut pairs = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < pairs.len() {
        pairs[bits] = [LETTERS[bits >> 6], LETTERS[bits & 63]];
        bits += 1;
    }
    pairs
};

/// Appends the bytes in base64, padded.
pub(super) fn append(text: &mut Vec<u8>, bytes: &[u8]) {
    let begin = text.len();
    let length = bytes.len().div_ceil(3).saturating_mul(4);
    text.resize(begin.saturating_add(length), b'=');
    let place = text.get_mut(begin..).unwrap_or_default();
    let (whole, rest) = bytes.as_chunks::<6>();
    let (places, last) = place.as_chunks_mut::<8>();
    for (place, bytes) in places.iter_mut().zip(whole) {
        *place = letters(*bytes);
    }
    // The rest is some bytes, or none, and then zeros; of its letters, those that hold a bit of it count.
    let last = places
        .get_mut(whole.len()..)
        .unwrap_or_default()
        .as_flattened_mut()
        .iter_mut()
        .chain(last);
    let mut padded = [0; 6];
    if let Some(place) = padded.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    let count = rest.len().saturating_mul(8).div_ceil(6);
    for (place, letter) in last.zip(letters(padded)).take(count) {
        *place = letter;
    }
}

fn letters(bytes: [u8; 6]) -> [u8; 8] {
    let mut wide = [0; 8];
    let (_, low) = wide.split_at_mut(2);
    low.copy_from_slice(&bytes);
    let bits = u64::from_be_bytes(wide);
    let mut letters = [0; 8];
    let (pairs, _) = letters.as_chunks_mut::<2>();
    for (pair, shift) in pairs.iter_mut().zip([36, 24, 12, 0]) {
        let at = usize::try_from((bits >> shift) & 0xfff).unwrap_or_default();
        *pair = PAIRS.get(at).copied().unwrap_or_default();
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::append;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_another_writer_writes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut text = b"before".to_vec();
            append(&mut text, &bytes);
            let expected = format!("before{}", STANDARD.encode(&bytes));
            prop_assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
