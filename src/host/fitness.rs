//! How fit a node is, as others see it: a condition, and a taint where the check has failed. Neither takes anything away from pods that
//! run: the label that the `RuntimeClass` selects by stays. Pure.

use super::facts::{Fact, Verdict, is_fine};
use crate::kit::names::{FIT_CONDITION, UNFIT_TAINT};
use crate::node::select::condition;
use clap::ValueEnum;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// The longest message of a condition.
const MESSAGE: usize = 1024;

/// What keeps new pods away from a node whose check has failed. It keeps all of them away, protected or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Unfit {
    /// Nothing
    #[value(name = "None")]
    None,
    /// The scheduler takes another node where there is one
    #[default]
    #[value(name = "PreferNoSchedule")]
    Avoided,
    /// The scheduler takes no such node
    #[value(name = "NoSchedule")]
    Closed,
}

impl Unfit {
    fn effect(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Avoided => Some("PreferNoSchedule"),
            Self::Closed => Some("NoSchedule"),
        }
    }
}

/// The node's taints as they should be, if they are not. Those of others stay as they are.
pub(super) fn taints(node: &Node, facts: Option<&[Fact]>, unfit: Unfit) -> Option<Vec<Taint>> {
    let is_unfit = facts.is_some_and(|facts| !is_fine(facts));
    let effect = unfit.effect().filter(|_| is_unfit);
    let spec = node.spec.as_ref();
    let present = spec.and_then(|spec| spec.taints.as_deref());
    let (ours, mut wanted): (Vec<_>, Vec<_>) = present
        .unwrap_or_default()
        .iter()
        .cloned()
        .partition(|taint| taint.key == UNFIT_TAINT);
    let is_right = match (effect, ours.as_slice()) {
        (None, []) => true,
        (Some(effect), [one]) => one.effect == effect,
        _ => false,
    };
    if is_right {
        return None;
    }
    wanted.extend(effect.map(|effect| Taint {
        key: UNFIT_TAINT.into(),
        effect: effect.into(),
        ..Taint::default()
    }));
    Some(wanted)
}

/// The conditions of ours as they should be, if they are not: one, or none where nothing of ours is there.
pub(super) fn conditions(
    node: &Node,
    facts: Option<&[Fact]>,
    now: Timestamp,
) -> Option<Vec<NodeCondition>> {
    let present = condition(node, FIT_CONDITION);
    let Some(facts) = facts else {
        return present.map(|_| Vec::new());
    };
    let mut wanted = said(facts);
    if present.is_some_and(|old| is_same(old, &wanted)) {
        return None;
    }
    let since = present.filter(|old| old.status == wanted.status);
    let since = since.and_then(|old| old.last_transition_time.clone());
    wanted.last_transition_time = since.or(Some(Time(now)));
    wanted.last_heartbeat_time = Some(Time(now));
    Some(vec![wanted])
}

fn is_same(old: &NodeCondition, new: &NodeCondition) -> bool {
    (&old.status, &old.reason, &old.message) == (&new.status, &new.reason, &new.message)
}

fn said(facts: &[Fact]) -> NodeCondition {
    let bad = facts.iter().filter(|fact| fact.verdict == Verdict::Bad);
    let bad: Vec<_> = bad
        .map(|fact| format!("{}: {}", fact.name, fact.says))
        .collect();
    let (status, reason, message) = if bad.is_empty() {
        let message = "pods can be checkpointed and restored here, as far as the node shows";
        ("True", "Fit", message.to_owned())
    } else {
        ("False", "CheckFailed", bad.join("; "))
    };
    NodeCondition {
        type_: FIT_CONDITION.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.chars().take(MESSAGE).collect()),
        ..NodeCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn node(value: Value) -> Node {
        from_value(value).unwrap()
    }

    fn facts(verdict: Verdict) -> Vec<Fact> {
        vec![Fact {
            name: "criu check",
            value: "failed".into(),
            verdict,
            says: "no ptrace".into(),
        }]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_taint_comes_with_a_failed_check_and_goes_with_it() {
        let other = json!({ "key": "gpu", "value": "1", "effect": "NoSchedule" });
        let clean = node(json!({ "spec": { "taints": [other] } }));
        let (bad, fine) = (facts(Verdict::Bad), facts(Verdict::Note));
        assert_eq!(taints(&clean, Some(&fine), Unfit::Closed), None);
        assert_eq!(taints(&clean, Some(&bad), Unfit::None), None);
        let set = taints(&clean, Some(&bad), Unfit::Avoided).unwrap();
        let ours = json!({ "key": "holdfast.dev/unfit", "effect": "PreferNoSchedule" });
        assert_eq!(json!(set), json!([other, ours]));

        let tainted = node(json!({ "spec": { "taints": [ours, other] } }));
        assert_eq!(taints(&tainted, Some(&bad), Unfit::Avoided), None);
        let closed = taints(&tainted, Some(&bad), Unfit::Closed).unwrap();
        assert_eq!(closed[1].effect, "NoSchedule");
        for (facts, unfit) in [
            (Some(&fine), Unfit::Avoided),
            (Some(&bad), Unfit::None),
            (None, Unfit::Avoided),
        ] {
            let left = taints(&tainted, facts.map(Vec::as_slice), unfit).unwrap();
            assert_eq!(json!(left), json!([other]));
        }
    }

    #[test]
    fn a_condition_is_written_when_it_changes_and_keeps_since_when_it_is_so() {
        let (bad, fine) = (facts(Verdict::Bad), facts(Verdict::Fine));
        let told = conditions(&node(json!({})), Some(&bad), at(1)).unwrap();
        assert_eq!(told[0].status, "False");
        assert_eq!(told[0].message.as_deref(), Some("criu check: no ptrace"));
        let failed = node(json!({ "status": { "conditions": told } }));
        assert_eq!(conditions(&failed, Some(&bad), at(2)), None);

        let mut worse = bad.clone();
        worse.push(Fact {
            name: "runtime",
            ..bad[0].clone()
        });
        let told = conditions(&failed, Some(&worse), at(3)).unwrap();
        assert_eq!(told[0].last_transition_time, Some(Time(at(1))));
        assert_eq!(told[0].last_heartbeat_time, Some(Time(at(3))));
        let told = conditions(&failed, Some(&fine), at(4)).unwrap();
        assert_eq!(
            (told[0].status.as_str(), &told[0].last_transition_time),
            ("True", &Some(Time(at(4))))
        );
        assert_eq!(conditions(&failed, None, at(5)), Some(vec![]));
        assert_eq!(conditions(&node(json!({})), None, at(5)), None);
    }
}
