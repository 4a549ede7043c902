//! Going away cleanly. The leader puts a finalizer on the objects of its own installation; when the installation is being deleted it
//! stops its controllers, releases every finalizer that Holdfast holds on objects of its own kinds, and lets its own objects go last.
//! So `kubectl delete -k` ends, whatever order it deletes in, and nobody is left with objects that cannot be deleted.
//!
//! The last of it are rights: a role and its binding go together (`farewell.rs`).
//!
//! Why these objects: the Deployment keeps the pods alive, the service account keeps their token valid (for 60 s after its deletion
//! began), and role and binding keep their rights. They are put up at run time, never by a manifest: an installation whose pods never
//! came up has none and can simply be deleted.

use crate::kit::error::Error;
use crate::kit::names::{TEARDOWN_FINALIZER, is_our_finalizer};
use crate::process::farewell::{Carrier, LastWrite, write_together};
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::time::Duration;

write_steps! {
    /// The leader puts its finalizer on an object of its installation.
    HOLD,
    /// A finalizer of ours is taken from an object of our kinds.
    RELEASE_OBJECT,
    /// The finalizer is taken from an object of the installation.
    RELEASE_OWN,
}

/// How long everything may take: the service account's token ends 60 s after its deletion began.
pub const LIMIT: Duration = Duration::from_secs(45);

const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What an installation consists of; all of it has the same name.
const OWN: [(&str, &str, bool); 6] = [
    ("apps", "Deployment", true),
    ("", "ServiceAccount", true),
    ("rbac.authorization.k8s.io", "Role", true),
    ("rbac.authorization.k8s.io", "RoleBinding", true),
    ("rbac.authorization.k8s.io", "ClusterRole", false),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", false),
];

/// One installation of Holdfast in one cluster.
#[derive(Clone)]
pub struct Installation {
    client: Client,
    carrier: Carrier,
    namespace: String,
    name: String,
}

impl Installation {
    /// The objects called `name`, in `namespace` or cluster-wide. `carrier` goes to the same cluster as `client`.
    #[must_use]
    pub fn new(client: Client, carrier: Carrier, namespace: &str, name: &str) -> Self {
        Self {
            client,
            carrier,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn api(&self, own: &(&str, &str, bool)) -> Api<DynamicObject> {
        let (group, kind, namespaced) = own;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        if *namespaced {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }

    async fn find(&self, own: &(&str, &str, bool)) -> Result<Option<DynamicObject>, Error> {
        let api = self.api(own);
        bounded(
            CALL_LIMIT,
            "get",
            format!("{} {}", own.1.to_lowercase(), self.name),
            api.get_opt(&self.name),
        )
        .await
    }

    /// Puts our finalizer on all objects of the installation that are there and not being deleted. Call it again now and then.
    ///
    /// # Errors
    /// The API server's answer to the first call that failed.
    pub async fn hold(&self) -> Result<(), Error> {
        for own in &OWN {
            let Some(object) = self.find(own).await? else {
                continue;
            };
            let finalizers = object.finalizers();
            if object.metadata.deletion_timestamp.is_some()
                || finalizers.iter().any(|f| f == TEARDOWN_FINALIZER)
            {
                continue;
            }
            let with_ours: Vec<_> = finalizers
                .iter()
                .map(String::as_str)
                .chain([TEARDOWN_FINALIZER])
                .collect();
            writes::merge(
                &self.api(own),
                (&HOLD).into(),
                &object,
                json!({ "metadata": { "finalizers": with_ours } }),
            )
            .await?;
        }
        Ok(())
    }

    /// Is the installation being deleted? That is so when its Deployment is: a Namespace that goes takes the Deployment along.
    ///
    /// # Errors
    /// The API server's answer.
    pub async fn is_going(&self) -> Result<bool, Error> {
        let deployment = self.find(&OWN[0]).await?;
        Ok(deployment.is_some_and(|object| object.metadata.deletion_timestamp.is_some()))
    }

    /// Lets the objects of the installation go; nothing else may be held any more. The Deployment goes too: its pods are told to end
    /// then, and have a minute. It may be called by anybody who has the rights, as often as they like.
    ///
    /// # Errors
    /// What could not be released.
    pub async fn release(&self) -> Result<(), Error> {
        let mut last = Vec::new();
        for own in &OWN {
            let Some(object) = self.find(own).await? else {
                continue;
            };
            let Some(place) = object
                .finalizers()
                .iter()
                .position(|finalizer| finalizer == TEARDOWN_FINALIZER)
            else {
                continue;
            };
            let object_path = format!("{}/{}", self.api(own).resource_url(), self.name);
            let finalizer = format!("/metadata/finalizers/{place}");
            let operations = json!([
                { "op": "test", "path": finalizer, "value": TEARDOWN_FINALIZER },
                { "op": "remove", "path": finalizer },
            ]);
            last.push(LastWrite {
                step: &RELEASE_OWN,
                path: object_path,
                patch: operations,
            });
        }
        write_together(&self.carrier, last).await
    }
}

/// The finalizers of an object without those that match, as a merge patch.
fn without(object: &DynamicObject, goes: impl Fn(&str) -> bool) -> serde_json::Value {
    let rest: Vec<_> = object
        .finalizers()
        .iter()
        .filter(|finalizer| !goes(finalizer))
        .collect();
    json!({ "metadata": { "finalizers": rest } })
}

/// Releases our finalizers from all objects of these kinds, until a look finds none. It may be called by anybody who has the rights,
/// as often as they like.
///
/// # Errors
/// The API server's answer to the first call that failed.
pub async fn release_objects(client: &Client, kinds: &[ApiResource]) -> Result<(), Error> {
    for kind in kinds {
        loop {
            let held = held_objects(client, kind).await?;
            if held.is_empty() {
                break;
            }
            for object in &held {
                release_object(client, kind, object).await?;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}

async fn held_objects(client: &Client, kind: &ApiResource) -> Result<Vec<DynamicObject>, Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    match bounded(
        CALL_LIMIT,
        "list",
        kind.plural.clone(),
        api.list(&ListParams::default()),
    )
    .await
    {
        Ok(list) => Ok(list
            .items
            .into_iter()
            .filter(|object| object.finalizers().iter().any(|f| is_our_finalizer(f)))
            .collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn release_object(
    client: &Client,
    kind: &ApiResource,
    object: &DynamicObject,
) -> Result<(), Error> {
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, kind),
        None => Api::all_with(client.clone(), kind),
    };
    match writes::merge(
        &api,
        (&RELEASE_OBJECT).into(),
        object,
        without(object, is_our_finalizer),
    )
    .await
    {
        Ok(_) => {
            tracing::info!(kind = %kind.kind, namespace = object.namespace(), name = %object.name_any(), "released");
            Ok(())
        }
        // Changed or gone meanwhile: the next look decides.
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::api_server::ApiServer;

    const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/hf/deployments/holdfast";
    const ACCOUNT: &str = "/api/v1/namespaces/hf/serviceaccounts/holdfast";
    const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/holdfast";
    const THING: &str = "/apis/example.dev/v1/things/t";

    fn installed() -> ApiServer {
        let server = ApiServer::default();
        for (path, kind) in [
            (DEPLOYMENT, "Deployment"),
            (ACCOUNT, "ServiceAccount"),
            (BINDING, "ClusterRoleBinding"),
        ] {
            server.put(path, json!({ "kind": kind, "metadata": { "name": "holdfast", "finalizers": ["other.dev/x"] } }));
        }
        let held = ["holdfast.dev/work", "other.dev/y"];
        server.put(THING, json!({ "apiVersion": "example.dev/v1", "kind": "Thing", "metadata": { "name": "t", "finalizers": held } }));
        server
    }

    fn installation(server: &ApiServer) -> Installation {
        Installation::new(server.client(), server.carrier(), "hf", "holdfast")
    }

    fn things() -> ApiResource {
        ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Thing"))
    }

    fn finalizers(server: &ApiServer, path: &str) -> Vec<String> {
        let object = server.stored(path).unwrap();
        object["metadata"]["finalizers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f.as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn holds_what_is_there_once_and_beside_others() {
        let server = installed();
        installation(&server).hold().await.unwrap();
        installation(&server).hold().await.unwrap();
        for path in [DEPLOYMENT, ACCOUNT, BINDING] {
            assert_eq!(
                finalizers(&server, path),
                ["other.dev/x", TEARDOWN_FINALIZER],
                "{path}"
            );
        }
        let writes = server
            .calls()
            .iter()
            .filter(|call| call.starts_with("PATCH"))
            .count();
        assert_eq!(writes, 3, "the second time nothing is written");
    }

    #[tokio::test(start_paused = true)]
    async fn goes_only_when_its_deployment_goes() {
        let server = installed();
        let ours = installation(&server);
        assert!(!ours.is_going().await.unwrap());
        let mut deployment = server.stored(DEPLOYMENT).unwrap();
        deployment["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        server.put(DEPLOYMENT, deployment);
        assert!(ours.is_going().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn releases_what_is_ours_and_nothing_else() {
        let server = installed();
        let ours = installation(&server);
        ours.hold().await.unwrap();
        for _again in 0..2 {
            release_objects(&server.client(), &[things()])
                .await
                .unwrap();
            ours.release().await.unwrap();
            assert_eq!(finalizers(&server, THING), ["other.dev/y"]);
            for path in [DEPLOYMENT, ACCOUNT, BINDING] {
                assert_eq!(finalizers(&server, path), ["other.dev/x"], "{path}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn says_so_when_it_lacks_the_right() {
        let server = installed();
        server.forbid("PATCH /apis/example.dev");
        let error = release_objects(&server.client(), &[things()])
            .await
            .unwrap_err();
        assert!(error.is_forbidden(), "{error}");
    }
}
