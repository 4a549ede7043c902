//! Releasing what Holdfast holds: every finalizer of ours on objects of our kinds. When an installation goes, this comes before its own
//! objects go (`installation.rs`): nobody is left with objects that cannot be deleted, whatever order `kubectl delete` takes.

use crate::kit::error::{Error, chain};
use crate::kit::names::is_our_finalizer;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

write_steps! {
    /// A finalizer of ours is taken from an object of our kinds.
    RELEASE_OBJECT,
}

/// How long the release of objects may take, and how long that of our own: the service account's token ends 60 s after its
/// deletion began, and a pod has a minute to end.
pub const LIMIT: Duration = Duration::from_secs(25);

const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The finalizers of an object without those that match, as a merge patch.
fn without(object: &DynamicObject, goes: impl Fn(&str) -> bool) -> serde_json::Value {
    let rest: Vec<_> = object
        .finalizers()
        .iter()
        .filter(|finalizer| !goes(finalizer))
        .collect();
    json!({ "metadata": { "finalizers": rest } })
}

/// Releases our finalizers from all objects of these kinds, until a look finds none. One that cannot be released does not keep the
/// others. It may be called by anybody who has the rights, as often as they like.
///
/// # Errors
/// The last object that could not be released within the limit, and why.
pub async fn release_objects(client: &Client, kinds: &[ApiResource]) -> Result<(), Error> {
    let deadline = Instant::now().checked_add(LIMIT);
    loop {
        let mut outcome = Ok(0_usize);
        for kind in kinds {
            match release_kind(client, kind).await {
                // We may not even look any more: whoever led before has let our rights go, and so had nothing left to release.
                Err(error) if error.is_forbidden() && error.is_about("list") => return Err(error),
                Ok(found) => outcome = outcome.map(|so_far| so_far.saturating_add(found)),
                Err(error) => outcome = Err(error),
            }
        }
        match outcome {
            Ok(0) => return Ok(()),
            Err(error)
                if error.is_lost_identity()
                    || deadline.is_none_or(|deadline| Instant::now() >= deadline) =>
            {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "not everything is released yet; trying again");
            }
            Ok(_) if deadline.is_none_or(|deadline| Instant::now() >= deadline) => {
                return Err(Error::Ended {
                    part: "the teardown",
                    why: "somebody puts our finalizers up again".into(),
                });
            }
            Ok(_) => {}
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How many objects were found with a finalizer of ours.
async fn release_kind(client: &Client, kind: &ApiResource) -> Result<usize, Error> {
    let held = held_objects(client, kind).await?;
    let mut outcome = Ok(held.len());
    for object in &held {
        if let Err(error) = release_object(client, kind, object).await {
            outcome = Err(error);
        }
    }
    outcome
}

/// The objects of a kind that have a finalizer of ours; none where there is no such kind.
///
/// # Errors
/// The API server's answer.
pub async fn held_objects(
    client: &Client,
    kind: &ApiResource,
) -> Result<Vec<DynamicObject>, Error> {
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
    use kube::api::GroupVersionKind;

    const THING: &str = "/apis/example.dev/v1/things/t";

    fn held() -> ApiServer {
        let server = ApiServer::default();
        let finalizers = ["holdfast.dev/work", "other.dev/y"];
        server.put(THING, json!({ "apiVersion": "example.dev/v1", "kind": "Thing", "metadata": { "name": "t", "finalizers": finalizers } }));
        server
    }

    fn things() -> ApiResource {
        ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Thing"))
    }

    #[tokio::test(start_paused = true)]
    async fn releases_what_is_ours_and_nothing_else() {
        let server = held();
        for _again in 0..2 {
            release_objects(&server.client(), &[things()])
                .await
                .unwrap();
            assert_eq!(server.finalizers(THING), ["other.dev/y"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_object_that_cannot_be_released_does_not_keep_the_others() {
        let server = held();
        server.put("/apis/example.dev/v1/things/s", json!({ "kind": "Thing", "metadata": { "name": "s", "finalizers": ["holdfast.dev/work"] } }));
        server.forbid("PATCH /apis/example.dev/v1/things/s");
        let error = release_objects(&server.client(), &[things()])
            .await
            .unwrap_err();
        assert!(error.is_forbidden(), "{error}");
        assert_eq!(server.finalizers(THING), ["other.dev/y"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_right_to_look_it_stops_at_once() {
        let server = held();
        server.forbid("GET /apis/example.dev");
        let error = release_objects(&server.client(), &[things()])
            .await
            .unwrap_err();
        assert!(error.is_forbidden(), "{error}");
        assert_eq!(server.calls().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_not_there_holds_nothing() {
        let server = ApiServer::default();
        release_objects(&server.client(), &[things()])
            .await
            .unwrap();
    }
}
