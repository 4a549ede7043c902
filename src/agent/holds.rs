//! What this node holds, for those who look: how many in which state, and those that nobody orders any more, on the node's object and in
//! an event. Nothing is decided here.

use crate::agent::api::{Left, LeftHere, MOST_LEFT, StateTask, Word};
use crate::agent::blocking::blocking;
use crate::agent::host::Host;
use crate::agent::orders::{Ordered, Orders};
use crate::agent::records::Records;
use crate::hold::record::{AdmissionState, HoldState, Record};
use crate::hold::shelf::Found;
use crate::kit::error::{Error, chain};
use crate::kit::events::Notice;
use crate::kit::names::HOLDS_ANNOTATION;
use crate::oci::place::Places;
use crate::process::telemetry::AgentMetrics;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// The node's object says what is held here that nobody orders any more.
    TELL,
    /// An event on the node says it too.
    EVENT,
}

/// How often it is looked. What nobody orders at two looks is ordered by nobody: orders come and go while records end.
const PERIOD: Duration = Duration::from_secs(10);
/// So often a write is decided anew when others write to the node, which its kubelet does all the time.
const TRIES: u32 = 8;
/// All states in which a record can hold a pod.
const STATES: [&str; 10] = [
    "frozen",
    "withdrawn",
    "released",
    "returned",
    "superseded",
    "killed",
    "waiting",
    "claimed",
    "failed",
    "unreadable",
];
/// Those of them that nobody orders.
const ORPHANED: &str = "orphaned";

/// Where it is looked, and who is told.
pub(crate) struct View {
    pub(crate) node: String,
    pub(crate) host: Host,
    pub(crate) records: Records,
    pub(crate) orders: Orders,
    pub(crate) metrics: AgentMetrics,
    /// None where there is no way to the API server: then it is only counted.
    pub(crate) client: Option<Client>,
}

/// Looks until the stop.
pub(crate) async fn run(view: View, stop: CancellationToken) {
    let voice = view.client.clone().map(|client| Voice {
        recorder: Recorder::new(
            client.clone(),
            Reporter {
                controller: "holdfast.dev/agent".into(),
                instance: Some(view.node.clone()),
            },
        ),
        node: view.node.clone(),
        client,
    });
    let (mut before, mut said) = (HashSet::new(), None);
    loop {
        match view.look(&before).await {
            Ok((now, left)) => {
                before = now;
                if let Some(voice) = &voice
                    && said.as_ref() != Some(&left)
                {
                    match voice.tell(&left).await {
                        Ok(()) => said = Some(left),
                        Err(error) => {
                            tracing::warn!(error = %chain(&error), "it is not said what is held here; trying again");
                        }
                    }
                }
            }
            Err(why) => tracing::warn!(why, "it cannot be seen what is held here"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

impl View {
    pub(crate) fn new(
        (host, node): &(Host, String),
        (records, orders): (&Records, &Orders),
        metrics: &AgentMetrics,
        client: Option<Client>,
    ) -> Self {
        Self {
            node: node.clone(),
            host: host.clone(),
            records: records.clone(),
            orders: orders.clone(),
            metrics: metrics.clone(),
            client,
        }
    }

    /// What nobody orders now, and what of it nobody ordered before either.
    async fn look(&self, before: &HashSet<String>) -> Result<(HashSet<String>, LeftHere), String> {
        let listed = self.records.list().await.map_err(|error| chain(&error))?;
        let host = self.host.clone();
        let here = blocking(move || places(&host)).await?;
        let mut counts = BTreeMap::from(STATES.map(|state| (state, 0_i64)));
        let (mut now, mut left) = (HashSet::new(), Vec::new());
        for found in &listed {
            let Some(state) = state(found) else {
                continue;
            };
            let count = counts.entry(state).or_insert(0);
            *count = count.saturating_add(1);
            let Some(mut one) = self.orphan(found, state, &here) else {
                continue;
            };
            if before.contains(&one.uid) {
                one.since = changed(&self.host, &one.uid);
                left.push(one.clone());
            }
            now.insert(one.uid);
        }
        for (state, count) in counts {
            self.metrics.holds(state, count);
        }
        let count = i64::try_from(left.len()).unwrap_or(i64::MAX);
        self.metrics.holds(ORPHANED, count);
        left.sort_by(|a, b| a.uid.cmp(&b.uid));
        let more = left.len().saturating_sub(MOST_LEFT);
        left.truncate(MOST_LEFT);
        Ok((now, LeftHere { holds: left, more }))
    }

    /// It is held, and its operation has no order here any more.
    fn orphan(&self, (uid, read): &Found, state: &str, here: &HashSet<String>) -> Option<Left> {
        let blank = Left {
            uid: uid.to_string(),
            phase: state.to_owned(),
            ..Left::default()
        };
        let Ok(record) = read else {
            return Some(blank);
        };
        let hold = record.hold.as_ref();
        let admission = record.admission.as_ref();
        let operation = hold
            .map(|hold| &hold.operation)
            .or(admission.map(|one| &one.operation))?;
        let is_gone = match self.orders.get(operation) {
            Ordered::Gone => true,
            Ordered::Known(task) => is_alone(&task),
            Ordered::Unknown => false,
        };
        // A record of a pod that is gone holds nobody. A frozen one may have lost what shows that it is here.
        let matters = hold.is_some() || here.contains(uid.as_str());
        let target = hold.and_then(|hold| hold.target.as_ref());
        (is_gone && matters).then(|| Left {
            namespace: record.namespace.clone(),
            pod: record.pod.clone(),
            operation: operation.clone(),
            target: target.map(|target| target.node.clone()),
            ..blank
        })
    }
}

/// Its Migration is gone: it is asked to follow its records, and no more.
fn is_alone(task: &StateTask) -> bool {
    let order = task.spec.source.as_ref();
    order.is_some_and(|order| order.word == Word::Alone)
}

/// In which state a record holds its pod, if it does.
fn state((_, read): &Found) -> Option<&'static str> {
    let Ok(record) = read else {
        return Some("unreadable");
    };
    if let Some(hold) = &record.hold {
        return Some(match hold.state {
            HoldState::Frozen => "frozen",
            HoldState::Withdrawn => "withdrawn",
            HoldState::Released => "released",
            HoldState::Returned => "returned",
            HoldState::Superseded => "superseded",
            HoldState::Killed => "killed",
        });
    }
    admitted(record)
}

fn admitted(record: &Record) -> Option<&'static str> {
    match record.admission.as_ref()?.state {
        AdmissionState::Revoked => None,
        AdmissionState::Open => Some("waiting"),
        AdmissionState::Claimed if record.is_whole() => None,
        AdmissionState::Claimed if record.is_failed() => Some("failed"),
        AdmissionState::Claimed => Some("claimed"),
    }
}

/// The pods of which a container or sandbox is here.
fn places(host: &Host) -> Result<HashSet<String>, String> {
    let all = Places::below(&host.run()).all();
    let all = all.map_err(|failure| failure.to_string())?;
    Ok(all.into_iter().flatten().map(|place| place.uid).collect())
}

fn changed(host: &Host, uid: &str) -> Option<Time> {
    let file = std::fs::metadata(host.records().join(format!("{uid}.json")));
    let time = Timestamp::try_from(file.ok()?.modified().ok()?).ok()?;
    Timestamp::from_second(time.as_second()).ok().map(Time)
}

/// Says it on the node's object.
struct Voice {
    client: Client,
    recorder: Recorder,
    node: String,
}

impl Voice {
    async fn tell(&self, left: &LeftHere) -> Result<(), Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let mut tries = TRIES;
        loop {
            let what = format!("node {}", self.node);
            let node = bounded(CALL_LIMIT, "get", what, nodes.get(&self.node)).await?;
            let former = node.annotations().get(HOLDS_ANNOTATION);
            let text = (*left != LeftHere::default()).then(|| json!(left).to_string());
            if former == text.as_ref() {
                return Ok(());
            }
            let known: LeftHere = former
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            let fields = json!({ "metadata": { "annotations": { HOLDS_ANNOTATION: text } } });
            tries = tries.saturating_sub(1);
            match Box::pin(writes::merge(&nodes, (&TELL).into(), &node, fields)).await {
                Err(error) if error.is_conflict() && tries > 0 => {}
                Err(error) => return Err(error),
                Ok(node) => {
                    Box::pin(self.announce(&node, &known, left)).await;
                    return Ok(());
                }
            }
        }
    }

    /// Each is told once, and again when it stands otherwise.
    async fn announce(&self, node: &Node, known: &LeftHere, left: &LeftHere) {
        let is_known = |one: &Left| {
            let mut known = known.holds.iter();
            known.any(|before| before.uid == one.uid && before.phase == one.phase)
        };
        for one in left.holds.iter().filter(|one| !is_known(one)) {
            let notice = Notice {
                is_warning: true,
                reason: "HeldForNobody",
                action: "Holding",
                note: format!(
                    "pod {} is {} here, and what it was held for is gone: it waits for {}; see holdfast holds",
                    one.name(),
                    one.phase,
                    one.waits_for()
                ),
            };
            writes::tell(&self.recorder, (&EVENT).into(), node, &notice).await;
        }
    }
}

#[cfg(test)]
mod tests;
