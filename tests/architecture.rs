//! The floors of `src/lib.rs`, held by a test: an import points down, never up, and never sideways except within a module or to
//! another slice's `api`. And: writes to the API server happen in `process::writes` alone; every module that declares writes stands
//! in the table of `app.rs`; no file outgrows one room.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says that it failed by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which floor a module stands on; a module that is not listed fails the test.
fn floor(module: &str) -> Option<u8> {
    Some(match module {
        "main" => 4,
        "app" | "cli" => 3,
        "sizing" => 2,
        "process" | "webhook" => 1,
        "kit" => 0,
        _ => return None,
    })
}

/// `use` of a module of ours: `crate::` in the library, `holdfast::` in a main.
fn imports(source: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for line in code(source).lines() {
        for root in ["crate::", "holdfast::"] {
            let mut rest = line;
            while let Some(at) = rest.find(root) {
                let begins = at == 0
                    || !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
                rest = &rest[at + root.len()..];
                let mut path = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let mut parts = path.next().unwrap_or_default().split("::");
                let module = parts.next().unwrap_or_default().to_owned();
                let part = parts
                    .next()
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned);
                if begins && !module.is_empty() {
                    found.push((module, part));
                }
            }
        }
    }
    found
}

/// A source without comments, and without its tests.
fn code(source: &str) -> String {
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

/// What is wrong with the imports of one module of ours.
fn violations(module: &str, source: &str) -> Vec<String> {
    // Items of the library's root (functions, macros, the testkit of tests) stand on no floor.
    let root_items = ["install_crypto", "write_steps", "testkit"];
    let Some(from) = floor(module) else {
        return vec![format!(
            "{module} stands on no floor: add it to the table of this test"
        )];
    };
    imports(source)
        .into_iter()
        .filter(|(to, _)| to != module && !root_items.contains(&to.as_str()))
        .filter_map(|(to, part)| match floor(&to) {
            None => Some(format!("{module} imports {to}, which stands on no floor")),
            Some(floor) if floor < from => None,
            Some(floor) if floor == from && from == 2 && part.as_deref() == Some("api") => None,
            Some(floor) if floor == from => Some(format!("{module} imports {to} sideways")),
            Some(_) => Some(format!("{module} imports {to}, which stands above it")),
        })
        .collect()
}

fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(
                    path.strip_prefix(env!("CARGO_MANIFEST_DIR"))
                        .unwrap()
                        .to_owned(),
                    text,
                );
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The module that a file belongs to: `src/kit/names.rs` is of `kit`, `src/app.rs` of `app`.
fn module_of(path: &Path) -> String {
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

#[test]
fn imports_point_down() {
    let wrong: Vec<_> = sources()
        .iter()
        .filter(|(path, _)| {
            !["src/lib.rs"].contains(&path.to_string_lossy().as_ref())
                && module_of(path) != "testkit"
        })
        .flat_map(|(path, source)| {
            violations(&module_of(path), source)
                .into_iter()
                .map(move |wrong| format!("{}: {wrong}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planted_violations_are_seen() {
    for (module, planted) in [
        ("kit", "use crate::process::clock;"),
        ("process", "use crate::sizing::api::X;"),
        ("process", "use crate::webhook::tls::Certificate;"),
        ("sizing", "let x = crate::app::crds();"),
        ("cli", "use crate::app::kinds;"),
        ("unheard_of", "use crate::kit::names;"),
        (
            "sizing",
            "use crate::{unheard_of::x};\nuse crate::unheard_of::y;",
        ),
    ] {
        assert!(
            !violations(module, planted).is_empty(),
            "{module}: {planted}"
        );
    }
    for (module, fine) in [
        ("process", "use crate::kit::names;"),
        ("process", "use crate::process::clock;"),
        ("sizing", "// see crate::app::crds"),
        ("app", "use crate::sizing::plan::x;"),
        (
            "sizing",
            "#[cfg(test)]\nmod tests { use crate::app::crds; }",
        ),
    ] {
        assert_eq!(
            violations(module, fine),
            Vec::<String>::new(),
            "{module}: {fine}"
        );
    }
}

/// Calls of kube's API handles that change something.
const WRITES: [&str; 10] = [
    ".create(",
    ".replace(",
    ".patch(",
    ".delete(",
    ".evict(",
    ".patch_status(",
    ".replace_status(",
    ".delete_collection(",
    ".create_subresource",
    ".patch_subresource",
];

fn writes(source: &str) -> Vec<&'static str> {
    let code = code(source);
    WRITES
        .into_iter()
        .filter(|call| {
            code.lines().any(|line| {
                line.contains(call)
                    && (line.contains("api") || line.contains("Params") || line.contains("await"))
            })
        })
        .collect()
}

#[test]
fn the_api_server_is_written_to_in_one_place() {
    for (path, source) in sources() {
        if path != Path::new("src/process/writes.rs") {
            assert_eq!(
                writes(&source),
                Vec::<&str>::new(),
                "{}: use process::writes, which has limits and fault points",
                path.display()
            );
        }
    }
    assert!(!writes("let x = api.patch(&name, &params, &patch).await?;").is_empty());
    assert!(!writes("self.nodes.delete(&name, &DeleteParams::default());").is_empty());
}

#[test]
fn every_declared_write_has_its_fault_points_in_the_table() {
    let points = holdfast::app::fault_points();
    let mut declared = 0;
    for (path, source) in sources() {
        let code = code(&source);
        let Some(block) = code
            .split("\nwrite_steps! {")
            .nth(1)
            .and_then(|rest| rest.split('}').next())
        else {
            continue;
        };
        let module = path
            .strip_prefix("src")
            .unwrap()
            .with_extension("")
            .to_string_lossy()
            .replace('/', ".");
        for name in block
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            declared += 1;
            for side in ["before", "after"] {
                let point = format!("{module}.{}.{side}", name.to_lowercase());
                assert!(
                    points.contains(&point),
                    "{point} is not listed: add the module's STEPS to src/app.rs"
                );
            }
        }
    }
    assert_eq!(
        declared * 2,
        points.len(),
        "a listed step is declared nowhere"
    );
}

#[test]
fn no_file_outgrows_one_room() {
    for (path, source) in sources() {
        let lines = source.lines().count();
        assert!(
            lines <= 400,
            "{} has {lines} lines; 300 are plenty",
            path.display()
        );
    }
}
