//! Who is at work on a node: one Lease per node that is in use, in our own namespace, so that `kubectl get leases` shows it. A *root*
//! operation holds it alone; moves take counted *seats* in it. Every write carries the version that was judged, so of two who decide at
//! once, two leaders even, one gets a 409.
//!
//! | the Lease says | a move that nobody caused | a root operation |
//! |---|---|---|
//! | nothing, or there is none | takes a seat | holds it |
//! | seats of other moves | takes one of those that are left, or waits | holds it at once, so that no more come, and waits until they are over |
//! | a root whose object is there | waits, unless that root caused it | waits, unless that root is itself |
//! | a root whose object is gone | takes a seat; the root is struck out | holds it |
//! | a root that nobody can ask about | waits: a person deletes the Lease | the same |
//!
//! Nothing here runs out by time: a root may take days, and a leader that is away takes no node from it. What is over is known by its
//! object, which is gone, or says so itself. A Lease in which nothing stands is deleted.

pub mod book;
pub mod desk;
pub mod plan;
#[cfg(test)]
mod samples;
