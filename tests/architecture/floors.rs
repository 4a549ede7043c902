//! An import points down, never up, and never sideways except within a module or to another slice's `api`.

use crate::source::{after, branches, code, module_of, sources, squeezed};

/// Which floor a module stands on; a module that is not listed fails the test.
fn floor(module: &str) -> Option<u8> {
    Some(match module {
        "main" => 5,
        "app" | "cli" => 4,
        "sizing" | "runtime" | "migration" | "checkpoint" | "agent" | "host" | "signer" => 3,
        "webhook" | "node" => 2,
        "process" | "hold" | "tree" | "oci" | "engine" | "cri" | "preflight" => 1,
        "kit" => 0,
        _ => return None,
    })
}

/// Paths to modules of ours, grouped ones too: `crate::` in the library, `holdfast::` in a main.
pub(crate) fn imports(source: &str) -> Vec<(String, Option<String>)> {
    let code = squeezed(&code(source));
    let mut found = Vec::new();
    for root in ["crate::", "holdfast::"] {
        for tail in after(&code, root) {
            for path in branches(tail) {
                let mut parts = path.split("::").map(str::to_owned);
                let module = parts.next().unwrap_or_default();
                if !module.is_empty() {
                    found.push((module, parts.next().filter(|part| !part.is_empty())));
                }
            }
        }
    }
    found
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
    let climbs = after(&squeezed(&code(source)), "super::")
        .into_iter()
        .any(|tail| branches(tail).iter().any(|path| path.starts_with("super")));
    let climbing = climbs.then(|| format!("{module} climbs with super::super: say crate::"));
    let wrong = imports(source)
        .into_iter()
        .filter(|(to, _)| to != module && !root_items.contains(&to.as_str()))
        .filter_map(|(to, part)| match floor(&to) {
            None => Some(format!("{module} imports {to}, which stands on no floor")),
            Some(floor) if floor < from => None,
            Some(floor) if floor == from && from == 3 && part.as_deref() == Some("api") => None,
            Some(floor) if floor == from => Some(format!("{module} imports {to} sideways")),
            Some(_) => Some(format!("{module} imports {to}, which stands above it")),
        });
    climbing.into_iter().chain(wrong).collect()
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
            "use crate::{unheard_of::x};\nuse crate::kit::names;",
        ),
        ("kit", "use crate::{kit::names, process::clock};"),
        (
            "kit",
            "use crate::{\n    kit::names,\n    process::{\n        clock,\n    },\n};",
        ),
        (
            "sizing",
            "use crate::{kit::{error::{Error, chain}, names}, app};",
        ),
        ("process", "use crate::*;"),
        ("sizing", "use super::super::app::crds;"),
        ("sizing", "use super::{api, super::app::crds};"),
        ("sizing", "let x = super::\n    super::app::crds();"),
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
            "process",
            "use crate::{kit::{error::Error, names}, process::clock};",
        ),
        ("process", "use super::flags::Listen;"),
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
