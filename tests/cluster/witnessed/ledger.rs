//! Which deaths were seen to end well, of this very code: a file outside the checkout, so that a long run can be gone on with.

use crate::world::{root, succeed};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(super) struct Ledger {
    path: PathBuf,
    done: BTreeSet<String>,
}

impl Ledger {
    pub(super) fn open() -> Self {
        let home = || PathBuf::from(std::env::var("HOME").unwrap()).join(".cache");
        let cache = std::env::var("XDG_CACHE_HOME").map_or_else(|_| home(), PathBuf::from);
        let folder = cache.join("holdfast/fault-points");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}.txt", code()));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self {
            done: text.lines().map(str::to_owned).collect(),
            path,
        }
    }

    pub(super) fn has(&self, title: &str) -> bool {
        self.done.contains(title)
    }

    pub(super) fn add(&mut self, title: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(&self.path).unwrap();
        file.write_all(format!("{title}\n").as_bytes()).unwrap();
        self.done.insert(title.to_owned());
    }
}

/// The commit, and what differs from it.
fn code() -> String {
    let git = |words: &[&str]| succeed(Command::new("git").current_dir(root()).args(words));
    let commit = git(&["rev-parse", "--short=16", "HEAD"]);
    let changed = git(&["diff", "HEAD"]);
    if changed.is_empty() {
        return commit.trim().to_owned();
    }
    let mut hash = Command::new("git")
        .args(["hash-object", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hash.stdin
        .take()
        .unwrap()
        .write_all(changed.as_bytes())
        .unwrap();
    let hashed = hash.wait_with_output().unwrap().stdout;
    format!(
        "{}-{}",
        commit.trim(),
        String::from_utf8(hashed).unwrap().trim()
    )
}
