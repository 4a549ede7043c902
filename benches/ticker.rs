//! The program that `make bench-migration` moves: it holds memory, ticks each millisecond, and writes down when a tick came late.
//!
//! `bench-ticker MEBIBYTES FILE` writes a line `gap END LENGTH` for every two ticks that lie more than 5 ms apart: when the later one
//! came, and how long it took, in microseconds by the clock of the machine. Each second it writes `sum right` or `sum wrong`, of a part
//! of its memory that it reads again. The memory is noise, so nothing gets shorter by being compressed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "it ticks, and ends with a sentence where it cannot"
)]

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WORDS_PER_MEBIBYTE: usize = (1 << 20) / size_of::<u64>();
/// In a second the whole memory need not be read: this much of it, another part each time.
const PARTS: usize = 64;
const TICK: Duration = Duration::from_millis(1);
const LATE: u128 = 5_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mebibytes, file] = words.as_slice() else {
        panic!("usage: bench-ticker MEBIBYTES FILE");
    };
    let mebibytes: usize = mebibytes.parse().expect("a number of MiB");
    let mut out = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .expect("a file");
    let memory = noise(mebibytes * WORDS_PER_MEBIBYTE);
    let part = (memory.len() / PARTS).max(1);
    let sums: Vec<u64> = memory.chunks(part).map(sum).collect();
    writeln!(out, "begun").expect("room");
    let (mut before, mut tick) = (now(), 0_usize);
    loop {
        std::thread::sleep(TICK);
        let at = now();
        let gap = at.saturating_sub(before);
        if gap > LATE {
            writeln!(out, "gap {at} {gap}").expect("room");
        }
        tick += 1;
        if tick.is_multiple_of(1000) {
            let which = tick / 1000 % sums.len();
            let is = memory.chunks(part).nth(which).map(sum);
            let told = if is == Some(sums[which]) {
                "right"
            } else {
                "wrong"
            };
            writeln!(out, "sum {told}").expect("room");
        }
        // What the look at its memory took is no gap.
        before = if tick.is_multiple_of(1000) { now() } else { at };
    }
}

/// By xorshift.
fn noise(words: usize) -> Vec<u64> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..words).map(|_| next()).collect()
}

fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| sum.rotate_left(1) ^ word)
}

fn now() -> u128 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH);
    passed.map_or(0, |passed| passed.as_micros())
}
