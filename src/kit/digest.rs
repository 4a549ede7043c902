//! What bytes are known again by, in a few letters.

pub(crate) mod prints;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// A SHA-256, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Digest(String);

impl Digest {
    /// Of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::made(&digest(&SHA256, bytes))
    }

    /// Of what was read piece by piece.
    pub(crate) fn made(digest: &ring::digest::Digest) -> Self {
        Self::digits(digest.as_ref())
    }

    /// That was made already.
    pub(crate) fn digits(digest: &[u8]) -> Self {
        Self(digest.iter().fold(String::new(), |mut text, byte| {
            // A text takes whatever is written to it.
            let _written = write!(text, "{byte:02x}");
            text
        }))
    }

    /// The digits.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_everybody_calls_it() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").text(), expected);
    }
}
