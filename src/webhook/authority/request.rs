//! Certificates for keys that are not ours: somebody asks for one, and shows by a signature that the key is his. Of what he asks for
//! nothing but the key is taken over: what stands in the certificate says whoever signs it.

use super::{Authority, Validity, failed, params, unusable};
use crate::kit::error::Error;
use jiff::Timestamp;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKey, SanType,
};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use std::time::Duration;

/// Nobody's request with one name and a key of 256 bits is longer.
const LONGEST: usize = 4096;

/// A request whose signature fits its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    key: PublicKey,
    name: String,
}

/// What an authority signed for a key that it does not have.
pub struct Signed {
    /// In PEM form.
    pub certificate: String,
    /// From when to when it is valid.
    pub validity: Validity,
}

impl Request {
    /// What a request in PEM form asks for: one name of DNS, and nothing else.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn read(pem: &[u8]) -> Result<Self, String> {
        if pem.len() > LONGEST {
            return Err(format!(
                "it has {} bytes; one with a P-256 key and one name has fewer than {LONGEST}",
                pem.len()
            ));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|error| format!("it is no CERTIFICATE REQUEST in PEM form: {error}"))?;
        let CertificateSigningRequestParams { params, public_key } =
            CertificateSigningRequestParams::from_der(&der).map_err(|error| {
                format!("it cannot be read, or its signature is wrong: {error}")
            })?;
        if public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err("its key is no P-256 key".into());
        }
        Ok(Self {
            name: only_name(&params)?,
            key: public_key,
        })
    }

    /// The name that it asks for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn only_name(params: &CertificateParams) -> Result<String, String> {
    if !matches!(params.is_ca, IsCa::NoCa | IsCa::ExplicitNoCa) {
        return Err("it asks to be an authority".into());
    }
    if params.distinguished_name.iter().next().is_some() {
        return Err(
            "it has a subject: leave it empty, the name stands among the alternative names".into(),
        );
    }
    match params.subject_alt_names.as_slice() {
        [SanType::DnsName(name)] => Ok(name.to_string()),
        [_] => Err("its alternative name is none of DNS".into()),
        names => Err(format!(
            "it has {} alternative names: one is wanted, the agent's",
            names.len()
        )),
    }
}

impl Authority {
    /// A certificate for a peer, who serves and asks under this one name. It does not outlive its authority.
    ///
    /// # Errors
    /// The cryptography failed.
    pub fn sign(&self, request: &Request, life: Duration, now: Timestamp) -> Result<Signed, Error> {
        let signer = KeyPair::from_pem(&self.key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, signer).map_err(failed)?;
        let names = vec![request.name.clone()];
        let mut params = params(names, life, now, Some(self.validity.until))?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&request.key, &issuer).map_err(failed)?;
        Ok(Signed {
            validity: Validity::of(certificate.der())?,
            certificate: certificate.pem(),
        })
    }
}

/// A request for a certificate with this name, by this key, in PEM form.
///
/// # Errors
/// The name cannot be used, or the cryptography failed.
pub fn ask(name: &str, key: &KeyPair) -> Result<String, Error> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let request = params.serialize_request(key).map_err(failed)?;
    request.pem().map_err(|error| unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{BasicConstraints, DnType, PKCS_ECDSA_P384_SHA384};

    const NAME: &str = "n1.agents.holdfast.dev";

    type Change = Box<dyn FnOnce(&mut CertificateParams)>;

    fn asked(change: impl FnOnce(&mut CertificateParams)) -> Result<Request, String> {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let request = params.serialize_request(&KeyPair::generate().unwrap());
        Request::read(request.unwrap().pem().unwrap().as_bytes())
    }

    #[test]
    fn one_name_is_asked_for_and_nothing_else() {
        assert_eq!(asked(|_| {}).unwrap().name(), NAME);
        let ip = || SanType::IpAddress("10.0.0.1".parse().unwrap());
        let other = || SanType::DnsName("other.agents.holdfast.dev".try_into().unwrap());
        let changes: [(Change, &str); 5] = [
            (
                Box::new(move |p| p.subject_alt_names.push(other())),
                "2 alternative names",
            ),
            (
                Box::new(|p| p.subject_alt_names.clear()),
                "0 alternative names",
            ),
            (
                Box::new(move |p| p.subject_alt_names = vec![ip()]),
                "none of DNS",
            ),
            (
                Box::new(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
                "authority",
            ),
            (
                Box::new(|p| {
                    p.distinguished_name
                        .push(DnType::OrganizationName, "system:masters");
                }),
                "subject",
            ),
        ];
        for (change, why) in changes {
            let refused = asked(change).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_key_that_is_not_the_askers_or_not_of_our_kind_is_refused() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let refused = Request::read(ask(NAME, &key).unwrap().as_bytes()).unwrap_err();
        assert!(refused.contains("P-256"), "{refused}");
        let pem = ask(NAME, &KeyPair::generate().unwrap()).unwrap();
        let mut der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .to_vec();
        // The last byte is of the signature.
        *der.last_mut().unwrap() ^= 1;
        let forged = STANDARD.encode(der);
        let forged = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{forged}\n-----END CERTIFICATE REQUEST-----\n"
        );
        assert!(
            Request::read(forged.as_bytes())
                .unwrap_err()
                .contains("signature")
        );
        for nothing in [&b""[..], b"nothing", &[b'a'; 5000]] {
            assert!(Request::read(nothing).is_err());
        }
    }

    #[test]
    fn what_is_signed_is_the_askers_key_with_our_words() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        let authority = Authority::create("agents", day * 2, now).unwrap();
        let key = KeyPair::generate().unwrap();
        let request = Request::read(ask(NAME, &key).unwrap().as_bytes()).unwrap();
        let signed = authority.sign(&request, day, now).unwrap();
        assert_eq!(signed.validity.until, now + day);
        let late = authority.sign(&request, day, now + day * 2 - Duration::from_secs(60));
        assert_eq!(late.unwrap().validity.until, authority.validity().until);
    }
}
