//! A snapshot of a running cluster. Lists come in pages, and every call has a limit; nothing is written.

use crate::kit::error::Error;
use crate::process::writes::{CALL_LIMIT, bounded};
use crate::sizing::findings;
use crate::sizing::partial::{
    DaemonSets, Kind, LimitRanges, Namespaces, Nodes, Partial, Pods, Templates,
};
use crate::sizing::recipe::Recipe;
use crate::sizing::snapshot::{Held, Snapshot};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;

/// So many objects in one answer.
const PAGE: u32 = 500;

impl Snapshot {
    /// Everything that shares depend on.
    ///
    /// # Errors
    /// What cannot be read, and why: a missing right is named with verb and kind.
    pub(crate) async fn read(client: &Client) -> Result<Self, Error> {
        let mut seen = Self::default();
        seen.read_everywhere::<Templates>(client).await?;
        seen.read_everywhere::<DaemonSets>(client).await?;
        seen.read_everywhere::<Nodes>(client).await?;
        seen.read_everywhere::<LimitRanges>(client).await?;
        seen.read_everywhere::<Namespaces>(client).await?;
        Ok(seen)
    }

    /// The pods of some namespaces.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(crate) async fn read_pods(
        &mut self,
        client: &Client,
        namespaces: BTreeSet<&str>,
    ) -> Result<(), Error> {
        for namespace in namespaces {
            let pods = Api::namespaced(client.clone(), namespace);
            self.read_all::<Pods>(&pods, &ListParams::default()).await?;
        }
        Ok(())
    }

    /// Only what the share of one DaemonSet's pod on one node depends on, and that pod.
    ///
    /// # Errors
    /// As for [`Self::read`]; DaemonSet or node is not there, and what may have been meant.
    pub(crate) async fn read_for(
        client: &Client,
        (namespace, name): (&str, &str),
        node: &str,
    ) -> Result<Self, Error> {
        let mut seen = Self::default();
        let place = Place::of::<DaemonSets>(client, Some(namespace));
        let Some(daemonset) = place.get(name).await? else {
            return Err(place.absent(name).await);
        };
        seen.take(daemonset)?;
        let place = Place::of::<Nodes>(client, None);
        let Some(found) = place.get(node).await? else {
            return Err(place.absent(node).await);
        };
        seen.take(found)?;
        let place = Place::of::<Namespaces>(client, None);
        seen.take_all(place.get(namespace).await?)?;
        let all = ListParams::default();
        let place = Place::of::<LimitRanges>(client, Some(namespace));
        seen.take_all(place.list(&all).await?)?;
        seen.read_template(client, (namespace, name)).await?;
        let pods = Api::namespaced(client.clone(), namespace);
        let here = ListParams::default().fields(&format!("spec.nodeName={node}"));
        seen.read_all::<Pods>(&pods, &here).await?;
        Ok(seen)
    }

    /// The template of a DaemonSet, and, where it looks at them, all other DaemonSets, templates, and what namespaces say of them.
    async fn read_template(
        &mut self,
        client: &Client,
        (namespace, name): (&str, &str),
    ) -> Result<(), Error> {
        let daemonset = self.daemonset(namespace, name);
        let Some(template) = daemonset.and_then(|daemonset| daemonset.template.clone()) else {
            return Ok(());
        };
        let place = Place::of::<Templates>(client, None);
        self.take_all(place.get(&template).await?)?;
        if self.recipe(&template).is_some_and(Recipe::looks_around) {
            self.read_everywhere::<Templates>(client).await?;
            self.read_everywhere::<DaemonSets>(client).await?;
            self.read_everywhere::<Namespaces>(client).await?;
        }
        Ok(())
    }

    /// All objects of a kind, in all namespaces.
    async fn read_everywhere<K: Held>(&mut self, client: &Client) -> Result<(), Error> {
        let all: Api<Partial<K>> = Api::all(client.clone());
        self.read_all(&all, &ListParams::default()).await
    }

    async fn read_all<K: Held>(
        &mut self,
        api: &Api<Partial<K>>,
        which: &ListParams,
    ) -> Result<(), Error> {
        let mut params = which.clone().limit(PAGE);
        loop {
            let list = api.list(&params);
            let page = match bounded(CALL_LIMIT, "list", K::PLURAL.into(), list).await {
                // A cluster without our CRDs has no templates.
                Err(error) if error.is_not_found() => return Ok(()),
                page => page?,
            };
            for object in &page.items {
                self.put(object);
            }
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(()),
            }
        }
    }

    fn take_all(&mut self, objects: impl IntoIterator<Item = DynamicObject>) -> Result<(), Error> {
        objects.into_iter().try_for_each(|object| self.take(object))
    }

    fn take(&mut self, object: DynamicObject) -> Result<(), Error> {
        let invalid = |why: String| Error::Invalid {
            what: "an answer of the API server".into(),
            why,
        };
        let value = serde_json::to_value(object).map_err(|error| invalid(error.to_string()))?;
        self.add(value).map_err(invalid)
    }
}

/// Where objects of a kind are, as they are written.
struct Place {
    api: Api<DynamicObject>,
    kind: &'static str,
    namespace: Option<String>,
    resource: ApiResource,
}

impl Place {
    fn of<K: Kind>(client: &Client, namespace: Option<&str>) -> Self {
        let resource = ApiResource::erase::<Partial<K>>(&());
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        Self {
            api,
            kind: K::KIND,
            namespace: namespace.map(str::to_owned),
            resource,
        }
    }

    fn path(&self, name: &str) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let slash = if namespace.is_empty() { "" } else { "/" };
        format!("{namespace}{slash}{name}")
    }

    async fn get(&self, name: &str) -> Result<Option<DynamicObject>, Error> {
        let object = format!("{} {}", self.kind, self.path(name));
        let mut found = bounded(CALL_LIMIT, "get", object, self.api.get_opt(name)).await?;
        if let Some(found) = &mut found {
            found.types.get_or_insert_with(|| self.types());
        }
        Ok(found)
    }

    async fn list(&self, which: &ListParams) -> Result<Vec<DynamicObject>, Error> {
        let list = self.api.list(which);
        let list = bounded(CALL_LIMIT, "list", self.resource.plural.clone(), list).await?;
        // The objects of a list do not say what they are.
        let typed = list.items.into_iter().map(|mut object| {
            object.types = Some(self.types());
            object
        });
        Ok(typed.collect())
    }

    fn types(&self) -> kube::api::TypeMeta {
        kube::api::TypeMeta {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
        }
    }

    /// That an object is not there, and what may have been meant.
    async fn absent(&self, name: &str) -> Error {
        let mut names = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let list = self.api.list_metadata(&params);
            let Ok(page) = bounded(CALL_LIMIT, "list", self.resource.plural.clone(), list).await
            else {
                break;
            };
            names.extend(page.items.iter().map(ResourceExt::name_any));
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => break,
            }
        }
        let known: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        findings::absent(self.kind, &self.path(name), &known)
    }
}
