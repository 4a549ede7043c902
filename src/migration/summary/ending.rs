//! How a Migration ended, in the words of whoever knows it, and as long as somebody does.

use super::SUCCEEDED;
use crate::agent::api::SourceStanding;
use crate::migration::api::{MigrationStatus, Phase, ProofKind, reasons};
use crate::migration::plan::Observed;

/// Why it went back, where nobody has said it: whoever was at it is gone.
pub(super) fn untold(seen: &Observed<'_>) -> String {
    let standing = seen.source.source.map(|report| report.standing);
    if standing == Some(SourceStanding::Withdrawn) {
        let (from, to) = (&seen.course.source_node, &seen.course.target_node);
        return format!(
            "it was let go before all of its state was on {to}: see the logs of the agents on {from} and {to}"
        );
    }
    "the state could not be restored there".to_owned()
}

/// What was said of how it ended stays: whoever knew more, the nodes' orders, is gone soon after.
pub(super) fn said_before(status: &MigrationStatus, phase: Phase) -> Option<String> {
    let has_ended = matches!(phase, Phase::RolledBack | Phase::Failed) && status.phase == phase;
    let mut conditions = status.conditions.iter().filter(|_| has_ended);
    let found = conditions.find(|condition| condition.type_ == SUCCEEDED);
    found.map(|condition| condition.message.clone())
}

/// The source came back though nobody knows whether its state ran elsewhere.
pub(super) fn failover(status: &MigrationStatus, node: &str) -> Option<String> {
    let proof = status.decision.proof.as_ref()?;
    let said = match (proof.kind, &proof.by) {
        (ProofKind::Revoked | ProofKind::Unknown, _) => return None,
        (ProofKind::TargetIsOff, Some(by)) => format!("{by} has said that node {node} is off"),
        (_, _) => format!("node {node} is known to be off"),
    };
    Some(format!(
        "{said}; if it ran there since its freeze, what it did there is lost"
    ))
}

/// Late, and that is why.
pub(super) fn never_placed(why: &str) -> String {
    format!(
        "its deadline passed, and no scheduler had placed the pod that was to get its state: {why}"
    )
}

/// What a dry run has found.
pub(super) fn can_move(status: &MigrationStatus) -> String {
    let found = status.preflight.clone().unwrap_or_default();
    let node = found.node.unwrap_or_default();
    match found.findings.len() {
        0 => format!("the pod can move, to {node}: nothing was touched"),
        some => format!(
            "the pod can move, to {node}, and there are {some} warnings: nothing was touched"
        ),
    }
}

/// What a reason means, for whoever reads it at night. A refusal is a sentence already.
pub(super) fn sentence(why: &str) -> String {
    match why {
        reasons::SOURCE_KILLED => "the pod ended before its state was safe".into(),
        reasons::DAMAGED => "the program that dumps died over a container: look at the agent's log on its node".into(),
        reasons::TOO_LATE => "it took longer than its deadline until the pod could be frozen: see the events of the pod on the target".into(),
        reasons::UNWANTED => "its ReplicaSet makes no other pod in its place: it was scaled down, rolled out anew, or deleted".into(),
        reasons::CANCELLED => "the Migration was deleted".into(),
        reasons::TARGET_GONE => "the pod on the target is gone".into(),
        reasons::RESTORE_FAILED => "the state could not be restored: see the agent's log on the target".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::conditions::{Finding, merge};
    use jiff::Timestamp;

    #[test]
    fn why_it_went_back_stays_when_nobody_is_left_who_knows() {
        let ended = Finding {
            kind: SUCCEEDED,
            holds: false,
            reason: "RolledBack",
            message: "the disk is full".into(),
        };
        let status = MigrationStatus {
            phase: Phase::RolledBack,
            conditions: merge(&[], &[ended], Some(1), Timestamp::UNIX_EPOCH),
            ..MigrationStatus::default()
        };
        let said = |phase| said_before(&status, phase);
        assert_eq!(said(Phase::RolledBack).as_deref(), Some("the disk is full"));
        // Another end than the one that was told, and what goes on, has a sentence of its own.
        assert_eq!(said(Phase::Failed), None);
        let goes_on = MigrationStatus {
            phase: Phase::Frozen,
            ..status
        };
        assert_eq!(said_before(&goes_on, Phase::Frozen), None);
        assert_eq!(said_before(&goes_on, Phase::RolledBack), None);
    }
}
