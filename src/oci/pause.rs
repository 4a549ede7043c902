//! Waiting for what says nothing when it changes: the old freezer, an agent that is not there.

use rustix::event::{PollFd, Timespec, poll};
use std::time::{Duration, Instant};

/// Waits until one of the descriptors has something to say, or this long; with none, just this long.
pub fn wait(descriptors: &mut [PollFd], limit: Duration) {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    // An interruption is as good as a change: whoever waits looks again.
    let _looks_again = poll(descriptors, Some(&limit));
}

/// Looks until something is so; false if it is not so within the limit. Looks seldom after a while, and once more at the end.
///
/// # Errors
/// What looking said.
pub fn until<E>(limit: Duration, mut is_so: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let begin = Instant::now();
    let mut interval = Duration::from_micros(200);
    loop {
        if is_so()? {
            return Ok(true);
        }
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        wait(&mut [], interval.min(left));
        interval = interval.saturating_mul(2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_until_it_is_so() {
        let mut looks = 0;
        let found = until(Duration::from_secs(60), || {
            looks += 1;
            Ok::<_, ()>(looks == 3)
        });
        assert_eq!((found, looks), (Ok(true), 3));
    }

    #[test]
    fn gives_up_at_the_limit_and_hands_errors_on() {
        assert_eq!(until(Duration::ZERO, || Ok::<_, ()>(false)), Ok(false));
        assert_eq!(until(Duration::from_secs(60), || Err("x")), Err("x"));
    }
}
