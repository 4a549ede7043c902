//! Fault points around writes that are awaited. What they are, and how a test uses them: `kit::faults`.

pub use crate::kit::faults::Step;

/// Runs a write between its two points.
pub async fn around<T>(step: &Step, write: impl Future<Output = T>) -> T {
    reach(step, "before").await;
    let done = write.await;
    reach(step, "after").await;
    done
}

#[cfg(not(feature = "faults"))]
#[expect(
    clippy::unused_async,
    reason = "the other half of this pair waits for a test"
)]
async fn reach(_step: &Step, _side: &str) {}

#[cfg(feature = "faults")]
async fn reach(step: &Step, side: &str) {
    use crate::kit::faults::armed;
    if let Some(point) = armed::visit(step, side) {
        armed::paused(&point, pause(&point).await);
    }
}

#[cfg(feature = "faults")]
async fn pause(point: &str) -> std::io::Result<()> {
    use crate::kit::faults::armed;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(armed::socket()?).await?;
    stream.write_all(format!("{point}\n").as_bytes()).await?;
    let mut go = [0_u8; 1];
    stream.read(&mut go).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hands_the_result_through() {
        assert_eq!(around(&Step::new("holdfast::x", "Y"), async { 7 }).await, 7);
    }
}
