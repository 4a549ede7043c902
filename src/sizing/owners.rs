//! Which pods a DaemonSet has: the index that goes with the mirror of pods.

use crate::sizing::mirror::Turn;
use crate::sizing::view::PodView;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A pod by namespace and name.
type Key = (Arc<str>, Arc<str>);

/// All pods of one DaemonSet.
type Pods = HashMap<Key, Arc<PodView>>;

/// Pods by the uid of the DaemonSet that controls them.
#[derive(Default)]
pub(crate) struct Owners(RwLock<HashMap<Arc<str>, Pods>>);

/// A pod of a DaemonSet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnedPod {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) view: Arc<PodView>,
}

impl Owners {
    /// A pod came, changed or went. Says which DaemonSets have to be looked at.
    pub(crate) fn take(&self, turn: Turn<PodView>) -> impl Iterator<Item = Arc<str>> {
        let owner = |view: &Option<Arc<PodView>>| view.as_ref().map(|view| Arc::clone(&view.owner));
        let (before, after) = (owner(&turn.before), owner(&turn.after));
        let key = (turn.namespace, turn.name);
        let mut owners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = &before
            && let Some(pods) = owners.get_mut(owner)
        {
            pods.remove(&key);
            if pods.is_empty() {
                owners.remove(owner);
            }
        }
        if let Some(view) = turn.after {
            let pods = owners.entry(Arc::clone(&view.owner)).or_default();
            pods.insert(key, view);
        }
        let former = before.filter(|before| Some(before) != after.as_ref());
        former.into_iter().chain(after)
    }

    /// The pods of the DaemonSet with this uid, in no order.
    pub(crate) fn pods_of(&self, uid: &str) -> Vec<OwnedPod> {
        let owners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pods = owners.get(uid).into_iter().flatten();
        pods.map(|((namespace, name), view)| OwnedPod {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            view: Arc::clone(view),
        })
        .collect()
    }

    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::view::Resize;

    fn pod(owner: &str) -> Arc<PodView> {
        Arc::new(PodView {
            uid: "p".into(),
            owner: owner.into(),
            node: None,
            template_generation: None,
            containers: Vec::new(),
            has_pod_resources: false,
            was_sized: false,
            created: jiff::Timestamp::UNIX_EPOCH,
            is_leaving: false,
            is_over: false,
            is_ready: false,
            resize: Resize::None,
            resize_since: None,
        })
    }

    fn take(owners: &Owners, name: &str, before: Option<&str>, after: Option<&str>) -> Vec<String> {
        let turn = Turn {
            namespace: "ns".into(),
            name: name.into(),
            before: before.map(pod),
            after: after.map(pod),
        };
        owners.take(turn).map(|owner| owner.to_string()).collect()
    }

    fn names(owners: &Owners, uid: &str) -> Vec<String> {
        let mut names: Vec<_> = owners
            .pods_of(uid)
            .iter()
            .map(|pod| pod.name.to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn pods_are_found_by_their_daemonset() {
        let owners = Owners::default();
        assert_eq!(take(&owners, "a", None, Some("x")), ["x"]);
        take(&owners, "b", None, Some("x"));
        take(&owners, "c", None, Some("y"));
        assert_eq!(
            (names(&owners, "x"), names(&owners, "y")),
            (vec!["a".into(), "b".into()], vec!["c".into()])
        );
        assert_eq!(take(&owners, "a", Some("x"), Some("x")), ["x"]);
        assert_eq!(take(&owners, "b", Some("x"), None), ["x"]);
        assert_eq!(names(&owners, "x"), ["a"]);
        owners.clear();
        assert_eq!(owners.pods_of("x"), []);
    }

    #[test]
    fn a_pod_that_is_adopted_is_news_for_both() {
        let owners = Owners::default();
        take(&owners, "a", None, Some("x"));
        assert_eq!(take(&owners, "a", Some("x"), Some("y")), ["x", "y"]);
        assert_eq!(
            (names(&owners, "x").len(), names(&owners, "y").len()),
            (0, 1)
        );
    }
}
