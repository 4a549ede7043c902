//! The agent: one on each node. The runtime beneath the kubelet asks it before a container of a protected pod is made, signalled or
//! deleted while it is held; it answers from the node's records, and changes them.
//!
//! ```text
//! holdfast-runtime ── socket ──► answers ──► hold (pure) ──► shelf, on disk
//!                    (one question a connection; who waits is told every few seconds, and again when something changes)
//! ```
//!
//! It asks no API server for any of this: a node that is cut off, and whose pods are neither held nor expected, goes on as any node.

mod answers;
mod host;
mod own;
mod records;
pub mod serving;
mod socket;
mod sweep;
