//! A cluster as the user's verbs see it: read once, from the API server or from files, and judged by the webhook's own code. What is
//! not in it is absent.

mod live;
#[cfg(test)]
pub(crate) mod tests;

use crate::kit::documents::part;
use crate::sizing::crowd::Crowd;
use crate::sizing::findings::{Exclusion, exclusion};
use crate::sizing::judge::{Known, Sight};
use crate::sizing::load::{Load, load};
use crate::sizing::partial::{
    DaemonSets, Kind, LimitRanges, Namespaces, Nodes, Partial, Pods, Templates,
};
use crate::sizing::recipe::Recipe;
use crate::sizing::texts::Texts;
use crate::sizing::view::{
    Claim, DaemonSetView, LimitRangeView, NamespaceView, NodeView, PodView, TemplateView,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A name in a namespace.
pub(crate) type Named = (Arc<str>, Arc<str>);

/// Nodes, DaemonSets, and what their shares depend on.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    nodes: BTreeMap<Arc<str>, Arc<NodeView>>,
    daemonsets: BTreeMap<Named, Arc<DaemonSetView>>,
    templates: BTreeMap<Arc<str>, Arc<TemplateView>>,
    limit_ranges: BTreeMap<Named, Arc<LimitRangeView>>,
    namespaces: BTreeMap<Arc<str>, Arc<NamespaceView>>,
    pods: BTreeMap<Named, Arc<PodView>>,
    /// DaemonSets and LimitRanges as they are written, for those who need more than a view of them.
    written: BTreeMap<(&'static str, Named), Arc<Value>>,
    ignored: usize,
    texts: Arc<Texts>,
    /// The namespace of the installation, which is never sized.
    own: String,
}

impl Snapshot {
    /// The same, as an installation in this namespace sees it.
    pub(crate) fn of_installation(mut self, namespace: String) -> Self {
        self.own = namespace;
        self
    }

    /// Takes an object in, or all objects of a list. Kinds that no share depends on are counted.
    ///
    /// # Errors
    /// The object cannot be read, and why.
    pub(crate) fn add(&mut self, object: Value) -> Result<(), String> {
        let kind = part(&object, &["kind"])
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let group = part(&object, &["apiVersion"]).as_str().unwrap_or_default();
        let group = group.split_once('/').map_or("", |(group, _)| group);
        match (group, kind.as_str()) {
            (Nodes::GROUP, Nodes::KIND) => self.add_as::<Nodes>(object),
            (DaemonSets::GROUP, DaemonSets::KIND) => self.add_as::<DaemonSets>(object),
            (Templates::GROUP, Templates::KIND) => self.add_as::<Templates>(object),
            (LimitRanges::GROUP, LimitRanges::KIND) => self.add_as::<LimitRanges>(object),
            (Namespaces::GROUP, Namespaces::KIND) => self.add_as::<Namespaces>(object),
            (Pods::GROUP, Pods::KIND) => self.add_as::<Pods>(object),
            _ if part(&object, &["items"]).is_array() => items(object)
                .into_iter()
                .try_for_each(|item| self.add(item)),
            _ => {
                self.ignored = self.ignored.saturating_add(1);
                Ok(())
            }
        }
    }

    fn add_as<K: Held>(&mut self, object: Value) -> Result<(), String> {
        let kept = K::IS_WRITTEN.then(|| object.clone());
        let named = part(&object, &["metadata", "name"])
            .as_str()
            .unwrap_or_default();
        let named = named.to_owned();
        let partial = serde_json::from_value::<Partial<K>>(object)
            .map_err(|error| format!("{} {named} cannot be read: {error}", K::KIND))?;
        let key = self.put(&partial);
        if let Some(object) = kept {
            self.written.insert((K::KIND, key), Arc::new(object));
        }
        Ok(())
    }

    fn put<K: Held>(&mut self, partial: &Partial<K>) -> Named {
        let meta = &partial.metadata;
        let name = meta.name.as_deref().unwrap_or_default();
        let namespace = meta.namespace.as_deref().unwrap_or("default");
        let key = (self.texts.share(namespace), self.texts.share(name));
        if let Some(view) = K::view(partial, &self.texts) {
            K::hold(self, key.clone(), Arc::new(view));
        }
        key
    }

    /// Objects of other kinds.
    pub(crate) const fn ignored(&self) -> usize {
        self.ignored
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<NodeView>)> {
        self.nodes.iter()
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Arc<NodeView>> {
        self.nodes.get(name)
    }

    pub(crate) fn daemonsets(&self) -> impl Iterator<Item = (&Named, &Arc<DaemonSetView>)> {
        self.daemonsets.iter()
    }

    pub(crate) fn daemonset(&self, namespace: &str, name: &str) -> Option<&Arc<DaemonSetView>> {
        self.daemonsets.get(&(namespace.into(), name.into()))
    }

    /// The same DaemonSet as it is written; only where it came as an object.
    pub(crate) fn daemonset_as_written(&self, namespace: &str, name: &str) -> Option<&Value> {
        let key = (DaemonSets::KIND, (namespace.into(), name.into()));
        self.written.get(&key).map(AsRef::as_ref)
    }

    pub(crate) fn limit_ranges_as_written(&self, namespace: &str) -> Vec<Value> {
        let all = self
            .written
            .iter()
            .filter(|((kind, (of, _)), _)| *kind == LimitRanges::KIND && **of == *namespace);
        all.map(|(_, range)| range.as_ref().clone()).collect()
    }

    pub(crate) fn templates(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<TemplateView>)> {
        self.templates.iter()
    }

    /// Why pods of a namespace are not sized.
    pub(crate) fn exclusion(&self, namespace: &str) -> Option<Exclusion> {
        let known = self.namespaces.get(namespace);
        let label = known.and_then(|known| known.sizing.as_deref());
        exclusion(namespace, label, &self.own)
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = (&Named, &Arc<PodView>)> {
        self.pods.iter()
    }

    /// Lets a DaemonSet name a template.
    pub(crate) fn annotate(&mut self, (namespace, name): (&str, &str), template: &str) {
        let key = (namespace.into(), name.into());
        let template = self.texts.share(template);
        if let Some(daemonset) = self.daemonsets.get_mut(&key) {
            Arc::make_mut(daemonset).template = Some(template);
        }
    }

    /// A template that can be used.
    pub(crate) fn recipe(&self, name: &str) -> Option<&Recipe> {
        self.templates.get(name)?.recipe.as_ref().ok()
    }

    /// All DaemonSets, each with its template.
    pub(crate) fn crowd(&self) -> Crowd {
        let mut crowd = Crowd::default();
        for ((namespace, _), daemonset) in &self.daemonsets {
            let template = daemonset.template.as_deref();
            let template = template.and_then(|name| self.templates.get(name));
            let is_excluded = self.exclusion(namespace).is_some();
            crowd.add(Arc::clone(daemonset), template.cloned(), is_excluded);
        }
        crowd
    }
}

/// The objects of a list. Those of a list of one kind may leave out what kind they are.
fn items(list: Value) -> Vec<Value> {
    let Value::Object(mut list) = list else {
        return Vec::new();
    };
    let version = list.remove("apiVersion").unwrap_or_default();
    let kind = list.remove("kind").unwrap_or_default();
    let of = kind.as_str().and_then(|kind| kind.strip_suffix("List"));
    let Some(Value::Array(mut items)) = list.remove("items") else {
        return Vec::new();
    };
    if let Some(of) = of.filter(|of| !of.is_empty()) {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.entry("apiVersion").or_insert_with(|| version.clone());
            item.entry("kind").or_insert_with(|| of.into());
        }
    }
    items
}

/// A kind that a snapshot holds.
pub(crate) trait Held: Kind {
    /// Objects are kept as they are written, beside their views.
    const IS_WRITTEN: bool = false;

    fn hold(snapshot: &mut Snapshot, key: Named, view: Arc<Self::View>);
}

impl Held for Nodes {
    fn hold(snapshot: &mut Snapshot, (_, name): Named, view: Arc<NodeView>) {
        snapshot.nodes.insert(name, view);
    }
}

impl Held for DaemonSets {
    const IS_WRITTEN: bool = true;

    fn hold(snapshot: &mut Snapshot, key: Named, view: Arc<DaemonSetView>) {
        snapshot.daemonsets.insert(key, view);
    }
}

impl Held for Templates {
    fn hold(snapshot: &mut Snapshot, (_, name): Named, view: Arc<TemplateView>) {
        snapshot.templates.insert(name, view);
    }
}

impl Held for LimitRanges {
    const IS_WRITTEN: bool = true;

    fn hold(snapshot: &mut Snapshot, key: Named, view: Arc<LimitRangeView>) {
        snapshot.limit_ranges.insert(key, view);
    }
}

impl Held for Namespaces {
    fn hold(snapshot: &mut Snapshot, (_, name): Named, view: Arc<NamespaceView>) {
        snapshot.namespaces.insert(name, view);
    }
}

impl Held for Pods {
    fn hold(snapshot: &mut Snapshot, key: Named, view: Arc<PodView>) {
        snapshot.pods.insert(key, view);
    }
}

fn known<V>(found: Option<&Arc<V>>) -> Known<V> {
    found.map_or(Known::Absent, |found| Known::There(Arc::clone(found)))
}

impl Sight for Snapshot {
    fn daemonset(&self, claim: Claim) -> Option<Known<DaemonSetView>> {
        Some(known(Self::daemonset(self, claim.namespace, claim.name)))
    }

    fn node(&self, name: &str) -> Option<Known<NodeView>> {
        Some(known(self.nodes.get(name)))
    }

    fn template(&self, name: &str) -> Option<Known<TemplateView>> {
        Some(known(self.templates.get(name)))
    }

    fn limit_ranges(&self, namespace: &str) -> Vec<Arc<LimitRangeView>> {
        let all = self.limit_ranges.iter();
        all.filter(|((of, _), _)| **of == *namespace)
            .map(|(_, range)| Arc::clone(range))
            .collect()
    }

    fn load(&self, name: &str, node: &NodeView) -> Load {
        load(name, node, &self.crowd())
    }
}
