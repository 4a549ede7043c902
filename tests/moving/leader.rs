//! The leader, as a test plays it.

use crate::fixture::{GENERATION, NAMESPACE, Node, OPERATION};
use holdfast::agent::api::{
    PodName, SourceOrder, StateTaskSpec, TargetOrder, TargetStanding, Word,
};
use holdfast::agent::rehearsal::Stands;
use holdfast::migration::api::{Decision, Outcome, ProofNote};
use std::time::{Duration, Instant};

/// What the leader tells both nodes.
pub(crate) struct Leader {
    pub(crate) decision: Decision,
    pub(crate) word: Word,
    pub(crate) revoke: Vec<String>,
}

impl Leader {
    pub(crate) fn new() -> Self {
        Self {
            decision: Decision::default(),
            word: Word::Stand,
            revoke: Vec::new(),
        }
    }

    pub(crate) fn allow(&mut self, target: &Node, attempt: u32) {
        self.decision = Decision {
            outcome: Outcome::Allowed,
            attempt,
            pod_uid: Some(target.uid.into()),
            node: Some(target.name.into()),
            generation: Some(GENERATION.into()),
            ..Decision::default()
        };
        self.word = Word::Freeze;
    }

    pub(crate) fn decide(&mut self, outcome: Outcome) {
        self.decision.outcome = outcome;
        if outcome == Outcome::RolledBack {
            self.decision.proof = Some(ProofNote::revoked());
            self.word = Word::Withdraw;
        }
    }

    pub(crate) fn tell(&self, source: &Node, target: &Node) {
        let spec = |node: &Node| StateTaskSpec {
            node_name: node.name.into(),
            operation: OPERATION.into(),
            decision: self.decision.clone(),
            ..StateTaskSpec::default()
        };
        let pod = |node: &Node| PodName {
            name: format!("cart-{}", node.name),
            uid: node.uid.into(),
        };
        let order = StateTaskSpec {
            source: Some(SourceOrder {
                pod: pod(source),
                generation: GENERATION.into(),
                target_node: target.name.into(),
                word: self.word,
                ..SourceOrder::default()
            }),
            ..spec(source)
        };
        source.agent.order(NAMESPACE, order);
        let order = StateTaskSpec {
            target: Some(TargetOrder {
                pod: Some(pod(target)),
                source_node: source.name.into(),
                source_uid: source.uid.into(),
                generation: GENERATION.into(),
                restores: vec!["app".into()],
                finished: vec!["init".into()],
                fills_volumes: true,
                revoke: self.revoke.clone(),
                ..TargetOrder::default()
            }),
            ..spec(target)
        };
        target.agent.order(NAMESPACE, order);
    }
}

/// Works at a node until it stands so.
pub(crate) async fn until(
    node: &Node,
    other: &Node,
    what: &str,
    is_so: impl Fn(&Stands) -> bool,
) -> Stands {
    let begin = Instant::now();
    loop {
        let stands = node.agent.work(OPERATION, &other.agent).await;
        if let Ok(stands) = &stands
            && is_so(stands)
        {
            return Stands {
                source: stands.source.clone(),
                target: stands.target.clone(),
                why: stands.why.clone(),
            };
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}: {stands:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How the target's one pod stands.
pub(crate) fn pod(stands: &Stands) -> Option<TargetStanding> {
    let pods = &stands.target.as_ref()?.pods;
    pods.first().map(|pod| pod.standing)
}

/// Works at the target until nothing will ever run in its pod.
pub(crate) async fn is_void(target: &Node, source: &Node) {
    let is_so = |stands: &Stands| pod(stands) == Some(TargetStanding::Revoked);
    until(target, source, "it is void", is_so).await;
}

/// Works at the source until it holds nothing any more.
pub(crate) async fn is_over(source: &Node, target: &Node) -> Stands {
    let report = |stands: &Stands| stands.source.as_ref().is_some_and(|report| report.is_over);
    until(source, target, "it is over", report).await
}
