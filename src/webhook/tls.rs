//! A server's certificate from a directory with `tls.crt` and `tls.key`, as Kubernetes mounts a Secret of type `kubernetes.io/tls`.
//!
//! A mounted Secret is replaced by swapping a symbolic link, which no watch on the files would see: so the files are read again every
//! second and compared. Certificate and key change only together, and only when they fit and are valid; else the old pair stays.

use crate::kit::error::{Error, chain};
use crate::process::clock;
use crate::webhook::authority::Validity;
use crate::webhook::handshake::Served;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the directory is read again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The files as they were read.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Option<Vec<u8>>,
}

/// What the files say.
#[derive(Debug, Clone)]
pub struct Pair {
    /// From when to when the certificate is valid.
    pub validity: Validity,
    /// The certificate and those between it and its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// What stands in `ca.crt`; nothing where there is no such file.
    pub authority: Vec<CertificateDer<'static>>,
}

/// A certificate that follows its directory.
pub struct Certificate {
    directory: PathBuf,
    files: Files,
    /// What was found last, if it could not be used, and why: told already.
    refused: Option<(Option<Files>, String)>,
    pair: Pair,
    served: Arc<Served>,
}

impl Certificate {
    /// Reads the files now, and serves them.
    ///
    /// # Errors
    /// A file is missing, cannot be read, or they do not belong together.
    pub fn read(directory: &Path, served: Arc<Served>) -> Result<Self, Error> {
        let files = read(directory)?;
        let (pair, key) = understood(directory, &files)?;
        served.set(key);
        Ok(Self {
            directory: directory.to_owned(),
            files,
            refused: None,
            pair,
            served,
        })
    }

    /// What is served now.
    #[must_use]
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Picks up changed pairs until the stop.
    pub async fn follow(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            self.keep_up(clock::now());
        }
    }

    /// Looks once, and says what is found; whether there is a new pair.
    pub fn keep_up(&mut self, now: Timestamp) -> bool {
        match self.look_again(now) {
            Ok(is_new) => {
                if is_new {
                    tracing::info!(directory = %self.directory.display(), until = %self.pair.validity.until, "the certificate was renewed");
                }
                is_new
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the new certificate cannot be used; the old one stays");
                false
            }
        }
    }

    /// Whether there is a new pair, which is then served. What cannot be used is an error when it is first seen, not each time.
    fn look_again(&mut self, now: Timestamp) -> Result<bool, Error> {
        let found = read(&self.directory);
        if found.as_ref().is_ok_and(|files| *files == self.files) {
            self.refused = None;
            return Ok(false);
        }
        let (files, error) = match found {
            Ok(files) => match self.judged(&files, now) {
                Ok((pair, key)) => {
                    self.served.set(key);
                    self.pair = pair;
                    self.files = files;
                    self.refused = None;
                    return Ok(true);
                }
                Err(error) => (Some(files), error),
            },
            Err(error) => (None, error),
        };
        let refused = Some((files, chain(&error)));
        if self.refused == refused {
            return Ok(false);
        }
        self.refused = refused;
        Err(error)
    }

    /// A pair that is not valid does not take the place of one that is.
    fn judged(&self, files: &Files, now: Timestamp) -> Result<(Pair, Arc<CertifiedKey>), Error> {
        let (pair, key) = understood(&self.directory, files)?;
        let Validity { from, until } = pair.validity;
        if !pair.validity.holds(now) && self.pair.validity.holds(now) {
            let why = format!("tls.crt is valid from {from} to {until}, which is not now");
            return Err(unusable(&self.directory, why));
        }
        Ok((pair, key))
    }
}

fn unusable(directory: &Path, why: String) -> Error {
    Error::Invalid {
        what: format!("the certificate in {}", directory.display()),
        why,
    }
}

fn read(directory: &Path) -> Result<Files, Error> {
    let file = |name: &str| {
        let path = directory.join(name);
        std::fs::read(&path).map_err(|source| Error::io("read", path.display().to_string(), source))
    };
    Ok(Files {
        certificate: file("tls.crt")?,
        key: file("tls.key")?,
        authority: file("ca.crt").ok(),
    })
}

/// The certificates in a PEM file.
///
/// # Errors
/// It holds something else besides, or nothing.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("it holds no certificate".into());
    }
    Ok(found)
}

fn understood(directory: &Path, files: &Files) -> Result<(Pair, Arc<CertifiedKey>), Error> {
    let unusable = |why| unusable(directory, why);
    let chain =
        certificates(&files.certificate).map_err(|why| unusable(format!("tls.crt: {why}")))?;
    let leaf = chain
        .first()
        .ok_or_else(|| unusable("tls.crt is empty".into()))?;
    let validity = Validity::of(leaf)?;
    let authority = match &files.authority {
        Some(pem) => certificates(pem).map_err(|why| unusable(format!("ca.crt: {why}")))?,
        None => Vec::new(),
    };
    let key = PrivateKeyDer::from_pem_slice(&files.key)
        .map_err(|error| unusable(format!("tls.key: {error}")))?;
    let provider = rustls::crypto::ring::default_provider();
    let key = CertifiedKey::from_der(chain.clone(), key, &provider)
        .map_err(|error| unusable(format!("{error}; do tls.crt and tls.key belong together?")))?;
    let pair = Pair {
        validity,
        chain,
        authority,
    };
    Ok((pair, Arc::new(key)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn install_crypto() {
        // Another test of this process may have been first.
        let _first = rustls::crypto::ring::default_provider().install_default();
    }

    /// A directory as the kubelet makes it: the files are links through `..data`, which is swapped.
    pub(crate) struct Secret(pub(crate) PathBuf);

    impl Secret {
        pub(crate) fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("holdfast-tls-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            for file in ["tls.crt", "tls.key"] {
                symlink(Path::new("..data").join(file), path.join(file)).unwrap();
            }
            Self(path)
        }

        pub(crate) fn write(&self, version: &str, certificate: &str, key: &str) {
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
        let mut certificate = Certificate::read(&secret.0, Arc::default()).unwrap();
        let served = Arc::as_ptr(&certificate.served.get().unwrap());
        assert!(!certificate.look_again(clock::now()).unwrap());
        secret.write("v2", &second.0, &first.1);
        let error = certificate
            .look_again(clock::now())
            .unwrap_err()
            .to_string();
        assert!(error.contains("belong together"), "{error}");
        assert_eq!(
            Arc::as_ptr(&certificate.served.get().unwrap()),
            served,
            "the old pair stays"
        );
        secret.write("v3", &second.0, &second.1);
        assert!(certificate.look_again(clock::now()).unwrap());
        assert_ne!(Arc::as_ptr(&certificate.served.get().unwrap()), served);
    }

    #[test]
    fn what_cannot_be_used_is_told_when_it_changes() {
        install_crypto();
        let secret = Secret::new("told");
        let (good, other) = (issue(), issue());
        secret.write("v1", &good.0, &good.1);
        let mut certificate = Certificate::read(&secret.0, Arc::default()).unwrap();
        secret.write("v2", &other.0, &good.1);
        assert!(certificate.look_again(clock::now()).is_err());
        assert!(
            !certificate.look_again(clock::now()).unwrap(),
            "told already"
        );
        secret.write("v3", &good.0, &other.1);
        assert!(
            certificate.look_again(clock::now()).is_err(),
            "another bad pair"
        );
        std::fs::remove_file(secret.0.join("..data").join("tls.key")).unwrap();
        assert!(
            certificate.look_again(clock::now()).is_err(),
            "no pair at all"
        );
        assert!(
            !certificate.look_again(clock::now()).unwrap(),
            "told already"
        );
        secret.write("v4", &good.0, &good.1);
        assert!(
            !certificate.look_again(clock::now()).unwrap(),
            "the pair that is served"
        );
        secret.write("v5", &other.0, &good.1);
        assert!(
            certificate.look_again(clock::now()).is_err(),
            "it was well meanwhile"
        );
    }

    #[test]
    fn says_what_is_missing() {
        install_crypto();
        let secret = Secret::new("missing");
        assert!(
            Certificate::read(&secret.0, Arc::default())
                .err()
                .unwrap()
                .to_string()
                .contains("tls.crt")
        );
        secret.write("v1", "", &issue().1);
        assert!(
            Certificate::read(&secret.0, Arc::default())
                .err()
                .unwrap()
                .to_string()
                .contains("no certificate")
        );
    }
}
