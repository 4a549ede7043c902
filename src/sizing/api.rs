//! `FlexDaemonsetTemplate`: how large a part of each node a DaemonSet's pods get. Group, names and fields are those that users of
//! FlexDaemonsets have; what we add is optional.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The text of a Kubernetes quantity; what it amounts to is judged by the controller.
const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$";

/// A share of each node for the pods of the DaemonSets that name this template.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "flexdaemonsets.xai",
    version = "v1alpha1",
    kind = "FlexDaemonsetTemplate",
    plural = "flexdaemonsettemplates",
    singular = "flexdaemonsettemplate",
    shortname = "fdt",
    category = "holdfast",
    doc = "A share of each node for the pods of the DaemonSets that name this template.",
    status = "FlexDaemonsetTemplateStatus",
    printcolumn(name = "CPU %", type_ = "integer", json_path = ".spec.cpuPercentage"),
    printcolumn(
        name = "Memory %",
        type_ = "integer",
        json_path = ".spec.memoryPercentage"
    ),
    printcolumn(
        name = "Storage %",
        type_ = "integer",
        json_path = ".spec.storagePercentage"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "columns share their type")]
pub struct FlexDaemonsetTemplateSpec {
    /// Percentage of the node's allocatable CPU. Left out: CPU stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percentage: Option<i32>,
    /// Percentage of the node's allocatable memory. Left out: memory stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory_percentage: Option<i32>,
    /// Percentage of the node's allocatable ephemeral storage. Left out: storage stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub storage_percentage: Option<i32>,
    /// The least CPU that a pod gets, as a quantity such as `100m`.
    #[serde(default, rename = "minCPU", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub min_cpu: Option<String>,
    /// The least memory that a pod gets, as a quantity such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub min_memory: Option<String>,
    /// The least ephemeral storage that a pod gets, as a quantity such as `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub min_storage: Option<String>,
}

/// What Holdfast found out about a template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlexDaemonsetTemplateStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` sums up: the template can be used as it stands.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The template can be used.
pub(crate) const USABLE: &str = "Usable";
/// A quantity in the template cannot be read or is below zero.
pub(crate) const INVALID_QUANTITY: &str = "InvalidQuantity";
/// What the controller does.
pub(crate) const CHECKED: &str = "Checked";

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt;

    #[test]
    fn the_reference_sample_is_read_as_it_stands() {
        let yaml = "cpuPercentage: 10\nmemoryPercentage: 15\nstoragePercentage: 5\nminCPU: 100m\nminMemory: 128Mi\n";
        let spec: FlexDaemonsetTemplateSpec = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(
            (
                spec.cpu_percentage,
                spec.min_cpu.as_deref(),
                spec.min_storage
            ),
            (Some(10), Some("100m"), None)
        );
    }

    #[test]
    fn the_crd_keeps_the_names_that_users_have() {
        let crd = FlexDaemonsetTemplate::crd();
        assert_eq!(
            crd.metadata.name.as_deref(),
            Some("flexdaemonsettemplates.flexdaemonsets.xai")
        );
        assert_eq!(crd.spec.names.short_names, Some(vec!["fdt".to_owned()]));
        assert_eq!(crd.spec.scope, "Cluster");
    }
}
