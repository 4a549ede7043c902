//! How the agents' authority is followed by the next one, and no agent is cut off: everybody learns of an authority with his own
//! certificate, so the next one signs only when all certificates have run out that were signed before it was known.
//!
//! The steps are those of the webhooks' authority (`webhook/rollover/plan.rs`), but nothing is published besides: what a certificate
//! comes with is read from the Secret when it is signed.

use crate::kit::error::{Error, chain};
use crate::process::clock;
use crate::process::flags::Lifetimes;
use crate::signer::plan::LONGEST_LIFE;
use crate::webhook::rollover::bundle::ders;
use crate::webhook::rollover::plan::{Seen, plan};
use crate::webhook::store::Store;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Steps of a whole roll-over; what takes more is not ours.
const STEPS_OF_A_LOOK: u32 = 6;

/// How long certificates live. After the grace, every certificate has run out that knows nothing of the next authority; clocks may
/// differ by an hour.
pub(crate) const LIFETIMES: Lifetimes = Lifetimes {
    authority: Duration::from_secs(365 * 86_400),
    leaf: LONGEST_LIFE,
    grace: Duration::from_secs(86_400 + 3600),
};

/// Looks and acts until the stop; what fails is logged and tried again.
///
/// # Errors
/// None.
pub(crate) async fn run(store: Store, stop: CancellationToken) -> Result<(), Error> {
    let mut said = String::new();
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            looked = look(&store, LIFETIMES, clock::now()) => looked,
        };
        match looked {
            Ok(()) => said.clear(),
            // Somebody else wrote first: look again.
            Err(error) if error.is_conflict() => {}
            Err(error) => {
                let now = chain(&error);
                if said != now {
                    tracing::warn!(
                        error = now,
                        "the agents' authority was not looked after; trying again"
                    );
                    said = now;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Takes all steps that are due.
async fn look(store: &Store, lifetimes: Lifetimes, now: Timestamp) -> Result<(), Error> {
    for _step in 0..STEPS_OF_A_LOOK {
        // Before the first agent has asked there is none.
        let Some(kept) = store.find().await? else {
            return Ok(());
        };
        let next = match &kept.authorities.next {
            Some(next) => ders(next.authority.certificate())?.pop_first(),
            None => None,
        };
        let step = plan(&Seen {
            authorities: &kept.authorities,
            wanted: &BTreeSet::new(),
            next: next.as_ref(),
            trusted: &[],
            leaf: lifetimes.leaf,
            grace: lifetimes.grace,
            now,
        });
        match step {
            Some(step) => store.take(step, &kept, now).await?,
            None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::names::ROLL_OVER;
    use crate::testkit::api_server::ApiServer;
    use crate::webhook::rollover::plan::Authorities;

    const SECRET: &str = "/api/v1/namespaces/apps/secrets/hooks-agent-ca";

    async fn kept(store: &Store) -> Authorities {
        store.find().await.unwrap().unwrap().authorities
    }

    #[tokio::test]
    async fn the_next_one_signs_when_every_certificate_knows_it_and_the_former_stays_as_long_as_any()
     {
        let server = ApiServer::default();
        let store = Store::of_agents(server.client(), "apps", "hooks", LIFETIMES.authority);
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        look(&store, LIFETIMES, now).await.unwrap();
        assert_eq!(server.stored(SECRET), None, "nobody has asked");
        store.ensure(None, None, now).await.unwrap();
        let first = kept(&store).await.current;
        look(&store, LIFETIMES, now).await.unwrap();
        assert_eq!(kept(&store).await, Authorities::of(first.clone()));
        let mut asked = server.stored(SECRET).unwrap();
        asked["metadata"]["annotations"][ROLL_OVER] = "now".into();
        server.put(SECRET, asked);
        look(&store, LIFETIMES, now).await.unwrap();
        let prepared = kept(&store).await;
        assert_eq!(prepared.current, first);
        let next = prepared.next.clone().unwrap().authority;
        assert!(prepared.certificates().contains(next.certificate()));
        look(&store, LIFETIMES, now + LIFETIMES.leaf).await.unwrap();
        assert_eq!(kept(&store).await.current, first, "one may not know it yet");
        let promoted_at = now + LIFETIMES.grace;
        look(&store, LIFETIMES, promoted_at).await.unwrap();
        let promoted = kept(&store).await;
        assert_eq!(promoted.current, next);
        assert!(promoted.certificates().contains(first.certificate()));
        look(&store, LIFETIMES, promoted_at + LIFETIMES.leaf)
            .await
            .unwrap();
        assert!(kept(&store).await.retired.is_some());
        let over = promoted_at + LIFETIMES.leaf + LIFETIMES.grace;
        look(&store, LIFETIMES, over).await.unwrap();
        assert_eq!(kept(&store).await, Authorities::of(next));
    }

    #[tokio::test]
    async fn an_authority_that_grows_old_is_followed_without_anybody_asking() {
        let server = ApiServer::default();
        let store = Store::of_agents(server.client(), "apps", "hooks", LIFETIMES.authority);
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        store.ensure(None, None, now).await.unwrap();
        let due = kept(&store).await.current.validity().renewal();
        look(&store, LIFETIMES, due - Duration::from_secs(60))
            .await
            .unwrap();
        assert!(kept(&store).await.next.is_none());
        look(&store, LIFETIMES, due).await.unwrap();
        assert!(kept(&store).await.next.unwrap().announced.is_some());
    }
}
