//! What the webhooks and the controller know of the cluster, all from memory: nodes, DaemonSets, templates, limits and namespaces on
//! every replica, and DaemonSets' pods on the one that leads. While the API server is away, it goes on answering; how old it is, is a
//! metric.

use crate::process::telemetry::Telemetry;
use crate::sizing::changes::{Change, Changes, Teller};
use crate::sizing::crowd::Crowd;
use crate::sizing::feed::Feed;
use crate::sizing::findings::{Exclusion, exclusion};
use crate::sizing::mirror::{NOWHERE, Turn};
use crate::sizing::owners::{OwnedPod, Owners};
use crate::sizing::partial::{DaemonSets, Kind, LimitRanges, Namespaces, Nodes, Pods, Templates};
use crate::sizing::texts::Texts;
use crate::sizing::view::{Claim, DaemonSetView, LimitRangeView, NodeView, TemplateView};
use kube::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is told how old the caches are.
const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// All caches of shares.
pub(crate) struct Caches {
    pub(super) nodes: Feed<Nodes>,
    pub(super) daemonsets: Feed<DaemonSets>,
    pub(super) templates: Feed<Templates>,
    limit_ranges: Feed<LimitRanges>,
    namespaces: Feed<Namespaces>,
    pods: Feed<Pods>,
    owners: Owners,
    pub(super) texts: Texts,
    teller: Teller,
    telemetry: Arc<Telemetry>,
    own: String,
}

impl Caches {
    /// Empty ones: `run` fills them. `own`: the namespace of this installation, which is never sized.
    pub(crate) fn new(telemetry: Arc<Telemetry>, own: &str) -> Arc<Self> {
        Arc::new(Self {
            nodes: Feed::default(),
            daemonsets: Feed::default(),
            templates: Feed::default(),
            limit_ranges: Feed::default(),
            namespaces: Feed::default(),
            pods: Feed::default(),
            owners: Owners::default(),
            texts: Texts::default(),
            teller: Teller::default(),
            telemetry,
            own: own.to_owned(),
        })
    }

    /// The texts that all views share.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(crate) fn node(&self, name: &str) -> Option<Arc<NodeView>> {
        self.nodes.mirror.get(NOWHERE, name)
    }

    pub(crate) fn daemonset(&self, namespace: &str, name: &str) -> Option<Arc<DaemonSetView>> {
        self.daemonsets.mirror.get(namespace, name)
    }

    /// The DaemonSet that a pod says it belongs to: the very one, by its uid, and not older than the pod. Otherwise the watch lags, and
    /// `Lookups` has to ask.
    pub(crate) fn daemonset_fresh(&self, claim: &Claim) -> Option<Arc<DaemonSetView>> {
        let view = self.daemonset(claim.namespace, claim.name)?;
        let is_it = *view.uid == *claim.uid && view.is_as_new_as(claim.generation);
        is_it.then_some(view)
    }

    pub(crate) fn template(&self, name: &str) -> Option<Arc<TemplateView>> {
        self.templates.mirror.get(NOWHERE, name)
    }

    /// All limits of a namespace; where there are none, nothing is allocated.
    pub(crate) fn limit_ranges(&self, namespace: &str) -> Vec<Arc<LimitRangeView>> {
        self.limit_ranges.mirror.of_namespace(namespace)
    }

    /// Why pods of a namespace are not sized.
    pub(crate) fn exclusion(&self, namespace: &str) -> Option<Exclusion> {
        let known = self.namespaces.mirror.get(NOWHERE, namespace);
        let label = known.as_ref().and_then(|known| known.sizing.as_deref());
        exclusion(namespace, label, &self.own)
    }

    /// A pod of a DaemonSet, on the replica that leads.
    #[cfg(test)]
    pub(crate) fn pod(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<crate::sizing::view::PodView>> {
        self.pods.mirror.get(namespace, name)
    }

    /// The pods of the DaemonSet with this uid, in no order, on the replica that leads.
    pub(crate) fn pods_of(&self, uid: &str) -> Vec<OwnedPod> {
        self.owners.pods_of(uid)
    }

    /// By name.
    pub(crate) fn each_node(&self, mut look: impl FnMut(&str, &Arc<NodeView>)) {
        self.nodes.mirror.each(|_, name, view| look(name, view));
    }

    /// All nodes, in no order.
    pub(crate) fn all_nodes(&self) -> Vec<(Arc<str>, Arc<NodeView>)> {
        let mut nodes = Vec::new();
        self.each_node(|name, node| nodes.push((Arc::from(name), Arc::clone(node))));
        nodes
    }

    /// By namespace and name.
    pub(crate) fn each_daemonset(&self, look: impl FnMut(&str, &str, &Arc<DaemonSetView>)) {
        self.daemonsets.mirror.each(look);
    }

    /// All DaemonSets, each with its template.
    pub(crate) fn crowd(&self) -> Crowd {
        let mut crowd = Crowd::default();
        self.each_daemonset(|namespace, _, view| {
            let Some(name) = view.template.as_deref() else {
                return crowd.add(Arc::clone(view), None, false);
            };
            let is_excluded = self.exclusion(namespace).is_some();
            crowd.add(Arc::clone(view), self.template(name), is_excluded);
        });
        crowd
    }

    /// By name.
    #[cfg(test)]
    pub(crate) fn each_template(&self, mut look: impl FnMut(&str, &Arc<TemplateView>)) {
        self.templates.mirror.each(|_, name, view| look(name, view));
    }

    /// Whether everything but pods was listed once.
    ///
    /// # Errors
    /// What is not there yet, and why.
    pub(crate) fn are_synced(&self) -> Result<(), String> {
        let missing: Vec<_> = [
            self.nodes.missing(),
            self.daemonsets.missing(),
            self.templates.missing(),
            self.limit_ranges.missing(),
            self.namespaces.missing(),
        ]
        .into_iter()
        .flatten()
        .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("not all were listed yet: {}", missing.join(", ")))
    }

    /// Whether all pods were listed: only then does a pod that is not there not exist.
    ///
    /// # Errors
    /// Why they are not there yet.
    pub(crate) fn are_pods_synced(&self) -> Result<(), String> {
        let missing = self.pods.missing();
        missing.map_or(Ok(()), |why| Err(format!("not all were listed yet: {why}")))
    }

    /// What changes from now on. The first change is `Everything`.
    pub(crate) fn changes(&self) -> Changes {
        self.teller.subscribe()
    }

    /// Keeps everything but pods true until it is stopped. Takes a client that never retries: the pauses after a failure are made here.
    pub(crate) async fn run(self: Arc<Self>, client: Client, stop: CancellationToken) {
        tokio::join!(
            self.keep(&self.nodes, &client, &stop, |turn| Change::Node(turn.name)),
            self.keep(&self.daemonsets, &client, &stop, |turn| {
                Change::DaemonSet(turn.namespace, turn.name)
            }),
            self.keep(&self.templates, &client, &stop, |turn| {
                Change::Template(turn.name)
            }),
            self.keep(&self.limit_ranges, &client, &stop, |turn| {
                Change::LimitRange(turn.namespace)
            }),
            self.keep(&self.namespaces, &client, &stop, |turn| {
                Change::Namespace(turn.name)
            }),
        );
    }

    /// Keeps pods true until it is stopped, and then forgets them. For the replica that leads.
    pub(crate) async fn run_pods(self: Arc<Self>, client: Client, stop: CancellationToken) {
        let follow = self.pods.follow(&client, &self.texts, &stop, |turn| {
            for owner in self.owners.take(turn) {
                self.teller.tell(&Change::Pod(owner));
            }
        });
        self.reporting(&self.pods, follow).await;
        self.pods.mirror.clear();
        self.owners.clear();
        self.telemetry.forgets(Pods::PLURAL);
    }

    async fn keep<K: Kind>(
        &self,
        feed: &Feed<K>,
        client: &Client,
        stop: &CancellationToken,
        change: fn(Turn<K::View>) -> Change,
    ) {
        let follow = feed.follow(client, &self.texts, stop, |turn| {
            self.teller.tell(&change(turn));
        });
        self.reporting(feed, follow).await;
    }

    /// Tells how a feed is while it is kept.
    async fn reporting<K: Kind>(&self, feed: &Feed<K>, kept: impl Future<Output = ()>) {
        let report = async {
            loop {
                feed.report(&self.telemetry);
                tokio::time::sleep(REPORT_PERIOD).await;
            }
        };
        tokio::select! {
            () = kept => {}
            () = report => {}
        }
    }
}

impl DaemonSetView {
    /// Whether its pod template is not older than the one that a pod was made from, as far as that is known.
    pub(crate) fn is_as_new_as(&self, template_generation: Option<i64>) -> bool {
        match (self.template_generation, template_generation) {
            (Some(known), Some(asked)) => known >= asked,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod world;
