//! What the leader is told of a pod that is held, or was; and the log, of what is done with it.

use crate::agent::api::{SourceReport, SourceStanding};
use crate::agent::source::{Act, Cut, Process, Seen, any, order};
use crate::hold::record::{Admission, Hold, HoldState, Proof, TokenState};
use crate::migration::api::{ProofKind, ProofNote};

impl Act {
    /// In a word, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Change(_) => "record",
            Self::AskReady(..) => "ask whether it waits",
            Self::AskRevoke(_) => "ask to void",
            Self::Guard => "guard",
            Self::Freeze => "freeze",
            Self::Dump => "dump",
            Self::Copy => "copy",
            Self::Release(_) => "release",
            Self::Thaw => "thaw",
            Self::Kill => "kill",
        }
    }
}

/// What the leader is told, from the record.
#[must_use]
pub fn report(seen: &Seen<'_>) -> Option<SourceReport> {
    let (spec, _) = order(seen)?;
    let record = seen.record;
    if let Some(hold) = record.hold_of(&spec.operation) {
        let is_safe = seen.cut == Cut::Whole && seen.peer.has_verified;
        return Some(SourceReport {
            standing: standing(hold, is_safe && seen.peer.has_release),
            is_over: false,
            is_killed: any(seen, Process::Dead) && !hold.thawing,
            is_damaged: hold.damaged,
            proof: hold.proof.as_ref().map(note),
        });
    }
    let ended = record.ended.as_ref();
    let Some(ended) = ended.filter(|ended| ended.operation == spec.operation) else {
        return Some(SourceReport::default());
    };
    let is_at_home = |a: &Admission| a.operation == ended.operation;
    let came_home = record.admission.as_ref().is_some_and(is_at_home);
    let runs = record.tokens.values().all(|t| t.state == TokenState::Done);
    Some(SourceReport {
        standing: match ended.state {
            HoldState::Returned => SourceStanding::Returned,
            _ => SourceStanding::Withdrawn,
        },
        is_over: !came_home || runs,
        is_killed: came_home,
        is_damaged: ended.damaged,
        proof: ended.proof.as_ref().map(note),
    })
}

fn standing(hold: &Hold, is_safe: bool) -> SourceStanding {
    match hold.state {
        HoldState::Frozen if is_safe => SourceStanding::Verified,
        HoldState::Frozen => SourceStanding::Frozen,
        HoldState::Withdrawn => SourceStanding::Withdrawn,
        HoldState::Released => SourceStanding::Released,
        HoldState::Returned => SourceStanding::Returned,
        HoldState::Superseded => SourceStanding::Superseded,
        HoldState::Killed => SourceStanding::Killed,
    }
}

fn note(proof: &Proof) -> ProofNote {
    let (kind, by) = match proof {
        Proof::Revoked => (ProofKind::Revoked, None),
        Proof::Fenced => (ProofKind::Fenced, None),
        Proof::OutOfService => (ProofKind::OutOfService, None),
        Proof::MachineGone => (ProofKind::MachineGone, None),
        Proof::TargetIsOff { by } => (ProofKind::TargetIsOff, Some(by.clone())),
    };
    ProofNote { kind, by }
}
