//! Objects as the API server sends them, read only as far as their views need it. A Node's images, a pod's environment and all
//! `managedFields` are skipped while the text is read: they never cost memory, and a field of a newer API server is no mistake.

mod cluster;
mod daemonset;
mod meta;
mod pod;
mod podspec;

pub(crate) use cluster::{LimitRanges, Namespaces, Nodes, Templates};
pub(crate) use daemonset::DaemonSets;
pub(crate) use pod::Pods;

use crate::sizing::texts::Texts;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt::Debug;

/// A kind of object, how its API is found, and what is remembered of it.
pub(crate) trait Kind: Clone + Debug + Send + Sync + 'static {
    const GROUP: &'static str;
    const VERSION: &'static str;
    const KIND: &'static str;
    /// In paths, in messages and in metrics.
    const PLURAL: &'static str;
    /// kube's word for objects with or without a namespace.
    type Scope;
    type Spec: Section;
    type Status: Section;
    type View: Debug + PartialEq + Send + Sync + 'static;

    /// What is remembered; nothing where the object is none of ours.
    fn view(object: &Partial<Self>, texts: &Texts) -> Option<Self::View>;
}

/// A part of an object.
pub(crate) trait Section:
    DeserializeOwned + Default + Clone + Debug + Send + Sync + 'static
{
}

impl<T: DeserializeOwned + Default + Clone + Debug + Send + Sync + 'static> Section for T {}

/// An object, as far as its view needs it.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound(deserialize = ""))]
pub(crate) struct Partial<K: Kind> {
    #[serde(deserialize_with = "meta::trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: K::Spec,
    #[serde(default)]
    pub(crate) status: K::Status,
}

impl<K: Kind> Partial<K> {
    fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    fn label(&self, key: &str) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

impl<K: Kind> Resource for Partial<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        K::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
