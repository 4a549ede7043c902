//! What holds for the bytes of a client whatever they are: it panics where it does not. The fuzz targets `request` and `records` call
//! it, and a test with every file of their corpora.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what does not hold is said by panicking"
)]

pub(in crate::webhook) mod records;
mod request;

pub use records::records;
pub use request::request;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of a corpus; its name says whether it is good.
    fn replay(target: &str, good: &str, read: impl Fn(&[u8]) -> bool) {
        let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut seen = [0, 0];
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_good = read(&std::fs::read(&path).unwrap());
            assert_eq!(is_good, name.starts_with(good), "{name}");
            seen[usize::from(is_good)] += 1;
        }
        assert!(seen[0] > 3 && seen[1] > 3, "{seen:?}");
    }

    #[test]
    fn every_request_of_the_corpus_is_found_as_its_name_says() {
        replay("request", "usual-", request);
    }

    #[test]
    fn every_talk_of_the_corpus_ends_as_its_name_says() {
        replay("records", "well-", records);
    }
}
