//! What is agreed on before the first request: the protocol's version, our certificate, and, if asked for, the client's.
//!
//! The certificate is looked up at each handshake, so a new one is served from the next connection on, and no connection is cut.
//! No session is ever resumed: API servers do not try to, and a client that is checked is checked on every connection.

use crate::kit::error::Error;
use crate::process::flags::OldestTls;
use crate::webhook::clients::Checked;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::sync::{Arc, PoisonError, RwLock};

const ONLY_TLS13: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(oldest: OldestTls) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        OldestTls::V1_2 => rustls::ALL_VERSIONS,
        OldestTls::V1_3 => ONLY_TLS13,
    }
}

/// The certificate that is served now; none before there is one.
#[derive(Debug, Default)]
pub struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl Served {
    /// From the next handshake on, this one.
    pub fn set(&self, key: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// What is served now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
    }
}

/// How this server shakes hands.
///
/// # Errors
/// The cryptography of this process does not offer what is asked for.
pub fn config(
    oldest: OldestTls,
    served: Arc<Served>,
    clients: Option<Arc<Checked>>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(oldest))
        .map_err(|error| Error::Invalid {
            what: "the oldest TLS version".into(),
            why: error.to_string(),
        })?;
    let mut config = match clients {
        Some(checked) => builder.with_client_cert_verifier(checked),
        None => builder.with_no_client_auth(),
    }
    .with_cert_resolver(served);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
