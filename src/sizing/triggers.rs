//! Which templates have to be looked at when something changes. Changes are gathered for half a second: a DaemonSet whose 500 pods come
//! up is one pass or a few, not 500.

use crate::sizing::api::FlexDaemonsetTemplate;
use crate::sizing::cache::Caches;
use crate::sizing::changes::{Change, Changes};
use crate::sizing::neighbours::Neighbours;
use crate::sizing::view::DaemonSetView;
use futures::FutureExt;
use futures::stream::{self, Stream, StreamExt};
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long changes are gathered.
const GATHERING: Duration = Duration::from_millis(500);

/// What DaemonSets ask of nodes, computed when it is wanted and something changed since.
#[derive(Default)]
pub(crate) struct Neighbourhood {
    /// Counts the changes that matter.
    changes: AtomicU64,
    seen: Mutex<Option<(u64, Arc<Neighbours>)>>,
}

impl Neighbourhood {
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// As it is now, or was half a second ago.
    pub(crate) fn get(&self, caches: &Caches) -> Arc<Neighbours> {
        let changes = self.changes.load(Ordering::Acquire);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, neighbours)) = &*seen
            && *at == changes
        {
            return Arc::clone(neighbours);
        }
        let neighbours = Arc::new(see(caches));
        *seen = Some((changes, Arc::clone(&neighbours)));
        neighbours
    }
}

fn see(caches: &Caches) -> Neighbours {
    let mut nodes = caches.all_nodes();
    nodes.sort_by(|(one, _), (two, _)| one.cmp(two));
    Neighbours::see(&nodes, &caches.crowd())
}

type Key = (Arc<str>, Arc<str>);

/// The DaemonSets as they were when their last change was heard of.
#[derive(Default)]
struct Index {
    daemonsets: HashMap<Key, Arc<DaemonSetView>>,
    by_uid: HashMap<Arc<str>, Key>,
}

/// The templates that changes concern.
#[derive(Debug, Default, PartialEq, Eq)]
struct Touched {
    templates: BTreeSet<Arc<str>>,
    /// All that any DaemonSet names.
    is_all: bool,
    /// What nodes are asked for may have changed.
    is_of_neighbours: bool,
}

/// Names the templates that have to be looked at, for as long as it is polled; `heard` is called when templates may have gone.
pub(crate) fn triggers(
    caches: Arc<Caches>,
    neighbourhood: Arc<Neighbourhood>,
    heard: impl Fn() + Send + Sync + 'static,
) -> impl Stream<Item = ObjectRef<FlexDaemonsetTemplate>> + Send + 'static {
    let changes = caches.changes();
    let heard = Arc::new(heard);
    let start = (caches, neighbourhood, heard, (changes, Index::default()));
    let gathered = stream::unfold(
        start,
        |(caches, neighbourhood, heard, (mut changes, mut index))| async move {
            let all = gather(&mut changes).await;
            let mut touched = Touched::default();
            for change in all {
                index.take(&change, &caches, &mut touched);
            }
            if touched.is_of_neighbours {
                neighbourhood.changed();
            }
            if touched.is_all {
                heard();
                touched.templates.extend(index.templates());
            }
            let objects = touched.templates.into_iter();
            let objects: Vec<_> = objects.map(|name| ObjectRef::new(&name)).collect();
            Some((objects, (caches, neighbourhood, heard, (changes, index))))
        },
    );
    gathered.flat_map(stream::iter)
}

/// The next change, and all that follow within a moment.
pub(crate) async fn gather(changes: &mut Changes) -> Vec<Change> {
    let mut all = vec![changes.next().await];
    tokio::time::sleep(GATHERING).await;
    while let Some(next) = changes.next().now_or_never() {
        all.push(next);
    }
    all
}

impl Index {
    fn take(&mut self, change: &Change, caches: &Caches, touched: &mut Touched) {
        match change {
            Change::Everything => {
                *self = Self::default();
                caches.each_daemonset(|namespace, name, view| {
                    self.put((namespace.into(), name.into()), Arc::clone(view));
                });
                touched.everything();
            }
            // Shares of others may be scaled by it.
            Change::Template(_) => touched.everything(),
            Change::Node(name) => {
                touched.is_of_neighbours = true;
                match caches.node(name) {
                    Some(node) => {
                        let all = self.daemonsets.values();
                        let here = all.filter(|daemonset| daemonset.landing.is_on(name, &node));
                        touched.named(here);
                    }
                    None => touched.everything(),
                }
            }
            Change::DaemonSet(namespace, name) => {
                let key = (Arc::clone(namespace), Arc::clone(name));
                self.turn(key, caches.daemonset(namespace, name), touched);
            }
            Change::LimitRange(namespace) => touched.named(self.of_namespace(namespace)),
            // Its label says whether its pods have shares, and so what is left for others.
            Change::Namespace(namespace) => {
                let mut here = self.of_namespace(namespace);
                if here.any(|daemonset| daemonset.template.is_some()) {
                    touched.everything();
                }
            }
            Change::Pod(owner) => {
                let key = self.by_uid.get(owner);
                touched.named(key.and_then(|key| self.daemonsets.get(key)).into_iter());
            }
        }
    }

    fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<DaemonSetView>> {
        let all = self.daemonsets.iter();
        all.filter(move |((known, _), _)| **known == *namespace)
            .map(|(_, daemonset)| daemonset)
    }

    fn turn(&mut self, key: Key, after: Option<Arc<DaemonSetView>>, touched: &mut Touched) {
        let before = self.daemonsets.remove(&key);
        if let Some(before) = &before {
            self.by_uid.remove(&before.uid);
        }
        touched.named(before.iter().chain(&after));
        let is_same = match (&before, &after) {
            (Some(before), Some(after)) => asks_the_same(before, after),
            _ => false,
        };
        if !is_same {
            touched.everything();
        }
        if let Some(after) = after {
            self.put(key, after);
        }
    }

    fn put(&mut self, key: Key, view: Arc<DaemonSetView>) {
        self.by_uid.insert(Arc::clone(&view.uid), key.clone());
        self.daemonsets.insert(key, view);
    }

    fn templates(&self) -> impl Iterator<Item = Arc<str>> {
        let all = self.daemonsets.values();
        all.filter_map(|daemonset| daemonset.template.clone())
    }
}

impl Touched {
    fn everything(&mut self) {
        self.is_all = true;
        self.is_of_neighbours = true;
    }

    fn named<'a>(&mut self, daemonsets: impl Iterator<Item = &'a Arc<DaemonSetView>>) {
        let named = daemonsets.filter_map(|daemonset| daemonset.template.clone());
        self.templates.extend(named);
    }
}

/// A roll-out that goes on changes nothing for others.
fn asks_the_same(before: &DaemonSetView, after: &DaemonSetView) -> bool {
    before.template == after.template
        && before.containers == after.containers
        && before.whole == after.whole
        && before.landing == after.landing
}
