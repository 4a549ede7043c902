//! What an agent counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    ask: &'static str,
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// Questions of the runtime, and records of the node.
#[derive(Clone, Default)]
pub struct AgentMetrics {
    answers: Family<Answered, Counter>,
    asking: Gauge,
    records: Family<OfKind, Gauge>,
    holds: Family<InState, Gauge>,
    states: Family<OfKind, Gauge>,
    state_bytes: Family<OfKind, Gauge>,
    foretold: Counter,
    unfit: Gauge,
}

impl AgentMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "agent_answers",
            "What the runtime was answered, by what it asked and the answer",
            metrics.answers.clone(),
        );
        registry.register(
            "agent_creates_asking",
            "Containers that are about to be made, and wait for an answer now",
            metrics.asking.clone(),
        );
        registry.register(
            "agent_records",
            "Records of pods on this node: a note of a start, a hold, an admission, or one that cannot be read",
            metrics.records.clone(),
        );
        registry.register(
            "agent_holds",
            "Pods that are held on this node, by the state of their record; orphaned: of these, those that nobody orders any more",
            metrics.holds.clone(),
        );
        registry.register(
            "agent_states",
            "States of pods on this node's disk: kept, coming, and those that nobody names",
            metrics.states.clone(),
        );
        registry.register(
            "agent_state_bytes",
            "What states of pods take on this node's disk: kept, coming, and those that nobody names",
            metrics.state_bytes.clone(),
        );
        registry.register(
            "agent_foretold_bytes",
            "Memory of pods that their target had before they stood still",
            metrics.foretold.clone(),
        );
        registry.register(
            "agent_node_unfit",
            "1 where the check of this node found something that has to be changed",
            metrics.unfit.clone(),
        );
        metrics
    }

    /// A target has so much of a pod that is about to stand still.
    pub fn foretold(&self, bytes: u64) {
        self.foretold.inc_by(bytes);
    }

    /// Whether pods can be checkpointed and restored on this node.
    pub fn fit(&self, is_fit: bool) {
        self.unfit.set(i64::from(!is_fit));
    }

    /// So many states of a kind are on disk, and have so many bytes.
    pub fn states(&self, kind: &'static str, count: i64, bytes: i64) {
        let of = OfKind { kind };
        self.states.get_or_create_owned(&of).set(count);
        self.state_bytes.get_or_create_owned(&of).set(bytes);
    }

    /// So many pods are held in a state.
    pub fn holds(&self, state: &'static str, count: i64) {
        self.holds
            .get_or_create_owned(&InState { state })
            .set(count);
    }

    /// A question was answered.
    pub fn answered(&self, ask: &'static str, answer: &'static str) {
        self.answers
            .get_or_create_owned(&Answered { ask, answer })
            .inc();
    }

    /// So many records are of a kind.
    pub fn records(&self, kind: &'static str, count: i64) {
        self.records
            .get_or_create_owned(&OfKind { kind })
            .set(count);
    }

    /// A container waits for an answer until this is dropped.
    #[must_use]
    pub fn begins(&self) -> Asking {
        self.asking.inc();
        Asking(self.asking.clone())
    }
}

/// A container that waits for an answer.
pub struct Asking(Gauge);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.dec();
    }
}
