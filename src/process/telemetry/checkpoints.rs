//! What the controller of Checkpoints counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// Checkpoints, by what became of them.
#[derive(Clone, Default)]
pub struct CheckpointMetrics {
    ended: Family<Ended, Counter>,
}

impl CheckpointMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "checkpoints",
            "Checkpoints that were taken, refused, or failed, and those whose node was lost afterwards",
            metrics.ended.clone(),
        );
        metrics
    }

    /// One came to this.
    pub fn ended(&self, outcome: &'static str) {
        self.ended.get_or_create_owned(&Ended { outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use crate::process::telemetry::Telemetry;

    #[test]
    fn tells_what_became_of_checkpoints() {
        let telemetry = Telemetry::default();
        telemetry.checkpoints.ended("taken");
        telemetry.checkpoints.ended("taken");
        let text = telemetry.text();
        assert!(
            text.contains(r#"holdfast_checkpoints_total{outcome="taken"} 2"#),
            "{text}"
        );
    }
}
