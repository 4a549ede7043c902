//! The objects that Holdfast itself consists of in a cluster, and the finalizer that it holds on them: so a deletion waits until
//! everything that Holdfast holds elsewhere has been released (`teardown.rs`), and its own objects go last.
//!
//! Why these objects: the Deployment keeps the pods alive, the service account keeps their token valid (for 60 s after its deletion
//! began), and role and binding keep their rights; the rights go together (`farewell.rs`). The finalizer is put up at run time, never
//! by a manifest: an installation whose pods never came up has none and can simply be deleted.

use crate::kit::error::{Error, chain};
use crate::kit::names::TEARDOWN_FINALIZER;
use crate::process::farewell::{Carrier, LastWrite, write_together};
use crate::process::teardown::LIMIT;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

write_steps! {
    /// A manager puts its finalizer on an object of its installation.
    HOLD,
    /// The finalizer is taken from an object of the installation.
    RELEASE_OWN,
}

const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often an object that others write to is read again.
const TRIES: u32 = 5;

/// Group, kind, and whether it lives in the namespace.
const DEPLOYMENT: (&str, &str, bool) = ("apps", "Deployment", true);
const ACCOUNT: (&str, &str, bool) = ("", "ServiceAccount", true);

/// What an installation consists of; all of it has the same name.
const OWN: [(&str, &str, bool); 6] = [
    DEPLOYMENT,
    ACCOUNT,
    ("rbac.authorization.k8s.io", "Role", true),
    ("rbac.authorization.k8s.io", "RoleBinding", true),
    ("rbac.authorization.k8s.io", "ClusterRole", false),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", false),
];

/// How an installation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there and not being deleted.
    Alive,
    /// Its Deployment or its Namespace is being deleted.
    Going,
    /// It has no Deployment: it went, or its name is wrong.
    Absent,
}

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

    /// The name of all its objects.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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

    /// Looks at the Deployment, and at the Namespace too: one that is deleted takes its pods first, its Deployment later.
    ///
    /// # Errors
    /// The API server's answer.
    pub async fn standing(&self) -> Result<Standing, Error> {
        let Some(deployment) = self.find(&DEPLOYMENT).await? else {
            // Somebody let the Deployment go and came no further.
            let account = self.find(&ACCOUNT).await?;
            let is_left =
                account.is_some_and(|account| account.metadata.deletion_timestamp.is_some());
            return Ok(if is_left {
                Standing::Going
            } else {
                Standing::Absent
            });
        };
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = bounded(
            CALL_LIMIT,
            "get",
            format!("namespace {}", self.namespace),
            namespaces.get_opt(&self.namespace),
        )
        .await?;
        let is_going = deployment.metadata.deletion_timestamp.is_some()
            || namespace.is_some_and(|n| n.metadata.deletion_timestamp.is_some());
        Ok(if is_going {
            Standing::Going
        } else {
            Standing::Alive
        })
    }

    /// What an object of ours that no manifest knows is to go with: the Deployment.
    ///
    /// # Errors
    /// The API server's answer.
    pub async fn owner(&self) -> Result<Option<OwnerReference>, Error> {
        let deployment = self.find(&DEPLOYMENT).await?;
        Ok(deployment.and_then(|deployment| {
            Some(OwnerReference {
                api_version: "apps/v1".into(),
                kind: DEPLOYMENT.1.into(),
                name: self.name.clone(),
                uid: deployment.metadata.uid?,
                ..OwnerReference::default()
            })
        }))
    }

    /// The objects that have our finalizer, as people write them.
    ///
    /// # Errors
    /// The API server's answer.
    pub async fn held(&self) -> Result<Vec<String>, Error> {
        let mut held = Vec::new();
        for own in &OWN {
            let object = self.find(own).await?;
            if object
                .is_some_and(|object| object.finalizers().iter().any(|f| f == TEARDOWN_FINALIZER))
            {
                held.push(format!("{} {}", own.1.to_lowercase(), self.name));
            }
        }
        Ok(held)
    }

    /// Puts our finalizer on all objects of an installation that is alive. Call it again now and then.
    ///
    /// # Errors
    /// The last object that is not held, and why; the others are.
    pub async fn hold(&self) -> Result<(), Error> {
        if self.standing().await? != Standing::Alive {
            return Ok(());
        }
        let mut held = Ok(());
        for own in &OWN {
            if let Err(error) = self.hold_one(own).await {
                held = Err(error);
            }
        }
        held
    }

    /// A Deployment's status changes often: what was written by somebody else meanwhile is read again.
    async fn hold_one(&self, own: &(&str, &str, bool)) -> Result<(), Error> {
        for _try in 0..TRIES {
            let Some(object) = self.find(own).await? else {
                return Ok(());
            };
            let finalizers = object.finalizers();
            if object.metadata.deletion_timestamp.is_some()
                || finalizers.iter().any(|f| f == TEARDOWN_FINALIZER)
            {
                return Ok(());
            }
            let with_ours: Vec<_> = finalizers
                .iter()
                .map(String::as_str)
                .chain([TEARDOWN_FINALIZER])
                .collect();
            match writes::merge(
                &self.api(own),
                (&HOLD).into(),
                &object,
                json!({ "metadata": { "finalizers": with_ours } }),
            )
            .await
            {
                Err(error) if error.is_conflict() => {}
                held => return held.map(drop),
            }
        }
        Err(Error::Ended {
            part: "the hold of an object",
            why: format!("{} {} changes all the time", own.1, self.name),
        })
    }

    /// Lets the objects of the installation go, all together or none; nothing else may be held any more. Its pods are told to end then,
    /// and have a minute. It may be called by anybody who has the rights, as often as they like.
    ///
    /// # Errors
    /// What could not be released within the limit.
    pub async fn release(&self) -> Result<(), Error> {
        let deadline = Instant::now().checked_add(LIMIT);
        loop {
            match self.release_all().await {
                Err(error)
                    if deadline.is_some_and(|deadline| Instant::now() < deadline)
                        && !error.is_lost_identity() =>
                {
                    tracing::warn!(error = %chain(&error), "our own objects are not released yet; trying again");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                ended => return ended,
            }
        }
    }

    async fn release_all(&self) -> Result<(), Error> {
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
            let finalizer = format!("/metadata/finalizers/{place}");
            let operations = json!([
                { "op": "test", "path": finalizer, "value": TEARDOWN_FINALIZER },
                { "op": "remove", "path": finalizer },
            ]);
            last.push(LastWrite {
                step: &RELEASE_OWN,
                path: format!("{}/{}", self.api(own).resource_url(), self.name),
                patch: operations,
            });
        }
        write_together(&self.carrier, last).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::api_server::ApiServer;

    const NAMESPACE: &str = "/api/v1/namespaces/hf";
    const DEPLOYMENT_PATH: &str = "/apis/apps/v1/namespaces/hf/deployments/holdfast";
    const ACCOUNT_PATH: &str = "/api/v1/namespaces/hf/serviceaccounts/holdfast";
    const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/holdfast";

    fn installed() -> ApiServer {
        let server = ApiServer::default();
        for (path, kind) in [
            (DEPLOYMENT_PATH, "Deployment"),
            (ACCOUNT_PATH, "ServiceAccount"),
            (BINDING, "ClusterRoleBinding"),
        ] {
            server.put(path, json!({ "kind": kind, "metadata": { "name": "holdfast", "finalizers": ["other.dev/x"] } }));
        }
        server.put(
            NAMESPACE,
            json!({ "kind": "Namespace", "metadata": { "name": "hf" } }),
        );
        server
    }

    fn installation(server: &ApiServer) -> Installation {
        Installation::new(server.client(), server.carrier(), "hf", "holdfast")
    }

    fn finalizers(server: &ApiServer, path: &str) -> Vec<String> {
        server.finalizers(path)
    }

    fn begin_deletion(server: &ApiServer, path: &str) {
        let mut object = server.stored(path).unwrap();
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        server.put(path, object);
    }

    #[tokio::test(start_paused = true)]
    async fn holds_what_is_there_once_and_beside_others() {
        let server = installed();
        installation(&server).hold().await.unwrap();
        installation(&server).hold().await.unwrap();
        for path in [DEPLOYMENT_PATH, ACCOUNT_PATH, BINDING] {
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
    async fn goes_when_its_deployment_or_its_namespace_goes() {
        for going in [DEPLOYMENT_PATH, NAMESPACE] {
            let server = installed();
            let ours = installation(&server);
            assert_eq!(ours.standing().await.unwrap(), Standing::Alive);
            begin_deletion(&server, going);
            assert_eq!(ours.standing().await.unwrap(), Standing::Going, "{going}");
            ours.hold().await.unwrap();
            assert_eq!(
                finalizers(&server, ACCOUNT_PATH),
                ["other.dev/x"],
                "nothing is held any more"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_left_half_released_is_going() {
        let server = installed();
        server.remove(DEPLOYMENT_PATH);
        begin_deletion(&server, ACCOUNT_PATH);
        assert_eq!(
            installation(&server).standing().await.unwrap(),
            Standing::Going
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_its_deployment_it_is_absent_and_holds_nothing() {
        let server = installed();
        let stranger = Installation::new(server.client(), server.carrier(), "hf", "misspelt");
        assert_eq!(stranger.standing().await.unwrap(), Standing::Absent);
        stranger.hold().await.unwrap();
        assert!(!server.calls().iter().any(|call| call.starts_with("PATCH")));
    }

    #[tokio::test(start_paused = true)]
    async fn releases_its_own_finalizer_and_no_other_s() {
        let server = installed();
        let ours = installation(&server);
        ours.hold().await.unwrap();
        for _again in 0..2 {
            ours.release().await.unwrap();
            for path in [DEPLOYMENT_PATH, ACCOUNT_PATH, BINDING] {
                assert_eq!(finalizers(&server, path), ["other.dev/x"], "{path}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lets_go_of_no_right_while_one_cannot_go() {
        let server = installed();
        let ours = installation(&server);
        ours.hold().await.unwrap();
        server.forbid("PATCH /apis/rbac.authorization.k8s.io/v1/clusterrolebindings");
        assert!(ours.release().await.unwrap_err().is_forbidden());
        assert!(
            finalizers(&server, ACCOUNT_PATH).contains(&TEARDOWN_FINALIZER.to_owned()),
            "all go together, or none"
        );
    }
}
