//! What a node's object says of an installation: the label that the `RuntimeClass` selects by, facts as annotations, and how fit it is.

use super::facts::{Fact, annotations};
use super::fitness::{self, Unfit};
use crate::kit::error::Error;
use crate::kit::names::{FACTS, HOLDS_ANNOTATION, RUNTIME_LABEL};
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::writes::{CALL_LIMIT, apply_status, bounded, merge};
use crate::write_steps;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

write_steps! {
    /// A node's label, annotations and taint.
    TELL,
    /// Its condition.
    CONDITION,
}

/// Who owns the condition.
const MANAGER: &str = "holdfast.dev/host";

/// So often a write is decided anew when others write to the node, which its kubelet does all the time.
const TRIES: u32 = 8;

/// Says on the node's object what was found out, or that nothing of ours is there any more.
///
/// # Errors
/// The API server's answer.
pub(crate) async fn tell(
    clients: &Clients,
    name: &str,
    facts: Option<&[Fact]>,
    unfit: Unfit,
) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(clients.once.clone());
    let node = describe(&nodes, name, facts, unfit).await?;
    let Some(conditions) = fitness::conditions(&node, facts, clock::now()) else {
        return Ok(());
    };
    let status = json!({ "conditions": conditions });
    let written = apply_status(&nodes, (&CONDITION).into(), MANAGER, name, status).await;
    written.map(drop)
}

/// All but its status; hands out the node as it is then.
async fn describe(
    nodes: &Api<Node>,
    name: &str,
    facts: Option<&[Fact]>,
    unfit: Unfit,
) -> Result<Node, Error> {
    let mut tries = TRIES;
    loop {
        let node = bounded(CALL_LIMIT, "get", format!("node {name}"), nodes.get(name)).await?;
        let Some(fields) = difference(&node, facts, unfit) else {
            return Ok(node);
        };
        tries = tries.saturating_sub(1);
        match merge(nodes, (&TELL).into(), &node, fields).await {
            Err(error) if error.is_conflict() && tries > 0 => {}
            written => return written,
        }
    }
}

/// What has to be merged into the node, if anything.
fn difference(node: &Node, facts: Option<&[Fact]>, unfit: Unfit) -> Option<Value> {
    let told = facts.map(annotations).unwrap_or_default();
    let label = facts.map(|_| "installed");
    let is_labelled = node.labels().get(RUNTIME_LABEL).map(String::as_str) == label;
    let present = node
        .annotations()
        .iter()
        .filter(|(key, _)| key.starts_with(FACTS))
        // That one is the agent's, until there is none any more.
        .filter(|(key, _)| facts.is_none() || *key != HOLDS_ANNOTATION);
    let stale: Vec<_> = present
        .clone()
        .map(|(key, _)| key)
        .filter(|key| !told.contains_key(*key))
        .collect();
    let is_told = told
        .iter()
        .all(|(key, value)| node.annotations().get(key) == Some(value));
    let taints = fitness::taints(node, facts, unfit);
    if is_labelled && is_told && stale.is_empty() && taints.is_none() {
        return None;
    }
    let mut all: serde_json::Map<String, Value> = told
        .into_iter()
        .map(|(key, value)| (key, json!(value)))
        .collect();
    all.extend(stale.into_iter().map(|key| (key.clone(), Value::Null)));
    let metadata = json!({"labels": {RUNTIME_LABEL: label}, "annotations": all});
    Some(match taints {
        Some(taints) => json!({"metadata": metadata, "spec": {"taints": taints}}),
        None => json!({"metadata": metadata}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::facts::Verdict;

    fn facts() -> Vec<Fact> {
        vec![Fact {
            name: "cpu",
            value: "abc".into(),
            verdict: Verdict::Fine,
            says: String::new(),
        }]
    }

    fn node(label: Option<&str>, annotations: &[(&str, &str)]) -> Node {
        let mut node = Node::default();
        node.labels_mut()
            .extend(label.map(|label| (RUNTIME_LABEL.to_owned(), label.to_owned())));
        let all = annotations
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        node.annotations_mut().extend(all);
        node
    }

    #[test]
    fn only_a_difference_is_written() {
        let told = [
            ("node.holdfast.dev/cpu", "abc"),
            (HOLDS_ANNOTATION, "{}"),
            ("other.dev/x", "y"),
        ];
        assert_eq!(
            difference(
                &node(Some("installed"), &told),
                Some(&facts()),
                Unfit::Avoided
            ),
            None
        );
        assert_eq!(
            difference(&node(None, &[("other.dev/x", "y")]), None, Unfit::Avoided),
            None
        );
        let fields = difference(
            &node(None, &[("node.holdfast.dev/gone", "1")]),
            Some(&facts()),
            Unfit::Avoided,
        )
        .unwrap();
        assert_eq!(
            fields,
            json!({"metadata": {"labels": {"holdfast.dev/runtime": "installed"},
                "annotations": {"node.holdfast.dev/cpu": "abc", "node.holdfast.dev/gone": null}}})
        );
    }

    #[test]
    fn an_uninstallation_leaves_nothing_of_ours() {
        let fields = difference(
            &node(
                Some("installed"),
                &[("node.holdfast.dev/cpu", "abc"), ("other.dev/x", "y")],
            ),
            None,
            Unfit::Avoided,
        )
        .unwrap();
        assert_eq!(
            fields,
            json!({"metadata": {"labels": {"holdfast.dev/runtime": null}, "annotations": {"node.holdfast.dev/cpu": null}}})
        );
    }
}
