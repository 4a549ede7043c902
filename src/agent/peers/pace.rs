//! How fast states travel, all of them together: a node's programs need its network too.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// So many bytes a second; or as many as go.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    /// When all that was sent would have been.
    free: Mutex<Option<Instant>>,
}

impl Pace {
    /// `0` means no limit.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            rate: NonZeroU64::new(bytes_per_second),
            free: Mutex::default(),
        }
    }

    /// Returns when so many bytes may be sent. Who comes later waits longer.
    pub(crate) async fn take(&self, bytes: usize) {
        if let Some(at) = self.reserve(bytes) {
            sleep_until(at).await;
        }
    }

    fn reserve(&self, bytes: usize) -> Option<Instant> {
        let rate = self.rate?;
        let bytes = u128::try_from(bytes).unwrap_or(u128::MAX);
        let nanos = bytes.saturating_mul(1_000_000_000);
        let nanos = nanos
            .checked_div(u128::from(rate.get()))
            .unwrap_or_default();
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not used before is lost: there is no burst after a rest.
        let begins = free.unwrap_or_else(Instant::now).max(Instant::now());
        *free = begins.checked_add(takes).or(Some(begins));
        Some(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_together_keep_to_the_rate() {
        let pace = Pace::new(1000);
        let began = Instant::now();
        let one = async {
            for _ in 0..5 {
                pace.take(1000).await;
            }
        };
        let other = async {
            for _ in 0..5 {
                pace.take(1000).await;
            }
        };
        tokio::join!(one, other);
        // The last one may begin when nine have been sent.
        assert_eq!(began.elapsed().as_secs(), 9);
        tokio::time::advance(Duration::from_secs(100)).await;
        let rested = Instant::now();
        pace.take(1000).await;
        pace.take(1000).await;
        assert_eq!(rested.elapsed().as_secs(), 1, "no burst after a rest");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let (pace, began) = (Pace::new(0), Instant::now());
        for _ in 0..1000 {
            pace.take(usize::MAX).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
