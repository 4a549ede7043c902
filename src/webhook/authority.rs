//! An authority of our own, the leaves that it signs, and when either has to be renewed. No clock is asked here: the time is an
//! argument; only keys are drawn at random.
//!
//! Keys are P-256 throughout: an API server does a full handshake for every connection, and these are the cheapest to verify.

pub mod request;

use crate::kit::error::Error;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates are valid from a little before they are made: other hosts' clocks may be behind ours.
const BACK_DATED: Duration = Duration::from_secs(3600);

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub from: Timestamp,
    /// Its last second.
    pub until: Timestamp,
}

impl Validity {
    /// What a certificate says.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| unusable(error.to_string()))?;
        let second = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| unusable(error.to_string()))
        };
        let validity = parsed.validity();
        Ok(Self {
            from: second(validity.not_before)?,
            until: second(validity.not_after)?,
        })
    }

    /// Whether it is valid at this time.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }

    /// When two thirds of its life are over, not counting what it was back-dated.
    #[must_use]
    pub fn renewal(&self) -> Timestamp {
        let whole = self.until.duration_since(self.from);
        let back_dated = jiff::SignedDuration::try_from(BACK_DATED).unwrap_or_default();
        let life = whole
            .checked_sub(back_dated)
            .filter(jiff::SignedDuration::is_positive);
        let third = life.unwrap_or(whole).checked_div(3).unwrap_or_default();
        self.until.checked_sub(third).unwrap_or(self.until)
    }
}

fn unusable(why: String) -> Error {
    Error::Invalid {
        what: "a certificate".into(),
        why,
    }
}

/// An authority: its certificate and its key, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    certificate: String,
    key: String,
    validity: Validity,
}

/// What an authority signed: certificate and key, in PEM form and ready to be served.
pub struct Leaf {
    /// The certificate in PEM form.
    pub certificate: String,
    /// Its key in PEM form.
    pub key: String,
    /// Both, as a server uses them.
    pub served: Arc<CertifiedKey>,
    /// From when to when it is valid.
    pub validity: Validity,
}

impl Authority {
    /// A new authority. `name`: whose it is, for people who look at the certificate.
    ///
    /// # Errors
    /// The cryptography failed.
    pub fn create(name: &str, life: Duration, now: Timestamp) -> Result<Self, Error> {
        let mut params = params(Vec::new(), life, now, None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // The time tells one authority of an installation from the next.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{name} {now:.0}"));
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            validity: Validity::of(certificate.der())?,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// An authority that was made before.
    ///
    /// # Errors
    /// Certificate or key cannot be read, or they do not belong together.
    pub fn read(certificate: &str, key: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| unusable(error.to_string()))?;
        let pair = KeyPair::from_pem(key).map_err(failed)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| unusable(error.to_string()))?;
        if parsed.public_key().subject_public_key.data != pair.public_key_raw() {
            return Err(unusable(
                "it does not belong to the key that is kept with it".into(),
            ));
        }
        Ok(Self {
            validity: Validity::of(&der)?,
            // It is joined with others to one text.
            certificate: format!("{}\n", certificate.trim_end()),
            key: key.to_owned(),
        })
    }

    /// Its certificate, in PEM form.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key, in PEM form.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// From when to when it is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// A certificate for a server with these names. It does not outlive its authority.
    ///
    /// # Errors
    /// A name cannot be used, or the cryptography failed.
    pub fn issue(&self, names: &[String], life: Duration, now: Timestamp) -> Result<Leaf, Error> {
        let signer = KeyPair::from_pem(&self.key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, signer).map_err(failed)?;
        let mut params = params(names.to_vec(), life, now, Some(self.validity.until))?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if let Some(name) = names
            .first()
            .filter(|name| name.len() <= LONGEST_COMMON_NAME)
        {
            params
                .distinguished_name
                .push(DnType::CommonName, name.clone());
        }
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        let chain = vec![certificate.der().clone()];
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| unusable(error.to_string()))?;
        let provider = rustls::crypto::ring::default_provider();
        let validity = Validity::of(chain.first().ok_or_else(|| unusable("it is gone".into()))?)?;
        let served = CertifiedKey::from_der(chain, private, &provider)
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Leaf {
            certificate,
            key,
            served: Arc::new(served),
            validity,
        })
    }
}

/// The names under which a Service is reached from within a cluster.
#[must_use]
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    // The one that an API server asks for comes first.
    [
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
        service.to_owned(),
    ]
    .into()
}

/// X.509 allows no longer one.
const LONGEST_COMMON_NAME: usize = 64;

fn params(
    names: Vec<String>,
    life: Duration,
    now: Timestamp,
    at_most: Option<Timestamp>,
) -> Result<CertificateParams, Error> {
    let out_of_range = |_| unusable("its time is out of range".into());
    let from = now.checked_sub(BACK_DATED).map_err(out_of_range)?;
    let until = now.checked_add(life).map_err(out_of_range)?;
    let until = at_most.map_or(until, |at_most| until.min(at_most));
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.not_before = date(from)?;
    params.not_after = date(until)?;
    // The library's own example name, otherwise.
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn date(time: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(time.as_second())
        .map_err(|error| unusable(error.to_string()))
}

fn failed(error: rcgen::Error) -> Error {
    unusable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn authority() -> Authority {
        Authority::create("holdfast webhooks", DAY.saturating_mul(365), now()).unwrap()
    }

    /// Whether a client that trusts these authorities accepts this leaf under this name at this time.
    fn is_trusted(trusted: &[&Authority], leaf: &Leaf, name: &str, at: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        for authority in trusted {
            let der = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
            roots.add(der).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let at =
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_second()).unwrap()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier
            .verify_server_cert(&leaf.served.cert[0], &[], &name, &[], at)
            .is_ok()
    }

    #[test]
    fn a_leaf_is_trusted_under_every_name_of_its_service_and_no_other() {
        let authority = authority();
        let names = service_names("hooks", "apps");
        let leaf = authority.issue(&names, DAY * 7, now()).unwrap();
        for name in [
            "hooks",
            "hooks.apps",
            "hooks.apps.svc",
            "hooks.apps.svc.cluster.local",
        ] {
            assert!(is_trusted(&[&authority], &leaf, name, now()), "{name}");
        }
        assert!(!is_trusted(&[&authority], &leaf, "hooks.other.svc", now()));
        let other = Authority::create("holdfast webhooks", DAY, now()).unwrap();
        assert!(!is_trusted(&[&other], &leaf, "hooks.apps.svc", now()));
        assert!(is_trusted(
            &[&other, &authority],
            &leaf,
            "hooks.apps.svc",
            now()
        ));
    }

    #[test]
    fn a_leaf_is_valid_a_little_before_it_was_made_and_not_after_its_authority() {
        let authority = authority();
        let names = service_names("hooks", "apps");
        let leaf = authority.issue(&names, DAY * 7, now()).unwrap();
        let at = |time| is_trusted(&[&authority], &leaf, "hooks.apps.svc", time);
        assert!(at(now() - Duration::from_secs(3500)) && at(now() + DAY * 6));
        assert!(!at(now() - Duration::from_secs(3700)) && !at(now() + DAY * 8));
        let late = now() + DAY * 364;
        let leaf = authority.issue(&names, DAY * 7, late).unwrap();
        assert_eq!(leaf.validity.until, authority.validity().until);
    }

    #[test]
    fn is_renewed_when_two_thirds_of_its_life_are_over() {
        let authority = Authority::create("a", Duration::from_secs(300), now()).unwrap();
        assert_eq!(
            authority.validity().renewal(),
            now() + Duration::from_secs(200)
        );
        assert!(authority.validity().holds(now()));
        assert!(!authority.validity().holds(now() + Duration::from_secs(301)));
        let made_elsewhere = Validity {
            from: now(),
            until: now() + Duration::from_secs(1800),
        };
        assert_eq!(made_elsewhere.renewal(), now() + Duration::from_secs(1200));
    }

    #[test]
    fn what_is_kept_can_be_read_again_and_what_does_not_fit_is_refused() {
        let (one, two) = (authority(), authority());
        assert_eq!(Authority::read(one.certificate(), one.key()).unwrap(), one);
        let error = Authority::read(one.certificate(), two.key()).unwrap_err();
        assert!(error.to_string().contains("belong"), "{error}");
        assert!(Authority::read("", one.key()).is_err());
        assert!(Authority::read(one.certificate(), "").is_err());
    }

    #[test]
    fn a_service_with_a_long_name_gets_its_certificate_too() {
        let names = service_names(&"s".repeat(63), &"n".repeat(63));
        let leaf = authority().issue(&names, DAY, now()).unwrap();
        assert_eq!(leaf.validity.until, now() + DAY);
    }
}
