//! A sample of the answers, read whole: the patch is applied to the pod of the question, and the result is looked at. Pure.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for what it lacks"
)]

use crate::driver::population::{DaemonSet, Node, Population};
use crate::driver::requests::Question;
use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Checks the answer to a question.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(
    review: &[u8],
    answer: &[u8],
    question: Question,
    population: &Population,
) -> anyhow::Result<()> {
    let review: Value = serde_json::from_slice(review).context("the question is no JSON")?;
    let answer: Value = serde_json::from_slice(answer).context("the answer is no JSON")?;
    let response = &answer["response"];
    ensure!(
        answer["apiVersion"] == review["apiVersion"] && answer["kind"] == review["kind"],
        "the answer is no AdmissionReview of the same version"
    );
    ensure!(
        response["uid"] == review["request"]["uid"],
        "the answer has another uid"
    );
    ensure!(response["allowed"] == true, "the answer is no");
    ensure!(
        response["patchType"] == "JSONPatch",
        "the patch has no type"
    );
    let patch = response["patch"].as_str().context("there is no patch")?;
    let patch: json_patch::Patch =
        serde_json::from_slice(&STANDARD.decode(patch)?).context("the patch is no JSON patch")?;
    let mut pod = review["request"]["object"].clone();
    json_patch::patch(&mut pod, &patch).context("the patch cannot be applied to the pod")?;
    let node = population
        .nodes
        .get(question.node)
        .context("no such node")?;
    let set = population
        .daemon_sets
        .get(question.daemon_set)
        .context("no such DaemonSet")?;
    has_its_share(&pod, node, set)
}

/// Where it is known what a share comes to: whether the containers' requests come to it, to the last thousandth of a CPU and the last byte,
/// and limits are not below them.
fn has_its_share(pod: &Value, node: &Node, set: &DaemonSet) -> anyhow::Result<()> {
    let containers = pod["spec"]["containers"]
        .as_array()
        .context("the pod has no containers")?;
    // A share of memory is in whole bytes.
    let memory = node.memory.saturating_mul(1000);
    let wanted = [
        ("cpu", node.cpu, set.cpu_percentage, 1),
        ("memory", memory, set.memory_percentage, 1000),
    ];
    for (resource, whole, percentage, grain) in wanted {
        let mut sum = 0_u64;
        for container in containers {
            let resources = &container["resources"];
            let amount = |kind: &str| {
                let text = resources[kind][resource].as_str().unwrap_or_default();
                thousandths(text)
                    .with_context(|| format!("{resource} {kind} {text:?} is no quantity"))
            };
            let request = amount("requests")?;
            ensure!(
                amount("limits")? >= request,
                "a {resource} limit is below its request"
            );
            sum = sum.saturating_add(request);
        }
        let share = whole
            .saturating_mul(percentage)
            .checked_div(100)
            .unwrap_or(0);
        let share = share.saturating_sub(share.checked_rem(grain).unwrap_or(0));
        if share > 0 && sum != share {
            bail!(
                "requests of {resource} come to {sum} thousandths on {}, and the share of {} is {share}",
                node.name,
                set.name
            );
        }
    }
    Ok(())
}

/// A quantity in thousandths; none if it is not written as a server writes amounts of cpu and memory.
fn thousandths(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(digits);
    let factor: u64 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::requests::Requests;
    use serde_json::json;

    fn population() -> Population {
        let mut population = Population::made_up(1, 1);
        (population.nodes[0].cpu, population.nodes[0].memory) = (4000, 10 << 30);
        (
            population.daemon_sets[0].cpu_percentage,
            population.daemon_sets[0].memory_percentage,
        ) = (10, 5);
        population
    }

    /// What comes of an answer whose patch gives each of the two containers this.
    fn judged(cpu: &str, memory: &str, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
        let mut requests = Requests::new("h", "/p", population(), 1).unwrap();
        let question = requests.draw().0;
        let amounts = json!({ "cpu": cpu, "memory": memory });
        let patch: Vec<_> = (0..2)
            .map(|at| json!({ "op": "add", "path": format!("/spec/containers/{at}/resources"), "value": { "requests": amounts, "limits": amounts } }))
            .collect();
        let mut answer = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": std::str::from_utf8(&question.uid).unwrap(), "allowed": true, "patchType": "JSONPatch",
            "patch": STANDARD.encode(serde_json::to_vec(&patch).unwrap()),
        } });
        change(&mut answer);
        let answer = serde_json::to_vec(&answer).unwrap();
        check(requests.body(question), &answer, question, &population())
    }

    #[test]
    fn a_right_answer_is_right() {
        judged("200m", "268435456", |_| {}).unwrap();
    }

    #[test]
    fn a_share_is_rounded_down_to_whole_bytes() {
        let mut requests = population();
        requests.nodes[0].memory = 8 << 30;
        let set = &requests.daemon_sets[0];
        let pod = |memory: &str| {
            let list = json!({ "cpu": "400m", "memory": memory });
            json!({ "spec": { "containers": [{ "resources": { "requests": list, "limits": list } }] } })
        };
        let judged = |memory| has_its_share(&pod(memory), &requests.nodes[0], set);
        judged("429496729").unwrap();
        judged("429496730").unwrap_err();
    }

    #[test]
    fn each_flaw_is_seen() {
        let flaw = |cpu, memory, change: &dyn Fn(&mut Value)| {
            judged(cpu, memory, change).unwrap_err().to_string()
        };
        assert!(flaw("210m", "268435456", &|_| {}).contains("share"));
        assert!(flaw("200m", "200Mi", &|_| {}).contains("share"));
        assert!(flaw("201m", "268435456", &|_| {}).contains("share"));
        assert!(flaw("200m", "268435457", &|_| {}).contains("share"));
        assert!(flaw("200m", "lots", &|_| {}).contains("quantity"));
        assert!(
            flaw("200m", "268435456", &|answer| answer["response"]["uid"] =
                json!("x"))
            .contains("uid")
        );
        assert!(
            flaw("200m", "268435456", &|answer| answer["response"]["patch"] =
                json!("W10="))
            .contains("share")
        );
        assert!(
            flaw("200m", "268435456", &|answer| answer["kind"] = json!("Pod"))
                .contains("AdmissionReview")
        );
    }

    #[test]
    fn quantities_are_read() {
        assert_eq!(thousandths("100m"), Some(100));
        assert_eq!(thousandths("2"), Some(2000));
        assert_eq!(thousandths("1Gi"), Some(1000 << 30));
        assert_eq!(
            (thousandths("x"), thousandths(""), thousandths("1.5")),
            (None, None, None)
        );
    }
}
