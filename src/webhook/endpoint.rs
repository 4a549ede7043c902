//! What a slice puts behind a path of the webhook server.

use crate::webhook::review::Malformed;
use futures::future::BoxFuture;
use tokio::time::Instant;

/// Answers the reviews that are sent to one path. An endpoint answers from memory; it is handed a deadline for the rest.
pub trait Endpoint: Send + Sync {
    /// Where the API server sends them, such as `/mutate-v1-pod`.
    fn path(&self) -> &'static str;

    /// The webhook's short name, for metrics.
    fn name(&self) -> &'static str;

    /// Answers one review, if that needs nothing but memory. With `None` it is asked again, by `review`. Whatever is no answer (none, a
    /// review that cannot be read, a panic) may be asked for twice before it counts, so nothing may be counted or kept here for it.
    fn at_once(&self, _body: &[u8]) -> Option<Result<Reply, Malformed>> {
        None
    }

    /// Answers one review.
    fn review<'a>(
        &'a self,
        body: &'a [u8],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Reply, Malformed>>;
}

/// An answered review.
#[derive(Debug)]
pub struct Reply {
    /// The answering review, as JSON.
    pub body: Vec<u8>,
    /// What was decided, in a word from a short list, for metrics.
    pub verdict: &'static str,
}
