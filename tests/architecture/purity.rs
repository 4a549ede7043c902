//! Decisions are pure: they depend on nothing but what they are given.

use crate::floors::imports;
use crate::source::{after, code, sources, squeezed};

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
