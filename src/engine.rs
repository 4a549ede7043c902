//! Freezing, dumping and restoring by the real runtime and CRIU: what is in a container beside its memory, where that lies on a node,
//! and what CRIU means when it says no.

pub mod criu;
pub mod mounts;
pub mod volumes;
