//! Sources as the rules read them: without comments, tests and line breaks, and with the paths that they name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What follows each place where `word` stands by itself.
pub(crate) fn after<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    code.match_indices(word)
        .filter(|(at, _)| {
            !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .map(|(at, _)| &code[at + word.len()..])
        .collect()
}

/// The paths that a tail of an import stands for: `{a::{b,c},d}` for `a::b`, `a::c` and `d`.
pub(crate) fn branches(tail: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '*';
    let stem = &tail[..tail.find(|c| !is_path(c)).unwrap_or(tail.len())];
    let Some(group) = tail[stem.len()..].strip_prefix('{') else {
        return vec![stem.to_owned()];
    };
    let mut found = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            ',' | '}' if depth == 0 => {
                let inner = branches(&group[begin..at]);
                found.extend(inner.iter().map(|path| format!("{stem}{path}")));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// Code without white space, but where it parts two words: rustfmt may break a line anywhere.
pub(crate) fn squeezed(code: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.split_whitespace()
        .fold(String::new(), |mut text, piece| {
            if text.ends_with(is_word) && piece.starts_with(is_word) {
                text.push(' ');
            }
            text + piece
        })
}

/// A source without comments, and without its tests.
pub(crate) fn code(source: &str) -> String {
    let source = source
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The sources of the library and of its program, by their paths.
pub(crate) fn sources() -> BTreeMap<PathBuf, String> {
    files(&["src"])
}

/// All Rust files below these folders of the project.
pub(crate) fn files(folders: &[&str]) -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The module that a file belongs to: `src/kit/names.rs` is of `kit`, `src/app.rs` of `app`.
pub(crate) fn module_of(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    if first == "bin" {
        "main".into()
    } else {
        first.trim_end_matches(".rs").to_owned()
    }
}
