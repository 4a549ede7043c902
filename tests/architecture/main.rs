//! The floors of `src/lib.rs`, held by a test: an import points down, never up, and never sideways except within a module or to
//! another slice's `api`. And: writes to the API server happen in `process::writes` and `process::farewell` alone; every module that
//! declares writes stands in the table of `app.rs`; decisions are pure; mains choose their cryptography; no banned package comes in;
//! no file outgrows one room.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says that it failed by panicking"
)]

mod floors;
mod light;
mod purity;
mod source;
mod writes;

use source::{after, code, files, sources, squeezed};
use std::fs;
use std::path::Path;

/// Packages that must not be among ours: a second cryptography panics at the first connection, C libraries do not fit the static
/// image, and one is no longer maintained. `deny.toml` says the same, but is not asked on every run.
const BANNED: [&str; 5] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl-sys",
    "native-tls",
    "serde_yaml",
];

fn banned(lock: &str) -> Vec<&'static str> {
    let has = |name: &&str| {
        lock.lines()
            .any(|line| line == format!("name = \"{name}\""))
    };
    BANNED.into_iter().filter(has).collect()
}

#[test]
fn no_banned_package_comes_in() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    assert_eq!(
        banned(&fs::read_to_string(lock).unwrap()),
        Vec::<&str>::new()
    );
    let planted = "[[package]]\nname = \"native-tls\"\nversion = \"0.2.0\"";
    assert_eq!(banned(planted), ["native-tls"]);
}

/// Whether every main in a source chooses its cryptography before anything else.
fn mains_install_crypto(source: &str) -> Vec<bool> {
    let code = squeezed(&code(source));
    let bodies = after(&code, "fn main(").into_iter();
    let body = bodies.map(|tail| tail.split_once('{').map_or("", |(_, body)| body));
    body.map(|body| {
        let first = body.strip_prefix("holdfast::").unwrap_or(body);
        first.starts_with("install_crypto();")
    })
    .collect()
}

#[test]
fn every_main_chooses_its_cryptography_first() {
    let mut mains = 0;
    for (path, source) in sources() {
        // It speaks with nobody but the agent of its own node, by a socket in a file system.
        if path.ends_with("bin/holdfast-runtime.rs") {
            continue;
        }
        let found = mains_install_crypto(&source);
        mains += found.len();
        assert!(found.iter().all(|first| *first), "{}", path.display());
    }
    assert!(mains > 0, "no main was found");
    for (planted, expected) in [
        (
            "async fn main() -> ExitCode {\n    install_crypto();\n}",
            [true],
        ),
        ("fn main() {\n    holdfast::install_crypto();\n}", [true]),
        ("fn main() {\n    run();\n    install_crypto();\n}", [false]),
        ("fn main() {}", [false]),
    ] {
        assert_eq!(mains_install_crypto(planted), expected, "{planted}");
    }
}

#[test]
fn no_file_outgrows_one_room() {
    for (path, source) in files(&["src", "tests", "benches"]) {
        let lines = source.lines().count();
        assert!(
            lines <= 400,
            "{} has {lines} lines; 300 are plenty",
            path.display()
        );
    }
}
