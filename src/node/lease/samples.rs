//! Who is at work on nodes, in tests.

use crate::node::lease::book::{Reference, Seat};

/// An operation that may hold a node alone.
pub(super) fn root(name: &str) -> Reference {
    Reference {
        api_version: "operator.kairos.io/v1alpha1".into(),
        kind: "NodeOp".into(),
        plural: "nodeops".into(),
        namespace: Some("ops".into()),
        name: name.into(),
        uid: name.into(),
    }
}

/// The seat of a move that nobody caused.
pub(super) fn seat(name: &str) -> Seat {
    Seat {
        namespace: "apps".into(),
        name: name.into(),
        uid: name.into(),
        under: None,
    }
}
