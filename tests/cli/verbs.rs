//! The verbs that answer questions about shares, without a cluster: their answers stand in `docs/shares.md`, word by word.

use crate::{holdfast, text};
use serde_json::Value;
use std::path::Path;

const CLUSTER: &str = "tests/fixtures/cluster.yaml";
const TEMPLATE: &str = "tests/fixtures/template.yaml";

/// What a line after `$ ` prints.
fn answer(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    let output = holdfast(&words);
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn the_examples_of_the_documentation_are_what_it_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shares.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<_> = page
        .split("```console\n$ ")
        .skip(1)
        .filter_map(|tail| tail.split("```").next()?.split_once('\n'))
        .collect();
    assert!(blocks.len() >= 4, "{blocks:?}");
    for (line, shown) in blocks {
        assert_eq!(answer(line), shown, "{line}");
    }
}

#[test]
fn every_verb_answers_programs_too() {
    for (arguments, pointer) in [
        (
            &[
                "explain",
                "ds",
                "agent",
                "-n",
                "apps",
                "--node",
                "medium",
                "--cluster",
                CLUSTER,
            ][..],
            "/resources/0/share",
        ),
        (
            &["what-if", "-f", TEMPLATE, "--cluster", CLUSTER],
            "/rows/0/requests/0/after",
        ),
        (
            &["lint", "-f", "tests/fixtures/mistakes.yaml"],
            "/findings/0/message",
        ),
    ] {
        let [json, yaml] = ["json", "yaml"].map(|form| {
            let output = holdfast(&[arguments, &["-o", form]].concat());
            assert_eq!(text(&output.stderr), "", "{arguments:?}");
            text(&output.stdout)
        });
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(json.pointer(pointer).unwrap().is_string(), "{json}");
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);
    }
}

#[test]
fn the_patch_is_a_patch() {
    let output = holdfast(&[
        "explain",
        "ds",
        "logging/logs",
        "--node",
        "large",
        "--cluster",
        CLUSTER,
        "-o",
        "json",
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let patch: json_patch::Patch = serde_json::from_value(told["patch"].clone()).unwrap();
    assert!(!patch.is_empty());
}

#[test]
fn exit_codes_say_whether_something_has_to_be_changed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lint");
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    let head = "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: t}\nspec: ";
    let write = |name: &str, spec: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("{head}{spec}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fine = write("fine.yaml", "{cpuPercentage: 10}");
    let warned = write("deeper/warned.yml", "{cpuPercentage: 10, minMemory: 1Gi}");
    let wrong = write("wrong.yaml", "{cpuPercentage: 1000}");
    std::fs::write(folder.join("notes.txt"), "no: [yaml").unwrap();
    let folder = folder.to_str().unwrap();
    for (arguments, code) in [
        (&["-f", &fine][..], 0),
        (&["-f", &warned], 0),
        (&["-f", &warned, "--strict"], 1),
        (&["-f", &fine, "--strict"], 0),
        (&["-f", &wrong], 1),
        (&["-f", &fine, &wrong], 1),
        (&["-f", folder], 1),
        (&["-f", "samples", "--strict"], 0),
        (&["-f", "/no/such/file"], 1),
        (&[], 2),
    ] {
        let output = holdfast(&[&["lint"], arguments].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{}",
            text(&output.stdout)
        );
    }
    let all = text(&holdfast(&["lint", "-f", folder]).stdout);
    assert!(
        all.contains("deeper/warned.yml:4: warning") && all.contains("in 3 files"),
        "{all}"
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn a_mistake_of_a_verb_is_answered_with_what_to_write() {
    for (arguments, says) in [
        (
            &[
                "explain",
                "ds",
                "apps/agnt",
                "--node",
                "small",
                "--cluster",
                CLUSTER,
            ][..],
            "did you mean apps/agent?",
        ),
        (
            &[
                "explain",
                "ds",
                "apps/agent",
                "--node",
                "smal",
                "--cluster",
                CLUSTER,
            ],
            "did you mean small?",
        ),
        (
            &[
                "explain",
                "ds",
                "kube-system/network",
                "--node",
                "small",
                "--cluster",
                CLUSTER,
            ],
            "kubectl annotate daemonset network -n kube-system",
        ),
        (
            &["explain", "ds", "apps/agent", "--cluster", CLUSTER],
            "--node",
        ),
        (
            &[
                "explain",
                "ds",
                "apps/agent",
                "--node",
                "small",
                "--cluster",
                "samples",
            ],
            "kubectl get nodes",
        ),
        (
            &["explain", "ds", "apps/agent", "--node", "small"],
            "set KUBECONFIG",
        ),
        (&["what-if", "-f", TEMPLATE], "set KUBECONFIG"),
        (
            &[
                "what-if",
                "-f",
                "tests/fixtures/mistakes.yaml",
                "--cluster",
                CLUSTER,
            ],
            "and 11 more: see holdfast lint",
        ),
        (
            &[
                "what-if",
                "-f",
                CLUSTER,
                "--cluster",
                CLUSTER,
                "--daemonset",
                "apps/agent",
            ],
            "2 templates (default, logs)",
        ),
        (
            &[
                "what-if",
                "-f",
                TEMPLATE,
                "--cluster",
                CLUSTER,
                "--daemonset",
                "apps/agnt",
            ],
            "did you mean apps/agent?",
        ),
        (
            &[
                "what-if",
                "-f",
                TEMPLATE,
                "--cluster",
                CLUSTER,
                "--node",
                "smal",
            ],
            "did you mean small?",
        ),
        (
            &[
                "what-if",
                "-f",
                "samples/kustomization.yaml",
                "--cluster",
                CLUSTER,
            ],
            "there is no FlexDaemonsetTemplate in it",
        ),
        (&["lint", "-f", "/no/such/file"], "/no/such/file"),
        (&["checkpoint"], "NAMESPACE/NAME"),
        (&["checkpoint", "apps/web"], "set KUBECONFIG"),
        (
            &["checkpoint", "apps/web", "--deadline", "2h"],
            "from 1s to 3600s, like 90s or 1h30m",
        ),
        (
            &["checkpoint", "apps/web", "--ttl", "a day"],
            "write it like 15s",
        ),
        (&["checkpoints"], "set KUBECONFIG"),
        (&["checkpoints", "-A", "-n", "apps"], "cannot be used with"),
        (&["migrate"], "NAMESPACE/NAME"),
        (&["migrate", "apps/web"], "set KUBECONFIG"),
        (
            &["migrate", "apps/web", "--deadline", "soon"],
            "write it like 15s",
        ),
        (
            &["migrate", "apps/web", "--on-failure", "retry"],
            "wait, older, fresh",
        ),
        (&["migrations"], "set KUBECONFIG"),
        (&["migrations", "-A", "-n", "apps"], "cannot be used with"),
        (&["holds"], "set KUBECONFIG"),
        (&["holds", "-A", "-n", "apps"], "cannot be used with"),
        (&["resolve"], "NAMESPACE/MIGRATION"),
        (&["resolve", "apps/web-1"], "--target-is-off"),
        (
            &["resolve", "apps/Web", "--target-is-off"],
            "write it like apps/web-1",
        ),
        (
            &["resolve", "apps/web-1", "--target-is-off"],
            "set KUBECONFIG",
        ),
    ] {
        let output = holdfast(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(says), "{arguments:?} says:\n{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn only_what_changes_is_shown_if_asked_so() {
    let same = "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: default}\nspec: {cpuPercentage: 10, memoryPercentage: 15, storagePercentage: 5, minCPU: 300m, minMemory: 128Mi}\n";
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("same.yaml");
    std::fs::write(&path, same).unwrap();
    let path = path.to_str().unwrap();
    let all = text(&holdfast(&["what-if", "-f", path, "--cluster", CLUSTER]).stdout);
    assert!(all.contains("0 of 3 would change"), "{all}");
    let changed =
        text(&holdfast(&["what-if", "-f", path, "--cluster", CLUSTER, "--changed"]).stdout);
    assert!(changed.starts_with("Nothing would change."), "{changed}");
}

#[test]
fn the_help_of_every_verb_has_examples() {
    for verb in [&["explain", "daemonset"][..], &["what-if"], &["lint"]] {
        let help = text(&holdfast(&[verb, &["--help"]].concat()).stdout);
        assert!(
            help.contains("Examples:") && help.contains("--output"),
            "{help}"
        );
    }
}

#[test]
fn the_verbs_about_state_teach_with_examples() {
    for (verb, teaches) in [
        ("checkpoint", "holdfast checkpoint apps/web --ttl 24h"),
        ("checkpoints", "holdfast checkpoints -n apps"),
        ("migrate", "holdfast migrate apps/web-5d4-x7k --to node2"),
        ("migrations", "holdfast migrations -n apps"),
        ("holds", "holdfast holds -A --node n2"),
        (
            "resolve",
            "holdfast resolve apps/web-1 --target-is-off --yes",
        ),
    ] {
        let help = text(&holdfast(&[verb, "--help"]).stdout);
        assert!(help.contains(teaches), "{help}");
        assert!(help.contains("--output"), "{help}");
    }
}
