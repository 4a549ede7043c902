//! The baseline of `make bench-admission`: what an HTTPS server on axum-server and rustls can do that decides nothing. TLS as the
//! product's, no layers; it reads the whole body and answers always the same. Usage: `bench-bare ADDRESS CERT-DIR [BYTES]`.

use anyhow::Context;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::{Router, routing::post};
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// A patch of this many bytes in base64 makes the answer as long as the product's usual one.
const PATCH: usize = 600;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    holdfast::install_crypto();
    let mut words = std::env::args().skip(1);
    let usage = "say: bench-bare ADDRESS CERT-DIR [BYTES]";
    let address: SocketAddr = words.next().context(usage)?.parse().context(usage)?;
    let directory = words.next().context(usage)?;
    let patch = words
        .next()
        .map_or(Ok(PATCH), |bytes| bytes.parse())
        .context(usage)?;
    let answer = Bytes::from(format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"00000000-0000-0000-0000-000000000000","allowed":true,"patchType":"JSONPatch","patch":"{}"}}}}"#,
        "A".repeat(patch)
    ));
    let answer = move |body: Bytes| {
        std::hint::black_box(body);
        std::future::ready(([(CONTENT_TYPE, "application/json")], answer.clone()))
    };
    let listener = TcpListener::bind(address).context("cannot listen")?;
    listener.set_nonblocking(true)?;
    let tls = RustlsConfig::from_config(Arc::new(tls(&directory)?));
    axum_server::from_tcp(listener)?
        .http1_only()
        .acceptor(RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new()))
        .serve(Router::new().fallback(post(answer)).into_make_service())
        .await?;
    Ok(())
}

fn tls(directory: &str) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(format!("{directory}/tls.crt"))?;
    let key = PrivateKeyDer::from_pem_file(format!("{directory}/tls.key"))?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
