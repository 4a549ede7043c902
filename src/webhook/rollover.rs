//! What API servers trust, kept by the leader: it takes the steps of `plan.rs`, and writes the bundle of authorities into our own
//! webhook configurations, wherever somebody emptied or changed it too.
//!
//! | the certificate comes from | what is written | what is left alone |
//! |---|---|---|
//! | our own authority | that authority, the one to come, and the retired ones; and for a while what stood there when this process began to lead | a configuration whose bundle cert-manager keeps |
//! | files | what stands in `ca.crt`, or, without it, `tls.crt` itself; our own authority besides, if there is one; and for a while what stood there before, which another replica may still serve | that, and a bundle that somebody pasted |

pub mod bundle;
pub mod plan;
pub mod told;

use crate::kit::error::{Error, chain};
use crate::process::clock;
use crate::process::flags::Lifetimes;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::webhook::rollover::bundle::{Bundle, Configuration, ders, fingerprint};
use crate::webhook::rollover::plan::{Der, Seen, Step, plan};
use crate::webhook::store::{Kept, Store};
use crate::webhook::tls::Pair;
use crate::write_steps;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// What API servers trust is written into a webhook configuration.
    PUBLISH,
}

/// How often a leader looks.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a certificate from files that is served no more by the leader stays trusted: its other replicas see the change later.
const FORMER_FILES: Duration = Duration::from_secs(600);
/// More steps than this in one look, and somebody works against us.
const STEPS_OF_A_LOOK: u32 = 12;

const KINDS: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// What a keeper needs to know.
#[derive(Clone)]
pub struct Setup {
    /// For the configurations.
    pub client: Client,
    /// For the authorities.
    pub store: Store,
    /// The configurations' name.
    pub name: String,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
    /// What is served from files.
    pub found: watch::Receiver<Option<Pair>>,
}

impl Setup {
    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&gvk))
    }

    /// Our configurations, those that are wanted.
    async fn configurations(
        &self,
        is_wanted: impl Fn(&Configuration) -> bool,
    ) -> Result<Vec<Configuration>, Error> {
        let mut found = Vec::new();
        for kind in KINDS {
            let name = &self.name;
            let what = format!("{} {name}", kind.to_lowercase());
            let api = self.api(kind);
            if let Some(object) = bounded(CALL_LIMIT, "get", what, api.get_opt(name)).await? {
                let configuration = Configuration::read(kind, object);
                if is_wanted(&configuration) {
                    found.push(configuration);
                }
            }
        }
        Ok(found)
    }
}

/// Keeps what API servers trust. One at a time does, the leader's.
pub struct Keeper {
    setup: Setup,
    /// Since when something in a bundle of ours is not needed by what this process knows.
    idle: BTreeMap<Der, Timestamp>,
    /// Certificates of our own authorities: these are done with when the plan says so.
    own: BTreeSet<Der>,
    /// Our configurations were seen as we write them. Before, what stands there may be of replicas with another
    /// `certificates.mode`, which still serve; later it is of somebody who has no business there.
    is_settled: bool,
    said: String,
}

impl Keeper {
    /// It has not looked yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            idle: BTreeMap::new(),
            own: BTreeSet::new(),
            is_settled: false,
            said: String::new(),
        }
    }

    /// Looks and acts until the stop.
    ///
    /// # Errors
    /// None; what fails is logged and tried again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let grace = self.setup.lifetimes.grace;
        let period = grace
            .checked_div(4)
            .unwrap_or_default()
            .clamp(Duration::from_millis(500), LOOK_AGAIN);
        let mut found = self.setup.found.clone();
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                looked = self.look() => looked,
            };
            match looked {
                Ok(()) => self.said.clear(),
                // Somebody else wrote first: look again.
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    let said = chain(&error);
                    if self.said != said {
                        tracing::warn!(
                            error = said,
                            "what API servers trust was not looked after; trying again"
                        );
                        self.said = said;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = found.changed() => if changed.is_err() {
                    tokio::time::sleep(period).await;
                },
                () = tokio::time::sleep(period) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        for _step in 0..STEPS_OF_A_LOOK {
            if !self.take_a_step(clock::now()).await? {
                return Ok(());
            }
        }
        Err(Error::Ended {
            part: "a look at the webhook configurations",
            why: "somebody changes them as soon as they are written".into(),
        })
    }

    /// Whether there was anything to do.
    async fn take_a_step(&mut self, now: Timestamp) -> Result<bool, Error> {
        let files = self.setup.found.borrow().clone();
        let kept = self.setup.store.find().await?;
        let wanted = self.wanted(kept.as_ref(), files.as_ref(), now)?;
        if wanted.is_empty() {
            return Ok(false);
        }
        let from_files = files.is_some();
        let is_ours = |one: &Configuration| one.is_to_be_written(from_files);
        let configurations = self.setup.configurations(is_ours).await?;
        let former = self.former(&wanted, &configurations, now);
        let trusted: Vec<BTreeSet<Der>> = configurations
            .iter()
            .flat_map(|configuration| &configuration.entries)
            .map(|entry| entry.difference(&former).cloned().collect())
            .collect();
        let step = self.decide(kept.as_ref(), &wanted.ders(), &trusted, now)?;
        match (step, kept) {
            (None, _) => {
                let are_ours = configurations.iter().all(Configuration::is_ours);
                self.is_settled = are_ours && !configurations.is_empty();
                return Ok(false);
            }
            (Some(Step::Publish), _) | (_, None) => {
                self.tell(&wanted, &former, &configurations).await?;
            }
            (Some(step), Some(kept)) => drop(self.setup.store.take(step, &kept, now).await?),
        }
        Ok(true)
    }

    /// What API servers have to trust, as far as this process knows.
    fn wanted(
        &mut self,
        kept: Option<&Kept>,
        files: Option<&Pair>,
        now: Timestamp,
    ) -> Result<Bundle, Error> {
        let mut wanted = Bundle::default();
        if let Some(Kept { authorities, .. }) = kept {
            let Lifetimes { leaf, grace, .. } = self.setup.lifetimes;
            wanted.add_pem(&authorities.trusted(leaf, grace, now))?;
            self.own.extend(ders(&authorities.certificates())?);
        }
        if let Some(Pair {
            chain, authority, ..
        }) = files
        {
            wanted.add(if authority.is_empty() {
                chain
            } else {
                authority
            });
        }
        Ok(wanted)
    }

    fn decide(
        &self,
        kept: Option<&Kept>,
        wanted: &BTreeSet<Der>,
        trusted: &[BTreeSet<Der>],
        now: Timestamp,
    ) -> Result<Option<Step>, Error> {
        let Some(Kept { authorities, .. }) = kept else {
            let is_told = trusted.iter().all(|trusted| trusted == wanted);
            return Ok((!is_told).then_some(Step::Publish));
        };
        let next = match &authorities.next {
            Some(next) => ders(next.authority.certificate())?.pop_first(),
            None => None,
        };
        Ok(plan(&Seen {
            authorities,
            wanted,
            next: next.as_ref(),
            trusted,
            leaf: self.setup.lifetimes.leaf,
            grace: self.setup.lifetimes.grace,
            now,
        }))
    }

    /// What stands in our bundles, is not needed by what this process knows, and may still be served by another replica from files.
    fn former(
        &mut self,
        wanted: &Bundle,
        configurations: &[Configuration],
        now: Timestamp,
    ) -> BTreeSet<Der> {
        let wanted = wanted.ders();
        let standing: BTreeSet<Der> = configurations
            .iter()
            .filter(|configuration| configuration.is_ours() || !self.is_settled)
            .flat_map(|configuration| configuration.entries.iter().flatten())
            .filter(|der| !wanted.contains(*der) && !self.own.contains(*der))
            .cloned()
            .collect();
        self.idle.retain(|der, _| standing.contains(der));
        for der in &standing {
            self.idle.entry(der.clone()).or_insert(now);
        }
        let is_young = |since: &Timestamp| {
            let idle = now.duration_since(*since);
            Duration::try_from(idle).unwrap_or_default() < FORMER_FILES
        };
        self.idle
            .iter()
            .filter(|(_, since)| is_young(since))
            .map(|(der, _)| der.clone())
            .collect()
    }

    async fn tell(
        &self,
        wanted: &Bundle,
        former: &BTreeSet<Der>,
        configurations: &[Configuration],
    ) -> Result<(), Error> {
        for configuration in configurations {
            let mut bundle = wanted.clone();
            let kept = configuration.entries.iter().flatten();
            bundle.extend(kept.filter(|der| former.contains(*der)));
            if configuration
                .entries
                .iter()
                .all(|entry| *entry == bundle.ders())
            {
                continue;
            }
            let api = self.setup.api(configuration.kind);
            let operations = configuration.operations(&bundle);
            writes::amend(&api, (&PUBLISH).into(), &configuration.object, operations).await?;
            tracing::info!(
                kind = configuration.kind,
                name = self.setup.name,
                authorities = bundle.ders().len(),
                fingerprint = fingerprint(&bundle.ders()),
                "API servers are told whom to trust"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
