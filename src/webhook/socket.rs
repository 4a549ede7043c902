//! A socket as TLS reads it: TLS asks for 4 KiB at a time, and a review is longer. Here one call into the kernel fetches all that has
//! come; what TLS has not asked for yet waits.
//!
//! The space that is read into belongs to the thread, so connections that rest take none.

use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much as one record of TLS holds, and its frame.
const SPACE: usize = 16 * 1024 + 256;

thread_local! {
    static FETCHED: RefCell<Box<[u8]>> = RefCell::new(vec![0; SPACE].into());
}

/// Reads with few calls.
pub(super) struct Socket<S> {
    stream: S,
    /// Was fetched, and was not asked for yet.
    waiting: Bytes,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            waiting: Bytes::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> Socket<S> {
    fn fetch(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<()>> {
        let mut fetched = ReadBuf::new(space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut fetched))?;
        let all = fetched.filled();
        let (now, later) = all.split_at(all.len().min(buffer.remaining()));
        buffer.put_slice(now);
        if !later.is_empty() {
            self.waiting = Bytes::copy_from_slice(later);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &mut *self;
        if !socket.waiting.is_empty() {
            let now = socket.waiting.len().min(buffer.remaining());
            buffer.put_slice(socket.waiting.get(..now).unwrap_or_default());
            socket.waiting.advance(now);
            if socket.waiting.is_empty() {
                socket.waiting = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() >= SPACE {
            return Pin::new(&mut socket.stream).poll_read(context, buffer);
        }
        FETCHED.with_borrow_mut(|space| socket.fetch(context, buffer, space))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
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
        // An answer is one part, and to send one part is less work for the kernel.
        match parts {
            [part] => Pin::new(&mut self.stream).poll_write(context, part),
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn whatever_size_is_asked_for_nothing_is_lost_or_doubled() {
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for size in [1, 7, 4096, 5000, SPACE - 1, SPACE, 70_000] {
            let (mut client, server) = duplex(40_000);
            let written = sent.clone();
            let writing = tokio::spawn(async move { client.write_all(&written).await });
            let mut socket = Socket::new(server);
            let (mut got, mut buffer) = (Vec::new(), vec![0; size]);
            loop {
                let read = socket.read(&mut buffer).await.unwrap();
                if read == 0 {
                    break;
                }
                got.extend_from_slice(&buffer[..read]);
            }
            assert!(got == sent, "in pieces of {size}");
            writing.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_fetched_is_read_before_more_is_fetched() {
        let (mut client, server) = duplex(100);
        let mut socket = Socket::new(server);
        client.write_all(b"abcdef").await.unwrap();
        let mut two = [0; 2];
        socket.read_exact(&mut two).await.unwrap();
        assert_eq!((&two, &*socket.waiting), (b"ab", &b"cdef"[..]));
        client.write_all(b"g").await.unwrap();
        drop(client);
        let mut rest = String::new();
        socket.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "cdefg");
    }
}
