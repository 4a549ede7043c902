//! The samples are those that users of FlexDaemonsets know, under their names: what its README shows is in them, unchanged.

#![allow(
    clippy::unwrap_used,
    reason = "a test says that it failed by panicking"
)]

use serde_json::Value;
use std::path::Path;

/// As the README of FlexDaemonsets has it, comments and all.
const TEMPLATE: &str = r#"apiVersion: flexdaemonsets.xai/v1alpha1
kind: FlexDaemonsetTemplate
metadata:
  name: default-resource-percentages
spec:
  cpuPercentage: 10 # Request 10% of node's allocatable CPU
  memoryPercentage: 15 # Request 15% of node's allocatable memory
  storagePercentage: 5 # Request 5% of node's allocatable ephemeral-storage
  minCPU: "100m" # Minimum 0.1 CPU
  minMemory: "128Mi" # Minimum 128 MiB Memory
  # minStorage: "1Gi" # Optional: Minimum 1 GiB Ephemeral Storage
"#;

/// The part of the DaemonSet that the README shows; "rest of DaemonSet spec" follows.
const DAEMONSET: &str = r#"apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: example-daemonset
  annotations:
    flexdaemonsets.xai/resource-template: "default-resource-percentages" # Points to the FlexDaemonsetTemplate
"#;

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_template_is_the_one_that_users_have() {
    assert_eq!(sample("sample-flexdaemonsettemplate.yaml"), TEMPLATE);
}

#[test]
fn the_daemonset_begins_as_the_one_that_users_have() {
    let text = sample("sample-daemonset.yaml");
    assert!(text.starts_with(DAEMONSET), "{text}");
    let whole: Value = serde_saphyr::from_str(&text).unwrap();
    let labels = &whole["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&whole["spec"]["selector"]["matchLabels"], labels);
}

/// Each field of a sample is one that is read, and means what it says.
fn is_read<Spec: serde::Serialize>(sample: &Value, read: &Spec) {
    let written = serde_json::to_value(read).unwrap();
    for (field, value) in sample["spec"].as_object().unwrap() {
        assert_eq!(written.get(field), Some(value), "{field}");
    }
}

/// It needs a pod, so kustomize does not apply it.
#[test]
fn the_checkpoint_is_one_that_its_schema_has() {
    let sample: Value = serde_saphyr::from_str(&sample("checkpoint.yaml")).unwrap();
    let read: holdfast::checkpoint::api::Checkpoint =
        serde_json::from_value(sample.clone()).unwrap();
    is_read(&sample, &read.spec);
}

/// The same.
#[test]
fn the_migration_is_one_that_its_schema_has() {
    let sample: Value = serde_saphyr::from_str(&sample("migration.yaml")).unwrap();
    let read: holdfast::migration::api::Migration = serde_json::from_value(sample.clone()).unwrap();
    is_read(&sample, &read.spec);
    assert_eq!(read.spec.time().as_secs(), 600);
}

#[test]
fn kustomize_applies_the_template_before_the_daemonset() {
    let list: Value = serde_saphyr::from_str(&sample("kustomization.yaml")).unwrap();
    let expected = ["sample-flexdaemonsettemplate.yaml", "sample-daemonset.yaml"];
    assert_eq!(list["resources"], serde_json::json!(expected));
}
