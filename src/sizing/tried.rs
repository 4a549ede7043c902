//! What was asked of the API server for pods a moment ago, until the watch shows it: so a pass that comes too early neither asks again
//! nor begins more than a wave. Only memory: whoever leads next looks at the pods, and at worst asks once more.

use crate::sizing::desire::Wanted;
use crate::sizing::observed::{Refusal, Tried};
use crate::sizing::resizing::difference;
use crate::sizing::view::PodView;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a watch may lag before it is believed again.
const LAG: Duration = Duration::from_secs(15);
/// When what was refused is tried again, though nothing changed: somebody may have made it possible.
const SECOND_TRY: Duration = Duration::from_secs(600);
/// The same, where it was no pod's own fault.
const NEXT_LOOK: Duration = Duration::from_secs(60);

/// What was tried lately.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Known>);

#[derive(Default)]
struct Known {
    pods: HashMap<Arc<str>, (Tried, Instant)>,
    refusal: Option<(Refusal, Instant)>,
}

impl Memory {
    /// Something was done for the pod with this uid.
    pub(crate) fn keep(&self, uid: &Arc<str>, tried: Tried) {
        let lasts = match tried {
            Tried::Asked(_) | Tried::Deleted => LAG,
            Tried::Refused(..) => SECOND_TRY,
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.pods.retain(|_, (_, until)| now < *until);
        if let Some(until) = now.checked_add(lasts) {
            known.pods.insert(Arc::clone(uid), (tried, until));
        }
    }

    /// No pod can be resized for now.
    pub(crate) fn keep_refusal(&self, refusal: Refusal) {
        let until = Instant::now().checked_add(NEXT_LOOK);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.refusal = until.map(|until| (refusal, until));
    }

    /// Why no pod can be resized for now.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (refusal, until) = known.refusal.as_ref()?;
        (Instant::now() < *until).then(|| refusal.clone())
    }

    /// What was tried for a pod and is not seen on it yet.
    pub(crate) fn recall(&self, pod: &PodView) -> Option<Tried> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tried, until) = known.pods.get(&pod.uid)?;
        let is_seen = match tried {
            Tried::Asked(wanted) => shows(pod, wanted),
            Tried::Deleted => pod.is_leaving,
            Tried::Refused(..) => false,
        };
        if is_seen || Instant::now() >= *until {
            known.pods.remove(&pod.uid);
            return None;
        }
        Some(tried.clone())
    }
}

fn shows(pod: &PodView, wanted: &[Wanted]) -> bool {
    !difference(&pod.containers, wanted).is_mutable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::observed::scene::{amounts, pod};

    fn wanted(requests: &str) -> Vec<Wanted> {
        let requests = amounts(requests);
        vec![Wanted {
            requests,
            limits: requests,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_is_known_until_it_is_seen() {
        let memory = Memory::default();
        let (before, after) = (pod(1, "cpu=1").view, pod(1, "cpu=2").view);
        memory.keep(&before.uid, Tried::Asked(wanted("cpu=2")));
        assert_eq!(memory.recall(&before), Some(Tried::Asked(wanted("cpu=2"))));
        assert_eq!(memory.recall(&pod(2, "cpu=1").view), None);
        assert_eq!(memory.recall(&after), None);
        assert_eq!(memory.recall(&before), None, "somebody changed it back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_never_shows_it_is_believed_in_the_end() {
        let memory = Memory::default();
        let pod = pod(1, "cpu=1").view;
        memory.keep(&pod.uid, Tried::Deleted);
        assert_eq!(memory.recall(&pod), Some(Tried::Deleted));
        tokio::time::advance(LAG).await;
        assert_eq!(memory.recall(&pod), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_lasts_for_a_while() {
        let memory = Memory::default();
        let refusal = Refusal {
            reason: "R",
            message: "why".into(),
            is_final: true,
        };
        let pod = pod(1, "cpu=1").view;
        let refused = Tried::Refused(wanted("cpu=2"), refusal.clone());
        memory.keep(&pod.uid, refused.clone());
        memory.keep_refusal(refusal.clone());
        tokio::time::advance(LAG).await;
        assert_eq!(memory.recall(&pod), Some(refused));
        assert_eq!(memory.refusal(), Some(refusal));
        tokio::time::advance(NEXT_LOOK).await;
        assert_eq!(memory.refusal(), None);
    }
}
