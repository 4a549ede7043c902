//! By hand, byte by byte, with the same library's other half as the client.

use super::*;
use crate::webhook::fuzzing::records;
use futures::task::noop_waker_ref;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use std::io::{Read, Write};

mod hostile;
mod whole;

const NAME: &str = "holdfast.holdfast-system.svc";

/// A socket in memory: gives what is in it, takes as much as it may.
#[derive(Default)]
struct Pipe {
    comes: Vec<u8>,
    is_cut: bool,
    went: Vec<u8>,
    /// How much it still takes.
    takes: usize,
    /// How much of it at once; nothing said means all.
    at_once: Option<usize>,
    is_shut: bool,
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let now = self.comes.len().min(buffer.remaining());
        if now == 0 && !self.is_cut {
            return Poll::Pending;
        }
        buffer.put_slice(&self.comes[..now]);
        self.comes.drain(..now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = bytes.len().min(self.takes);
        let now = now.min(self.at_once.unwrap_or(now));
        // Nothing is always taken, as by a socket.
        if now == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        self.takes = self.takes.saturating_sub(now);
        self.went.extend_from_slice(&bytes[..now]);
        Poll::Ready(Ok(now))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

/// The configurations of both ends.
struct Ends {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn ends(version: &'static SupportedProtocolVersion) -> Ends {
    let (server, roots) = records::ends(NAME);
    Ends {
        server,
        client: Arc::new(
            ClientConfig::builder_with_protocol_versions(&[version])
                .with_root_certificates(roots)
                .with_no_client_auth(),
        ),
    }
}

/// The same, where the client shows a certificate with so many names.
fn known_ends(version: &'static SupportedProtocolVersion, names: u16) -> Ends {
    let ends = ends(version);
    let names: Vec<_> = (0..names)
        .map(|at| format!("client-{at}.example"))
        .collect();
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = issued.cert.der().clone();
    let mut authorities = RootCertStore::empty();
    authorities.add(certificate.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(authorities.into()).build();
    let server = ServerConfig::builder_with_protocol_versions(&[version])
        .with_client_cert_verifier(verifier.unwrap())
        .with_cert_resolver(Arc::clone(&ends.server.cert_resolver));
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let key = rustls::crypto::ring::default_provider()
        .key_provider
        .load_private_key(key)
        .unwrap();
    let shown = CertifiedKey::new(vec![certificate], key);
    let mut client = (*ends.client).clone();
    client.resumption = rustls::client::Resumption::disabled();
    client.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shown));
    Ends {
        server: Arc::new(server),
        client: Arc::new(client),
    }
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Both ends of a connection.
struct Pair {
    client: ClientConnection,
    wire: Wire<Pipe>,
}

fn context() -> Context<'static> {
    Context::from_waker(noop_waker_ref())
}

impl Pair {
    /// Before the first byte of a handshake.
    fn new(ends: &Ends) -> Self {
        let name = ServerName::try_from(NAME).unwrap();
        Self {
            client: ClientConnection::new(Arc::clone(&ends.client), name).unwrap(),
            wire: Wire {
                stream: Pipe {
                    takes: usize::MAX,
                    ..Pipe::default()
                },
                session: Session::new(Arc::clone(&ends.server)).unwrap(),
                is_shut: false,
            },
        }
    }

    /// After the handshake.
    fn shaken(ends: &Ends) -> Self {
        let mut pair = Self::new(ends);
        while !pair.shakes(Self::deliver).unwrap() {}
        assert!(!pair.client.is_handshaking());
        pair
    }

    /// One round of a handshake; whether the server is done.
    fn shakes(&mut self, deliver: impl FnOnce(&mut Self)) -> io::Result<bool> {
        deliver(self);
        let shaken = self.wire.poll_shake(&mut context());
        self.fetch().unwrap();
        match shaken {
            Poll::Ready(shaken) => shaken.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// What the client has to send.
    fn flight(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut flight).unwrap();
        }
        flight
    }

    fn deliver(&mut self) {
        let flight = self.flight();
        self.wire.stream.comes.extend_from_slice(&flight);
    }

    /// Takes what the server sent to the client.
    fn fetch(&mut self) -> Result<(), rustls::Error> {
        let went = std::mem::take(&mut self.wire.stream.went);
        let mut went = went.as_slice();
        while !went.is_empty() {
            self.client.read_tls(&mut went).unwrap();
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    fn say(&mut self, text: &[u8]) {
        self.client.set_buffer_limit(None);
        self.client.writer().write_all(text).unwrap();
    }

    /// What the server reads now, with a buffer of this size; none means that nothing came.
    fn read(&mut self, size: usize) -> Option<io::Result<Vec<u8>>> {
        let mut buffer = vec![0; size];
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut self.wire).poll_read(&mut context(), &mut buffer) {
            Poll::Pending => None,
            Poll::Ready(read) => Some(read.map(|()| buffer.filled().to_vec())),
        }
    }

    /// All that the server reads now.
    fn read_all(&mut self, size: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(read) = self.read(size) {
            let read = read.unwrap();
            if read.is_empty() {
                break;
            }
            all.extend(read);
        }
        all
    }

    fn write(&mut self, text: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(&mut context(), text)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(&mut context())
    }

    fn shut(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(&mut context())
    }

    /// What the client hears, and whether it was told that nothing follows.
    fn hears(&mut self) -> (Vec<u8>, bool) {
        self.fetch().unwrap();
        let mut heard = Vec::new();
        let is_over = self.client.reader().read_to_end(&mut heard).is_ok();
        (heard, is_over)
    }

    fn keeps_nothing(&self) -> bool {
        self.wire.session.kept() == [0; 3]
    }
}

fn text(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}
