//! Who this agent is to the agents of other nodes, and whom it believes: a key that never leaves this process, a certificate for it,
//! and the authorities that came with the certificate. Only TLS 1.3 is spoken, and both sides show who they are.

use crate::kit::agents::{name_of, node_of};
use crate::kit::error::Error;
use crate::webhook::authority::Validity;
use crate::webhook::tls::certificates;
use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How both sides of a connection shake hands, by one certificate.
pub(crate) struct Trust {
    /// As the one that is asked.
    pub(crate) server: Arc<ServerConfig>,
    /// As the one that asks.
    pub(crate) client: Arc<ClientConfig>,
    /// From when to when the certificate is valid.
    pub(crate) validity: Validity,
}

impl Trust {
    /// From what the signer answered: a certificate for this key and this name, and after it the authorities.
    ///
    /// # Errors
    /// It is none of that, or not valid now.
    pub(crate) fn of(pem: &[u8], key: &KeyPair, name: &str, now: Timestamp) -> Result<Self, Error> {
        let mut chain = certificates(pem).map_err(unusable)?.into_iter();
        let leaf = chain.next().ok_or_else(|| unusable("it is empty".into()))?;
        let mut roots = RootCertStore::empty();
        for authority in chain {
            roots.add(authority).map_err(unfit)?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = verifier
            .build()
            .map_err(|error| unusable(format!("no authority came with it: {error}")))?;
        // Others will say the same of it.
        let since = u64::try_from(now.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(since));
        verifier
            .verify_client_cert(&leaf, &[], time)
            .map_err(unfit)?;
        if node_name(&leaf)
            .and_then(|node| name_of(&node).ok())
            .as_deref()
            != Some(name)
        {
            return Err(unusable(format!("it is not for {name}")));
        }
        let private =
            || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialized_der().to_vec()));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unfit)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![leaf.clone()], private())
            .map_err(unfit)?;
        // Who is checked is checked on every connection.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unfit)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![leaf.clone()], private())
            .map_err(unfit)?;
        client.resumption = Resumption::disabled();
        let alpn = vec![b"http/1.1".to_vec()];
        server.alpn_protocols.clone_from(&alpn);
        client.alpn_protocols = alpn;
        Ok(Self {
            validity: Validity::of(&leaf)?,
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }
}

fn unusable(why: String) -> Error {
    Error::Invalid {
        what: "the certificate that was signed for this agent".into(),
        why,
    }
}

fn unfit(error: rustls::Error) -> Error {
    unusable(error.to_string())
}

/// Whose agent shows this certificate. Only of one whose authority is known it says anything.
pub(crate) fn node_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten()?;
    match names.value.general_names.as_slice() {
        [GeneralName::DNSName(name)] => node_of(name).map(str::to_owned),
        _ => None,
    }
}

/// This agent, now and after each renewal.
pub(crate) struct Identity {
    name: String,
    trust: RwLock<Option<Arc<Trust>>>,
    doubts: Notify,
}

impl Identity {
    /// Of a node's agent, that has no certificate yet.
    ///
    /// # Errors
    /// The node has a name for which there can be none.
    pub(crate) fn new(node: &str) -> Result<Self, Error> {
        let name = name_of(node).map_err(|why| Error::Invalid {
            what: "this node's name".into(),
            why,
        })?;
        Ok(Self {
            name,
            trust: RwLock::default(),
            doubts: Notify::new(),
        })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it shakes hands; not before it has a certificate.
    pub(crate) fn trust(&self) -> Option<Arc<Trust>> {
        let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner);
        trust.clone()
    }

    /// From the next connection on.
    pub(crate) fn set(&self, trust: Trust) {
        let mut place = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::new(trust));
    }

    /// The same as another.
    #[cfg(test)]
    pub(crate) fn set_as(&self, other: &Self) {
        let mut place = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        *place = other.trust();
    }

    /// Somebody showed a certificate of an authority that we do not know, or did not know ours: it may be younger than ours.
    pub(crate) fn doubts(&self) {
        self.doubts.notify_one();
    }

    /// Returns when there is reason to doubt.
    pub(crate) async fn doubted(&self) {
        self.doubts.notified().await;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::webhook::authority::Authority;
    use crate::webhook::authority::request::{Request, ask};
    use std::sync::atomic::{AtomicU64, Ordering};

    const DAY: Duration = Duration::from_secs(86_400);

    pub(crate) fn now() -> Timestamp {
        crate::process::clock::now()
    }

    /// Each with a name of its own: of two with one name a verifier says that a signature is wrong, and not whose.
    pub(crate) fn authority() -> Authority {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Authority::create(&format!("agents {number}"), DAY, now()).unwrap()
    }

    /// As the signer answers.
    fn signed(authority: &Authority, name: &str, key: &KeyPair, trusted: &str) -> Vec<u8> {
        let request = Request::read(ask(name, key).unwrap().as_bytes()).unwrap();
        let signed = authority.sign(&request, DAY, now()).unwrap();
        format!("{}{trusted}", signed.certificate).into_bytes()
    }

    /// The agent of a node, by one authority, believing these.
    pub(crate) fn agent(node: &str, by: &Authority, trusted: &[&Authority]) -> Arc<Identity> {
        let identity = Identity::new(node).unwrap();
        let key = KeyPair::generate().unwrap();
        let trusted: String = trusted.iter().map(|one| one.certificate()).collect();
        let pem = signed(by, identity.name(), &key, &trusted);
        identity.set(Trust::of(&pem, &key, identity.name(), now()).unwrap());
        Arc::new(identity)
    }

    #[test]
    fn only_what_was_signed_for_this_key_and_name_and_is_valid_is_used() {
        let (ours, other) = (authority(), authority());
        let name = name_of("n1").unwrap();
        let (key, another) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let pem = signed(&ours, &name, &key, ours.certificate());
        assert!(Trust::of(&pem, &key, &name, now()).is_ok());
        let refused = |pem: &[u8], key, name: &str, at| Trust::of(pem, key, name, at).is_err();
        assert!(refused(&pem, &another, &name, now()), "another's key");
        assert!(
            refused(&pem, &key, "n2.agents.holdfast.dev", now()),
            "another's name"
        );
        assert!(refused(&pem, &key, &name, now() + DAY * 2), "it is over");
        let alone = signed(&ours, &name, &key, "");
        assert!(refused(&alone, &key, &name, now()), "nobody to trust");
        let strange = signed(&ours, &name, &key, other.certificate());
        assert!(
            refused(&strange, &key, &name, now()),
            "nobody would believe it"
        );
        assert!(refused(b"", &key, &name, now()));
        let both = format!("{}{}", other.certificate(), ours.certificate());
        let pem = signed(&ours, &name, &key, &both);
        assert!(
            Trust::of(&pem, &key, &name, now()).is_ok(),
            "in a roll-over"
        );
    }

    #[test]
    fn a_certificate_of_ours_names_one_node_and_others_name_none() {
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let pem = signed(&authority(), name, &key, "");
            certificates(&pem).unwrap().remove(0)
        };
        assert_eq!(
            node_name(&leaf("n1.agents.holdfast.dev")).as_deref(),
            Some("n1")
        );
        assert_eq!(node_name(&leaf("holdfast.holdfast-system.svc")), None);
        let served = authority().issue(&["a.agents.holdfast.dev".into(), "b".into()], DAY, now());
        assert_eq!(node_name(&served.unwrap().served.cert[0]), None);
    }
}
