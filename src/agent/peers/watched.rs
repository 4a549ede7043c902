//! A body that is sent, and whether all of it was taken: who answers before has not heard it.

use crate::agent::peers::way::Sent;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// A body.
pub(super) struct Watched {
    body: Sent,
    taken: Arc<AtomicBool>,
}

/// Knows how far it is.
pub(super) struct Taken(Arc<AtomicBool>);

impl Watched {
    /// The same, and who knows.
    pub(super) fn over(body: Sent) -> (Self, Taken) {
        let taken = Arc::new(AtomicBool::new(body.is_end_stream()));
        let watch = Taken(Arc::clone(&taken));
        (Self { body, taken }, watch)
    }
}

impl Taken {
    pub(super) fn is_whole(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.taken.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
