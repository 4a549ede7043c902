//! What is remembered of the cluster, cut down to what a share depends on: an object of some kilobytes becomes some hundred bytes.
//! Pure values; who fills them is `cache.rs`.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each};
use crate::sizing::recipe::Recipe;
use std::sync::Arc;

/// Labels, sorted by key. The texts are shared, and so are both lists: nodes of one kind have the same, but for what tells them apart,
/// which is hardly ever more than their name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    keys: Arc<[Arc<str>]>,
    /// None: the name of whom they are of.
    values: Arc<[Option<Arc<str>>]>,
    name: Arc<str>,
}

impl Labels {
    #[cfg(test)]
    pub(crate) fn new(mut labels: Vec<(Arc<str>, Arc<str>)>) -> Self {
        labels.sort();
        let shared = labels.into_iter().map(|(key, value)| (key, Some(value)));
        let (keys, values): (Vec<_>, Vec<_>) = shared.unzip();
        Self::of(keys.into(), values.into(), Arc::default())
    }

    /// Of sorted keys, and the value of each; none where it is the name of whom they are of.
    pub(crate) fn of(
        keys: Arc<[Arc<str>]>,
        values: Arc<[Option<Arc<str>>]>,
        name: Arc<str>,
    ) -> Self {
        Self { keys, values, name }
    }

    /// Whether both lists are the very same.
    #[cfg(test)]
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys) && Arc::ptr_eq(&self.values, &other.values)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.keys.iter().zip(self.values.iter());
        pairs.map(|(key, value)| (&**key, value.as_deref().unwrap_or(&self.name)))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let at = self.keys.binary_search_by(|known| (**known).cmp(key));
        let value = self.values.get(at.ok()?)?;
        Some(value.as_deref().unwrap_or(&self.name))
    }
}

/// A node, as a place for pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeView {
    pub(crate) allocatable: Amounts,
    pub(crate) labels: Labels,
    pub(crate) taints: Box<[Taint]>,
}

/// What keeps pods off a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Taint {
    pub(crate) key: Arc<str>,
    pub(crate) value: Arc<str>,
    pub(crate) effect: Arc<str>,
}

/// What role a container has in its pod's sum of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It runs as long as the pod does.
    Main,
    /// An init container that goes on running.
    Sidecar,
    /// An init container that ends before the next one starts.
    Init,
}

/// A container of a pod or of a pod template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
}

/// A DaemonSet, as far as its pods' shares depend on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DaemonSetView {
    pub(crate) uid: Arc<str>,
    /// The template that it names, on itself or on its pod template.
    pub(crate) template: Option<Arc<str>>,
    /// Which generation of its pod template this is: its pods carry the same number.
    pub(crate) template_generation: Option<i64>,
    /// Init containers first, each kind in its own order, as in a pod.
    pub(crate) containers: Vec<ContainerView>,
    /// What its pods ask for as a whole, where the pod template says so: then they get no share.
    pub(crate) whole: Option<Amounts>,
    pub(crate) landing: Landing,
    pub(crate) rollout: Rollout,
}

/// The DaemonSet that a pod says it belongs to: by name, uid, and the number of its pod template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) generation: Option<i64>,
}

/// Where a DaemonSet's pods may land.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Landing {
    pub(crate) node_selector: Labels,
    /// Any of these; empty: everywhere.
    pub(crate) terms: Vec<Term>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) is_on_host_network: bool,
}

/// All of these requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) labels: Vec<Requirement>,
    /// On the node's name.
    pub(crate) names: Vec<Requirement>,
}

/// One requirement on a label, or on the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub(crate) key: Arc<str>,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub(crate) operator: Arc<str>,
    pub(crate) values: Vec<Arc<str>>,
}

/// What taint is put up with. An absent part matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Toleration {
    pub(crate) key: Option<Arc<str>>,
    /// None: the operator is `Exists`.
    pub(crate) value: Option<Arc<str>>,
    pub(crate) effect: Option<Arc<str>>,
}

/// How a DaemonSet replaces its pods, and how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// As it is written: a number or a percentage; absent: 1.
    pub(crate) max_unavailable: Option<Arc<str>>,
    pub(crate) max_surge: Option<Arc<str>>,
    pub(crate) desired: i32,
    pub(crate) scheduled: i32,
    pub(crate) unavailable: i32,
}

/// A template, ready to be computed with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemplateView {
    pub(crate) uid: Arc<str>,
    pub(crate) generation: i64,
    /// Or why it cannot be used.
    pub(crate) recipe: Result<Recipe, String>,
}

/// The limits of one LimitRange that a share has to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LimitRangeView {
    pub(crate) name: Arc<str>,
    pub(crate) container: Bounds,
    pub(crate) pod: Bounds,
}

/// Bounds of what may be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: Amounts,
    pub(crate) max: Amounts,
    /// How much larger than its request a limit may be.
    pub(crate) ratio: Each<Option<Quantity>>,
}

/// A namespace, as far as it says whether its pods are sized.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamespaceView {
    /// The value of `holdfast.dev/sizing`.
    pub(crate) sizing: Option<Arc<str>>,
}

/// A DaemonSet's pod, as far as it can be said whether it has its share. Only the leader remembers pods.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "facts about a pod that do not exclude each other"
)]
pub(crate) struct PodView {
    pub(crate) uid: Arc<str>,
    /// Its DaemonSet, by uid.
    pub(crate) owner: Arc<str>,
    /// Where it runs, or is to run: the one node of its affinity.
    pub(crate) node: Option<Arc<str>>,
    pub(crate) template_generation: Option<i64>,
    pub(crate) containers: Vec<ContainerView>,
    pub(crate) has_pod_resources: bool,
    /// It was given its share at admission.
    pub(crate) was_sized: bool,
    pub(crate) created: jiff::Timestamp,
    pub(crate) is_leaving: bool,
    /// It ended: succeeded or failed.
    pub(crate) is_over: bool,
    pub(crate) is_ready: bool,
    pub(crate) resize: Resize,
    /// Since when the kubelet says that.
    pub(crate) resize_since: Option<jiff::Timestamp>,
}

/// What the kubelet says of a pod's resize.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Resize {
    /// Nothing: none was asked for, or it is done.
    #[default]
    None,
    /// It is being done, or has not been looked at yet.
    InProgress,
    /// The node has no room for it now.
    Deferred(Arc<str>),
    /// It can never be done on this node.
    Infeasible(Arc<str>),
    /// It was tried and failed; the kubelet tries again.
    Failed(Arc<str>),
}
