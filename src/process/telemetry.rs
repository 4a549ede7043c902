//! What the process says about itself: log lines as fields, and metrics as OpenMetrics text. No object's name is ever a label.

mod agent;
mod checkpoints;
mod migrations;
mod sizing;
mod webhooks;

pub use agent::AgentMetrics;
pub use checkpoints::CheckpointMetrics;
pub use migrations::MigrationMetrics;
pub use sizing::SizingMetrics;
pub use webhooks::{EndpointMetrics, WebhookMetrics};

use crate::kit::error::Error;
use clap::ValueEnum;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// Starts logging to standard error. `level` is a level or a filter such as `info,kube=debug`.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start_logging(level: &str, format: LogFormat) -> Result<(), Error> {
    let invalid = |why: String| Error::Invalid {
        what: format!("the log level {level:?}"),
        why,
    };
    let filter = EnvFilter::try_new(level).map_err(|error| {
        invalid(format!(
            "{error}; use error, warn, info, debug, trace, or a filter such as info,kube=debug"
        ))
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
        LogFormat::Text => lines.try_init(),
    };
    started.map_err(|error| invalid(error.to_string()))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cached {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Left {
    reason: &'static str,
}

/// The metrics of this process.
pub struct Telemetry {
    registry: Registry,
    passes: Family<Outcome, Counter>,
    pass_seconds: Family<Of, Histogram, fn() -> Histogram>,
    leading: Gauge,
    left_unsized: Family<Left, Counter>,
    cache_age: Family<Cached, Gauge<f64, AtomicU64>>,
    cache_objects: Family<Cached, Gauge>,
    /// What became of Checkpoints.
    pub checkpoints: CheckpointMetrics,
    /// What became of Migrations.
    pub migrations: MigrationMetrics,
    /// What an agent counts.
    pub agent: AgentMetrics,
    /// What the webhook server counts.
    pub webhooks: WebhookMetrics,
    /// What is done for pods whose resources are not their share.
    pub sizing: SizingMetrics,
}

fn tell_version(registry: &mut Registry) {
    let build = Family::<Vec<(&str, &str)>, Gauge>::default();
    registry.register(
        "build_info",
        "Always 1; the label says which version runs",
        build.clone(),
    );
    build
        .get_or_create_owned(&vec![("version", env!("CARGO_PKG_VERSION"))])
        .set(1);
}

impl Default for Telemetry {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("holdfast");
        let passes = Family::<Outcome, Counter>::default();
        registry.register(
            "reconcile",
            "Passes over an object, by controller and outcome",
            passes.clone(),
        );
        let pass_seconds =
            Family::<Of, Histogram, fn() -> Histogram>::new_with_constructor(seconds);
        registry.register(
            "reconcile_seconds",
            "How long a pass over an object took",
            pass_seconds.clone(),
        );
        let left_unsized = Family::<Left, Counter>::default();
        registry.register(
            "sizing_left_unsized",
            "Pods that were admitted without the share that they should have, by reason",
            left_unsized.clone(),
        );
        let leading = Gauge::default();
        registry.register("leader", "1 while this process leads", leading.clone());
        let cache_age = Family::default();
        registry.register(
            "cache_age_seconds",
            "How long ago the API server last said anything on the watch of a kind",
            cache_age.clone(),
        );
        let cache_objects = Family::default();
        registry.register(
            "cache_objects",
            "Objects of a kind that are remembered",
            cache_objects.clone(),
        );
        tell_version(&mut registry);
        let checkpoints = CheckpointMetrics::register(&mut registry);
        let migrations = MigrationMetrics::register(&mut registry);
        let agent = AgentMetrics::register(&mut registry);
        let webhooks = WebhookMetrics::register(&mut registry);
        let sizing = SizingMetrics::register(&mut registry);
        Self {
            registry,
            passes,
            pass_seconds,
            leading,
            left_unsized,
            cache_age,
            cache_objects,
            checkpoints,
            migrations,
            agent,
            webhooks,
            sizing,
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0])
}

impl Telemetry {
    /// A pass over an object ended.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.passes
            .get_or_create_owned(&Outcome {
                controller,
                outcome,
            })
            .inc();
        self.pass_seconds
            .get_or_create_owned(&Of { controller })
            .observe(took.as_secs_f64());
    }

    /// A pod that should have a share was admitted without it.
    pub fn left_unsized(&self, reason: &'static str) {
        self.left_unsized
            .get_or_create_owned(&Left { reason })
            .inc();
    }

    /// This process leads, or leads no more.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// So many objects of a kind are remembered, and this long ago the API server last said anything of them.
    pub fn remembers(&self, kind: &'static str, objects: usize, age: Duration) {
        let of = Cached { kind };
        self.cache_age
            .get_or_create_owned(&of)
            .set(age.as_secs_f64());
        self.cache_objects
            .get_or_create_owned(&of)
            .set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// Objects of a kind are not remembered any more.
    pub fn forgets(&self, kind: &'static str) {
        let of = Cached { kind };
        self.cache_age.remove(&of);
        self.cache_objects.remove(&of);
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# metrics could not be written: {error}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_old_a_cache_is_for_as_long_as_there_is_one() {
        let telemetry = Telemetry::default();
        telemetry.remembers("pods", 12, Duration::from_millis(2500));
        let text = telemetry.text();
        for line in [
            r#"holdfast_cache_age_seconds{kind="pods"} 2.5"#,
            r#"holdfast_cache_objects{kind="pods"} 12"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
        telemetry.forgets("pods");
        assert!(!telemetry.text().contains(r#"kind="pods""#));
    }

    #[test]
    fn counts_passes_by_outcome() {
        let telemetry = Telemetry::default();
        telemetry.reconciled("sizing", "done", Duration::from_millis(20));
        telemetry.reconciled("sizing", "done", Duration::from_millis(20));
        telemetry.reconciled("sizing", "conflict", Duration::from_millis(20));
        telemetry.leads(true);
        let text = telemetry.text();
        assert!(
            text.contains(r#"holdfast_reconcile_total{controller="sizing",outcome="done"} 2"#),
            "{text}"
        );
        assert!(
            text.contains(r#"holdfast_reconcile_total{controller="sizing",outcome="conflict"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"holdfast_reconcile_seconds_count{controller="sizing"} 3"#),
            "{text}"
        );
        assert!(text.contains("holdfast_leader 1"), "{text}");
        assert!(
            text.contains(concat!(
                "holdfast_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            )),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
