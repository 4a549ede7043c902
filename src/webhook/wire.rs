//! TLS between a socket and whoever reads and writes plain bytes, on the part of rustls that keeps no buffers ([`session`]).
//!
//! What has come is fetched by one call into the kernel, decrypted where it was received, and copied to where it was asked for. What is
//! written is encrypted into one record and sent by one call. Both happen in spaces that belong to the thread, so a connection that rests
//! takes no memory for them: it keeps only what was not asked for yet, what is no whole record yet, and what the socket did not take.
//! What was decrypted stays in a thread's space until the next connection's bytes lie over it, as in any buffer that is used again: it is
//! not wiped, for whoever can read this memory can read the key too.

pub(super) mod session;

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use session::Session;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most text that one record holds.
const MOST_TEXT: usize = 16 * 1024;
/// As much as one record, its frame, and an update of the keys before it.
const SPACE: usize = MOST_TEXT + 512;

thread_local! {
    static RECEIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; SPACE].into());
    static SEALED: RefCell<Vec<u8>> = RefCell::new(vec![0; SPACE]);
}

/// The server's end of a connection, after the handshake.
pub(super) struct Wire<S> {
    stream: S,
    session: Session,
    is_shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Shakes hands. A client that is refused is told so, if that can be sent at once.
    pub(super) async fn accept(stream: S, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut wire = Self {
            stream,
            session: Session::new(config)?,
            is_shut: false,
        };
        poll_fn(|context| wire.poll_shake(context)).await?;
        Ok(wire)
    }

    fn poll_shake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // With a failure nobody waits until the client has taken the alert. A goodbye is none: it is believed only after the last
            // bytes of the handshake, and may come with them, as may a question between the two.
            self.session.is_over()?;
            let sent = self.poll_send(context)?;
            if self.session.has_shaken() {
                ready!(sent);
                return Pin::new(&mut self.stream).poll_flush(context);
            }
            if sent.is_ready() {
                ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            }
            // Some clients do not read before what they have to say is taken, so they are heard meanwhile.
            // A client may ask with the last bytes of its handshake: that is kept.
            ready!(self.poll_fetch(context, &mut ReadBuf::new(&mut [])))?;
        }
    }

    /// Fetches what has come, and hands its text on.
    fn poll_fetch(
        &mut self,
        context: &mut Context<'_>,
        text: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(RECEIVED.with_borrow_mut(|space| {
            let mut received = ReadBuf::new(space);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut received))?;
            let received = received.filled_mut();
            if received.is_empty() {
                let why = "the client was gone without a goodbye";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
            }
            self.session.receive(received, text);
            Poll::Ready(io::Result::Ok(()))
        }))?;
        // An alert, say. If it cannot be sent now, it is with what is written next; whether the way is broken shows by reading, too.
        if let Poll::Ready(Err(error)) = self.poll_send(context) {
            tracing::debug!(%error, "an answer of TLS could not be sent");
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what the socket did not take before.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let unsent = &mut self.session.unsent;
        if unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            unsent.advance(sent);
        }
        *unsent = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Sends a record as far as the socket takes it now; the rest waits.
    fn poll_record(&mut self, context: &mut Context<'_>, record: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        // Behind what waits, it waits as well.
        if self.session.unsent.is_empty()
            && let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, record)
        {
            sent = written?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        let rest = record.get(sent..).unwrap_or_default();
        if !rest.is_empty() {
            self.session.unsent.extend_from_slice(rest);
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        let before = text.filled().len();
        loop {
            wire.session.hand_on(text);
            if text.filled().len() > before || text.remaining() == 0 || wire.session.is_over()? {
                return Poll::Ready(Ok(()));
            }
            ready!(wire.poll_fetch(context, text))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &mut *self;
        if wire.is_shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(wire.poll_send(context))?;
        if text.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let text = text.get(..MOST_TEXT).unwrap_or(text);
        SEALED.with_borrow_mut(|space| {
            let record = wire.session.seal(text, space)?;
            wire.poll_record(context, record)?;
            Poll::Ready(Ok(text.len()))
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Says goodbye, and sends nothing more. The other way stays open.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if !wire.is_shut {
            wire.is_shut = true;
            SEALED.with_borrow_mut(|space| {
                let record = wire.session.seal_goodbye(space)?;
                wire.session.unsent.extend_from_slice(record);
                io::Result::Ok(())
            })?;
        }
        ready!(wire.poll_send(context))?;
        let shut = ready!(Pin::new(&mut wire.stream).poll_shutdown(context));
        // The client may be gone already.
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotConnected;
        Poll::Ready(shut.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) }))
    }
}

#[cfg(test)]
mod tests;
