//! What the controller of Migrations counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// Migrations of one pod each, by what became of them.
#[derive(Clone)]
pub struct MigrationMetrics {
    ended: Family<Ended, Counter>,
    frozen: Histogram,
}

impl MigrationMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ended: Family::default(),
            frozen: Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0]),
        };
        registry.register(
            "migrations",
            "Migrations that moved their pod, left it where it was, or failed",
            metrics.ended.clone(),
        );
        registry.register_with_unit(
            "migration_frozen",
            "How long nothing ran of a pod that moved",
            Unit::Seconds,
            metrics.frozen.clone(),
        );
        metrics
    }

    /// One came to this; its pod was frozen for so long, if it moved.
    pub fn ended(&self, outcome: &'static str, frozen: Option<Duration>) {
        self.ended.get_or_create_owned(&Ended { outcome }).inc();
        if let Some(frozen) = frozen {
            self.frozen.observe(frozen.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::process::telemetry::Telemetry;
    use std::time::Duration;

    #[test]
    fn tells_what_became_of_migrations_and_how_long_pods_stood_still() {
        let telemetry = Telemetry::default();
        let moved = Some(Duration::from_millis(300));
        telemetry.migrations.ended("succeeded", moved);
        telemetry.migrations.ended("rolled_back", None);
        let text = telemetry.text();
        for line in [
            r#"holdfast_migrations_total{outcome="succeeded"} 1"#,
            r#"holdfast_migrations_total{outcome="rolled_back"} 1"#,
            r#"holdfast_migration_frozen_seconds_bucket{le="0.25"} 0"#,
            r#"holdfast_migration_frozen_seconds_bucket{le="0.5"} 1"#,
            "holdfast_migration_frozen_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
