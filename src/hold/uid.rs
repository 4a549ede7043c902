//! The uid of a pod, checked, since it becomes a file's name.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The uid of a pod: lowercase letters, digits and dashes, at most 64. It becomes a file's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uid(String);

impl Uid {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Uid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is not the uid of a pod: 1 to 64 lowercase letters, digits and dashes"
            ))
        }
    }
}

impl TryFrom<&str> for Uid {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        uid.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_plain_name() {
        for good in ["a", "0b5d3c6e-9c1d-4c55-9e1a-3d5b8a9f0e11"] {
            assert_eq!(Uid::try_from(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "..", "a/b", "A", "a.json", "ä", long.as_str(), "a\0"] {
            assert!(Uid::try_from(bad).is_err(), "{bad:?}");
        }
    }
}
