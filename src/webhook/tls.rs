//! A server's certificate from a directory with `tls.crt` and `tls.key`, as Kubernetes mounts a Secret of type `kubernetes.io/tls`.
//!
//! A mounted Secret is replaced by swapping a symbolic link, which no watch on the files would see: so the pair is read again every
//! ten seconds and compared. Certificate and key change only together, and only when they fit; else the old pair stays.

use crate::kit::error::{Error, chain};
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the directory is read again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The two files as they were read.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that follows its directory.
pub struct Certificate {
    directory: PathBuf,
    pair: Pair,
    /// What was found last, if it could not be used, and why: told already.
    refused: Option<(Option<Pair>, String)>,
    config: RustlsConfig,
}

impl Certificate {
    /// Reads the pair now.
    ///
    /// # Errors
    /// A file is missing, cannot be read, or the two do not belong together.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let pair = read(directory)?;
        let config = RustlsConfig::from_config(Arc::new(server_config(directory, &pair)?));
        Ok(Self {
            directory: directory.to_owned(),
            pair,
            refused: None,
            config,
        })
    }

    /// For a server; it follows the changes that [`Certificate::follow`] finds.
    #[must_use]
    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Picks up changed pairs until the stop.
    pub async fn follow(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            match self.look_again() {
                Ok(true) => {
                    tracing::info!(directory = %self.directory.display(), "the certificate was renewed");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "the new certificate cannot be used; the old one stays");
                }
            }
        }
    }

    /// Whether there is a new pair, which is then served. What cannot be used is an error when it is first seen, not each time.
    fn look_again(&mut self) -> Result<bool, Error> {
        let found = read(&self.directory);
        if found.as_ref().is_ok_and(|pair| *pair == self.pair) {
            self.refused = None;
            return Ok(false);
        }
        let (pair, error) = match found {
            Ok(pair) => match server_config(&self.directory, &pair) {
                Ok(config) => {
                    self.config.reload_from_config(Arc::new(config));
                    self.pair = pair;
                    self.refused = None;
                    return Ok(true);
                }
                Err(error) => (Some(pair), error),
            },
            Err(error) => (None, error),
        };
        let refused = Some((pair, chain(&error)));
        if self.refused == refused {
            return Ok(false);
        }
        self.refused = refused;
        Err(error)
    }
}

fn read(directory: &Path) -> Result<Pair, Error> {
    let file = |name: &str| {
        let path = directory.join(name);
        std::fs::read(&path).map_err(|source| Error::io("read", path.display().to_string(), source))
    };
    Ok(Pair {
        certificate: file("tls.crt")?,
        key: file("tls.key")?,
    })
}

fn server_config(directory: &Path, pair: &Pair) -> Result<ServerConfig, Error> {
    let unusable = |why: String| Error::Invalid {
        what: format!("the certificate in {}", directory.display()),
        why,
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pair.certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(format!("tls.crt: {error}")))?;
    if certificates.is_empty() {
        return Err(unusable("tls.crt holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(&pair.key)
        .map_err(|error| unusable(format!("tls.key: {error}")))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| unusable(format!("{error}; do tls.crt and tls.key belong together?")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn install_crypto() {
        // Another test of this process may have been first.
        let _first = rustls::crypto::ring::default_provider().install_default();
    }

    /// A directory as the kubelet makes it: the files are links through `..data`, which is swapped.
    struct Secret(PathBuf);

    impl Secret {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("holdfast-tls-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            for file in ["tls.crt", "tls.key"] {
                symlink(Path::new("..data").join(file), path.join(file)).unwrap();
            }
            Self(path)
        }

        fn write(&self, version: &str, certificate: &str, key: &str) {
            let data = self.0.join(version);
            std::fs::create_dir_all(&data).unwrap();
            std::fs::write(data.join("tls.crt"), certificate).unwrap();
            std::fs::write(data.join("tls.key"), key).unwrap();
            symlink(version, self.0.join("..new")).unwrap();
            std::fs::rename(self.0.join("..new"), self.0.join("..data")).unwrap();
        }
    }

    impl Drop for Secret {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn issue() -> (String, String) {
        let issued =
            rcgen::generate_simple_self_signed(vec!["holdfast.holdfast-system.svc".into()])
                .unwrap();
        (issued.cert.pem(), issued.signing_key.serialize_pem())
    }

    #[test]
    fn follows_a_swapped_secret_and_keeps_the_old_pair_when_the_new_one_does_not_fit() {
        install_crypto();
        let secret = Secret::new("swap");
        let (first, second) = (issue(), issue());
        secret.write("v1", &first.0, &first.1);
        let mut certificate = Certificate::read(&secret.0).unwrap();
        let served = Arc::as_ptr(&certificate.config.get_inner());
        assert!(!certificate.look_again().unwrap());
        secret.write("v2", &second.0, &first.1);
        let error = certificate.look_again().unwrap_err().to_string();
        assert!(error.contains("belong together"), "{error}");
        assert_eq!(
            Arc::as_ptr(&certificate.config.get_inner()),
            served,
            "the old pair stays"
        );
        secret.write("v3", &second.0, &second.1);
        assert!(certificate.look_again().unwrap());
        assert_ne!(Arc::as_ptr(&certificate.config.get_inner()), served);
    }

    #[test]
    fn what_cannot_be_used_is_told_when_it_changes() {
        install_crypto();
        let secret = Secret::new("told");
        let (good, other) = (issue(), issue());
        secret.write("v1", &good.0, &good.1);
        let mut certificate = Certificate::read(&secret.0).unwrap();
        secret.write("v2", &other.0, &good.1);
        assert!(certificate.look_again().is_err());
        assert!(!certificate.look_again().unwrap(), "told already");
        secret.write("v3", &good.0, &other.1);
        assert!(certificate.look_again().is_err(), "another bad pair");
        std::fs::remove_file(secret.0.join("..data").join("tls.key")).unwrap();
        assert!(certificate.look_again().is_err(), "no pair at all");
        assert!(!certificate.look_again().unwrap(), "told already");
        secret.write("v4", &good.0, &good.1);
        assert!(
            !certificate.look_again().unwrap(),
            "the pair that is served"
        );
        secret.write("v5", &other.0, &good.1);
        assert!(certificate.look_again().is_err(), "it was well meanwhile");
    }

    #[test]
    fn says_what_is_missing() {
        install_crypto();
        let secret = Secret::new("missing");
        assert!(
            Certificate::read(&secret.0)
                .err()
                .unwrap()
                .to_string()
                .contains("tls.crt")
        );
        secret.write("v1", "", &issue().1);
        assert!(
            Certificate::read(&secret.0)
                .err()
                .unwrap()
                .to_string()
                .contains("no certificate")
        );
    }
}
