//! A pod that is about to go elsewhere, and runs as if nothing were to come.

use super::{Process, Seen, all, order};
use crate::agent::api::{SourceOrder, Word};

/// Where its state is to go, and may be sent to while it runs.
#[must_use]
pub(crate) fn is_about_to_go<'a>(seen: &Seen<'a>) -> Option<&'a SourceOrder> {
    let (spec, order) = order(seen)?;
    let ended = seen.record.ended.as_ref();
    let is_over =
        spec.decision.is_final() || ended.is_some_and(|ended| ended.operation == spec.operation);
    let is_meant = matches!(order.word, Word::Stand | Word::Freeze);
    let runs = !seen.containers.is_empty() && all(seen, Process::Running);
    let is = seen.record.hold.is_none() && runs && is_meant && !is_over;
    is.then_some(order)
}
