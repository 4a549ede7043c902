//! `FlexDaemonsetTemplate`: how large a part of each node a DaemonSet's pods get. Group, names and fields are those that users of
//! FlexDaemonsets have; what we add is optional.

mod status;

use crate::sizing::rules;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub(crate) use status::{CHECKED, UNUSABLE, USABLE};
pub use status::{FlexDaemonsetTemplateStatus, PodCounts, Reason};

/// The text of a Kubernetes quantity; what it amounts to is judged by the controller.
const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$";
/// How a limit follows its request.
const LIMIT: &str = "^(Equal|None|[1-9][0-9]{2,3}%)$";

/// A share of each node for the pods of the DaemonSets that name this template.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    printcolumn(name = "Sized", type_ = "integer", json_path = ".status.pods.sized"),
    printcolumn(
        name = "Unsized",
        type_ = "integer",
        json_path = ".status.pods.unsized"
    ),
    printcolumn(name = "Stale", type_ = "integer", json_path = ".status.pods.stale"),
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
#[schemars(extend("x-kubernetes-validations" = rules::of_shares(true)))]
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
    /// The most CPU that a pod gets, as a quantity such as `2`.
    #[serde(default, rename = "maxCPU", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub max_cpu: Option<String>,
    /// The most memory that a pod gets, as a quantity such as `4Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub max_memory: Option<String>,
    /// The most ephemeral storage that a pod gets, as a quantity such as `10Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub max_storage: Option<String>,
    /// Of what the percentages are taken.
    #[serde(default)]
    pub base: Base,
    /// How limits follow requests.
    #[serde(default)]
    pub limits: Limits,
    /// What single containers get. A container that is not named here gets its part of what is left, by the requests of the
    /// DaemonSet's own template, or, where not every container has one, the same as the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub containers: Vec<ContainerShare>,
    /// Other numbers for some nodes. The first entry whose selector matches counts; what it leaves out stays as above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub node_overrides: Vec<NodeOverride>,
    /// What happens to running pods when this template, or what their node can give, changes.
    #[serde(default)]
    pub on_change: Remedy,
    /// What happens to running pods that were admitted without their share.
    #[serde(default)]
    pub repair: Remedy,
    /// How many of a DaemonSet's pods may be in the middle of a change at once: a number, or a percentage of its pods.
    #[serde(default = "default_wave")]
    #[schemars(extend("x-kubernetes-validations" = rules::of_wave()))]
    pub wave: IntOrString,
    /// What happens where the shares of all DaemonSets on a node come to more than the node has.
    #[serde(default)]
    pub overcommit: Overcommit,
}

impl Default for FlexDaemonsetTemplateSpec {
    fn default() -> Self {
        Self {
            cpu_percentage: None,
            memory_percentage: None,
            storage_percentage: None,
            min_cpu: None,
            min_memory: None,
            min_storage: None,
            max_cpu: None,
            max_memory: None,
            max_storage: None,
            base: Base::default(),
            limits: Limits::default(),
            containers: Vec::new(),
            node_overrides: Vec::new(),
            on_change: Remedy::default(),
            repair: Remedy::default(),
            wave: default_wave(),
            overcommit: Overcommit::default(),
        }
    }
}

fn default_wave() -> IntOrString {
    IntOrString::String("20%".into())
}

/// Of what a percentage is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Base {
    /// All that the node can give to pods.
    #[default]
    Allocatable,
    /// That, less the requests of the DaemonSets on the node that name no template.
    AllocatableMinusDaemonSets,
}

/// How limits follow requests: `Equal`, `None` (a limit stays as it is, and is raised where it is below the request), or a
/// percentage of the request, such as `150%`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The CPU limit.
    #[serde(default = "equal")]
    #[schemars(regex(pattern = LIMIT))]
    pub cpu: String,
    /// The memory limit.
    #[serde(default = "equal")]
    #[schemars(regex(pattern = LIMIT))]
    pub memory: String,
    /// The limit of ephemeral storage.
    #[serde(default = "equal")]
    #[schemars(regex(pattern = LIMIT))]
    pub storage: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: equal(),
            memory: equal(),
            storage: equal(),
        }
    }
}

fn equal() -> String {
    "Equal".into()
}

/// What one container gets of a pod's share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_a_container()))]
pub struct ContainerShare {
    /// The container's name; native sidecars have names too.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its part of what is left of the share after fixed amounts, against the others' weights. A container without one weighs 1
    /// where another one has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub weight: Option<i32>,
    /// Amounts that it gets whatever the node; they are taken from the share before it is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Fixed>,
    /// It keeps its own resources, which come on top of the share.
    #[serde(default)]
    pub exclude: bool,
}

/// Fixed amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_quantities(&["cpu", "memory", "storage"])))]
pub struct Fixed {
    /// CPU, as a quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub cpu: Option<String>,
    /// Memory, as a quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub memory: Option<String>,
    /// Ephemeral storage, as a quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub storage: Option<String>,
}

/// Other numbers for the nodes that a selector matches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_shares(false)))]
pub struct NodeOverride {
    /// Which nodes, by their labels. An empty selector matches all.
    pub node_selector: LabelSelector,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percentage: Option<i32>,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory_percentage: Option<i32>,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub storage_percentage: Option<i32>,
    /// Instead of the template's.
    #[serde(default, rename = "minCPU", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub min_cpu: Option<String>,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub min_memory: Option<String>,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub min_storage: Option<String>,
    /// Instead of the template's.
    #[serde(default, rename = "maxCPU", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub max_cpu: Option<String>,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub max_memory: Option<String>,
    /// Instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = QUANTITY))]
    pub max_storage: Option<String>,
}

/// What is done to running pods whose resources are not their share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Remedy {
    /// Nothing; the status counts them.
    Keep,
    /// They are resized in place, where that can be done; else the status says that they have to be made anew.
    #[default]
    Resize,
    /// They are resized in place, where that can be done; else they are deleted, as many at once as the DaemonSet allows to be
    /// unavailable, and the DaemonSet makes them anew.
    Recreate,
}

/// What happens where shares come to more than a node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overcommit {
    /// A warning, a condition and an event.
    #[default]
    Warn,
    /// This template's shares are made smaller, in proportion, until all shares fit.
    Scale,
    /// That, and a change of this template that would lead there is refused.
    Refuse,
}

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
