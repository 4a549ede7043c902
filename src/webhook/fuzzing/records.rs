//! Both ends of a connection, and bytes that say what happens between them.

use crate::process::flags::OldestTls;
use crate::webhook::handshake::{Served, config};
use crate::webhook::wire::session::Session;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};
use tokio::io::ReadBuf;

const NAME: &str = "holdfast.example";

/// The configurations of both ends.
static ENDS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let (server, roots) = ends(NAME);
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
});

/// A server with a certificate of its own for this name, and whom its clients trust.
pub(in crate::webhook) fn ends(name: &str) -> (Arc<ServerConfig>, RootCertStore) {
    crate::install_crypto();
    let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let certificate = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let key = CertifiedKey::from_der(vec![certificate.clone()], key, &provider).unwrap();
    let served = Arc::new(Served::default());
    served.set(Arc::new(key));
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (config(OldestTls::V1_2, served, None).unwrap(), roots)
}

/// The first byte says whether the rest comes instead of a handshake, or tells what happens after one; did all go well?
///
/// # Panics
/// Where a text arrives otherwise than it was sent, a spoiled record is taken, or how bytes came in parts makes a difference.
#[must_use]
pub fn records(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    if first % 2 == 0 {
        let part = usize::from(first / 2) + 1;
        let failed = fails(rest, rest.len().max(1));
        assert_eq!(fails(rest, part), failed, "in parts of {part}");
        !failed
    } else {
        Talk::begin().goes_well(rest)
    }
}

/// Whether bytes instead of a handshake are refused. None of them is ever text.
fn fails(bytes: &[u8], part: usize) -> bool {
    let mut session = Session::new(Arc::clone(&ENDS.0)).unwrap();
    let mut space = [0; 64];
    for part in bytes.chunks(part) {
        let mut text = ReadBuf::new(&mut space);
        session.receive(&mut part.to_vec(), &mut text);
        assert!(text.filled().is_empty(), "text without a handshake");
    }
    assert!(!session.has_shaken());
    session.is_over().is_err()
}

struct Talk {
    server: Session,
    client: ClientConnection,
    /// On its way to the server.
    wire: Vec<u8>,
    sent: Vec<u8>,
    got: Vec<u8>,
    is_spoiled: bool,
}

impl Talk {
    fn begin() -> Self {
        let name = ServerName::try_from(NAME).unwrap();
        let mut talk = Self {
            server: Session::new(Arc::clone(&ENDS.0)).unwrap(),
            client: ClientConnection::new(Arc::clone(&ENDS.1), name).unwrap(),
            wire: Vec::new(),
            sent: Vec::new(),
            got: Vec::new(),
            is_spoiled: false,
        };
        while talk.client.is_handshaking() || !talk.server.has_shaken() {
            talk.client.write_tls(&mut talk.wire).unwrap();
            talk.deliver(usize::MAX, 16);
            let told = talk.server.unsent.split();
            if !told.is_empty() {
                talk.client.read_tls(&mut &told[..]).unwrap();
                talk.client.process_new_packets().unwrap();
            }
        }
        talk
    }

    /// So many bytes reach the server, which asks for so much text.
    fn deliver(&mut self, bytes: usize, room: usize) {
        let length = self.wire.len().min(bytes);
        let mut bytes: Vec<u8> = self.wire.drain(..length).collect();
        let mut space = vec![0; room];
        let mut text = ReadBuf::new(&mut space);
        self.server.hand_on(&mut text);
        if text.remaining() > 0 {
            self.server.receive(&mut bytes, &mut text);
        } else {
            self.wire.splice(..0, bytes);
        }
        self.got.extend_from_slice(text.filled());
        assert!(self.sent.starts_with(&self.got), "another text arrived");
    }

    fn goes_well(mut self, acts: &[u8]) -> bool {
        for act in acts.chunks(2).take(256) {
            let many = usize::from(act.get(1).copied().unwrap_or(1)) * 8 + 1;
            match act[0] % 8 {
                0..=2 => self.say(many),
                3..=5 => self.deliver(many, usize::from(act[0])),
                6 => self.answer(many),
                _ => self.spoil(many),
            }
        }
        let mut before = usize::MAX;
        while before != self.wire.len() + self.got.len() {
            before = self.wire.len() + self.got.len();
            self.deliver(usize::MAX, 1 << 16);
        }
        let is_well = self.server.is_over().is_ok();
        // A record whose length was spoiled may wait for bytes that never come.
        assert!(is_well || self.is_spoiled, "a good client was refused");
        assert!(self.is_spoiled || self.got == self.sent, "text was lost");
        !self.is_spoiled
    }

    fn say(&mut self, many: usize) {
        let begin = self.sent.len();
        let text: Vec<u8> = (begin..begin + many)
            .map(|at| at.to_le_bytes()[0])
            .collect();
        self.client.writer().write_all(&text).unwrap();
        self.sent.extend(text);
        while self.client.wants_write() {
            self.client.write_tls(&mut self.wire).unwrap();
        }
    }

    fn answer(&mut self, many: usize) {
        let text = vec![7; many];
        let mut space = Vec::new();
        let Ok(sealed) = self.server.seal(&text, &mut space) else {
            assert!(self.is_spoiled, "an answer was not sealed");
            return;
        };
        self.client.read_tls(&mut &sealed[..]).unwrap();
        self.client.process_new_packets().unwrap();
        let mut got = vec![0; many];
        self.client.reader().read_exact(&mut got).unwrap();
        assert_eq!(got, text, "another answer");
    }

    fn spoil(&mut self, at: usize) {
        if let Some(byte) = self.wire.get_mut(at) {
            *byte ^= 0x55;
            self.is_spoiled = true;
        }
    }
}
