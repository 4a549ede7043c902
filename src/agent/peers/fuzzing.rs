//! What holds for a stream of files from another node whatever its bytes: it panics where it does not. The fuzz target `peers` calls it,
//! and a test with every file of its corpus.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what does not hold is said by panicking"
)]

use crate::agent::peers::stream::{Item, PIECE, Unpacker};
use crate::agent::peers::wire::Which;
use crate::agent::store::incoming::wanted;
use crate::agent::store::understood;
use std::path::{Component, Path};

/// Reads bytes as the first line of a transfer, as a stream and as a manifest; was it a whole stream?
///
/// # Panics
/// Where a path leads out of its folder, a piece is larger than it may be, or how the bytes came in parts makes a difference.
#[must_use]
pub fn stream(bytes: &[u8]) -> bool {
    // Whether it is one does not matter.
    let _which = serde_json::from_slice::<Which>(bytes);
    if let Ok(manifest) = understood(bytes)
        && let Ok(wanted) = wanted(&manifest)
    {
        for path in wanted.keys() {
            stays_below(path);
        }
    }
    let whole = read(bytes, bytes.len());
    assert_eq!(read(bytes, 7), whole, "in parts it is another stream");
    whole.is_some()
}

/// What is read of it, in so many words, if it is a stream and whole.
fn read(bytes: &[u8], part: usize) -> Option<Vec<String>> {
    let mut unpacker = Unpacker::new().unwrap();
    let mut found = Vec::new();
    for part in bytes.chunks(part.max(1)) {
        unpacker.push(part);
        while let Some(item) = unpacker.next().ok()? {
            found.push(match item {
                Item::File(begins) => {
                    stays_below(begins.path.text());
                    format!("{begins:?}")
                }
                Item::Data(bytes) => {
                    assert!(bytes.len() <= PIECE, "a piece of {} bytes", bytes.len());
                    crate::kit::digest::Digest::of(&bytes).text().to_owned()
                }
            });
        }
    }
    unpacker.is_empty().then_some(found)
}

fn stays_below(path: &str) {
    let mut parts = Path::new(path).components();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    assert!(is_plain && !path.is_empty(), "{path:?} leads elsewhere");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_of_the_corpus_is_read_as_its_name_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/peers");
        let (mut whole, mut bad) = (0, 0);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_whole = stream(&std::fs::read(&path).unwrap());
            assert_eq!(is_whole, name.starts_with("whole-"), "{name}");
            whole += usize::from(is_whole);
            bad += usize::from(!is_whole);
        }
        assert!(whole > 2 && bad > 5, "{whole} {bad}");
    }
}
