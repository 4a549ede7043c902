//! How long each step of a state's way takes, in the log of who wants to know: `--log-level debug`.

use std::time::Instant;

/// A step; it is told when this is dropped, however it ended.
pub(crate) struct Mark {
    step: &'static str,
    began: Instant,
}

impl Mark {
    /// It begins now.
    pub(crate) fn begin(step: &'static str) -> Self {
        Self {
            step,
            began: Instant::now(),
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let millis = self.began.elapsed().as_micros() / 1000;
        tracing::debug!(step = self.step, millis, "a step of a state's way");
    }
}
