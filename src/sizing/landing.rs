//! On which nodes a DaemonSet's pods land, by the rules of the DaemonSet controller: node selector, required affinity, taints. Pure.

use crate::sizing::view::{Landing, NodeView, Requirement, Taint, Term, Toleration};

/// Taints that every pod of a DaemonSet puts up with, and their effects.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// And one that only pods on the host's network put up with.
const NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

impl Landing {
    /// Whether a pod lands on this node.
    pub(crate) fn is_on(&self, name: &str, node: &NodeView) -> bool {
        let selected = self
            .node_selector
            .iter()
            .all(|(key, value)| node.labels.get(key) == Some(value));
        let in_terms =
            self.terms.is_empty() || self.terms.iter().any(|term| term.matches(name, node));
        selected && in_terms && node.taints.iter().all(|taint| self.tolerates(taint))
    }

    /// What keeps pods off this node, in words; nothing where they land.
    pub(crate) fn obstacle(&self, name: &str, node: &NodeView) -> Option<String> {
        let mut selector = self.node_selector.iter();
        if let Some((key, value)) =
            selector.find(|(key, value)| node.labels.get(key) != Some(value))
        {
            let has = node.labels.get(key);
            let has = has.map_or("the node has no such label".into(), |has| {
                format!("the node has {key}={has}")
            });
            return Some(format!("its nodeSelector wants {key}={value}, and {has}"));
        }
        if !self.terms.is_empty() && !self.terms.iter().any(|term| term.matches(name, node)) {
            let why = match self.terms.as_slice() {
                [term] => term.unmet(name, node),
                _ => "no term of it matches".into(),
            };
            return Some(format!("its required node affinity keeps it off: {why}"));
        }
        let taint = node.taints.iter().find(|taint| !self.tolerates(taint))?;
        let value = if taint.value.is_empty() { "" } else { "=" };
        Some(format!(
            "it does not tolerate the taint {}{value}{}:{}",
            taint.key, taint.value, taint.effect
        ))
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        let is = |(key, effect): (&str, &str)| *taint.key == *key && *taint.effect == *effect;
        &*taint.effect == "PreferNoSchedule"
            || TOLERATED.into_iter().any(is)
            || (self.is_on_host_network && is(NETWORK))
            || self.tolerations.iter().any(|one| one.tolerates(taint))
    }
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        self.effect
            .as_ref()
            .is_none_or(|effect| *effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self
                .value
                .as_ref()
                .is_none_or(|value| *value == taint.value)
    }
}

impl Term {
    /// A term without any requirement matches nothing.
    fn matches(&self, name: &str, node: &NodeView) -> bool {
        let is_empty = self.labels.is_empty() && self.names.is_empty();
        !is_empty
            && self
                .labels
                .iter()
                .all(|one| one.matches(|key| node.labels.get(key)))
            && self
                .names
                .iter()
                .all(|one| one.matches(|key| (key == "metadata.name").then_some(name)))
    }
}

impl Term {
    /// The first requirement that is not met.
    fn unmet(&self, name: &str, node: &NodeView) -> String {
        let label = |one: &&Requirement| !one.matches(|key| node.labels.get(key));
        let field =
            |one: &&Requirement| !one.matches(|key| (key == "metadata.name").then_some(name));
        let unmet = self.labels.iter().find(label);
        match unmet.or_else(|| self.names.iter().find(field)) {
            Some(one) => format!("{} {} [{}]", one.key, one.operator, one.values.join(", ")),
            None => "its one term is empty".into(),
        }
    }
}

impl Requirement {
    /// Whether the value that there is under its key is as required.
    pub(crate) fn matches<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        let found = value(&self.key);
        let is_one_of = || found.is_some_and(|found| self.values.iter().any(|one| **one == *found));
        let order = || {
            let bound: i64 = self.values.first()?.parse().ok()?;
            Some(found?.parse::<i64>().ok()?.cmp(&bound))
        };
        match &*self.operator {
            "In" => is_one_of(),
            "NotIn" => !is_one_of(),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            "Gt" => order().is_some_and(std::cmp::Ordering::is_gt),
            "Lt" => order().is_some_and(std::cmp::Ordering::is_lt),
            // A newer API server knows more: it decides, and we do not claim to know.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::view::Labels;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(
            pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        )
    }

    fn node(pairs: &[(&str, &str)], taints: &[(&str, &str, &str)]) -> NodeView {
        let taint = |(key, value, effect): &(&str, &str, &str)| Taint {
            key: (*key).into(),
            value: (*value).into(),
            effect: (*effect).into(),
        };
        NodeView {
            labels: labels(pairs),
            taints: taints.iter().map(taint).collect(),
            ..NodeView::default()
        }
    }

    fn required(key: &str, operator: &str, values: &[&str]) -> Requirement {
        Requirement {
            key: key.into(),
            operator: operator.into(),
            values: values.iter().map(|value| (*value).into()).collect(),
        }
    }

    #[test]
    fn a_requirement_means_what_kubernetes_means() {
        let have = |key: &str| match key {
            "disk" => Some("ssd"),
            "cores" => Some("8"),
            _ => None,
        };
        for (requirement, holds) in [
            (required("disk", "In", &["hdd", "ssd"]), true),
            (required("disk", "In", &["hdd"]), false),
            (required("gpu", "In", &["a"]), false),
            (required("disk", "NotIn", &["ssd"]), false),
            (required("gpu", "NotIn", &["a"]), true),
            (required("disk", "Exists", &[]), true),
            (required("gpu", "Exists", &[]), false),
            (required("gpu", "DoesNotExist", &[]), true),
            (required("cores", "Gt", &["7"]), true),
            (required("cores", "Gt", &["8"]), false),
            (required("cores", "Lt", &["9"]), true),
            (required("disk", "Lt", &["9"]), false),
            (required("disk", "Almost", &["ssd"]), false),
        ] {
            assert_eq!(requirement.matches(have), holds, "{requirement:?}");
        }
    }

    #[test]
    fn lands_where_selector_and_one_term_match() {
        let mut landing = Landing {
            node_selector: labels(&[("os", "linux")]),
            ..Landing::default()
        };
        assert!(landing.is_on("n", &node(&[("os", "linux"), ("a", "b")], &[])));
        assert!(!landing.is_on("n", &node(&[("os", "windows")], &[])));
        landing.terms = vec![
            Term {
                labels: vec![required("gpu", "Exists", &[])],
                names: vec![],
            },
            Term {
                labels: vec![],
                names: vec![required("metadata.name", "In", &["n"])],
            },
        ];
        assert!(landing.is_on("n", &node(&[("os", "linux")], &[])));
        assert!(landing.is_on("m", &node(&[("os", "linux"), ("gpu", "")], &[])));
        assert!(!landing.is_on("m", &node(&[("os", "linux")], &[])));
        landing.terms = vec![Term::default()];
        assert!(!landing.is_on("n", &node(&[("os", "linux")], &[])));
    }

    #[test]
    fn an_obstacle_is_named_where_there_is_one_and_only_there() {
        let plain = Landing::default();
        let picky = Landing {
            node_selector: labels(&[("pool", "gpu")]),
            ..Landing::default()
        };
        let near = Landing {
            terms: vec![Term {
                labels: vec![required("zone", "In", &["a", "b"])],
                names: vec![],
            }],
            ..Landing::default()
        };
        let tainted = node(&[("pool", "cpu")], &[("dedicated", "db", "NoSchedule")]);
        for (landing, node, says) in [
            (&plain, &tainted, Some("dedicated=db:NoSchedule")),
            (
                &picky,
                &tainted,
                Some("wants pool=gpu, and the node has pool=cpu"),
            ),
            (&picky, &node(&[], &[]), Some("the node has no such label")),
            (&near, &tainted, Some("zone In [a, b]")),
            (&plain, &node(&[], &[]), None),
            (&near, &node(&[("zone", "b")], &[]), None),
        ] {
            let obstacle = landing.obstacle("n", node);
            assert_eq!(obstacle.is_none(), landing.is_on("n", node), "{obstacle:?}");
            match says {
                Some(says) => assert!(obstacle.as_ref().unwrap().contains(says), "{obstacle:?}"),
                None => assert_eq!(obstacle, None),
            }
        }
    }

    #[test]
    fn a_taint_keeps_off_whoever_does_not_put_up_with_it() {
        let tainted = |key, effect| node(&[], &[(key, "v", effect)]);
        let mut landing = Landing::default();
        assert!(!landing.is_on("n", &tainted("dedicated", "NoSchedule")));
        assert!(landing.is_on("n", &tainted("dedicated", "PreferNoSchedule")));
        assert!(landing.is_on(
            "n",
            &tainted("node.kubernetes.io/unschedulable", "NoSchedule")
        ));
        assert!(!landing.is_on("n", &tainted("node.kubernetes.io/not-ready", "Other")));
        assert!(!landing.is_on("n", &tainted(NETWORK.0, NETWORK.1)));
        landing.is_on_host_network = true;
        assert!(landing.is_on("n", &tainted(NETWORK.0, NETWORK.1)));
        landing.tolerations = vec![Toleration {
            key: Some("dedicated".into()),
            value: Some("v".into()),
            effect: Some("NoSchedule".into()),
        }];
        assert!(landing.is_on("n", &tainted("dedicated", "NoSchedule")));
        assert!(!landing.is_on("n", &tainted("dedicated", "NoExecute")));
        landing.tolerations = vec![Toleration::default()];
        assert!(landing.is_on("n", &tainted("anything", "NoExecute")));
    }
}
