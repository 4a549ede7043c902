//! Holdfast on a real cluster: `tests/world/world` brings it up, `make image` packs the program. One test at a time: they share the
//! world. `tests/run` calls this with everything prepared; by hand: `make image IMG=localhost/holdfast:test && cargo test --test cluster`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test says that it failed by panicking, and reads its environment itself"
)]

mod certificates;
mod checkpointing;
mod emulated;
mod explaining;
mod faults;
mod going;
mod host;
mod issuing;
mod leading;
mod migrating;
mod moving;
mod noting;
mod pages;
mod preflighting;
mod programs;
mod protecting;
mod pulling;
mod ranges;
mod reserved;
mod resizing;
mod shares;
mod surging;
mod targets;
mod templates;
mod webhooks;
mod witnessed;
mod world;
