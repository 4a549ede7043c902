//! One connection to the webhook, that never blocks once it stands.

use crate::driver::arguments::Peer;
use anyhow::Context;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to be taken.
const CONNECT: Duration = Duration::from_secs(5);

/// Whom connections go to, and how.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

impl Target {
    /// A full handshake each time, as an API server does: it keeps no sessions.
    pub(crate) fn new(peer: &Peer) -> anyhow::Result<Self> {
        peer.check()?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&peer.ca).context("cannot read --ca")? {
            roots.add(certificate.context("--ca holds no certificate")?)?;
        }
        let mut tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls.resumption = Resumption::disabled();
        Ok(Self {
            address: peer.address,
            name: ServerName::try_from(peer.server_name.clone())?,
            tls: Arc::new(tls),
        })
    }

    /// The address as a head names it.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }
}

/// One connection.
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<ClientConnection>,
}

/// What a look at a connection found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It stands.
    Open,
    /// The other side has ended it.
    Closed,
}

impl Connection {
    /// Connects, from an address of our own choice where one is given, and begins the handshake.
    pub(crate) fn open(target: &Target, source: Option<Ipv4Addr>, plain: bool) -> io::Result<Self> {
        let socket = connect(target.address, source)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let tls = if plain {
            None
        } else {
            let tls = ClientConnection::new(Arc::clone(&target.tls), target.name.clone());
            Some(tls.map_err(io::Error::other)?)
        };
        let mut connection = Self { socket, tls };
        connection.flush()?;
        Ok(connection)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Sends; `false` if a part has to wait until the socket can be written.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                self.flush()
            }
            // Without TLS only single bytes are sent.
            None => self.socket.write(bytes).map(|_| true),
        }
    }

    /// Writes what is left; `false` if still something is.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Adds what came to `inbox`. One read: what is left is told again.
    pub(crate) fn receive(&mut self, inbox: &mut Vec<u8>) -> io::Result<Seen> {
        let Some(tls) = &mut self.tls else {
            return self.receive_plain();
        };
        match tls.read_tls(&mut self.socket) {
            Ok(0) => return Ok(Seen::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Seen::Open),
            Err(error) => return Err(error),
        }
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let there = u64::try_from(state.plaintext_bytes_to_read()).unwrap_or(u64::MAX);
        if there > 0 {
            tls.reader().take(there).read_to_end(inbox)?;
        }
        if state.peer_has_closed() {
            return Ok(Seen::Closed);
        }
        self.flush()?;
        Ok(Seen::Open)
    }

    fn receive_plain(&mut self) -> io::Result<Seen> {
        let mut some = [0; 256];
        match self.socket.read(&mut some) {
            Ok(0) => Ok(Seen::Closed),
            Ok(_) => Ok(Seen::Open),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Seen::Open),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn connect(address: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let (Some(source), IpAddr::V4(_)) = (source, address.ip()) else {
        return TcpStream::connect_timeout(&address, CONNECT);
    };
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((source, 0)))?;
    // The limit for sending is the one for connecting, too.
    set_socket_timeout(&socket, Timeout::Send, Some(CONNECT))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket.into())
}
