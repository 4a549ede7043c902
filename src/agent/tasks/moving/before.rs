//! What is done for a pod that is about to go elsewhere, while it still runs.

use super::looking::Subject;
use super::{LOOK, Tools};
use crate::agent::api::{Order, Word};
use crate::agent::blocking::blocking;
use crate::agent::hands::Memory;
use crate::agent::hands::foretelling::{self, Before, Foretelling};
use crate::agent::orders::Ordered;
use crate::agent::peer::Peer;
use crate::agent::peers::spare::Spare;
use crate::agent::pods::Living;
use crate::agent::source::{self, Seen};
use std::sync::Arc;
use std::time::Duration;

/// A pod that waits on the target for its state is not kept waiting longer, ...
const WAITED_FOR: Duration = Duration::from_secs(30);
/// ... and where nobody waits it may take so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be told to whom, of what is to be seen; and whether it is to be frozen already.
pub(super) fn subject(seen: &Seen<'_>, living: &[Living]) -> Option<(foretelling::Subject, bool)> {
    let order = source::is_about_to_go(seen)?;
    let target = order.target_address.clone()?;
    let subject = foretelling::Subject {
        operation: seen.task.spec()?.operation.clone(),
        generation: order.generation.clone(),
        target,
        inits: living.iter().map(|one| one.init).collect(),
    };
    (!living.is_empty()).then_some((subject, order.word == Word::Freeze))
}

/// Begins to tell it, goes on, or gives it up. What was told to the end is told anew where it is about something else, or the pod is not to be
/// frozen any more.
pub(super) fn foretell(
    subject: Option<(foretelling::Subject, bool)>,
    living: &[Living],
    (memory, peer): (&mut Memory, &Arc<dyn Peer>),
) {
    let is_as_it_should_be = match (&memory.before, &subject) {
        (Before::Telling(now), Some((subject, _))) => now.subject == *subject,
        (Before::Told(told, _), Some((subject, is_to_freeze))) => told == subject && *is_to_freeze,
        // It stands still, or is about to.
        (Before::Told(..) | Before::Nothing, None) => true,
        (Before::Nothing, Some(_)) | (Before::Telling(_), None) => false,
    };
    if is_as_it_should_be {
        return;
    }
    memory.before = match subject {
        Some((subject, _)) => {
            let (peer, living) = (Arc::clone(peer), living.to_vec());
            Before::Telling(Foretelling::begin(subject, peer, living))
        }
        None => Before::Nothing,
    };
}

impl Tools<'_> {
    /// It is to stand still next: what changed since is told once more. Whether that was to be waited for.
    pub(super) async fn has_foretold(
        &self,
        operation: &str,
        subject: &Subject,
        (memory, peer): (&mut Memory, &Arc<dyn Peer>),
    ) -> bool {
        let telling = match std::mem::take(&mut memory.before) {
            Before::Telling(telling) => telling,
            other => {
                memory.before = other;
                return false;
            }
        };
        let about = telling.subject.clone();
        let patience = match subject.order.order {
            Order::PrepareFirst => WAITED_FOR,
            Order::FreezeFirst => PATIENCE,
        };
        let spare = self.spare(&about, telling.bytes(), peer.as_ref());
        let told = async { tokio::join!(telling.end(patience), spare) };
        let (told, spare) = tokio::select! {
            told = told => told,
            () = self.is_called_off(operation) => (None, None),
        };
        // What is dumped here gets it.
        blocking(move || drop(spare)).await;
        self.metrics
            .foretold(told.as_ref().map_or(0, |told| told.bytes()));
        memory.before = Before::Told(about, told);
        // Who waited may wait no more.
        memory.peer.ready = None;
        true
    }

    /// Memory for what is dumped here, and there for what is restored. Both at a time: they may be one machine.
    async fn spare(
        &self,
        about: &foretelling::Subject,
        bytes: impl Future<Output = u64>,
        peer: &dyn Peer,
    ) -> Option<Spare> {
        let bytes = bytes.await;
        if bytes == 0 {
            return None;
        }
        let folder = self.host.checkpoints();
        let here = blocking(move || Spare::make(&folder, bytes));
        let foretelling::Subject {
            operation,
            generation,
            ..
        } = about;
        let there = peer.spare((operation, generation), bytes);
        let (here, there) = tokio::join!(here, there);
        let made = here.as_ref().map(|spare| spare.bytes);
        tracing::debug!(operation, here = made, ?there, "memory is ready");
        here
    }

    async fn is_called_off(&self, operation: &str) {
        loop {
            tokio::time::sleep(LOOK).await;
            let is_wanted = match self.targets.orders().get(operation) {
                Ordered::Unknown => true,
                Ordered::Gone => false,
                Ordered::Known(task) => {
                    let word = task.spec.source.as_ref().map(|order| order.word);
                    !task.spec.decision.is_final() && word == Some(Word::Freeze)
                }
            };
            if !is_wanted {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::TargetPod;
    use crate::agent::peer::{Asked, PeerStanding, Sent};
    use crate::agent::store::{Generation, Noted};
    use crate::hold::record::Held;
    use crate::oci::failure::Failure;
    use std::future::ready;

    /// A target that hears all, and answers nothing else.
    struct Deaf;

    fn no<'a, T: Send + 'a>() -> Asked<'a, T> {
        Box::pin(ready(Err(Failure::new("it does not answer"))))
    }

    impl Peer for Deaf {
        fn ready<'a>(&'a self, _: &'a str, _: &'a str, _: u32) -> Asked<'a, bool> {
            no()
        }
        fn standing<'a>(&'a self, _: &'a str) -> Asked<'a, PeerStanding> {
            no()
        }
        fn send<'a>(&'a self, _: &'a str, _: &'a Generation, _: &'a Noted) -> Asked<'a, Sent> {
            no()
        }
        fn release<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: &'a str) -> Asked<'a, ()> {
            no()
        }
        fn revoke<'a>(&'a self, _: &'a str, _: &'a str) -> Asked<'a, Option<TargetPod>> {
            no()
        }
    }

    fn about(init: i32) -> foretelling::Subject {
        foretelling::Subject {
            operation: "op".into(),
            generation: "g".into(),
            target: "192.0.2.1:9447".into(),
            inits: vec![init],
        }
    }

    fn living() -> Vec<Living> {
        vec![Living {
            held: Held {
                name: "c".into(),
                id: "no such container".into(),
                root: String::new(),
                cgroups: Vec::new(),
            },
            bundle: "/".into(),
            init: 1,
        }]
    }

    fn now(memory: &Memory) -> (&'static str, Option<i32>) {
        match &memory.before {
            Before::Nothing => ("nothing", None),
            Before::Telling(telling) => ("telling", telling.subject.inits.first().copied()),
            Before::Told(about, _) => ("told", about.inits.first().copied()),
        }
    }

    #[tokio::test]
    async fn it_is_told_as_long_as_it_is_about_to_go_and_anew_when_it_is_another() {
        let peer: Arc<dyn Peer> = Arc::new(Deaf);
        let mut memory = Memory::default();
        let see = |memory: &mut Memory, subject| {
            foretell(subject, &living(), (memory, &peer));
            now(memory)
        };
        assert_eq!(see(&mut memory, None), ("nothing", None));
        for (subject, is) in [
            (Some((about(1), false)), ("telling", Some(1))),
            (Some((about(1), true)), ("telling", Some(1))),
            (Some((about(2), true)), ("telling", Some(2))),
            (None, ("nothing", None)),
        ] {
            assert_eq!(see(&mut memory, subject), is);
        }
        memory.before = Before::Told(about(1), None);
        for (subject, is) in [
            (None, ("told", Some(1))),
            (Some((about(1), true)), ("told", Some(1))),
            (Some((about(1), false)), ("telling", Some(1))),
        ] {
            assert_eq!(see(&mut memory, subject), is);
        }
        memory.before = Before::Told(about(1), None);
        let another = Some((about(2), true));
        assert_eq!(see(&mut memory, another), ("telling", Some(2)));
    }

    #[tokio::test]
    async fn it_ends_when_it_is_told_to_and_what_was_not_sent_is_nothing() {
        let telling = Foretelling::begin(about(1), Arc::new(Deaf), living());
        let bytes = telling.bytes();
        assert!(telling.end(Duration::MAX).await.is_none());
        assert_eq!(bytes.await, 0, "nobody waits for ever");
    }
}
