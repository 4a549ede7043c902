//! Before a pod stands still for its move, its memory is sent as it is while its programs run; and again what changed, for as long as
//! nobody else is ready. What is dumped then is compared with that, and little of it is new. All of this may fail or end early: then more
//! is sent while the pod stands still, and nothing else is different.

use crate::agent::blocking::blocking;
use crate::agent::peer::Peer;
use crate::agent::peers::desk::NO_ROOM;
use crate::agent::peers::foretelling::{Laid, Told};
use crate::agent::peers::way::Failure;
use crate::agent::pods::Living;
use crate::agent::store::foretold::{Foretold, Guess};
use crate::engine::dump::folder;
use crate::engine::dump::pages::processes;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The first pause between two passes; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A pause is so often as long as the pass before: most of the time nobody reads.
const SHARE: u32 = 5;
/// A question that is on its way when nobody wants to wait any more may take so long.
const LAST: Duration = Duration::from_secs(5);

/// What is told, of which state, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) operation: String,
    pub(crate) generation: String,
    /// Where its agent is reached.
    pub(crate) target: String,
    /// The first process of each container.
    pub(crate) inits: Vec<i32>,
}

/// How far it is.
#[derive(Default)]
pub(crate) enum Before {
    /// Nothing is told.
    #[default]
    Nothing,
    /// It is being told.
    Telling(Foretelling),
    /// It was, and this is what is there of it.
    Told(Subject, Option<Arc<Foretold>>),
}

impl Before {
    /// What is there; once.
    pub(super) fn take(&mut self) -> Option<Arc<Foretold>> {
        match self {
            Self::Told(_, told) => told.take(),
            Self::Nothing | Self::Telling(_) => None,
        }
    }
}

/// It is being told.
pub(crate) struct Foretelling {
    pub(crate) subject: Subject,
    task: JoinHandle<Option<Guess>>,
    /// Once more, and then it is enough.
    ending: CancellationToken,
    /// It is enough.
    enough: CancellationToken,
    /// What the target has, after each pass.
    bytes: watch::Receiver<u64>,
}

impl Drop for Foretelling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Foretelling {
    /// Tells the memory of these containers, until it is enough.
    pub(crate) fn begin(subject: Subject, peer: Arc<dyn Peer>, containers: Vec<Living>) -> Self {
        let (ending, enough) = (CancellationToken::new(), CancellationToken::new());
        let (passed, bytes) = watch::channel(0);
        let tells = Tells {
            subject: subject.clone(),
            peer,
            containers,
            passed,
            ending: ending.clone(),
            enough: enough.clone(),
        };
        Self {
            subject,
            task: tokio::spawn(tells.on()),
            ending,
            enough,
            bytes,
        }
    }

    /// How much the target has, as soon as all was told once; nothing where that is never so.
    pub(crate) fn bytes(&self) -> impl Future<Output = u64> + use<> {
        let mut bytes = self.bytes.clone();
        async move {
            let told = bytes.wait_for(|bytes| *bytes > 0).await;
            told.map_or(0, |told| *told)
        }
    }

    /// Tells what changed since, and ends; at the latest after this time.
    pub(crate) async fn end(mut self, patience: Duration) -> Option<Arc<Foretold>> {
        self.ending.cancel();
        let mut told = tokio::time::timeout(patience, &mut self.task).await.ok();
        if told.is_none() {
            self.enough.cancel();
            told = tokio::time::timeout(LAST, &mut self.task).await.ok();
        }
        let guess = told?.ok()??;
        let Subject { operation, .. } = &self.subject;
        let bytes = guess.bytes();
        tracing::info!(
            operation,
            bytes,
            "memory was sent before its pod stands still"
        );
        (bytes > 0).then(|| Arc::new(Foretold::new(guess)))
    }
}

struct Tells {
    subject: Subject,
    peer: Arc<dyn Peer>,
    containers: Vec<Living>,
    ending: CancellationToken,
    enough: CancellationToken,
    passed: watch::Sender<u64>,
}

impl Tells {
    async fn on(self) -> Option<Guess> {
        let Subject {
            operation,
            generation,
            ..
        } = &self.subject;
        let (mut guess, mut pause) = (Guess::new()?, PAUSE);
        loop {
            let (is_last, began) = (self.ending.is_cancelled(), Instant::now());
            let containers = self.containers.clone();
            let all = blocking(move || laid(&containers)).await;
            let which = (operation.as_str(), generation.as_str());
            let told = self.peer.foretell(which, guess, all, &self.enough).await;
            let Told { guess: back, sent } = told;
            guess = back;
            match sent {
                Ok(bytes) => tracing::debug!(operation, bytes, "memory was sent while it is used"),
                Err(failure) => {
                    tracing::debug!(operation, %failure, "memory is not sent before");
                    guess = after(failure, guess)?;
                }
            }
            let _whoever_asks = self.passed.send_replace(guess.bytes());
            if is_last || self.enough.is_cancelled() {
                return Some(guess);
            }
            let rest = pause.max(began.elapsed().saturating_mul(SHARE));
            let _either = tokio::time::timeout(rest, self.ending.cancelled()).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

/// What the target has, after it did not hear all of it: nothing where it says no, for it may have lost what it had. Where it has no room
/// it is not asked again.
fn after(failure: Failure, guess: Guess) -> Option<Guess> {
    match failure {
        Failure::Refused(NO_ROOM, _) => None,
        // It may not have heard of the order yet.
        Failure::Refused(..) => Guess::new(),
        Failure::Away(_) | Failure::Ours(_) => Some(guess),
    }
}

/// All processes of these containers. One that cannot be looked at has none.
fn laid(containers: &[Living]) -> Vec<Laid> {
    let mut all = Vec::new();
    for container in containers {
        let images = folder(Path::new(""), &container.held.name).join("images");
        match processes(container.init, &container.held.id) {
            Ok(found) => all.extend(found.into_iter().map(|(process, file)| Laid {
                path: images.join(file).to_string_lossy().into_owned(),
                process,
            })),
            Err(error) => {
                let container = &container.held.name;
                tracing::debug!(container, %error, "its processes cannot be looked at");
            }
        }
    }
    all
}
