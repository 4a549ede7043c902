//! The Secret in which the authorities of one installation are kept, and how a replica finds them: made if absent, read otherwise.
//!
//! | key | what |
//! |---|---|
//! | `ca.crt`, `ca.key` | the authority that signs |
//! | `next.crt`, `next.key` | the one that comes next, while there is one |
//! | `retired.crt` | those that sign no more, while anything that they signed may be served |
//!
//! Annotations say since when the next one is announced, and since when the last one is retired; and one asks for a new one now.

use crate::kit::error::Error;
use crate::kit::names::{NEXT_ANNOUNCED, RETIRED_SINCE, ROLL_OVER};
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::webhook::authority::Authority;
use crate::webhook::rollover::plan::{Authorities, Next, Retired, Step};
use crate::write_steps;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;
use std::time::Duration;

write_steps! {
    /// A replica keeps the first authority, or puts back one that somebody deleted.
    KEEP,
    /// What is kept changes.
    CHANGE,
}

/// Where the authorities are kept.
#[derive(Clone)]
pub struct Store {
    secrets: Api<Secret>,
    installation: String,
    /// Whose certificates its authorities sign.
    what: &'static str,
    name: String,
    life: Duration,
}

/// What is kept, and the object that it was read from.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The authorities.
    pub authorities: Authorities,
    secret: Secret,
}

impl Store {
    /// The Secret of an installation, for its webhooks.
    #[must_use]
    pub fn new(client: Client, namespace: &str, installation: &str, life: Duration) -> Self {
        Self {
            secrets: Api::namespaced(client, namespace),
            installation: installation.to_owned(),
            what: "webhooks",
            name: format!("{installation}-webhook-ca"),
            life,
        }
    }

    /// Another one, for its agents. Neither authority is trusted where the other one is.
    #[must_use]
    pub fn of_agents(client: Client, namespace: &str, installation: &str, life: Duration) -> Self {
        Self {
            what: "agents",
            name: format!("{installation}-agent-ca"),
            ..Self::new(client, namespace, installation, life)
        }
    }

    /// A new authority of this installation.
    ///
    /// # Errors
    /// The cryptography failed.
    pub fn create_authority(&self, now: Timestamp) -> Result<Authority, Error> {
        let name = format!("{} {}", shortened(&self.installation), self.what);
        Authority::create(&name, self.life, now)
    }

    /// What is kept; nothing where there is no Secret.
    ///
    /// # Errors
    /// The API server's answer, or what is wrong with the Secret.
    pub async fn find(&self) -> Result<Option<Kept>, Error> {
        let Some(secret) = self.get().await? else {
            return Ok(None);
        };
        let authorities = understood(&secret).map_err(|why| self.unusable(why))?;
        Ok(Some(Kept {
            authorities,
            secret,
        }))
    }

    /// What is kept. Where nothing is, or nothing that can be used, `known` is put there, or a new authority. Of several replicas that
    /// do this at once, one is quicker, and the others read what it wrote.
    ///
    /// # Errors
    /// The API server's answer, or a failure of the cryptography.
    pub async fn ensure(
        &self,
        known: Option<&Authorities>,
        owner: Option<OwnerReference>,
        now: Timestamp,
    ) -> Result<Kept, Error> {
        let found = self.get().await?;
        if let Some(secret) = found {
            match understood(&secret) {
                Ok(authorities) => {
                    return Ok(Kept {
                        authorities,
                        secret,
                    });
                }
                Err(why) => {
                    tracing::error!(
                        secret = self.name,
                        why,
                        "the authorities that are kept cannot be used; putting others there"
                    );
                    let authorities = self.first(known, now)?;
                    return self.put(&secret, authorities).await;
                }
            }
        }
        let authorities = self.first(known, now)?;
        let mut secret = Secret::default();
        secret.metadata.name = Some(self.name.clone());
        secret.metadata.owner_references = owner.map(|owner| vec![owner]);
        write(&mut secret, &authorities);
        match writes::create(&self.secrets, (&KEEP).into(), &secret).await {
            Ok(secret) => {
                tracing::info!(secret = self.name, of = self.what, until = %authorities.current.validity().until, "an authority is kept");
                Ok(Kept {
                    authorities,
                    secret,
                })
            }
            Err(error) if error.is_conflict() => self.find().await?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    fn first(&self, known: Option<&Authorities>, now: Timestamp) -> Result<Authorities, Error> {
        match known {
            Some(known) => Ok(known.clone()),
            None => Ok(Authorities::of(self.create_authority(now)?)),
        }
    }

    /// Keeps these authorities in the place of those that were read; if somebody else wrote since, a 409.
    ///
    /// # Errors
    /// The API server's answer.
    pub async fn change(&self, kept: &Kept, authorities: Authorities) -> Result<Kept, Error> {
        self.put(&kept.secret, authorities).await
    }

    /// Keeps what comes of a step of a roll-over. What is published is not kept here.
    ///
    /// # Errors
    /// The API server's answer, or a failure of the cryptography.
    pub async fn take(&self, step: Step, kept: &Kept, now: Timestamp) -> Result<(), Error> {
        let authorities = kept.authorities.clone();
        let changed = match step {
            Step::Prepare => authorities.prepared(self.create_authority(now)?),
            Step::Announce => authorities.announced(Some(now)),
            Step::Retract => authorities.announced(None),
            Step::Promote => authorities.promoted(now),
            Step::Forget => authorities.forgetting(),
            Step::Publish => return Ok(()),
        };
        self.change(kept, changed).await?;
        tracing::info!(of = self.what, step = ?step, "an authority rolls over");
        Ok(())
    }

    async fn put(&self, secret: &Secret, authorities: Authorities) -> Result<Kept, Error> {
        let mut secret = secret.clone();
        write(&mut secret, &authorities);
        let secret = writes::replace(&self.secrets, (&CHANGE).into(), &secret).await?;
        Ok(Kept {
            authorities,
            secret,
        })
    }

    async fn get(&self) -> Result<Option<Secret>, Error> {
        let what = format!("secret {}", self.name);
        bounded(CALL_LIMIT, "get", what, self.secrets.get_opt(&self.name)).await
    }

    fn unusable(&self, why: String) -> Error {
        Error::Invalid {
            what: format!("secret {}", self.name),
            why,
        }
    }
}

/// X.509 allows names of 64 characters, and the time has to fit too.
fn shortened(name: &str) -> String {
    name.chars().take(30).collect()
}

fn understood(secret: &Secret) -> Result<Authorities, String> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        std::str::from_utf8(&bytes.0).ok().map(str::to_owned)
    };
    let authority = |name: &str| {
        let [certificate, key] = [format!("{name}.crt"), format!("{name}.key")];
        let found = text(&certificate).zip(text(&key));
        found.map(|(certificate, key)| {
            Authority::read(&certificate, &key).map_err(|error| format!("{name}: {error}"))
        })
    };
    let time = |key: &str| secret.annotations().get(key)?.parse::<Timestamp>().ok();
    let next = authority("next").transpose()?.map(|authority| Next {
        authority,
        announced: time(NEXT_ANNOUNCED),
    });
    let retired = text("retired.crt").map(|certificates| Retired {
        certificates,
        // Without a time nobody knows how long they are needed: the epoch would be too early, and never is safe.
        since: time(RETIRED_SINCE).unwrap_or(Timestamp::MAX),
    });
    Ok(Authorities {
        current: authority("ca").ok_or("it has no ca.crt and ca.key")??,
        next,
        retired,
        is_asked: secret.annotations().contains_key(ROLL_OVER),
    })
}

/// Other keys and annotations stay as they are.
fn write(secret: &mut Secret, authorities: &Authorities) {
    let Authorities {
        current,
        next,
        retired,
        is_asked,
    } = authorities;
    let next_one = next.as_ref().map(|next| &next.authority);
    let data = secret.data.get_or_insert_with(BTreeMap::new);
    for (key, text) in [
        ("ca.crt", Some(current.certificate())),
        ("ca.key", Some(current.key())),
        ("next.crt", next_one.map(Authority::certificate)),
        ("next.key", next_one.map(Authority::key)),
        (
            "retired.crt",
            retired.as_ref().map(|retired| &*retired.certificates),
        ),
    ] {
        match text {
            Some(text) => data.insert(key.into(), ByteString(text.as_bytes().to_vec())),
            None => data.remove(key),
        };
    }
    let annotations = secret.annotations_mut();
    if !is_asked {
        annotations.remove(ROLL_OVER);
    }
    let announced = next.as_ref().and_then(|next| next.announced);
    for (key, time) in [
        (NEXT_ANNOUNCED, announced),
        (RETIRED_SINCE, retired.as_ref().map(|retired| retired.since)),
    ] {
        match time {
            Some(time) => annotations.insert(key.into(), time.to_string()),
            None => annotations.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::api_server::ApiServer;

    const PATH: &str = "/api/v1/namespaces/apps/secrets";
    const LIFE: Duration = Duration::from_secs(900);

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn store(server: &ApiServer) -> Store {
        Store::new(server.client(), "apps", "hooks", LIFE)
    }

    #[tokio::test]
    async fn replicas_that_begin_together_have_one_authority() {
        let server = ApiServer::default();
        let replicas = std::iter::repeat_n(store(&server), 4);
        let ensured = replicas.map(|store| async move { store.ensure(None, None, now()).await });
        let kept: Vec<_> = futures::future::join_all(ensured).await;
        let first = kept[0].as_ref().unwrap().authorities.clone();
        for kept in &kept {
            assert_eq!(kept.as_ref().unwrap().authorities, first);
        }
        assert!(server.stored(&format!("{PATH}/hooks-webhook-ca")).is_some());
    }

    #[tokio::test]
    async fn every_stage_is_kept_and_found_again() {
        let server = ApiServer::default();
        let store = store(&server);
        let made = || store.create_authority(now()).unwrap();
        let mut kept = store.ensure(None, None, now()).await.unwrap();
        let first = kept.authorities.clone();
        for stage in [
            first.clone().prepared(made()),
            first.clone().prepared(made()).announced(Some(now())),
            first.clone().prepared(made()).promoted(now()),
            first.prepared(made()).promoted(now()).forgetting(),
        ] {
            kept = store.change(&kept, stage.clone()).await.unwrap();
            assert_eq!(store.find().await.unwrap().unwrap().authorities, stage);
        }
    }

    #[tokio::test]
    async fn a_person_asks_by_an_annotation_which_goes_when_it_is_done() {
        let server = ApiServer::default();
        let store = store(&server);
        store.ensure(None, None, now()).await.unwrap();
        let path = format!("{PATH}/hooks-webhook-ca");
        let mut asked = server.stored(&path).unwrap();
        asked["metadata"]["annotations"][ROLL_OVER] = "now".into();
        server.put(&path, asked);
        let kept = store.find().await.unwrap().unwrap();
        assert!(kept.authorities.is_asked);
        let next = store.create_authority(now()).unwrap();
        let prepared = kept.authorities.clone().prepared(next);
        store.change(&kept, prepared).await.unwrap();
        assert!(!store.find().await.unwrap().unwrap().authorities.is_asked);
    }

    #[tokio::test]
    async fn of_two_who_change_it_one_gets_a_conflict() {
        let server = ApiServer::default();
        let store = store(&server);
        let kept = store.ensure(None, None, now()).await.unwrap();
        let changed = kept.authorities.clone().announced(None);
        store.change(&kept, changed.clone()).await.unwrap();
        assert!(
            store
                .change(&kept, changed)
                .await
                .unwrap_err()
                .is_conflict()
        );
    }

    #[tokio::test]
    async fn what_was_deleted_or_spoilt_is_put_back_by_whoever_knows_it() {
        let server = ApiServer::default();
        let store = store(&server);
        let known = store.ensure(None, None, now()).await.unwrap().authorities;
        let path = format!("{PATH}/hooks-webhook-ca");
        server.remove(&path);
        let kept = store.ensure(Some(&known), None, now()).await.unwrap();
        assert_eq!(kept.authorities, known);
        let mut spoilt = server.stored(&path).unwrap();
        spoilt["data"]["ca.key"] = "bm90aGluZw==".into();
        server.put(&path, spoilt);
        assert!(store.find().await.is_err());
        let kept = store.ensure(Some(&known), None, now()).await.unwrap();
        assert_eq!(kept.authorities, known);
        assert_eq!(store.find().await.unwrap().unwrap().authorities, known);
    }
}
