//! What the leader does with a pod that a Migration took from its owner, when that Migration is gone. Pure. Nobody can decide any more,
//! so the nodes' records do: the pod's node is asked to follow them, and when it is done, the pod is given back. Its owner then has
//! one too many, or one that is dead, and chooses.

use crate::agent::api::{Order, PodName, SourceOrder, SourceStanding, StateTaskSpec, Word};
use crate::hold::rules::{Rule, Rules};
use crate::migration::plan::{Step, TaskSeen};

/// A pod that was taken from its owner, and whose Migration is gone.
#[derive(Debug, Clone)]
pub struct Stray<'a> {
    /// The uid of the Migration that took it.
    pub operation: &'a str,
    /// The pod's name.
    pub pod_name: &'a str,
    /// The pod's uid.
    pub pod_uid: &'a str,
    /// Its node.
    pub node: &'a str,
    /// Its owner does not count it.
    pub is_detached: bool,
    /// Its owner is there.
    pub has_owner: bool,
    /// What its node was asked, and answers.
    pub task: TaskSeen<'a>,
    /// Which rules hold: all.
    pub rules: Rules,
}

/// What is done for it now.
#[must_use]
pub fn sweep(stray: &Stray<'_>) -> Vec<Step> {
    if !stray.has_owner {
        return vec![Step::DeletePod(stray.pod_uid.to_owned())];
    }
    if !stray.is_detached {
        let task = stray.task.spec.iter();
        return task
            .map(|spec| Step::DeleteTask(spec.node_name.clone()))
            .collect();
    }
    let wanted = alone(stray);
    if stray.rules.hold(Rule::SweepAsksFirst) && stray.task.spec != Some(&wanted) {
        return vec![Step::Task(Box::new(wanted))];
    }
    let report = stray.task.source.filter(|_| stray.task.is_current);
    let is_done = report.is_some_and(|report| {
        report.is_over
            || matches!(
                report.standing,
                SourceStanding::Idle | SourceStanding::Killed
            )
    });
    (is_done || !stray.rules.hold(Rule::SweepAsksFirst))
        .then_some(Step::Attach)
        .into_iter()
        .collect()
}

/// Orders without a decision. The pod owns this StateTask.
fn alone(stray: &Stray<'_>) -> StateTaskSpec {
    let former = stray.task.spec.and_then(|spec| spec.source.as_ref());
    StateTaskSpec {
        node_name: stray.node.to_owned(),
        operation: stray.operation.to_owned(),
        source: Some(SourceOrder {
            pod: PodName {
                name: stray.pod_name.to_owned(),
                uid: stray.pod_uid.to_owned(),
            },
            // Nobody names it otherwise, and without a name it is no order.
            generation: former.map_or_else(
                || stray.operation.to_owned(),
                |order| order.generation.clone(),
            ),
            target_node: former.map_or_else(String::new, |order| order.target_node.clone()),
            target_address: former.and_then(|order| order.target_address.clone()),
            order: Order::PrepareFirst,
            word: Word::Alone,
        }),
        ..StateTaskSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::SourceReport;

    fn next(is_detached: bool, spec: Option<&StateTaskSpec>, report: SourceStanding) -> Vec<Step> {
        let report = SourceReport {
            standing: report,
            ..SourceReport::default()
        };
        sweep(&Stray {
            operation: "op",
            pod_name: "web",
            pod_uid: "s",
            node: "n",
            is_detached,
            has_owner: true,
            task: TaskSeen {
                spec,
                source: Some(&report),
                target: None,
                is_current: true,
            },
            rules: Rules::ALL,
        })
    }

    #[test]
    fn its_node_is_asked_before_it_is_given_back() {
        let steps = next(true, None, SourceStanding::Idle);
        let [Step::Task(spec)] = &steps[..] else {
            panic!("{steps:?}");
        };
        let order = spec.source.as_ref().unwrap();
        assert_eq!(order.generation, "op", "no API server takes an empty one");
        assert_eq!(next(true, Some(spec), SourceStanding::Released), []);
        assert_eq!(
            next(true, Some(spec), SourceStanding::Killed),
            [Step::Attach]
        );
        assert_eq!(
            next(false, Some(spec), SourceStanding::Killed),
            [Step::DeleteTask("n".into())]
        );
    }

    #[test]
    fn what_nobody_owns_is_deleted() {
        let stray = Stray {
            operation: "op",
            pod_name: "web",
            pod_uid: "s",
            node: "n",
            is_detached: true,
            has_owner: false,
            task: TaskSeen::default(),
            rules: Rules::ALL,
        };
        assert_eq!(sweep(&stray), [Step::DeletePod("s".into())]);
    }
}
