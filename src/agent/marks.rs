//! How long each step of a move takes, in the log of who wants to know: `--log-level debug`.

use std::time::Instant;

/// A step; it is told when this is dropped, however it ended.
pub(crate) struct Mark<'a> {
    step: &'static str,
    of: &'a str,
    began: Instant,
}

impl<'a> Mark<'a> {
    /// It begins now. `of`: the operation, the generation or the container.
    pub(crate) fn begin(step: &'static str, of: &'a str) -> Self {
        Self {
            step,
            of,
            began: Instant::now(),
        }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let millis = self.began.elapsed().as_millis();
        tracing::debug!(step = self.step, of = self.of, millis, "a step of a move");
    }
}
