//! What the API server calls: the webhook server with all endpoints, its certificate, and what the leader does so that API servers
//! trust it.

use crate::app::Ground;
use crate::kit::error::{Error, chain};
use crate::process::flags::{Lifetimes, Listen, WebhookFlags};
use crate::process::installation::Installation;
use crate::webhook::authority::service_names;
use crate::webhook::clients::Checked;
use crate::webhook::endpoint::Endpoint;
use crate::webhook::identity::{self, Identity};
use crate::webhook::server::{self, Webhooks};
use crate::webhook::store::Store;
use crate::webhook::{handshake, rollover};
use std::sync::Arc;
use tokio::task::JoinHandle;

impl Ground {
    /// Where the authority of this installation is kept.
    fn own(&self, lifetimes: Lifetimes) -> Option<(Store, Installation)> {
        let installation = self.installation.as_ref()?;
        let client = self.clients.once.clone();
        let store = Store::new(
            client,
            &self.namespace,
            installation.name(),
            lifetimes.authority,
        );
        Some((store, installation.clone()))
    }

    /// The names of our Service; without an installation the API server may be on this very host.
    fn names(&self, service: Option<&str>) -> Vec<String> {
        let installation = self.installation.as_ref().map(Installation::name);
        let service = service.or(installation).unwrap_or("holdfast");
        let mut names = service_names(service, &self.namespace);
        if installation.is_none() {
            names.push("localhost".into());
        }
        names
    }
}

/// An open door.
pub(crate) struct Door {
    server: Webhooks,
    identity: JoinHandle<()>,
    /// Ends when API servers are told whom to trust.
    told: JoinHandle<()>,
    /// For the leader of an installation.
    pub(crate) keeper: Option<rollover::Setup>,
}

impl Door {
    /// None where the webhooks are off.
    pub(crate) fn open(
        flags: WebhookFlags,
        ground: &Ground,
        endpoints: Vec<Arc<dyn Endpoint>>,
    ) -> Result<Option<Self>, Error> {
        let lifetimes = flags.lifetimes()?;
        let WebhookFlags {
            webhook_bind_address,
            webhook_service,
            cert_dir,
            tls_min_version,
            client_ca_file,
            client_allowed_names,
            ca_lifetime: _,
            leaf_lifetime: _,
            ca_grace: _,
        } = flags;
        if webhook_bind_address == Listen::Off {
            return Ok(None);
        }
        let checked = client_ca_file
            .map(|file| Checked::read(&file, client_allowed_names))
            .transpose()?
            .map(Arc::new);
        let metrics = ground.telemetry.webhooks.clone();
        let own = ground.own(lifetimes);
        let store = own.as_ref().map(|(store, _)| store.clone());
        let identity = Identity::new(identity::Setup {
            names: ground.names(webhook_service.as_deref()),
            lifetimes,
            directory: cert_dir,
            own,
            clients: checked.clone(),
            health: Arc::clone(&ground.health),
            metrics: metrics.clone(),
        });
        let keeper = store
            .zip(ground.installation.as_ref())
            .map(|(store, installation)| rollover::Setup {
                client: ground.clients.once.clone(),
                store,
                name: installation.name().to_owned(),
                lifetimes,
                found: identity.found(),
            });
        let (asked, health) = (keeper.clone(), Arc::clone(&ground.health));
        let told = async move {
            if let Some(setup) = asked {
                rollover::told::wait(&setup, &health).await;
            }
        };
        let setup = server::Setup {
            endpoints,
            tls: handshake::config(tls_min_version, identity.served(), checked)?,
            metrics,
            stop: ground.stop.clone(),
        };
        Ok(
            server::serve(webhook_bind_address, setup)?.map(|server| Self {
                server,
                identity: tokio::spawn(identity.follow()),
                told: tokio::spawn(told),
                keeper,
            }),
        )
    }

    /// Returns when a part of it ended by itself.
    pub(crate) async fn ended(&mut self) -> Error {
        tokio::select! {
            error = self.server.ended() => error,
            ended = &mut self.identity => Error::Ended {
                part: "the webhooks' certificate",
                why: ended.err().map_or_else(|| "it returned".into(), |error| error.to_string()),
            },
        }
    }

    pub(crate) async fn close(self) {
        if let Err(error) = self.server.stop().await {
            tracing::warn!(error = %chain(&error), "the webhook server ended badly");
        }
        self.told.abort();
        self.identity.abort();
    }
}
