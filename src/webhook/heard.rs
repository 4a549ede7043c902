//! A connection as hyper gets it: what came before is read again first, and the first bytes of a request are noted.

use crate::webhook::connections::Seat;
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that notes when the first bytes of a request come.
pub(super) struct Heard<S> {
    /// Has come already.
    pub(super) came: BytesMut,
    pub(super) stream: S,
    pub(super) seat: Arc<Seat>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let heard = &mut *self;
        if !heard.came.is_empty() {
            let now = heard.came.len().min(buffer.remaining());
            buffer.put_slice(heard.came.get(..now).unwrap_or_default());
            heard.came.advance(now);
            if heard.came.is_empty() {
                heard.came = BytesMut::new();
            }
            heard.seat.hears();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut heard.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            heard.seat.hears();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
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
}
