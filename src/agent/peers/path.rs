//! Paths that come from another node. Who sends them may have been broken into: one that leads out of its folder would be a file
//! anywhere on this node, written by root.

use crate::agent::store::is_reserved;
use crate::oci::place::is_file_name;
use serde::{Deserialize, Serialize};

/// Of a dump of ours none is longer or deeper.
const LONGEST: usize = 512;
const DEEPEST: usize = 8;

/// A path of a file below a folder: parts of plain letters, and no way up or out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Below(String);

impl Below {
    /// The path.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The folders above the file, from the outermost one; and its name.
    pub(crate) fn parts(&self) -> (Vec<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((folders, name)) => (folders.split('/').collect(), name),
            None => (Vec::new(), &self.0),
        }
    }
}

impl TryFrom<String> for Below {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if path.len() > LONGEST {
            return Err(format!(
                "a path has {} letters: {LONGEST} are the most",
                path.len()
            ));
        }
        let parts = path.split('/');
        if parts.clone().count() > DEEPEST || !parts.into_iter().all(is_file_name) {
            return Err(format!(
                "path {path:?} is refused: it has up to {DEEPEST} parts of letters, digits and _.+-, none of which begins with a point"
            ));
        }
        if is_reserved(&path) {
            return Err(format!("path {path:?} is refused: that file is not sent"));
        }
        Ok(Self(path))
    }
}

impl From<Below> for String {
    fn from(path: Below) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn below(path: &str) -> Result<Below, String> {
        Below::try_from(path.to_owned())
    }

    #[test]
    fn what_a_dump_has_is_taken() {
        for path in [
            "criu.conf",
            "containers/web/images/pages-1.img",
            "containers/web/images/tmpfs-dev-73.tar.gz.img",
            "volumes/cache.tar",
        ] {
            assert_eq!(below(path).unwrap().text(), path);
        }
        let deep = below("a/b/c").unwrap();
        assert_eq!(deep.parts(), (vec!["a", "b"], "c"));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a/\0",
            ".hidden",
            "a/.hidden",
            "a b",
            "é",
            "manifest.json",
            "cut.json",
            "a/b/c/d/e/f/g/h/i",
        ] {
            assert!(below(path).is_err(), "{path:?}");
        }
        assert!(below(&"a".repeat(513)).is_err());
        assert!(
            below("a/manifest.json").is_ok(),
            "only at the top it is ours"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_taken_stays_below_its_folder(path in "[a-z./\\\\\0_-]{0,24}|\\PC{0,600}") {
            if let Ok(taken) = below(&path) {
                let parts: Vec<_> = Path::new(taken.text()).components().collect();
                prop_assert!(!parts.is_empty() && parts.len() <= DEEPEST);
                prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(Path::new("/x").join(taken.text()).components().count(), parts.len().saturating_add(2));
                prop_assert!(taken.text().len() <= LONGEST);
            }
        }
    }
}
