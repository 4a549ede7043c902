//! What a person asks of Migrations, with their own rights: that there be one, and that one go on whose target is off.

use crate::kit::error::{Error, unless_gone};
use crate::kit::names::OFF_ANNOTATION;
use crate::migration::api::Migration;
use crate::process::asking;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

write_steps! {
    /// A Migration is made.
    ASK,
    /// The API server is asked who asks.
    ME,
    /// It is said that the target of a Migration is off.
    RESOLVE,
    /// A dry run that has answered is deleted.
    TAKE_BACK,
}

/// So often a word is written anew when the leader writes to the Migration meanwhile.
const TRIES: u32 = 8;

/// Makes it.
///
/// # Errors
/// A sentence that says what to change, or the API server's answer.
pub(crate) async fn request(client: &Client, migration: &Migration) -> Result<Migration, Error> {
    asking::make(client, (&ASK).into(), migration).await
}

/// A Migration, as `NAMESPACE/NAME`.
#[must_use]
pub(crate) fn key(migration: &Migration) -> String {
    let namespace = migration.namespace().unwrap_or_default();
    format!("{namespace}/{}", migration.name_any())
}

/// Who says that its target's node is off, and means the silence that began then.
#[must_use]
pub(crate) fn said_off(migration: &Migration, since: &Time) -> Option<String> {
    let said = migration.annotations().get(OFF_ANNOTATION)?;
    let (of, by) = said.split_once(' ')?;
    (of == written(since) && !by.is_empty()).then(|| by.to_owned())
}

/// As it stands in a status.
fn written(time: &Time) -> String {
    let value = json!(time);
    value.as_str().unwrap_or_default().to_owned()
}

/// The Migration of this name.
///
/// # Errors
/// There is none, or it may not be read.
pub(crate) async fn look(
    client: &Client,
    (namespace, name): (&str, &str),
) -> Result<Migration, Error> {
    let api: Api<Migration> = Api::namespaced(client.clone(), namespace);
    let what = format!("migration {namespace}/{name}");
    let found = bounded(CALL_LIMIT, "get", what.clone(), api.get_opt(name)).await;
    let none = || Error::Invalid {
        what,
        why: format!("there is none of this name: see holdfast migrations -n {namespace}"),
    };
    found
        .map_err(asking::missing::<Migration>)?
        .ok_or_else(none)
}

/// Says that the target's node is off, in the name of whoever asks. `seen` is what they were shown: if its node was heard of since, they
/// have to look again.
///
/// # Errors
/// A sentence that says what to change, or the API server's answer.
pub(crate) async fn resolve(client: &Client, seen: &Migration) -> Result<Migration, Error> {
    let since = |one: &Migration| one.status.as_ref().and_then(|it| it.silent_since.clone());
    let silence = since(seen).ok_or_else(|| refused("nothing hangs on its target's node"))?;
    let by = asking::me(client, (&ME).into()).await?;
    let word = format!("{} {by}", written(&silence));
    let fields = json!({ "metadata": { "annotations": { OFF_ANNOTATION: word } } });
    let namespace = seen.namespace().unwrap_or_default();
    let api: Api<Migration> = Api::namespaced(client.clone(), &namespace);
    let (mut now, mut tries) = (seen.clone(), TRIES);
    loop {
        let said = writes::merge(&api, (&RESOLVE).into(), &now, fields.clone()).await;
        tries = tries.saturating_sub(1);
        match said {
            Err(error) if error.is_conflict() && tries > 0 => {
                now = look(client, (&namespace, &seen.name_any())).await?;
                if since(&now).as_ref() != Some(&silence) {
                    let why = "something was heard of its target's node meanwhile: look again";
                    return Err(refused(why));
                }
            }
            Err(error) if error.is_refused() => return Err(cure(error)),
            said => return said,
        }
    }
}

/// Why it is not said.
pub(crate) fn refused(why: &str) -> Error {
    Error::Invalid {
        what: "--target-is-off".into(),
        why: why.to_owned(),
    }
}

fn cure(error: Error) -> Error {
    let Some(said) = error.said() else {
        return error;
    };
    refused(&format!(
        "{said}. Who may say it has the ClusterRole holdfast-resolver in that namespace"
    ))
}

/// Deletes it, and no other of its name.
///
/// # Errors
/// The API server's answer.
pub(crate) async fn take_back(client: &Client, made: &Migration) -> Result<(), Error> {
    let api: Api<Migration> =
        Api::namespaced(client.clone(), &made.namespace().unwrap_or_default());
    let (name, uid) = (made.name_any(), made.uid().unwrap_or_default());
    unless_gone(writes::delete(&api, (&TAKE_BACK).into(), (&name, &uid)).await)
}

#[cfg(test)]
mod tests;
