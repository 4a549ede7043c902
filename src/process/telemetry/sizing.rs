//! What the controller of shares counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    outcome: &'static str,
}

/// Pods by how they stand, and what was done for them.
#[derive(Clone, Default)]
pub struct SizingMetrics {
    pods: Family<Standing, Gauge>,
    resizes: Family<Asked, Counter>,
    recreates: Counter,
}

impl SizingMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "sizing_pods",
            "Pods of DaemonSets that name a template, by how they stand to their share",
            metrics.pods.clone(),
        );
        registry.register(
            "sizing_resizes",
            "Resizes in place that the API server was asked for, by outcome",
            metrics.resizes.clone(),
        );
        registry.register(
            "sizing_recreates",
            "Pods that were deleted, so that new ones have their share",
            metrics.recreates.clone(),
        );
        metrics
    }

    /// So many pods stand like this.
    pub fn stand(&self, state: &'static str, pods: i64) {
        self.pods.get_or_create_owned(&Standing { state }).set(pods);
    }

    /// A resize was asked for.
    pub fn resized(&self, outcome: &'static str) {
        self.resizes.get_or_create_owned(&Asked { outcome }).inc();
    }

    /// A pod was deleted.
    pub fn recreated(&self) {
        self.recreates.inc();
    }
}

#[cfg(test)]
mod tests {
    use crate::process::telemetry::Telemetry;

    #[test]
    fn tells_how_pods_stand_and_what_was_done() {
        let telemetry = Telemetry::default();
        telemetry.sizing.stand("stale", 3);
        telemetry.sizing.stand("stale", 2);
        telemetry.sizing.resized("accepted");
        telemetry.sizing.recreated();
        let text = telemetry.text();
        for line in [
            r#"holdfast_sizing_pods{state="stale"} 2"#,
            r#"holdfast_sizing_resizes_total{outcome="accepted"} 1"#,
            "holdfast_sizing_recreates_total 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
