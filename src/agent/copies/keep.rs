//! What this node does with a copy that it is to have: it comes by itself, from the node that has it; here it is said when all of it is
//! there, and it goes when it is not wanted any more.

use crate::agent::api::{
    CheckpointStanding, CheckpointWord, CopyOrder, CopyReport, StateTask, StateTaskStatus,
};
use crate::agent::blocking::blocking;
use crate::agent::copies::desk::expected;
use crate::agent::peers::desk::Refusal;
use crate::agent::store::Found;
use crate::agent::tasks::{Means, pass};
use crate::oci::failure::Failure;

/// Whether what there is of it is deleted.
fn goes(word: CheckpointWord, found: &Found, is_coming: bool) -> bool {
    word == CheckpointWord::Forget && (*found != Found::Nothing || is_coming)
}

/// What the leader is told.
fn report(word: CheckpointWord, found: &Found, path: &str) -> CopyReport {
    let of = |standing| CopyReport {
        standing,
        ..CopyReport::default()
    };
    match found {
        Found::Nothing if word == CheckpointWord::Forget => of(CheckpointStanding::Forgotten),
        Found::Nothing | Found::Part | Found::Cut(_) => of(CheckpointStanding::Idle),
        Found::Failed(why) => CopyReport {
            why: Some(why.clone()),
            ..of(CheckpointStanding::Failed)
        },
        Found::Sealed(manifest, digest) => CopyReport {
            path: Some(path.to_owned()),
            digest: Some(digest.clone()),
            bytes: Some(manifest.bytes()),
            ..of(CheckpointStanding::Kept)
        },
    }
}

/// Whether there is something to do, or to say.
pub(crate) fn is_open(task: &StateTask, order: &CopyOrder) -> bool {
    let status = task.status.as_ref();
    let is_answered =
        status.and_then(|status| status.observed_generation) == task.metadata.generation;
    let report = status.and_then(|status| status.copy.as_ref());
    let is_over = report.is_some_and(|report| {
        matches!(
            (order.word, report.standing),
            (CheckpointWord::Take, CheckpointStanding::Kept)
        )
    });
    !(is_over && is_answered) || task.metadata.deletion_timestamp.is_some()
}

/// Looks once.
pub(crate) async fn look(means: &Means, task: &StateTask, order: &CopyOrder) -> Result<(), String> {
    let mut order = order.clone();
    if task.metadata.deletion_timestamp.is_some() {
        order.word = CheckpointWord::Forget;
    }
    let word = order.word;
    let (receiving, what) = (&means.receiving, expected(task, &order));
    let of = |refusal: Refusal| refusal.to_string();
    let generation = receiving.generation(&what, &order.generation).map_err(of)?;
    // Nobody writes to it while it goes. Who only looks takes nobody's turn: its sender would begin anew.
    let turn = if word == CheckpointWord::Forget {
        match receiving.turn(what, &order.generation) {
            Ok(turn) => Some(turn),
            Err(Refusal::Unfit(_)) => return Ok(()),
            Err(refusal) => return Err(of(refusal)),
        }
    } else {
        None
    };
    let full = receiving.why_full(&generation);
    let looked = blocking(move || {
        let is_coming = generation.incoming().exists();
        if let Some(turn) = turn {
            if goes(word, &generation.look()?, is_coming) {
                generation.forget()?;
            }
            turn.has_room();
        }
        let found = match (generation.look()?, full) {
            (Found::Nothing, Some(why)) if word == CheckpointWord::Take => Found::Failed(why),
            (found, _) => found,
        };
        let path = generation.on_node();
        Ok::<_, Failure>(report(word, &found, &path.to_string_lossy()))
    });
    let report = looked.await.map_err(|failure| failure.to_string())?;
    let status = StateTaskStatus {
        copy: Some(report),
        ..StateTaskStatus::default()
    };
    pass::say(means, task, status).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::StateTaskSpec;

    #[test]
    fn what_is_not_wanted_goes_whatever_there_is_of_it() {
        let failed = Found::Failed("why".into());
        for found in [Found::Part, failed.clone()] {
            assert!(goes(CheckpointWord::Forget, &found, false));
            assert!(!goes(CheckpointWord::Take, &found, true));
        }
        assert!(
            goes(CheckpointWord::Forget, &Found::Nothing, true),
            "half of it came"
        );
        assert!(!goes(CheckpointWord::Forget, &Found::Nothing, false));
        let standing = |word, found: &Found| report(word, found, "/x").standing;
        assert_eq!(
            standing(CheckpointWord::Forget, &Found::Nothing),
            CheckpointStanding::Forgotten
        );
        assert_eq!(
            standing(CheckpointWord::Take, &Found::Nothing),
            CheckpointStanding::Idle
        );
        assert_eq!(
            standing(CheckpointWord::Take, &failed),
            CheckpointStanding::Failed
        );
    }

    #[test]
    fn what_is_kept_and_told_is_not_looked_at_again() {
        let order = CopyOrder::default();
        let mut task = StateTask::new("copy", StateTaskSpec::default());
        task.metadata.generation = Some(2);
        assert!(is_open(&task, &order));
        let status = |observed, standing| StateTaskStatus {
            observed_generation: Some(observed),
            copy: Some(CopyReport {
                standing,
                ..CopyReport::default()
            }),
            ..StateTaskStatus::default()
        };
        task.status = Some(status(1, CheckpointStanding::Kept));
        assert!(is_open(&task, &order));
        task.status = Some(status(2, CheckpointStanding::Idle));
        assert!(is_open(&task, &order));
        task.status = Some(status(2, CheckpointStanding::Kept));
        assert!(!is_open(&task, &order));
        let forget = CopyOrder {
            word: CheckpointWord::Forget,
            ..order
        };
        assert!(is_open(&task, &forget));
    }
}
