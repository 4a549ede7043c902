//! How an object of ours comes about, as it happens: watched until it has come to something, or until nobody wants to look any more. A
//! line for each change; on a terminal, a clock moves below them.

use crate::kit::error::Error;
use crate::process::asking::missing;
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// How often clocks move.
const TICK: Duration = Duration::from_millis(100);
/// When it is said that nobody seems to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is said then.
pub(super) const NOBODY: &str = "nobody has looked at it yet: does the manager run? kubectl get pods -A -l app.kubernetes.io/part-of=holdfast";

/// What is watched.
pub(super) trait Coming:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static
{
    /// Whether nothing follows.
    fn is_over(&self) -> bool;

    /// Whether a pod is frozen for it.
    fn is_frozen(&self) -> bool;

    /// How it stands, in a line, such as `Frozen  12.3Mi  its state is being written`. `is_long` where somebody should have looked at it
    /// by now.
    fn line(&self, is_long: bool) -> String;
}

/// What was seen of an object.
#[derive(Debug)]
pub(super) struct Seen<K: Coming> {
    pub(super) last: K,
    /// Nobody wanted to look any more.
    pub(super) is_left: bool,
}

impl<K: Coming> Seen<K> {
    /// Of one that nobody watched.
    pub(super) fn only(last: K) -> Self {
        Self {
            last,
            is_left: false,
        }
    }

    /// What is told to whoever stopped watching.
    pub(super) fn farewell(&self) -> Option<String> {
        let kind = K::kind(&()).to_lowercase();
        let (name, namespace) = (
            self.last.name_any(),
            self.last.namespace().unwrap_or_default(),
        );
        self.is_left.then(|| {
            format!("It goes on, and is not watched any more.\nLook at it:  kubectl get {kind} {name} -n {namespace} -o wide\nCancel it:   kubectl delete {kind} {name} -n {namespace}\n")
        })
    }
}

/// Resolves when somebody presses Ctrl-C.
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler, the process ends by the signal.
        std::future::pending::<()>().await;
    }
}

/// Shows it until it has come to something, or until `left`. Watches that break are begun again.
///
/// # Errors
/// It was deleted meanwhile, or may not be looked at.
pub(super) async fn watch<K: Coming>(
    api: &Api<K>,
    made: K,
    left: impl Future<Output = ()>,
) -> Result<Seen<K>, Error> {
    let name = made.name_any();
    let mut changes = pin!(watch_object(api.clone(), &name).default_backoff());
    let mut left = pin!(left);
    let mut ticks = tokio::time::interval(TICK);
    let mut view = View::new();
    let mut seen = Seen::only(made);
    loop {
        view.show(&seen.last);
        if seen.last.is_over() || seen.is_left {
            return Ok(seen);
        }
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(Some(now))) => seen.last = now,
                Some(Ok(None)) => return Err(gone::<K>(&name, "it was deleted")),
                Some(Err(error)) => broken::<K>(error)?,
                None => return Err(gone::<K>(&name, "its watch ended")),
            },
            () = &mut left => seen.is_left = true,
            _ = ticks.tick() => {}
        }
    }
}

fn gone<K: Coming>(name: &str, why: &str) -> Error {
    Error::Invalid {
        what: format!("{} {name}", K::kind(&()).to_lowercase()),
        why: format!("{why} before it had come to anything"),
    }
}

/// What no further try would help; all else is tried again.
fn broken<K: Coming>(error: watcher::Error) -> Result<(), Error> {
    let (watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source)) =
        error
    else {
        return Ok(());
    };
    let error = Error::api("watch", K::plural(&()), source);
    if error.is_forbidden() || error.is_lost_identity() {
        return Err(missing::<K>(error));
    }
    Ok(())
}

/// What was shown, and since when. On standard error: standard output is for the answer.
struct View {
    is_terminal: bool,
    began: Instant,
    frozen_since: Option<Instant>,
    shown: String,
}

impl View {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            began: Instant::now(),
            frozen_since: None,
            shown: String::new(),
        }
    }

    fn show<K: Coming>(&mut self, object: &K) {
        let since = self.began.elapsed();
        let clock = format!("{:>6.1} s", since.as_secs_f64());
        let line = object.line(since >= PATIENCE);
        self.clear();
        if line != self.shown {
            write(&format!("{clock}  {line}\n"));
            self.shown = line;
        }
        if object.is_frozen() {
            self.frozen_since.get_or_insert_with(Instant::now);
        } else {
            self.frozen_since = None;
        }
        if self.is_terminal {
            let frozen = self.frozen_since.map(|from| from.elapsed().as_secs_f64());
            let frozen = frozen.map(|seconds| format!("  frozen for {seconds:.1} s"));
            write(&(clock + &frozen.unwrap_or_default()));
        }
    }

    /// The clock is taken away: a line follows.
    fn clear(&self) {
        if self.is_terminal {
            write("\r\x1b[2K");
        }
    }
}

/// The answer follows, or an error.
impl Drop for View {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whoever does not look any more misses nothing that the answer does not say.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _unseen = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests;
