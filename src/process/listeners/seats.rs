//! Who may be connected at once: so many in all, and so many from one address. Whoever comes when there is no seat is sent away at
//! once; a queue would only make a good client wait behind a bad one.

use axum_server::accept::Accept;
use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The seats of one listener. As an acceptor it stands below TLS: a handshake that does not go on holds a seat too.
#[derive(Clone)]
pub(crate) struct Seats {
    of_all: usize,
    of_one: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Seats {
    /// So many in all, so many of one address.
    pub(crate) fn new(of_all: usize, of_one: usize) -> Self {
        Self {
            of_all,
            of_one,
            taken: Arc::default(),
        }
    }

    /// A seat, for as long as it is kept; none where all are taken.
    pub(crate) fn take(&self, client: IpAddr) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all: usize = taken.values().sum();
        let of_one = taken.get(&client).copied().unwrap_or_default();
        if of_all >= self.of_all || of_one >= self.of_one {
            return None;
        }
        taken.insert(client, of_one.saturating_add(1));
        Some(Seat {
            client,
            taken: Arc::clone(&self.taken),
        })
    }

    fn seat(&self, stream: TcpStream) -> io::Result<Seated> {
        let client = stream.peer_addr()?.ip();
        let seat = self.take(client).ok_or(io::ErrorKind::QuotaExceeded)?;
        stream.set_nodelay(true)?;
        Ok(Seated {
            stream,
            _seat: seat,
        })
    }
}

impl<S> Accept<TcpStream, S> for Seats {
    type Stream = Seated;
    type Service = S;
    type Future = Ready<io::Result<(Seated, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.seat(stream).map(|seated| (seated, service)))
    }
}

/// A seat that is taken.
pub(crate) struct Seat {
    client: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken
            .get(&self.client)
            .map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            taken.remove(&self.client);
        } else {
            taken.insert(self.client, left);
        }
    }
}

/// A connection on its seat.
pub(crate) struct Seated {
    stream: TcpStream,
    _seat: Seat,
}

impl AsyncRead for Seated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_its_client_goes() {
        let seats = Seats::new(3, 2);
        let [one, two]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let first = seats.take(one).unwrap();
        let _second = seats.take(one).unwrap();
        assert!(seats.take(one).is_none(), "one client has its share");
        let third = seats.take(two).unwrap();
        assert!(seats.take(two).is_none(), "all seats are taken");
        drop(first);
        assert!(seats.take(two).is_some());
        drop(third);
        assert!(seats.take(one).is_some());
    }
}
