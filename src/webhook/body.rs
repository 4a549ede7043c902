//! The body of a request, collected within bounds of size, time and memory.
//!
//! Nearly every body is small and comes in one piece, which is handed on as it is. What is larger than [`Bounds::small`] draws on an
//! allowance that all requests share: however many come at once, the memory for them is bounded, and small ones never wait for it.

use crate::webhook::refusal::Refusal;
use bytes::Bytes;
use futures::poll;
use http_body::Body;
use http_body_util::BodyExt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

/// How large bodies may be, and how slow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The largest body. An API server takes objects of 3 MiB, and sends the old one and the new one.
    pub(super) largest: usize,
    /// Of a body that is too large, so much is read and thrown away: a client that is still sending would not see the answer.
    pub(super) thrown_away: usize,
    /// Up to here a body needs no allowance.
    pub(super) small: usize,
    /// What all larger bodies may take together.
    pub(super) allowance: usize,
    /// How long a body may take.
    pub(super) time: Duration,
}

/// What larger bodies take together now.
#[derive(Debug, Default)]
pub(super) struct Allowance(AtomicUsize);

/// A whole body, and its part of the allowance.
pub(super) struct Collected<'a> {
    pub(super) bytes: Bytes,
    _part: Part<'a>,
}

struct Part<'a> {
    allowance: &'a Allowance,
    taken: usize,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.allowance.0.fetch_sub(self.taken, Ordering::Relaxed);
        }
    }
}

impl Part<'_> {
    fn grow(&mut self, more: usize, most: usize) -> Result<(), Refusal> {
        self.taken = self.taken.saturating_add(more);
        let before = self.allowance.0.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > most {
            return Err(Refusal::Crowded);
        }
        Ok(())
    }
}

/// Reads a body that nobody wants, within bounds: a client that is still sending when the connection is closed does not see the answer.
pub(super) async fn discard<B>(body: B, bounds: &Bounds)
where
    B: Body<Data = Bytes> + Unpin,
{
    let reading = throw_away(body, 0, bounds);
    // It may be too slow for that.
    let _in_time = tokio::time::timeout(bounds.time, reading).await;
}

/// Collects a body.
pub(super) async fn collect<'a, B>(
    body: B,
    bounds: &Bounds,
    allowance: &'a Allowance,
) -> Result<Collected<'a>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut gathered = pin!(gather(body, bounds, allowance));
    // Nearly every body came with its head: no timer is made for it.
    if let Poll::Ready(collected) = poll!(&mut gathered) {
        return collected;
    }
    tokio::time::timeout(bounds.time, gathered)
        .await
        .unwrap_or(Err(Refusal::SlowBody))
}

async fn gather<'a, B>(
    mut body: B,
    bounds: &Bounds,
    allowance: &'a Allowance,
) -> Result<Collected<'a>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut part = Part {
        allowance,
        taken: 0,
    };
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if said > bounds.largest {
        throw_away(body, 0, bounds).await;
        return Err(Refusal::TooLarge(bounds.largest));
    }
    let first = piece(&mut body).await?.unwrap_or_default();
    if body.is_end_stream() && first.len() <= bounds.small {
        return Ok(Collected {
            bytes: first,
            _part: part,
        });
    }
    let mut whole = Vec::with_capacity(said.clamp(first.len(), bounds.small.max(first.len())));
    let mut next = Some(first);
    while let Some(more) = next {
        let length = whole.len().saturating_add(more.len());
        if length > bounds.largest {
            throw_away(body, length, bounds).await;
            return Err(Refusal::TooLarge(bounds.largest));
        }
        if length > bounds.small {
            // What was below the mark is counted with the piece that crosses it.
            let grown = part.grow(length.saturating_sub(part.taken), bounds.allowance);
            if let Err(crowded) = grown {
                drop((part, whole));
                throw_away(body, length, bounds).await;
                return Err(crowded);
            }
        }
        whole.extend_from_slice(&more);
        next = piece(&mut body).await?;
    }
    Ok(Collected {
        bytes: whole.into(),
        _part: part,
    })
}

async fn piece<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        match frame {
            // Frames of another kind are trailers.
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Err(_cut_off) => return Err(Refusal::CutBody),
        }
    }
    Ok(None)
}

/// `length`: how much was read before.
async fn throw_away<B: Body<Data = Bytes> + Unpin>(mut body: B, length: usize, bounds: &Bounds) {
    let mut length = length;
    while length < bounds.thrown_away {
        match piece(&mut body).await {
            Ok(Some(more)) => length = length.saturating_add(more.len()),
            Ok(None) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    const BOUNDS: Bounds = Bounds {
        largest: 100,
        thrown_away: 200,
        small: 10,
        allowance: 150,
        time: Duration::from_secs(10),
    };

    fn pieces(lengths: &[usize]) -> impl Body<Data = Bytes> + Unpin + use<> {
        let pieces: Vec<_> = lengths
            .iter()
            .map(|length| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; *length]))))
            .collect();
        StreamBody::new(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_small_body_is_handed_on_as_it_came() {
        let allowance = Allowance::default();
        let sent = Bytes::from_static(b"{}");
        let got = collect(Full::new(sent.clone()), &BOUNDS, &allowance).await;
        assert_eq!(got.unwrap().bytes.as_ptr(), sent.as_ptr());
        let empty = collect(Full::new(Bytes::new()), &BOUNDS, &allowance).await;
        assert!(empty.unwrap().bytes.is_empty());
    }

    #[tokio::test]
    async fn large_bodies_share_an_allowance_and_give_it_back() {
        let allowance = Allowance::default();
        let first = collect(pieces(&[5, 4, 40, 31]), &BOUNDS, &allowance).await;
        let first = first.unwrap();
        assert_eq!(
            (first.bytes.len(), allowance.0.load(Ordering::Relaxed)),
            (80, 80)
        );
        let second = collect(pieces(&[40, 40]), &BOUNDS, &allowance).await;
        assert!(matches!(second, Err(Refusal::Crowded)));
        let small = collect(pieces(&[5, 5]), &BOUNDS, &allowance).await;
        assert_eq!(small.unwrap().bytes.len(), 10, "small ones do not wait");
        drop(first);
        assert_eq!(allowance.0.load(Ordering::Relaxed), 0);
        assert!(
            collect(pieces(&[40, 40]), &BOUNDS, &allowance)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
        let allowance = Allowance::default();
        let honest = Full::new(Bytes::from(vec![b'x'; 101]));
        let honest = collect(honest, &BOUNDS, &allowance).await;
        assert!(matches!(honest, Err(Refusal::TooLarge(100))));
        let endless = StreamBody::new(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"xxxxxxx")))
        }));
        let endless = collect(endless, &BOUNDS, &allowance).await;
        assert!(matches!(endless, Err(Refusal::TooLarge(100))));
        assert_eq!(allowance.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_go_on_is_given_up() {
        let allowance = Allowance::default();
        let stuck = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let stuck = collect(stuck, &BOUNDS, &allowance).await;
        assert!(matches!(stuck, Err(Refusal::SlowBody)));
        let cut = StreamBody::new(stream::iter([Err(std::io::Error::other("cut"))]));
        let cut = collect(cut, &BOUNDS, &allowance).await;
        assert!(matches!(cut, Err(Refusal::CutBody)));
    }
}
