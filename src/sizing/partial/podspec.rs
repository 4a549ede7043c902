//! A pod's specification, of a pod or in a template: its containers, and where it may run.

use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::load::asked;
use crate::sizing::target::{Field, NoNode, only_node};
use crate::sizing::texts::Texts;
use crate::sizing::view::{ContainerView, Labels, Landing, Requirement, Role, Term, Toleration};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(super) node_name: Option<String>,
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
    tolerations: Option<Vec<WrittenToleration>>,
    host_network: Option<bool>,
    init_containers: Option<Vec<Container>>,
    containers: Option<Vec<Container>>,
    /// Of the pod as a whole.
    resources: Option<Resources>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Debug, Clone, Deserialize)]
struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<NodeSelector>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSelector {
    node_selector_terms: Option<Vec<SelectorTerm>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelectorTerm {
    match_expressions: Option<Vec<WrittenRequirement>>,
    match_fields: Option<Vec<WrittenRequirement>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct WrittenRequirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
struct WrittenToleration {
    key: Option<String>,
    operator: Option<String>,
    value: Option<String>,
    effect: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    restart_policy: Option<String>,
    resources: Option<Resources>,
}

#[derive(Debug, Clone, Deserialize)]
struct Resources {
    requests: Option<ResourceList>,
    limits: Option<ResourceList>,
}

/// A list of resources: the three that a share is of, and whether it says anything at all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResourceList {
    pub(super) amounts: Amounts,
    says_something: bool,
}

impl PodSpec {
    /// Init containers first, each kind in its own order.
    pub(super) fn containers(&self, texts: &Texts) -> Vec<ContainerView> {
        let init = self.init_containers.iter().flatten().map(|container| {
            let goes_on = container.restart_policy.as_deref() == Some("Always");
            (container, if goes_on { Role::Sidecar } else { Role::Init })
        });
        let main = self.containers.iter().flatten();
        init.chain(main.map(|container| (container, Role::Main)))
            .map(|(container, role)| container.view(role, texts))
            .collect()
    }

    /// Whether the pod has resources as a whole. Empty lists are none, as for the API server.
    pub(super) fn has_pod_resources(&self) -> bool {
        self.resources.as_ref().is_some_and(|whole| {
            let mut lists = whole.requests.iter().chain(&whole.limits);
            lists.any(|list| list.says_something)
        })
    }

    /// What the pod asks for as a whole, if it has resources as one, as the API server fills them in: what is not said is the sum of
    /// the containers, or else the limit.
    pub(super) fn whole(&self, containers: &[ContainerView]) -> Option<Amounts> {
        let whole = self
            .resources
            .as_ref()
            .filter(|_| self.has_pod_resources())?;
        let amounts = |list: Option<ResourceList>| list.unwrap_or_default().amounts;
        let (requests, limits) = (amounts(whole.requests), amounts(whole.limits));
        Some(requests.or(&asked(containers)).or(&limits))
    }

    pub(super) fn landing(&self, texts: &Texts) -> Landing {
        let terms = self.terms().iter().map(|term| Term {
            labels: requirements(term.match_expressions.as_deref(), texts),
            names: requirements(term.match_fields.as_deref(), texts),
        });
        let tolerations = self.tolerations.iter().flatten();
        Landing {
            node_selector: labels(self.node_selector.as_ref(), "", texts),
            terms: terms.collect(),
            tolerations: tolerations.filter_map(|one| one.view(texts)).collect(),
            is_on_host_network: self.host_network.unwrap_or_default(),
        }
    }

    /// Where the pod runs, or is to run.
    pub(super) fn node(&self) -> Result<&str, NoNode> {
        match self.node_name.as_deref() {
            Some(bound) if !bound.is_empty() => Ok(bound),
            _ => only_node(self.terms().iter().map(SelectorTerm::fields)),
        }
    }

    fn terms(&self) -> &[SelectorTerm] {
        let affinity = self.affinity.as_ref();
        affinity
            .and_then(|affinity| affinity.node_affinity.as_ref()?.required.as_ref())
            .and_then(|required| required.node_selector_terms.as_deref())
            .unwrap_or_default()
    }
}

impl SelectorTerm {
    fn fields(&self) -> impl Iterator<Item = Field<'_, String>> {
        self.match_fields.iter().flatten().map(|field| {
            let values = field.values.as_deref().unwrap_or_default();
            (&*field.key, &*field.operator, values)
        })
    }
}

impl WrittenToleration {
    /// None for an operator that we do not know: it is not counted as tolerating anything.
    fn view(&self, texts: &Texts) -> Option<Toleration> {
        let shared = |text: &Option<String>| -> Option<Arc<str>> {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| texts.share(text))
        };
        let value = match self.operator.as_deref().unwrap_or_default() {
            "Exists" => None,
            "" | "Equal" => Some(texts.share(self.value.as_deref().unwrap_or_default())),
            _ => return None,
        };
        Some(Toleration {
            key: shared(&self.key),
            value,
            effect: shared(&self.effect),
        })
    }
}

impl Container {
    fn view(&self, role: Role, texts: &Texts) -> ContainerView {
        let amounts = |list: Option<ResourceList>| list.unwrap_or_default().amounts;
        let resources = self.resources.as_ref();
        let requests = amounts(resources.and_then(|resources| resources.requests));
        let limits = amounts(resources.and_then(|resources| resources.limits));
        ContainerView {
            name: texts.share(&self.name),
            role,
            // As the API server fills them in when it makes the pod.
            requests: requests.or(&limits),
            limits,
        }
    }
}

/// The labels of what has this name, with their texts shared.
pub(super) fn labels(
    labels: Option<&BTreeMap<String, String>>,
    name: &str,
    texts: &Texts,
) -> Labels {
    let pairs = labels.into_iter().flatten();
    let shared = pairs.map(|(key, value)| {
        let is_its_name = value == name;
        (texts.share(key), (!is_its_name).then(|| texts.share(value)))
    });
    let (keys, values): (Vec<_>, Vec<_>) = shared.unzip();
    let is_named = values.iter().any(Option::is_none);
    Labels::of(
        texts.share_list(&keys),
        texts.share_values(&values),
        texts.share(if is_named { name } else { "" }),
    )
}

fn requirements(written: Option<&[WrittenRequirement]>, texts: &Texts) -> Vec<Requirement> {
    let one = |written: &WrittenRequirement| Requirement {
        key: texts.share(&written.key),
        operator: texts.share(&written.operator),
        values: written
            .values
            .iter()
            .flatten()
            .map(|value| texts.share(value))
            .collect(),
    };
    written.unwrap_or_default().iter().map(one).collect()
}

impl<'de> Deserialize<'de> for ResourceList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = ResourceList;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a map of resources")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut list = ResourceList::default();
                while let Some(key) = map.next_key::<Cow<str>>()? {
                    list.says_something = true;
                    let known = Resource::ALL.into_iter().find(|known| known.key() == key);
                    let Some(resource) = known else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    // The API server writes texts, and reads numbers too.
                    *list.amounts.of_mut(resource) = match map.next_value()? {
                        Value::String(text) => text.parse().ok(),
                        Value::Number(number) => number.to_string().parse().ok(),
                        _ => None,
                    };
                }
                Ok(list)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
