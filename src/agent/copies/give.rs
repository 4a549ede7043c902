//! A state that is kept here on its way to the nodes that are to have copies: one after the other, each until it is verified there. Who
//! has it already says so, so a new agent begins anew and sends nothing twice.

use crate::agent::api::{CheckpointOrder, CheckpointWord, CopyTarget, SendingReport, StateTask};
use crate::agent::store::Generation;
use crate::agent::tasks::Means;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How far it is with each node.
#[derive(Default)]
pub(crate) struct Given(BTreeMap<String, Try>);

#[derive(Default)]
struct Try {
    address: String,
    is_sent: bool,
    why: Option<String>,
    failures: u32,
    again: Option<Instant>,
}

impl Given {
    /// What is sent next, if its time has come.
    fn next<'a>(&self, order: &'a CheckpointOrder, now: Instant) -> Option<&'a CopyTarget> {
        order.copies.iter().find(|target| {
            self.0.get(&target.node).is_none_or(|tried| {
                // An agent that was made anew has another address.
                let is_moved = tried.address != target.address;
                !tried.is_sent && (is_moved || tried.again.is_none_or(|again| again <= now))
            })
        })
    }

    fn tried(&mut self, target: &CopyTarget, done: Result<(), String>, now: Instant) {
        let tried = self.0.entry(target.node.clone()).or_default();
        tried.address.clone_from(&target.address);
        tried.is_sent = done.is_ok();
        tried.why = done.err();
        tried.failures = tried.failures.saturating_add(1);
        let doubled = 2_u32.saturating_pow(tried.failures.saturating_sub(1).min(16));
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        tried.again = now.checked_add(pause);
    }

    /// What the leader is told.
    pub(crate) fn report(&self, order: &CheckpointOrder) -> Vec<SendingReport> {
        let tried = order.copies.iter().filter_map(|target| {
            let tried = self.0.get(&target.node)?;
            Some(SendingReport {
                node: target.node.clone(),
                is_sent: tried.is_sent,
                why: tried.why.clone(),
            })
        });
        tried.collect()
    }
}

/// Whether every node has it, by what the leader was told.
pub(crate) fn is_done(order: &CheckpointOrder, told: &[SendingReport]) -> bool {
    let is_sent = |target: &CopyTarget| {
        told.iter()
            .any(|one| one.node == target.node && one.is_sent)
    };
    order.copies.iter().all(is_sent)
}

/// Sends to each node whose time has come.
pub(crate) async fn give(
    means: &Means,
    (operation, order): (&str, &CheckpointOrder),
    generation: &Generation,
    given: &mut Given,
) {
    while let Some(target) = given.next(order, Instant::now()) {
        let done = tokio::select! {
            () = means.stop.cancelled() => return,
            () = called_off(means, (operation, target)) => return,
            done = send(means, target, (operation, generation)) => done,
        };
        if let Err(why) = &done {
            tracing::warn!(
                operation,
                node = target.node,
                why,
                "a copy was not sent; trying again"
            );
        }
        given.tried(target, done, Instant::now());
    }
}

async fn send(
    means: &Means,
    target: &CopyTarget,
    (operation, generation): (&str, &Generation),
) -> Result<(), String> {
    let CopyTarget { node, address } = target;
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address:?} is no address of an agent"))?;
    let ways = means
        .ways
        .as_ref()
        .ok_or("this agent speaks with no other: see its log")?;
    let mut way = ways.to(node, address);
    let sent = way.send(operation, generation).await;
    let sent = sent.map_err(|failure| failure.to_string())?;
    tracing::info!(
        operation,
        node,
        bytes = sent.bytes,
        digest = sent.digest,
        "a copy was sent"
    );
    Ok(())
}

/// Returns when nobody wants it any more on this node, at this address.
async fn called_off(means: &Means, (operation, target): (&str, &CopyTarget)) {
    loop {
        tokio::time::sleep(LOOK).await;
        let orders = means.targets.orders().all();
        let is_wanted = |task: &Arc<StateTask>| wants(task, operation, target);
        let is_wanted = orders.iter().any(is_wanted);
        if !is_wanted {
            return;
        }
    }
}

fn wants(task: &StateTask, operation: &str, target: &CopyTarget) -> bool {
    let order = task.spec.checkpoint.as_ref();
    let is_sent = |order: &CheckpointOrder| {
        order.word == CheckpointWord::Take && order.copies.contains(target)
    };
    task.spec.operation == operation
        && task.metadata.deletion_timestamp.is_none()
        && order.is_some_and(is_sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(addresses: &[(&str, &str)]) -> CheckpointOrder {
        let targets = addresses.iter().map(|(node, address)| CopyTarget {
            node: (*node).into(),
            address: (*address).into(),
        });
        CheckpointOrder {
            copies: targets.collect(),
            ..CheckpointOrder::default()
        }
    }

    #[test]
    fn a_target_that_was_taken_from_the_order_or_has_moved_is_not_sent_to() {
        let mut task = StateTask::new("task", crate::agent::api::StateTaskSpec::default());
        task.spec.operation = "op".into();
        task.spec.checkpoint = Some(order(&[("n2", "a:1")]));
        let [here, moved, other] =
            [("n2", "a:1"), ("n2", "a:2"), ("n3", "a:1")].map(|one| order(&[one]).copies.remove(0));
        assert!(wants(&task, "op", &here));
        assert!(!wants(&task, "op", &moved) && !wants(&task, "op", &other));
        assert!(!wants(&task, "another", &here));
        task.spec.checkpoint.as_mut().unwrap().word = CheckpointWord::Forget;
        assert!(!wants(&task, "op", &here));
    }

    #[tokio::test(start_paused = true)]
    async fn each_node_is_tried_in_its_turn_and_again_later_and_later() {
        let two = order(&[("n2", "a:1"), ("n3", "b:1")]);
        let (mut given, began) = (Given::default(), Instant::now());
        let next = |given: &Given, second| {
            let next = given.next(&two, began + Duration::from_secs(second));
            next.map(|target| target.node.clone())
        };
        assert_eq!(next(&given, 0).as_deref(), Some("n2"));
        given.tried(&two.copies[0], Err("away".into()), began);
        assert_eq!(next(&given, 0).as_deref(), Some("n3"));
        given.tried(&two.copies[1], Ok(()), began);
        assert_eq!(next(&given, 0), None);
        assert_eq!(next(&given, 1).as_deref(), Some("n2"));
        given.tried(&two.copies[0], Err("away".into()), began);
        assert_eq!(next(&given, 1), None);
        assert_eq!(next(&given, 2).as_deref(), Some("n2"));
        let moved = order(&[("n2", "a:2"), ("n3", "b:1")]);
        assert_eq!(given.next(&moved, began).unwrap().address, "a:2");
        let told = given.report(&two);
        assert_eq!(
            (told[0].is_sent, told[0].why.as_deref()),
            (false, Some("away"))
        );
        assert!(told[1].is_sent && !is_done(&two, &told));
        given.tried(&two.copies[0], Ok(()), began);
        assert!(is_done(&two, &given.report(&two)));
        assert_eq!(next(&given, 1000), None);
        assert!(is_done(&order(&[]), &[]));
    }
}
