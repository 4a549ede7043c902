//! What the API server calls: the webhook server with all endpoints, its certificate, and what the leader does so that API servers
//! trust it.

use crate::kit::error::{Error, chain};
use crate::process::clients::Clients;
use crate::process::flags::{Lifetimes, Listen, WebhookFlags};
use crate::process::health::Health;
use crate::process::installation::Installation;
use crate::process::telemetry::Telemetry;
use crate::webhook::authority::service_names;
use crate::webhook::clients::Checked;
use crate::webhook::endpoint::Endpoint;
use crate::webhook::identity::{self, Identity};
use crate::webhook::server::{self, Webhooks};
use crate::webhook::store::Store;
use crate::webhook::{handshake, rollover};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a door is built from.
pub(crate) struct Place<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) namespace: &'a str,
    pub(crate) installation: Option<&'a Installation>,
    pub(crate) health: &'a Arc<Health>,
    pub(crate) telemetry: &'a Arc<Telemetry>,
    pub(crate) stop: &'a CancellationToken,
}

impl Place<'_> {
    /// Where the authority of this installation is kept.
    fn own(&self, lifetimes: Lifetimes) -> Option<(Store, Installation)> {
        let installation = self.installation?;
        let client = self.clients.once.clone();
        let store = Store::new(
            client,
            self.namespace,
            installation.name(),
            lifetimes.authority,
        );
        Some((store, installation.clone()))
    }

    /// The names of our Service; without an installation the API server may be on this very host.
    fn names(&self, service: Option<&str>) -> Vec<String> {
        let installation = self.installation.map(Installation::name);
        let service = service.or(installation).unwrap_or("holdfast");
        let mut names = service_names(service, self.namespace);
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
    /// For the leader of an installation.
    pub(crate) keeper: Option<rollover::Setup>,
}

impl Door {
    /// None where the webhooks are off.
    pub(crate) fn open(
        flags: WebhookFlags,
        place: &Place<'_>,
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
        let metrics = place.telemetry.webhooks.clone();
        let own = place.own(lifetimes);
        let store = own.as_ref().map(|(store, _)| store.clone());
        let identity = Identity::new(identity::Setup {
            names: place.names(webhook_service.as_deref()),
            lifetimes,
            directory: cert_dir,
            own,
            clients: checked.clone(),
            health: Arc::clone(place.health),
            metrics: metrics.clone(),
        });
        let keeper = store
            .zip(place.installation)
            .map(|(store, installation)| rollover::Setup {
                client: place.clients.once.clone(),
                store,
                name: installation.name().to_owned(),
                lifetimes,
                found: identity.found(),
            });
        let setup = server::Setup {
            endpoints,
            tls: handshake::config(tls_min_version, identity.served(), checked)?,
            metrics,
            stop: place.stop.clone(),
        };
        Ok(
            server::serve(webhook_bind_address, setup)?.map(|server| Self {
                server,
                identity: tokio::spawn(identity.follow()),
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
        self.identity.abort();
    }
}
