//! Agents speak with agents: certificates, the questions of a hand-over, and states of pods on their way from node to node.
//!
//! ```text
//! certificate ─► identity ─┬─► server ─► service ─► desks (may he ask this?) ─► what the node's records say
//! (asked of the leader)    │                └─────► receiving ─► store/incoming ─► verified
//!                          └─► way ─► sending (stream, pace)
//! ```

pub(crate) mod certificate;
pub(crate) mod desk;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod identity;
pub(crate) mod pace;
pub(crate) mod path;
pub(crate) mod receiving;
pub(crate) mod running;
pub(crate) mod sending;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod stream;
pub(crate) mod way;
pub(crate) mod wire;

use rustls::{AlertDescription, CertificateError};

/// Whether a handshake failed because one side does not know the other one's authority: ours, or its, may be too old.
fn is_about_authorities(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        inner,
        Some(
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
                | rustls::Error::AlertReceived(AlertDescription::UnknownCA)
        )
    )
}

#[cfg(test)]
mod tests;
