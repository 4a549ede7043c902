//! Every write to the API server goes through here: with a time limit, between two fault points, and with an error that names
//! verb and object. `tests/architecture` refuses writes elsewhere.
//!
//! - What decides or reserves is [`replace`]d ([`replace_status`]) or [`merge`]d with the `resourceVersion` it was decided on: a 409 means observe again.
//! - What is derived is [`apply_status`]ed by its one owner.

mod call;

use crate::kit::error::Error;
use crate::kit::events::Notice;
use crate::kit::names;
use crate::process::faults::around;
pub use call::{CALL_LIMIT, Call, bounded};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What the API server keeps, and we can read and write.
pub trait Stored:
    Resource<DynamicType: Default> + Clone + Debug + Serialize + DeserializeOwned
{
}
impl<K: Resource<DynamicType: Default> + Clone + Debug + Serialize + DeserializeOwned> Stored
    for K
{
}

fn describe<K: Resource<DynamicType: Default>>(namespace: Option<&str>, name: &str) -> String {
    let kind = K::kind(&K::DynamicType::default()).to_lowercase();
    namespace.map_or_else(
        || format!("{kind} {name}"),
        |namespace| format!("{kind} {namespace}/{name}"),
    )
}

/// Creates an object; one that is there already is a 409.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn create<K: Stored>(api: &Api<K>, call: Call<'_>, object: &K) -> Result<K, Error> {
    let what = describe::<K>(api.namespace(), &object.name_any());
    around(
        call.step,
        bounded(
            call.limit,
            "create",
            what,
            api.create(&PostParams::default(), object),
        ),
    )
    .await
}

/// An object as it would be made, with everything that those who are asked at its admission would do; it is not made.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn rehearse<K: Stored>(api: &Api<K>, object: &K) -> Result<K, Error> {
    let name = object.name_any();
    let what = describe::<K>(api.namespace(), &name);
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let verb = "rehearse the creation of";
    bounded(CALL_LIMIT, verb, what, api.create(&params, object)).await
}

/// Replaces an object that was read before; if somebody else wrote since, a 409.
///
/// # Errors
/// The API server's answer, that none came in time, or that the object carries no `resourceVersion`.
pub async fn replace<K: Stored>(api: &Api<K>, call: Call<'_>, object: &K) -> Result<K, Error> {
    let name = object.name_any();
    let what = describe::<K>(api.namespace(), &name);
    if object.resource_version().is_none() {
        return Err(Error::Invalid {
            what,
            why: "a replacement needs the resourceVersion that it was decided on".into(),
        });
    }
    around(
        call.step,
        bounded(
            call.limit,
            "replace",
            what,
            api.replace(&name, &PostParams::default(), object),
        ),
    )
    .await
}

/// Merges some fields into an object as it was at `resource_version`; if somebody else wrote since, a 409.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn merge<K>(
    api: &Api<K>,
    call: Call<'_>,
    seen: &K,
    fields: serde_json::Value,
) -> Result<K, Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let name = seen.name_any();
    let what = match api.namespace() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.clone(),
    };
    let mut fields = fields;
    let version = seen.resource_version();
    let metadata = fields.as_object_mut().and_then(|object| {
        object
            .entry("metadata")
            .or_insert_with(|| serde_json::json!({}))
            .as_object_mut()
    });
    let (Some(version), Some(metadata)) = (version, metadata) else {
        return Err(Error::Invalid {
            what,
            why: "a merge needs fields, and the resourceVersion that it was decided on".into(),
        });
    };
    metadata.insert("resourceVersion".into(), version.into());
    let params = PatchParams::default();
    around(
        call.step,
        bounded(
            call.limit,
            "patch",
            what,
            api.patch(&name, &params, &Patch::Merge(fields)),
        ),
    )
    .await
}

/// Changes single places of an object as it was at its `resourceVersion`, by the operations of a JSON Patch; if somebody else wrote
/// since, a 409. For lists, which a merge would replace whole.
///
/// # Errors
/// The API server's answer, that none came in time, or that the object carries no `resourceVersion`.
pub async fn amend<K>(
    api: &Api<K>,
    call: Call<'_>,
    seen: &K,
    operations: serde_json::Value,
) -> Result<K, Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let name = seen.name_any();
    let invalid = |why: String| Error::Invalid {
        what: name.clone(),
        why,
    };
    let Some(version) = seen.resource_version() else {
        let why = "an amendment needs the resourceVersion that it was decided on";
        return Err(invalid(why.into()));
    };
    let mut operations = operations;
    let as_decided = serde_json::json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version });
    if let Some(operations) = operations.as_array_mut() {
        operations.insert(0, as_decided);
    }
    let patch: json_patch::Patch =
        serde_json::from_value(operations).map_err(|error| invalid(error.to_string()))?;
    let params = PatchParams::default();
    let patch = Patch::<()>::Json(patch);
    around(
        call.step,
        bounded(
            call.limit,
            "patch",
            name.clone(),
            api.patch(&name, &params, &patch),
        ),
    )
    .await
}

/// Resizes a pod in place: a strategic merge patch of its subresource, which merges containers by their names. A namesake of another
/// uid is not touched: the API server refuses to change a uid (422).
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn resize<K>(
    api: &Api<K>,
    call: Call<'_>,
    (name, uid): (&str, &str),
    mut fields: serde_json::Value,
) -> Result<K, Error>
where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned,
{
    let what = describe::<K>(api.namespace(), name);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("metadata".into(), serde_json::json!({ "uid": uid }));
    }
    let params = PatchParams::default();
    around(
        call.step,
        bounded(
            call.limit,
            "resize",
            what,
            api.patch_subresource("resize", name, &params, &Patch::Strategic(fields)),
        ),
    )
    .await
}

/// Deletes an object, and not a namesake: of another uid, a 409.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn delete<K>(api: &Api<K>, call: Call<'_>, (name, uid): (&str, &str)) -> Result<(), Error>
where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned,
{
    let preconditions = Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    };
    delete_if(api, call, name, preconditions).await
}

/// Deletes an object as it was seen; if somebody wrote to it since, a 409. For a deletion that was decided on what stands in it.
///
/// # Errors
/// The API server's answer, that none came in time, or that the object carries no `resourceVersion`.
pub async fn delete_as_seen<K>(api: &Api<K>, call: Call<'_>, seen: &K) -> Result<(), Error>
where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned,
{
    let name = seen.name_any();
    let preconditions = Preconditions {
        uid: seen.uid(),
        resource_version: seen.resource_version(),
    };
    if preconditions.uid.is_none() || preconditions.resource_version.is_none() {
        return Err(Error::Invalid {
            what: describe::<K>(api.namespace(), &name),
            why: "a deletion needs the uid and resourceVersion that it was decided on".into(),
        });
    }
    delete_if(api, call, &name, preconditions).await
}

async fn delete_if<K>(
    api: &Api<K>,
    call: Call<'_>,
    name: &str,
    preconditions: Preconditions,
) -> Result<(), Error>
where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned,
{
    let what = describe::<K>(api.namespace(), name);
    let params = DeleteParams {
        preconditions: Some(preconditions),
        grace_period_seconds: call.grace,
        ..DeleteParams::default()
    };
    let deleted = bounded(call.limit, "delete", what, api.delete(name, &params));
    around(call.step, deleted).await.map(drop)
}

/// Replaces the status of an object that was read before, and nothing else of it; if somebody else wrote since, a 409. For a status that
/// decides.
///
/// # Errors
/// The API server's answer, that none came in time, or that the object carries no `resourceVersion`.
pub async fn replace_status<K: Stored>(
    api: &Api<K>,
    call: Call<'_>,
    object: &K,
) -> Result<K, Error> {
    let name = object.name_any();
    let what = describe::<K>(api.namespace(), &name);
    if object.resource_version().is_none() {
        return Err(Error::Invalid {
            what,
            why: "a status needs the resourceVersion that it was decided on".into(),
        });
    }
    around(
        call.step,
        bounded(
            call.limit,
            "replace the status of",
            what,
            api.replace_status(&name, &PostParams::default(), object),
        ),
    )
    .await
}

/// Writes whether a request for a certificate is approved, over the one that was read; if somebody else wrote since, a 409.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn approve<K: Stored>(api: &Api<K>, call: Call<'_>, object: &K) -> Result<K, Error> {
    let name = object.name_any();
    let what = describe::<K>(api.namespace(), &name);
    let params = PostParams::default();
    let written = api.replace_subresource("approval", &name, &params, object);
    let verb = "write the approval of";
    around(call.step, bounded(call.limit, verb, what, written)).await
}

/// Applies the status that `manager` (`<group>/<controller>`) alone owns.
///
/// # Errors
/// The API server's answer, or that none came in time.
pub async fn apply_status<K: Stored>(
    api: &Api<K>,
    call: Call<'_>,
    manager: &str,
    name: &str,
    status: impl Serialize + Debug,
) -> Result<K, Error> {
    let what = describe::<K>(api.namespace(), name);
    let kind = K::DynamicType::default();
    let patch = serde_json::json!({ "apiVersion": K::api_version(&kind), "kind": K::kind(&kind), "status": status });
    let params = PatchParams::apply(manager).force();
    around(
        call.step,
        bounded(
            call.limit,
            "apply the status of",
            what,
            api.patch_status(name, &params, &Patch::Apply(patch)),
        ),
    )
    .await
}

/// Tells a notice about an object. That it could not be told is logged and nothing more: no decision hangs on an event.
pub async fn tell<K: Stored>(recorder: &Recorder, call: Call<'_>, object: &K, notice: &Notice) {
    let regarding = object.object_ref(&K::DynamicType::default());
    tell_about(recorder, call, &regarding, notice).await;
}

/// The same, about an object of which only the reference is known.
pub async fn tell_about(
    recorder: &Recorder,
    call: Call<'_>,
    regarding: &ObjectReference,
    notice: &Notice,
) {
    let event = Event {
        type_: if notice.is_warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: notice.reason.into(),
        note: Some(notice.note.clone()),
        action: notice.action.into(),
        secondary: None,
    };
    let told = around(
        call.step,
        bounded(
            call.limit,
            "publish",
            format!("event {}", notice.reason),
            recorder.publish(&event, regarding),
        ),
    )
    .await;
    if let Err(error) = told {
        tracing::warn!(error = %crate::kit::error::chain(&error), manager = names::MANAGER, "an event was not published");
    }
}
