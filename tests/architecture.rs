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

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which floor a module stands on; a module that is not listed fails the test.
fn floor(module: &str) -> Option<u8> {
    Some(match module {
        "main" => 5,
        "app" | "cli" => 4,
        "sizing" | "migration" | "agent" | "runtime" => 3,
        "webhook" => 2,
        "process" | "hold" | "oci" => 1,
        "kit" => 0,
        _ => return None,
    })
}

/// Paths to modules of ours, grouped ones too: `crate::` in the library, `holdfast::` in a main.
fn imports(source: &str) -> Vec<(String, Option<String>)> {
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

/// What follows each place where `word` stands by itself.
fn after<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    code.match_indices(word)
        .filter(|(at, _)| {
            !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .map(|(at, _)| &code[at + word.len()..])
        .collect()
}

/// The paths that a tail of an import stands for: `{a::{b,c},d}` for `a::b`, `a::c` and `d`.
fn branches(tail: &str) -> Vec<String> {
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
fn squeezed(code: &str) -> String {
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

/// Calls of kube's API handles that change something.
const WRITES: [&str; 22] = [
    "create",
    "replace",
    "patch",
    "delete",
    "evict",
    "patch_status",
    "replace_status",
    "delete_collection",
    "create_subresource",
    "patch_subresource",
    "patch_resize",
    "replace_resize",
    "replace_subresource",
    "patch_scale",
    "replace_scale",
    "patch_metadata",
    "patch_ephemeral_containers",
    "create_token_request",
    "restart",
    "cordon",
    "uncordon",
    "publish",
];

/// What is called like a write and is none: `str::replace`, opening a file, making a folder.
const NO_WRITES: [&str; 4] = [
    ".replace(\"",
    ".replace('",
    ".create(true",
    ".create(folder)",
];

/// The writes in a source, wherever its lines are broken and whatever the receiver is called.
fn writes(source: &str) -> Vec<String> {
    let mut code = squeezed(&code(source));
    for no_write in NO_WRITES {
        code = code.replace(no_write, "");
    }
    let mut found: Vec<_> = WRITES
        .iter()
        .flat_map(|name| [".", "Api::", ">::"].map(|on| format!("{on}{name}")))
        .filter(|call| code.contains(&format!("{call}(")) || code.contains(&format!("{call}::<")))
        .collect();
    // kube's helper puts finalizers up and takes them away by itself.
    let defined = code.matches("fn finalizer(").count();
    if after(&code, "finalizer(").len() > defined {
        found.push("finalizer".into());
    }
    found
}

#[test]
fn the_api_server_is_written_to_in_one_place() {
    for (path, source) in sources() {
        let is_of_tests = path.ends_with("tests.rs") || module_of(&path) == "testkit";
        let writers = ["src/process/writes.rs", "src/process/farewell.rs"];
        if !is_of_tests && !writers.contains(&path.to_string_lossy().as_ref()) {
            assert_eq!(
                writes(&source),
                Vec::<String>::new(),
                "{}: use process::writes, which has limits and fault points",
                path.display()
            );
        }
    }
}

#[test]
fn planted_writes_are_seen() {
    for planted in [
        "let x = api.patch(&name, &params, &patch).await?;",
        "self.nodes.delete(&name, &DeleteParams::default());",
        "nodes\n    .patch(\n        &name,\n        &params,\n    )\n    .await",
        "leases\n    .replace(&name, &params, &lease)",
        "nodes.cordon(&name).await",
        "deployments.restart(&name)",
        "sets.patch_scale(&name, &params, &patch)",
        "pods.patch_metadata(&name, &params, &patch)",
        "pods.create_subresource::<Eviction, Status>(\"eviction\", name, &params, body)",
        "Api::delete(&nodes, name, &params)",
        "Api::<Node>::delete(&nodes, name, &params)",
        "finalizer(&api, NAME, object, |event| async { act(event) })",
        "return finalizer(&api, NAME, object, act);",
        "kube::runtime::finalizer::finalizer(&api, NAME, object, act)",
        "recorder\n    .publish(&event, &regarding)",
    ] {
        assert!(!writes(planted).is_empty(), "{planted}");
    }
    for fine in [
        "module.replace(\"::\", \".\")",
        "std::mem::replace(&mut a, b)",
        "writes::create(&api, call, &object).await",
        "fn finalizer(name: &str) {}",
        "object.finalizers()",
        "// nodes.delete(name)",
    ] {
        assert_eq!(writes(fine), Vec::<String>::new(), "{fine}");
    }
}

/// What makes a decision depend on more than it was given. The types of Kubernetes, and a `Timestamp` as a value, are fine.
fn impurities(source: &str) -> Vec<String> {
    let code = squeezed(&code(source));
    let names = ["Client", "Api", "tokio", "SystemTime", "Instant"];
    let words: Vec<_> = code
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .collect();
    let mut found: Vec<_> = names
        .into_iter()
        .filter(|name| words.contains(name))
        .map(str::to_owned)
        .collect();
    let asks_a_clock = code.split("::now").skip(1);
    if asks_a_clock
        .filter(|tail| !tail.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        .count()
        > 0
    {
        found.push("::now".into());
    }
    if !after(&code, "process::").is_empty()
        || imports(source)
            .iter()
            .any(|(module, _)| module == "process")
    {
        found.push("process".into());
    }
    found
}

#[test]
fn decisions_are_pure() {
    let sources = sources();
    let pure: Vec<_> = sources
        .iter()
        .filter(|(path, _)| path.ends_with("plan.rs") || path.ends_with("admission.rs"))
        .collect();
    assert!(!pure.is_empty());
    for (path, source) in pure {
        assert_eq!(
            impurities(source),
            Vec::<String>::new(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn planted_impurities_are_seen() {
    for planted in [
        "use kube::Client;",
        "use kube::{Client, ResourceExt};",
        "fn plan(nodes: &Api<Node>) {}",
        "let nodes = kube::Api::all(client);",
        "use crate::process::clock;",
        "use crate::{\n    kit::names,\n    process,\n};",
        "use crate::{kit::names, process::{clock, writes}};",
        "std::process::exit(1)",
        "tokio::spawn(work)",
        "let now = Timestamp::now();",
        "let now = jiff::Timestamp::\n    now();",
        "map(Timestamp::now)",
        "let now = std::time::SystemTime::UNIX_EPOCH;",
    ] {
        assert!(!impurities(planted).is_empty(), "{planted}");
    }
    for fine in [
        "use jiff::Timestamp;\nfn plan(seen: &Seen, now: Timestamp) {}",
        "use k8s_openapi::api::core::v1::{Node, Pod};",
        "use kube::ResourceExt;",
        "// tokio is not used here",
    ] {
        assert_eq!(impurities(fine), Vec::<String>::new(), "{fine}");
    }
}

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
fn every_declared_write_has_its_fault_points_in_the_table() {
    let mut points = holdfast::app::fault_points();
    points.extend(holdfast::app::node_fault_points());
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

/// What the runtime on a node must not need: it starts in a millisecond or two, hundreds of times.
const TOO_HEAVY: [&str; 7] = [
    "async",
    "tokio",
    "kube",
    "hyper",
    "tracing",
    "clap",
    "k8s_openapi",
];

fn too_heavy(source: &str) -> Vec<&'static str> {
    let code = code(source);
    let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let all: Vec<_> = words.by_ref().collect();
    TOO_HEAVY
        .into_iter()
        .filter(|name| all.contains(name))
        .collect()
}

#[test]
fn the_runtime_on_a_node_is_light() {
    for (path, source) in sources() {
        if ["oci", "runtime", "hold"].contains(&module_of(&path).as_str())
            || path.ends_with("bin/holdfast-runtime.rs")
        {
            assert_eq!(too_heavy(&source), Vec::<&str>::new(), "{}", path.display());
        }
    }
    assert_eq!(too_heavy("use tokio::net::UnixStream;"), ["tokio"]);
    assert_eq!(too_heavy("pub(super) async fn run() {}"), ["async"]);
    assert_eq!(too_heavy("// tokio would be too much"), Vec::<&str>::new());
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
