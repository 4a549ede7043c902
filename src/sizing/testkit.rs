//! Nodes, DaemonSets, templates and pods for tests of shares, in as few words as possible; and the pod after its patch.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what does not hold is said by panicking"
)]
#![cfg_attr(fuzzing, allow(dead_code, reason = "fuzz targets need some of it"))]

use crate::sizing::amounts::{Amounts, Each};
use crate::sizing::api::FlexDaemonsetTemplateSpec;
use crate::sizing::crowd::Crowd;
use crate::sizing::judge::{Judged, Known, Sight, judge};
use crate::sizing::load::{Load, load};
use crate::sizing::pod::Pod;
use crate::sizing::recipe::Recipe;
use crate::sizing::view::{
    Claim, ContainerView, DaemonSetView, LimitRangeView, NodeView, Role, TemplateView,
};
use crate::webhook::review::Answer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A cluster that is wholly in sight: what is not there is absent.
#[derive(Default, Clone)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<String, Arc<NodeView>>,
    pub(crate) daemonsets: BTreeMap<String, Arc<DaemonSetView>>,
    pub(crate) templates: BTreeMap<String, Arc<TemplateView>>,
    pub(crate) limit_ranges: Vec<Arc<LimitRangeView>>,
}

#[allow(clippy::unnecessary_wraps, reason = "in sight, one way or the other")]
fn known<V>(found: Option<&Arc<V>>) -> Option<Known<V>> {
    Some(found.map_or(Known::Absent, |found| Known::There(Arc::clone(found))))
}

impl Sight for Cluster {
    fn daemonset(&self, claim: Claim) -> Option<Known<DaemonSetView>> {
        known(self.daemonsets.get(claim.name))
    }

    fn node(&self, name: &str) -> Option<Known<NodeView>> {
        known(self.nodes.get(name))
    }

    fn template(&self, name: &str) -> Option<Known<TemplateView>> {
        known(self.templates.get(name))
    }

    fn limit_ranges(&self, _namespace: &str) -> Vec<Arc<LimitRangeView>> {
        self.limit_ranges.clone()
    }

    fn load(&self, name: &str, node: &NodeView) -> Load {
        load(name, node, &self.crowd())
    }
}

/// Amounts as `cpu=4 memory=8Gi storage=100Gi`.
pub(crate) fn amounts(text: &str) -> Amounts {
    let read = |name: &str| {
        let word = text
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        word.map(|amount| amount.parse().unwrap())
    };
    Each {
        cpu: read("cpu"),
        memory: read("memory"),
        storage: read("storage"),
    }
}

/// A container of a DaemonSet's template.
pub(crate) fn container(name: &str, role: Role, requests: &str) -> ContainerView {
    ContainerView {
        name: name.into(),
        role,
        requests: amounts(requests),
        limits: Amounts::default(),
    }
}

impl Cluster {
    pub(crate) fn node(mut self, name: &str, allocatable: &str) -> Self {
        let node = NodeView {
            allocatable: amounts(allocatable),
            ..NodeView::default()
        };
        self.nodes.insert(name.into(), Arc::new(node));
        self
    }

    pub(crate) fn template(mut self, name: &str, spec: Value) -> Self {
        let spec: FlexDaemonsetTemplateSpec = serde_json::from_value(spec).unwrap();
        let template = TemplateView {
            uid: "t".into(),
            generation: 1,
            recipe: Recipe::read(&spec),
        };
        self.templates.insert(name.into(), Arc::new(template));
        self
    }

    pub(crate) fn daemonset(
        mut self,
        name: &str,
        template: Option<&str>,
        containers: Vec<ContainerView>,
    ) -> Self {
        let daemonset = DaemonSetView {
            uid: "d".into(),
            template: template.map(Into::into),
            containers,
            ..DaemonSetView::default()
        };
        self.daemonsets.insert(name.into(), Arc::new(daemonset));
        self
    }

    pub(crate) fn limit_range(mut self, range: LimitRangeView) -> Self {
        self.limit_ranges.push(Arc::new(range));
        self
    }

    /// All DaemonSets, each with its template.
    pub(crate) fn crowd(&self) -> Crowd {
        let mut crowd = Crowd::default();
        for daemonset in self.daemonsets.values() {
            let template = daemonset.template.as_deref();
            let template = template.and_then(|name| self.templates.get(name));
            crowd.add(Arc::clone(daemonset), template.cloned(), false);
        }
        crowd
    }

    /// What is answered for a pod.
    pub(crate) fn judge(&self, pod: &Value) -> Judged {
        let text = serde_json::to_string(pod).unwrap();
        let pod: Pod = serde_json::from_str(&text).unwrap();
        judge(&pod, "apps", self).unwrap()
    }

    /// The pod as it is admitted.
    pub(crate) fn admit(&self, pod: &Value) -> Value {
        let judged = self.judge(pod);
        assert_eq!(judged.answer.refusal, None);
        patched(pod, &judged.answer)
    }
}

/// The pod after its patch, by an implementation that is not ours.
pub(crate) fn patched(pod: &Value, answer: &Answer) -> Value {
    let mut pod = pod.clone();
    if let Some(patch) = &answer.patch {
        let patch: json_patch::Patch = serde_json::from_str(patch).unwrap();
        json_patch::patch(&mut pod, &patch).unwrap_or_else(|error| panic!("{error}: {patch}"));
    }
    pod
}

/// A pod as the DaemonSet controller makes it for a node; the containers are as in a pod's spec, init containers have `"init"`.
pub(crate) fn pod(daemonset: &str, node: &str, containers: Value) -> Value {
    let (mut init, mut main) = (Vec::new(), Vec::new());
    for container in containers.as_array().unwrap() {
        let mut container = container.clone();
        let is_init = container.as_object_mut().unwrap().remove("init").is_some();
        if is_init { &mut init } else { &mut main }.push(container);
    }
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": format!("{daemonset}-"),
            "labels": { "controller-revision-hash": "5d", "pod-template-generation": "1" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": daemonset, "uid": "d", "controller": true, "blockOwnerDeletion": true }],
        },
        "spec": {
            "initContainers": init, "containers": main,
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchFields": [field] }] } } },
            "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute" }],
        },
    })
}
