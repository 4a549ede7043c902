//! What the controller of Checkpoints counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Retired {
    reason: &'static str,
}

/// Checkpoints, by what became of them.
#[derive(Clone, Default)]
pub struct CheckpointMetrics {
    ended: Family<Ended, Counter>,
    retired: Family<Retired, Counter>,
}

impl CheckpointMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "checkpoints",
            "Checkpoints that were taken, refused, or failed, and those whose node was lost afterwards",
            metrics.ended.clone(),
        );
        registry.register(
            "checkpoints_retired",
            "Checkpoints that were deleted because newer ones are kept, by why: too many of one pod, or too much on a node",
            metrics.retired.clone(),
        );
        metrics
    }

    /// One was deleted because there are newer ones.
    pub fn retired(&self, reason: &'static str) {
        self.retired.get_or_create_owned(&Retired { reason }).inc();
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
        telemetry.checkpoints.retired("Superseded");
        let text = telemetry.text();
        let retired = r#"holdfast_checkpoints_retired_total{reason="Superseded"} 1"#;
        assert!(text.contains(retired), "{text}");
    }
}
