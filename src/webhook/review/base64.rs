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
    let (whole, rest) = bytes.as_chunks::<3>();
    let begin = text.len();
    let length = bytes.len().div_ceil(3).saturating_mul(4);
    text.resize(begin.saturating_add(length), b'=');
    let place = text.get_mut(begin..).unwrap_or_default();
    let (places, _) = place.as_chunks_mut::<4>();
    for (place, [one, two, three]) in places.iter_mut().zip(whole) {
        *place = letters([*one, *two, *three]);
    }
    if let Some(last) = places.last_mut() {
        match rest {
            [one] => {
                let [a, b, ..] = letters([*one, 0, 0]);
                *last = [a, b, b'=', b'='];
            }
            [one, two] => {
                let [a, b, c, _] = letters([*one, *two, 0]);
                *last = [a, b, c, b'='];
            }
            _ => {}
        }
    }
}

fn letters([one, two, three]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, one, two, three]);
    let pair = |bits: u32| {
        let at = usize::try_from(bits & 0xfff).unwrap_or_default();
        PAIRS.get(at).copied().unwrap_or_default()
    };
    let ([a, b], [c, d]) = (pair(bits >> 12), pair(bits));
    [a, b, c, d]
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
