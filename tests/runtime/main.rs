//! `holdfast-runtime` before the real runc and the real crun, as root, on real containers. They live in a mount namespace whose root is
//! that of a node of the test world (`tests/world`), and below cgroups of the test's own; all of it goes with the test.
//!
//! `HOLDFAST_RUNTIME` names the program to test; a static one, if it is to be tested that a container without any file can be skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test says that it failed by panicking, and reads its environment itself"
)]

mod agent;
mod creating;
mod deleting;
mod descriptors;
mod fixture;
mod gate;
mod guarding;
mod held;
mod lab;
mod parts;
mod passing;
mod restoring;
