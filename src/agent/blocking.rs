//! Work that waits for a disk, on a thread that may.

use tokio::task::{JoinError, spawn_blocking};

/// What came of it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(spawn_blocking(work).await)
}

/// A panic of ours is not an answer.
pub(crate) fn joined<T>(done: Result<T, JoinError>) -> T {
    match done {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
