//! The mutating webhook on pods: decodes the review, lets `judge` decide from the caches, and looks up, once each, what is not there yet.

use crate::kit::json::Shapes;
use crate::process::telemetry::Telemetry;
use crate::sizing::cache::Caches;
use crate::sizing::judge::{Judged, Known, Missing, Sight, judge};
use crate::sizing::load::{Load, load};
use crate::sizing::lookup::{Found, Lookups};
use crate::sizing::pod::Pod;
use crate::sizing::view::{Claim, DaemonSetView, LimitRangeView, NodeView, TemplateView};
use crate::webhook::endpoint::{Endpoint, Reply};
use crate::webhook::review::{Malformed, Request, read_quickly};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::time::Instant;

/// Gives pods their share.
pub(crate) struct Pods {
    caches: Arc<Caches>,
    lookups: Arc<Lookups>,
    telemetry: Arc<Telemetry>,
    /// Pods of one DaemonSet are alike.
    shapes: Shapes,
}

impl Pods {
    pub(crate) fn new(
        caches: Arc<Caches>,
        lookups: Arc<Lookups>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            caches,
            lookups,
            telemetry,
            shapes: Shapes::default(),
        }
    }

    /// The answer, if all is known that it depends on.
    fn known(&self, body: &[u8]) -> Result<Option<Reply>, Malformed> {
        let request = read_quickly::<Pod>(body, &self.shapes)?;
        let pod = object(&request)?;
        let seen = Seen::new(&self.caches);
        let judged = judge(pod, &request.namespace, &seen);
        Ok(judged.ok().map(|judged| self.reply(&judged, &request.uid)))
    }

    async fn answer(&self, body: &[u8], deadline: Instant) -> Result<Reply, Malformed> {
        let request = read_quickly::<Pod>(body, &self.shapes)?;
        let pod = object(&request)?;
        let mut seen = Seen::new(&self.caches);
        // Each of the three is looked up at most once: after that it is known, or known not to be.
        let judged = loop {
            match judge(pod, &request.namespace, &seen) {
                Ok(judged) => break judged,
                Err(missing) => self.look_up(&mut seen, missing, deadline).await,
            }
        };
        Ok(self.reply(&judged, &request.uid))
    }

    fn reply(&self, judged: &Judged, uid: &str) -> Reply {
        if let Some(reason) = judged.left {
            self.telemetry.left_unsized(reason);
        }
        Reply {
            body: judged.answer.write(uid),
            verdict: judged.verdict,
        }
    }

    async fn look_up(&self, seen: &mut Seen<'_>, missing: Missing<'_>, deadline: Instant) {
        match missing {
            Missing::DaemonSet(claim) => {
                seen.daemonset = Some(self.lookups.daemonset(claim, deadline).await.into());
            }
            Missing::Node(name) => {
                seen.node = Some(self.lookups.node(name, deadline).await.into());
            }
            Missing::Template(name) => {
                seen.template = Some(self.lookups.template(&name, deadline).await.into());
            }
        }
    }
}

fn object<'r, 'a>(request: &'r Request<'a, Pod<'a>>) -> Result<&'r Pod<'a>, Malformed> {
    let object = request.object.as_ref();
    object.ok_or_else(|| Malformed::new("the request has no object"))
}

impl Endpoint for Pods {
    fn path(&self) -> &'static str {
        "/mutate-v1-pod"
    }

    fn name(&self) -> &'static str {
        "pods"
    }

    fn at_once(&self, body: &[u8]) -> Option<Result<Reply, Malformed>> {
        self.known(body).transpose()
    }

    fn review<'a>(
        &'a self,
        body: &'a [u8],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Reply, Malformed>> {
        Box::pin(self.answer(body, deadline))
    }
}

/// The caches, and what was looked up besides for this one review.
struct Seen<'a> {
    caches: &'a Caches,
    daemonset: Option<Known<DaemonSetView>>,
    node: Option<Known<NodeView>>,
    template: Option<Known<TemplateView>>,
}

impl<'a> Seen<'a> {
    fn new(caches: &'a Caches) -> Self {
        Self {
            caches,
            daemonset: None,
            node: None,
            template: None,
        }
    }
}

impl<V> From<Found<V>> for Known<V> {
    fn from(found: Found<V>) -> Self {
        match found {
            Found::There(view) => Self::There(view),
            Found::Absent => Self::Absent,
            Found::Unknown(why) => Self::Failed(why),
        }
    }
}

impl Sight for Seen<'_> {
    fn daemonset(&self, claim: Claim) -> Option<Known<DaemonSetView>> {
        self.daemonset.clone().or_else(|| {
            let found = self.caches.daemonset_fresh(&claim);
            found.map(Known::There)
        })
    }

    fn node(&self, name: &str) -> Option<Known<NodeView>> {
        self.node
            .clone()
            .or_else(|| self.caches.node(name).map(Known::There))
    }

    fn template(&self, name: &str) -> Option<Known<TemplateView>> {
        self.template
            .clone()
            .or_else(|| self.caches.template(name).map(Known::There))
    }

    fn limit_ranges(&self, namespace: &str) -> Vec<Arc<LimitRangeView>> {
        self.caches.limit_ranges(namespace)
    }

    fn load(&self, name: &str, node: &NodeView) -> Load {
        load(name, node, &self.caches.crowd())
    }
}

#[cfg(test)]
mod tests;
