//! The program as a user meets it: its help, its errors, and that what it prints can be used.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says that it failed by panicking"
)]

#[path = "cli/verbs.rs"]
mod verbs;

use std::process::Output;
use std::time::Duration;
use tokio::process::Command;

/// Nothing here takes long, and what does not end would hold up all tests.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs it with nothing of the caller's: not the environment, which flags are read from, and not the kubeconfig at home, which kube
/// finds without one.
fn holdfast(arguments: &[&str]) -> Output {
    let nowhere = concat!(env!("CARGO_TARGET_TMPDIR"), "/nowhere");
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("HOME", nowhere)
        .env("KUBECONFIG", format!("{nowhere}/kubeconfig"))
        .kill_on_drop(true);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(LIMIT, command.output()).await })
        .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn without_a_verb_it_teaches() {
    let output = holdfast(&[]);
    assert_eq!(output.status.code(), Some(2));
    let help = text(&output.stderr);
    for verb in [
        "serve",
        "explain",
        "what-if",
        "checkpoint",
        "checkpoints",
        "migrate",
        "migrations",
        "holds",
        "resolve",
        "preflight",
        "lint",
        "crds",
        "certs",
        "teardown",
        "version",
        "completions",
    ] {
        assert!(help.contains(verb), "{verb} is missing in:\n{help}");
    }
}

#[test]
fn every_flag_of_serve_can_come_from_the_environment() {
    let help = text(&holdfast(&["serve", "--help"]).stdout);
    let flags = help
        .lines()
        .filter(|line| line.trim_start().starts_with("--"))
        .count();
    let variables = help.matches("[env: HOLDFAST_").count();
    assert!(flags >= 15, "{help}");
    assert_eq!(flags, variables, "{help}");
}

#[test]
fn prints_its_version() {
    assert_eq!(
        text(&holdfast(&["version"]).stdout),
        concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn prints_crds_that_any_reader_of_yaml_understands() {
    let output = holdfast(&["crds"]);
    assert!(output.status.success());
    let crds = text(&output.stdout);
    let documents: Vec<_> = crds
        .split("---\n")
        .filter(|document| !document.trim().is_empty())
        .collect();
    assert_eq!(documents.len(), holdfast::app::crds().len());
    for document in documents {
        let crd: serde_json::Value = serde_saphyr::from_str(document).unwrap();
        assert_eq!(crd["kind"], "CustomResourceDefinition", "{document}");
    }
}

#[test]
fn completes_for_common_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = holdfast(&["completions", shell]);
        assert!(
            output.status.success() && text(&output.stdout).contains("holdfast"),
            "{shell}"
        );
    }
}

#[test]
fn a_mistake_is_answered_with_what_to_write() {
    for (arguments, says) in [
        (
            &["serve", "--lease-duration", "15"][..],
            "write it like 15s",
        ),
        (
            &["serve", "--metrics-bind-address", "8080"],
            "write it like :8080",
        ),
        (
            &["serve", "--log-level", "loud=very"],
            "use error, warn, info",
        ),
        (&["serve", "--identity", ""], "set --identity"),
        (
            &["serve", "--identity", "a", "--renew-deadline", "20s"],
            "longer than the renew deadline",
        ),
        (&["serv"], "serve"),
    ] {
        let output = holdfast(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(says), "{arguments:?} says:\n{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn without_a_cluster_it_says_what_to_set() {
    let output = holdfast(&[
        "serve",
        "--leader-elect=false",
        "--metrics-bind-address",
        "127.0.0.1:0",
        "--health-probe-bind-address",
        "127.0.0.1:0",
        "--webhook-bind-address",
        "127.0.0.1:0",
    ]);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("set KUBECONFIG"),
        "{}",
        text(&output.stderr)
    );
}
