//! A pod, read from an admission review only as far as its share depends on it: borrowed, in one pass, and without a list of what a pod
//! may be, so that fields newer than ours are neither read nor lost.

mod quick;

use crate::kit::names;
use crate::sizing::amounts::{Amounts, Each};
use crate::sizing::desire::Slot;
use crate::sizing::target::{Field, NoNode, only_node};
use crate::sizing::view::Role;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Each container is held against each of the DaemonSet's, so the time that a pod takes grows with the square of their number. No pod
/// that runs comes near this.
pub(crate) const MOST_CONTAINERS: usize = 1000;

/// A pod under review.
#[derive(Debug, Deserialize)]
pub(crate) struct Pod<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Metadata<'a>,
    #[serde(borrow, default)]
    pub(crate) spec: Spec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Annotations<'a>>,
    #[serde(borrow, default)]
    labels: Option<PodLabels<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded")]
    owner_references: Option<Vec<Owner<'a>>>,
}

/// Who made the pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) uid: Cow<'a, str>,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec<'a> {
    #[serde(borrow, default)]
    node_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    affinity: Option<Affinity<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded")]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, default, deserialize_with = "bounded")]
    containers: Option<Vec<Container<'a>>>,
    /// Of the pod as a whole.
    #[serde(borrow, default)]
    resources: Option<Resources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Affinity<'a> {
    #[serde(borrow, default)]
    node_affinity: Option<NodeAffinity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeAffinity<'a> {
    #[serde(
        borrow,
        default,
        rename = "requiredDuringSchedulingIgnoredDuringExecution"
    )]
    required: Option<NodeSelector<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSelector<'a> {
    #[serde(borrow, default, deserialize_with = "bounded")]
    node_selector_terms: Option<Vec<SelectorTerm<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelectorTerm<'a> {
    #[serde(borrow, default, deserialize_with = "bounded")]
    match_fields: Option<Vec<MatchField<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
struct MatchField<'a> {
    #[serde(borrow, default)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    operator: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "bounded")]
    values: Option<Vec<Cow<'a, str>>>,
}

/// A container under review.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    restart_policy: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) resources: Option<Resources<'a>>,
}

/// The resources of a container, or of a pod as a whole; which lists are there matters to a patch.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Resources<'a> {
    #[serde(borrow, default)]
    pub(crate) requests: Option<ResourceList<'a>>,
    #[serde(borrow, default)]
    pub(crate) limits: Option<ResourceList<'a>>,
}

/// A list of resources: the three that a share is of, as they are written, and whether it says anything at all.
#[derive(Debug, Default)]
pub(crate) struct ResourceList<'a> {
    amounts: Each<Option<Written<'a>>>,
    says_something: bool,
}

/// An amount as it is written: the API server writes texts, and reads numbers too.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Written<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Number(serde_json::Number),
}

impl<'de: 'a, 'a> Deserialize<'de> for ResourceList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = ResourceList<'de>;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a map of resources")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut list = ResourceList::default();
                while let Some(Text(key)) = map.next_key()? {
                    list.says_something = true;
                    match &*key {
                        "cpu" => list.amounts.cpu = Some(map.next_value()?),
                        "memory" => list.amounts.memory = Some(map.next_value()?),
                        "ephemeral-storage" => list.amounts.storage = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(list)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A borrowed text. (`Cow` alone is never borrowed inside of a container.)
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A list, of which only so many are kept: three letters of a liar would otherwise become hundreds of bytes. No pod that an API server
/// takes has as many, and one of too many containers is told so.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    struct Items<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
            out.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Self::Value, S::Error> {
            let mut kept = Vec::new();
            while kept.len() <= MOST_CONTAINERS {
                match items.next_element()? {
                    Some(item) => kept.push(item),
                    None => return Ok(Some(kept)),
                }
            }
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Some(kept))
        }
    }
    deserializer.deserialize_any(Items(PhantomData))
}

/// What a pod's annotations say about its share.
#[derive(Debug, Default)]
pub(crate) struct Annotations<'a> {
    pub(crate) share: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Annotations<'de>;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a map of annotations")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut found = Annotations::default();
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        names::SHARE_ANNOTATION => found.share = Some(map.next_value::<Text>()?.0),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// The number of the pod template that a pod was made from.
#[derive(Debug, Default, Deserialize)]
struct PodLabels<'a> {
    #[serde(borrow, default, rename = "pod-template-generation")]
    generation: Option<Cow<'a, str>>,
}

impl Pod<'_> {
    /// The DaemonSet that controls the pod.
    pub(crate) fn daemonset(&self) -> Option<&Owner<'_>> {
        let owners = self
            .metadata
            .owner_references
            .as_deref()
            .unwrap_or_default();
        owners.iter().find(|owner| {
            owner.controller == Some(true)
                && owner.kind == "DaemonSet"
                && owner.api_version.starts_with("apps/")
        })
    }

    pub(crate) fn template_generation(&self) -> Option<i64> {
        let label = self.metadata.labels.as_ref()?.generation.as_deref()?;
        label.parse().ok()
    }

    /// Whether it has resources as a whole. Empty lists are none, as for the API server.
    pub(crate) fn has_pod_resources(&self) -> bool {
        self.spec.resources.as_ref().is_some_and(|whole| {
            let mut lists = whole.requests.iter().chain(&whole.limits);
            lists.any(|list| list.says_something)
        })
    }

    /// The node that the pod is bound to, or the one that every term of its required affinity names: the DaemonSet controller puts
    /// exactly one there. Node names are not labels, so only the field counts.
    pub(crate) fn node(&self) -> Result<&str, NoNode> {
        if let Some(name) = self
            .spec
            .node_name
            .as_deref()
            .filter(|name| !name.is_empty())
        {
            return Ok(name);
        }
        let required = self
            .spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref()?.required.as_ref());
        let terms = required.and_then(|required| required.node_selector_terms.as_deref());
        only_node(terms.unwrap_or_default().iter().map(SelectorTerm::fields))
    }

    /// All containers, init containers first, each with the path of its place.
    pub(crate) fn containers(&self) -> impl Iterator<Item = (&'static str, usize, &Container<'_>)> {
        let init = self.spec.init_containers.iter().flatten().enumerate();
        let main = self.spec.containers.iter().flatten().enumerate();
        init.map(|(at, container)| ("initContainers", at, container))
            .chain(main.map(|(at, container)| ("containers", at, container)))
    }

    /// What each container is and asks for, in the same order.
    pub(crate) fn slots(&self) -> Vec<Slot<'_>> {
        self.containers()
            .map(|(list, _, container)| Slot {
                name: &container.name,
                role: match (list, container.restart_policy.as_deref()) {
                    ("containers", _) => Role::Main,
                    (_, Some("Always")) => Role::Sidecar,
                    _ => Role::Init,
                },
                requests: container.amounts(|resources| resources.requests.as_ref()),
                limits: container.amounts(|resources| resources.limits.as_ref()),
            })
            .collect()
    }
}

impl<'a> SelectorTerm<'a> {
    fn fields(&self) -> impl Iterator<Item = Field<'_, Cow<'a, str>>> {
        self.match_fields.iter().flatten().map(|field| {
            let values = field.values.as_deref().unwrap_or_default();
            (&*field.key, &*field.operator, values)
        })
    }
}

impl Container<'_> {
    fn amounts<'s>(
        &'s self,
        list: impl Fn(&'s Resources<'s>) -> Option<&'s ResourceList<'s>>,
    ) -> Amounts {
        let list = self.resources.as_ref().and_then(list);
        list.map_or_else(Amounts::default, |list| {
            Each::from_fn(|resource| list.amounts.of(resource).as_ref()?.amount())
        })
    }
}

impl Written<'_> {
    fn amount(&self) -> Option<crate::kit::quantity::Quantity> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Number(number) => number.to_string().parse().ok(),
        }
    }
}
