//! Bundles of authorities, and the webhook configurations that hold them.

use crate::kit::digest::Digest;
use crate::kit::error::Error;
use crate::kit::names::{CERT_MANAGER_INJECTS, WRITTEN_BUNDLE};
use crate::webhook::rollover::plan::Der;
use crate::webhook::tls::certificates;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::ResourceExt;
use kube::api::DynamicObject;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Certificates, each once, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle(Vec<Der>);

impl Bundle {
    /// Adds the certificates of a PEM text.
    ///
    /// # Errors
    /// It holds something else besides.
    pub fn add_pem(&mut self, pem: &str) -> Result<(), Error> {
        self.add(&parsed(pem)?);
        Ok(())
    }

    /// Adds certificates.
    pub fn add(&mut self, certificates: &[CertificateDer<'_>]) {
        for certificate in certificates {
            self.extend([&certificate.to_vec()]);
        }
    }

    /// Adds certificates.
    pub fn extend<'a>(&mut self, ders: impl IntoIterator<Item = &'a Der>) {
        for der in ders {
            if !self.0.contains(der) {
                self.0.push(der.clone());
            }
        }
    }

    /// The certificates, in no order.
    #[must_use]
    pub fn ders(&self) -> BTreeSet<Der> {
        self.0.iter().cloned().collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All certificates in PEM form.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.iter().map(|der| pem(der)).collect()
    }
}

fn pem(der: &[u8]) -> String {
    const COLUMNS: usize = 64;
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(COLUMNS).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// The certificates of a PEM text, in no order.
///
/// # Errors
/// It holds something else besides.
pub fn ders(pem: &str) -> Result<BTreeSet<Der>, Error> {
    Ok(parsed(pem)?.iter().map(|der| der.to_vec()).collect())
}

fn parsed(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    certificates(pem.as_bytes()).map_err(|why| Error::Invalid {
        what: "an authority".into(),
        why,
    })
}

/// By which a bundle is known again: SHA-256 over its certificates.
#[must_use]
pub fn fingerprint(bundle: &BTreeSet<Der>) -> String {
    let whole: Vec<u8> = bundle.iter().flatten().copied().collect();
    Digest::of(&whole).text().to_owned()
}

/// A webhook configuration of ours.
#[derive(Debug)]
pub struct Configuration {
    /// Mutating or validating.
    pub kind: &'static str,
    /// As it was read.
    pub object: DynamicObject,
    /// What each of its webhooks trusts; nothing where that cannot be read.
    pub entries: Vec<BTreeSet<Der>>,
    /// Nothing is written in any of its bundles.
    is_empty: bool,
}

impl Configuration {
    /// What an object says.
    #[must_use]
    pub fn read(kind: &'static str, object: DynamicObject) -> Self {
        let webhooks = object.data.get("webhooks").and_then(Value::as_array);
        let texts: Vec<String> = webhooks
            .into_iter()
            .flatten()
            .map(|webhook| {
                let encoded = webhook.pointer("/clientConfig/caBundle");
                let encoded = encoded.and_then(Value::as_str);
                let decoded = STANDARD.decode(encoded.unwrap_or_default());
                String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default()
            })
            .collect();
        Self {
            kind,
            entries: texts
                .iter()
                .map(|text| ders(text).unwrap_or_default())
                .collect(),
            // A placeholder of the earlier project's manifests is an encoded line feed.
            is_empty: texts.iter().all(|text| text.trim().is_empty()),
            object,
        }
    }

    /// Whether what stands in it was written by us, and by nobody since; somebody may have emptied it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let written = self.object.annotations().get(WRITTEN_BUNDLE);
        let mut filled = self.entries.iter().filter(|entry| !entry.is_empty());
        written.is_some_and(|written| filled.all(|entry| fingerprint(entry) == *written))
    }

    /// Whether it is for us to say whom it trusts. `from_files`: our certificate is somebody's own, and so may the bundle be.
    #[must_use]
    pub fn is_to_be_written(&self, from_files: bool) -> bool {
        let mut annotations = self.object.annotations().keys();
        let is_injected = annotations.any(|key| key.starts_with(CERT_MANAGER_INJECTS));
        !is_injected && (!from_files || self.is_empty || self.is_ours())
    }

    /// What makes all its webhooks trust this bundle.
    #[must_use]
    pub fn operations(&self, bundle: &Bundle) -> Value {
        let encoded = STANDARD.encode(bundle.pem());
        let mut operations: Vec<_> = (0..self.entries.len())
            .map(|index| {
                let path = format!("/webhooks/{index}/clientConfig/caBundle");
                json!({ "op": "add", "path": path, "value": encoded })
            })
            .collect();
        if self.object.metadata.annotations.is_none() {
            operations.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
        }
        let key = WRITTEN_BUNDLE.replace('/', "~1");
        let path = format!("/metadata/annotations/{key}");
        let fingerprint = fingerprint(&bundle.ders());
        operations.push(json!({ "op": "add", "path": path, "value": fingerprint }));
        Value::Array(operations)
    }
}
