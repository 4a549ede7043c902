//! The metrics of the webhook server. What counts on every request is looked up once: see [`EndpointMetrics`].

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    webhook: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Certificate {
    certificate: &'static str,
}

/// What the webhook server counts.
#[derive(Clone)]
pub struct WebhookMetrics {
    verdicts: Family<Verdict, Counter>,
    seconds: Family<Webhook, Histogram, fn() -> Histogram>,
    refused: Family<Reason, Counter>,
    connections: Gauge,
    shed: Counter,
    expiry: Family<Certificate, Gauge>,
}

impl WebhookMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            verdicts: Family::default(),
            seconds: Family::new_with_constructor(buckets),
            refused: Family::default(),
            connections: Gauge::default(),
            shed: Counter::default(),
            expiry: Family::default(),
        };
        registry.register(
            "admission",
            "Reviews answered, by webhook and verdict",
            metrics.verdicts.clone(),
        );
        registry.register(
            "admission_seconds",
            "How long an answer took, from the request's head to the reply",
            metrics.seconds.clone(),
        );
        registry.register(
            "webhook_refused",
            "Connections and requests that were not answered with a review, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "webhook_connections",
            "Connections to the webhook server",
            metrics.connections.clone(),
        );
        registry.register(
            "webhook_shed",
            "Requests sent away with 503 because too much was under way",
            metrics.shed.clone(),
        );
        registry.register(
            "webhook_certificate_expiry_seconds",
            "Until when the certificate (leaf) and its authority are valid, in seconds since 1970",
            metrics.expiry.clone(),
        );
        metrics
    }

    /// The metrics of one endpoint, looked up now.
    #[must_use]
    pub fn of(&self, webhook: &'static str) -> EndpointMetrics {
        EndpointMetrics {
            webhook,
            seconds: self.seconds.get_or_create_owned(&Webhook { webhook }),
            known: RwLock::default(),
            verdicts: self.verdicts.clone(),
        }
    }

    /// A connection or a request was not served.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create_owned(&Reason { reason }).inc();
    }

    /// A request was sent away because too much was under way.
    pub fn shed(&self) {
        self.shed.inc();
    }

    /// Until when the `leaf` or its `authority` is valid.
    pub fn expires(&self, certificate: &'static str, until: jiff::Timestamp) {
        self.expiry
            .get_or_create_owned(&Certificate { certificate })
            .set(until.as_second());
    }

    /// There are so many connections now.
    pub fn connected(&self, connections: usize) {
        self.connections
            .set(i64::try_from(connections).unwrap_or(i64::MAX));
    }
}

/// From 100 µs: an answer from memory takes less.
fn buckets() -> Histogram {
    Histogram::new([
        0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    ])
}

/// The metrics of one endpoint. A family locks and hashes its labels at each look-up; this remembers, and compares a few short names.
pub struct EndpointMetrics {
    webhook: &'static str,
    seconds: Histogram,
    known: RwLock<Vec<(&'static str, Counter)>>,
    verdicts: Family<Verdict, Counter>,
}

impl EndpointMetrics {
    /// A review was answered.
    pub fn answered(&self, verdict: &'static str, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(name, _)| *name == verdict) {
            counter.inc();
            return;
        }
        drop(known);
        let labels = Verdict {
            webhook: self.webhook,
            verdict,
        };
        let counter = self.verdicts.get_or_create_owned(&labels);
        counter.inc();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.push((verdict, counter));
    }
}

#[cfg(test)]
mod tests {
    use crate::process::telemetry::Telemetry;
    use std::time::Duration;

    #[test]
    fn counts_answers_by_verdict_and_refusals_by_reason() {
        let telemetry = Telemetry::default();
        let endpoint = telemetry.webhooks.of("sizing");
        for verdict in ["sized", "sized", "unchanged"] {
            endpoint.answered(verdict, Duration::from_micros(90));
        }
        telemetry.webhooks.refused("too_large");
        telemetry.webhooks.shed();
        telemetry.webhooks.connected(3);
        telemetry
            .webhooks
            .expires("leaf", jiff::Timestamp::from_second(1_800_000_000).unwrap());
        let text = telemetry.text();
        for line in [
            r#"holdfast_admission_total{webhook="sizing",verdict="sized"} 2"#,
            r#"holdfast_admission_total{webhook="sizing",verdict="unchanged"} 1"#,
            r#"holdfast_admission_seconds_bucket{le="0.0001",webhook="sizing"} 3"#,
            r#"holdfast_webhook_refused_total{reason="too_large"} 1"#,
            "holdfast_webhook_shed_total 1",
            "holdfast_webhook_connections 3",
            r#"holdfast_webhook_certificate_expiry_seconds{certificate="leaf"} 1800000000"#,
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }
}
