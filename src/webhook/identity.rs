//! Which certificate this replica serves: the one in its directory, or, without one, a leaf that it signs itself with the authority
//! that all replicas share. A leaf's key never leaves the process.
//!
//! Everything is judged anew every second, more often where leaves live for seconds, and by the time of day: a host that was suspended,
//! or whose clock was set, does not sleep through a renewal.

use crate::kit::error::{Error, chain};
use crate::process::clock;
use crate::process::flags::Lifetimes;
use crate::process::health::Health;
use crate::process::installation::Installation;
use crate::process::telemetry::WebhookMetrics;
use crate::webhook::authority::{Authority, Validity};
use crate::webhook::clients::Checked;
use crate::webhook::handshake::Served;
use crate::webhook::rollover::plan::Authorities;
use crate::webhook::store::Store;
use crate::webhook::tls::{Certificate, Pair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often everything is judged anew, at least.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the Secret is read.
const READ_AGAIN: Duration = Duration::from_secs(3);

const UNREAD: &str = "the webhooks' authority cannot be read; trying again";

/// What readiness waits for.
const PART: &str = "certificate";

/// What an identity is made of.
pub struct Setup {
    /// The names of our Service, the one that API servers use first.
    pub names: Vec<String>,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
    /// Where a certificate may be found.
    pub directory: Option<PathBuf>,
    /// Where our own authority is kept, shared by all replicas; none where there is no installation: then it lives in this process.
    pub own: Option<(Store, Installation)>,
    /// Whose certificates are checked.
    pub clients: Option<Arc<Checked>>,
    /// Not ready without a valid certificate.
    pub health: Arc<Health>,
    /// Says until when it is valid.
    pub metrics: WebhookMetrics,
}

/// The certificate of this replica.
pub struct Identity {
    setup: Setup,
    served: Arc<Served>,
    files: Option<Certificate>,
    found: watch::Sender<Option<Pair>>,
    authorities: Option<Authorities>,
    /// What is served, and the certificate of the authority that signed it.
    leaf: Option<(Validity, String)>,
    read_at: Option<Instant>,
    said: BTreeMap<&'static str, String>,
}

impl Identity {
    /// Nothing is served yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let waits = "there is no certificate for the webhooks yet";
        setup.health.waits(PART, waits.into());
        Self {
            setup,
            served: Arc::default(),
            files: None,
            found: watch::Sender::new(None),
            authorities: None,
            leaf: None,
            read_at: None,
            said: BTreeMap::new(),
        }
    }

    /// What is served, now and later.
    #[must_use]
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// What was found in the directory, now and later.
    #[must_use]
    pub fn found(&self) -> watch::Receiver<Option<Pair>> {
        self.found.subscribe()
    }

    /// Follows everything that may change, for ever.
    pub async fn follow(mut self) {
        loop {
            self.look(clock::now()).await;
            tokio::time::sleep(self.part_of_a_life(12).min(LOOK_AGAIN)).await;
        }
    }

    /// Of a leaf's. A third of it is there for a renewal, and a client needs some of that to look at what it was shown.
    fn part_of_a_life(&self, part: u32) -> Duration {
        let life = self.setup.lifetimes.leaf;
        life.checked_div(part).unwrap_or(life)
    }

    /// Looks once.
    async fn look(&mut self, now: Timestamp) {
        if let Some(clients) = &self.setup.clients {
            match clients.look_again() {
                Ok(true) => tracing::info!("the clients' authorities were renewed"),
                Ok(false) => {}
                Err(error) => self.say(
                    &error,
                    "the clients' authorities cannot be read; the old ones stay",
                ),
            }
        }
        let validity = match self.look_at_files(now) {
            Some(validity) => Some(validity),
            None => self.look_at_own(now).await,
        };
        self.report(validity, now);
    }

    /// Once there is a certificate in the directory, it is served until the process ends.
    fn look_at_files(&mut self, now: Timestamp) -> Option<Validity> {
        if let Some(files) = &mut self.files {
            if files.keep_up(now) {
                self.found.send_replace(Some(files.pair().clone()));
            }
            return Some(files.pair().validity);
        }
        let directory = self.setup.directory.as_ref()?;
        match Certificate::read(directory, Arc::clone(&self.served)) {
            Ok(files) => {
                tracing::info!(directory = %directory.display(), until = %files.pair().validity.until, "serving the certificate from the directory");
                let pair = files.pair().clone();
                self.found.send_replace(Some(pair.clone()));
                self.files = Some(files);
                Some(pair.validity)
            }
            Err(error) => {
                self.say(&error, "there is no certificate in the directory; Holdfast is its own authority until there is one");
                None
            }
        }
    }

    async fn look_at_own(&mut self, now: Timestamp) -> Option<Validity> {
        // An API server may take its time; what is known already signs before it is asked, and while it does not answer.
        self.renew(now);
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_AGAIN) {
            let limit = match self.leaf {
                Some(_) => self.part_of_a_life(6),
                None => Duration::MAX,
            };
            let learned = tokio::time::timeout(limit, self.learn(now)).await;
            match learned.unwrap_or_else(|_elapsed| Err(too_late(limit))) {
                Ok(()) => {
                    self.read_at = Some(Instant::now());
                    self.said.remove(UNREAD);
                }
                Err(error) => self.say(&error, UNREAD),
            }
            self.renew(now);
        }
        self.leaf.as_ref().map(|(validity, _)| *validity)
    }

    /// Signs a leaf where one is due.
    fn renew(&mut self, now: Timestamp) {
        if let Some(Authorities { current, .. }) = &self.authorities
            && self.needs_leaf(current, now)
        {
            match current.issue(&self.setup.names, self.setup.lifetimes.leaf, now) {
                Ok(leaf) => {
                    tracing::info!(until = %leaf.validity.until, "serving a new certificate of our own");
                    self.served.set(leaf.served);
                    self.leaf = Some((leaf.validity, current.certificate().to_owned()));
                }
                Err(error) => self.say(&error, "no certificate could be signed; trying again"),
            }
        }
    }

    async fn learn(&mut self, now: Timestamp) -> Result<(), Error> {
        let authorities = match &self.setup.own {
            Some((store, installation)) => match store.find().await {
                Ok(Some(kept)) => kept.authorities,
                Ok(None) | Err(Error::Invalid { .. }) => {
                    let owner = installation.owner().await?;
                    let known = self.authorities.as_ref();
                    store.ensure(known, owner, now).await?.authorities
                }
                Err(error) => return Err(error),
            },
            None => match self.authorities.take() {
                Some(known) if now < known.current.validity().renewal() => known,
                _ => self.alone(now)?,
            },
        };
        self.authorities = Some(authorities);
        Ok(())
    }

    /// Nobody writes our authority into a webhook configuration, so whoever wants one has to know it.
    fn alone(&self, now: Timestamp) -> Result<Authorities, Error> {
        let life = self.setup.lifetimes.authority;
        let authority = Authority::create("holdfast webhooks", life, now)?;
        tracing::info!(
            ca_bundle = STANDARD.encode(authority.certificate()),
            names = ?self.setup.names,
            "no --installation: the webhooks' authority lives in this process; a webhook configuration reaches it by clientConfig.url with one of these names and this caBundle"
        );
        Ok(Authorities::of(authority))
    }

    fn needs_leaf(&self, current: &Authority, now: Timestamp) -> bool {
        let Some((validity, issuer)) = &self.leaf else {
            return true;
        };
        let can_be_longer = validity.until < current.validity().until;
        let is_due = now >= validity.renewal() || now < validity.from;
        issuer != current.certificate() || (is_due && can_be_longer)
    }

    fn report(&mut self, validity: Option<Validity>, now: Timestamp) {
        let Some(validity) = validity else {
            return;
        };
        self.setup.metrics.expires("leaf", validity.until);
        let own = self.authorities.as_ref().filter(|_| self.files.is_none());
        if let Some(authorities) = own {
            let until = authorities.current.validity().until;
            self.setup.metrics.expires("authority", until);
        }
        if validity.holds(now) {
            self.setup.health.is_ready(PART);
        } else {
            let Validity { from, until } = validity;
            let why = format!(
                "the webhooks' certificate is valid from {from} to {until}, and it is {now:.0}"
            );
            self.setup.health.waits(PART, why);
        }
    }

    /// What stays wrong is said once.
    fn say(&mut self, error: &Error, what: &'static str) {
        let said = chain(error);
        if self.said.get(what) != Some(&said) {
            tracing::warn!(error = said, "{what}");
            self.said.insert(what, said);
        }
    }
}

fn too_late(limit: Duration) -> Error {
    Error::TimedOut {
        verb: "read",
        object: "the webhooks' authority".into(),
        limit,
    }
}

#[cfg(test)]
mod tests;
