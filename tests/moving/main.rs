//! A pod's state moves from one node to another, without a cluster: the acts of both agents, the real runc and the real CRIU, and our
//! runtime between. The nodes are folders of one machine; the leader is the test.

#![cfg(feature = "faults")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test says that it failed by panicking, and reads its environment itself"
)]

mod cut_off;
mod fixture;
mod handing_over;
mod killed;
mod lab;
mod leader;
#[path = "../runtime/parts.rs"]
mod parts;
