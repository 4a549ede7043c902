//! Why something could not be done: one sentence, for the runtime's log and so for `kubectl describe`.

use std::fmt::{self, Display};
use std::path::Path;

/// A sentence that says what failed and, where there is a cure, what to change. No capital, no full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// In these words.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// A verb and a path that did not go together.
    #[must_use]
    pub fn at(verb: &str, path: &Path, why: impl Display) -> Self {
        Self(format!("cannot {verb} {}: {why}", path.display()))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
