//! What the C library keeps of memory that nobody uses any more goes back to the node: after the caches were filled, after a crowd of
//! connections. By itself it gives back only what lies behind everything that is used.

use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often.
const PERIOD: Duration = Duration::from_secs(5);

/// Gives back until the stop.
pub async fn give_back(stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PERIOD))
        .await
        .is_some()
    {
        trim();
    }
}

#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "a function that takes a number and touches the C library's own heap alone, under its own locks"
)]
fn trim() {
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    let _was_any_given = malloc_trim(0);
}

/// Other C libraries keep little.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests use memory of the same process: this one has a process of its own.
    const ALONE: &str = "HOLDFAST_TEST_ALONE";

    /// In pages of 4 KiB.
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages = pages.split(' ').nth(1).unwrap();
        pages.parse().unwrap()
    }

    #[cfg(target_env = "gnu")]
    #[tokio::test(start_paused = true)]
    async fn what_lies_between_things_that_are_used_is_given_back() {
        if std::env::var_os(ALONE).is_none() {
            let ended = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["what_lies_between_things", "--nocapture"])
                .env(ALONE, "1")
                .status();
            assert!(ended.unwrap().success());
            return;
        }
        // Small pieces, of which every sixty-fourth stays.
        let mut pieces: Vec<_> = (0..64 * 1024).map(|_| Some(vec![1_u8; 1000])).collect();
        for (number, piece) in pieces.iter_mut().enumerate() {
            if number % 64 != 0 {
                *piece = None;
            }
        }
        let before = resident();
        let stop = CancellationToken::new();
        let gives_back = tokio::spawn(give_back(stop.clone()));
        tokio::time::sleep(PERIOD + Duration::from_secs(1)).await;
        let given = before.saturating_sub(resident());
        assert!(given > 8 * 1024, "{given} pages of some 16,000");
        stop.cancel();
        gives_back.await.unwrap();
        assert_eq!(pieces.iter().flatten().count(), 1024);
    }
}
