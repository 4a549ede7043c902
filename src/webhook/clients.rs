//! Which clients may connect: those with a certificate of a given authority, and, if names are listed, with one of these names.
//!
//! API servers present a certificate only if their administrator told them to, so this is off unless it is asked for.

use crate::kit::error::Error;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Checks clients; follows the file with the authorities.
#[derive(Debug)]
pub struct Checked {
    file: PathBuf,
    names: Vec<String>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    text: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Checked {
    /// Clients with a certificate signed by an authority in `file`. `names`: common or alternative names of which each has to have
    /// one; none listed means any.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate that can be used.
    pub fn read(file: &Path, names: Vec<String>) -> Result<Self, Error> {
        Ok(Self {
            state: RwLock::new(understood(file, text(file)?)?),
            file: file.to_owned(),
            names,
        })
    }

    /// Looks at the file again; whether it has changed. On an error the former authorities stay.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate that can be used.
    pub fn look_again(&self) -> Result<bool, Error> {
        let text = text(&self.file)?;
        if self.state().text == text {
            return Ok(false);
        }
        let state = understood(&self.file, text)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(true)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.state().verifier)
    }
}

fn text(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|source| Error::io("read", file.display().to_string(), source))
}

fn understood(file: &Path, text: Vec<u8>) -> Result<State, Error> {
    let unusable = |why: String| Error::Invalid {
        what: format!("the clients' authority in {}", file.display()),
        why,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(format!("{error}; it has to hold certificates in PEM form")))?;
    Ok(State { text, verifier })
}

/// The common names and alternative names of a certificate.
fn names_of(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let common = certificate
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
                Some(*name)
            }
            _ => None,
        });
    common.chain(alternative).map(str::to_owned).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("none of the client's names is allowed: {0:?}")]
struct NoName(Vec<String>);

impl ClientCertVerifier for Checked {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Authorities may change while we serve; a client that has one certificate sends it without a hint.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .verifier()
            .verify_client_cert(end_entity, intermediates, now)?;
        let names = names_of(end_entity);
        if self.names.is_empty() || names.iter().any(|name| self.names.contains(name)) {
            return Ok(verified);
        }
        tracing::warn!(
            ?names,
            "a client was sent away: --client-allowed-names has none of its names"
        );
        let why = OtherError(Arc::new(NoName(names)));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(
            why,
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}
