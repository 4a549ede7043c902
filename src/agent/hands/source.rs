//! Does what was decided about a pod whose state goes elsewhere: one act, on this node, or one question to the target's agent.
//!
//! A dump that went wrong is not tried again, and neither is what comes before it: the pod is withdrawn, and runs on.

use super::{Hands, Memory, guard};
use crate::agent::api::TargetStanding;
use crate::agent::blocking::{blocking, joined};
use crate::agent::peer::{Peer, Sent};
use crate::agent::source::Act;
use crate::agent::store::ahead::Ahead;
use crate::agent::store::{Found, Noted, digest, only_grows};
use crate::hold::change::{Change, HoldStep};
use crate::hold::record::Record;
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::write_steps;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// It is killed, frozen as it is.
    KILL,
    /// What the target lacks is sent.
    COPY,
    /// The release is sent.
    RELEASE,
}

/// What a kill of a frozen pod may take.
const KILLING: Duration = Duration::from_secs(20);
/// How often whoever reads ahead looks at what there is.
const LOOK: Duration = Duration::from_millis(20);

/// Reads ahead of what is dumped, until it is over and all of it was read.
async fn read_ahead(mut ahead: Ahead, is_over: CancellationToken) -> Ahead {
    loop {
        let is_last = is_over.is_cancelled();
        let read;
        (ahead, read) = blocking(move || {
            let read = ahead.catch_up(only_grows);
            (ahead, read)
        })
        .await;
        if let Err(failure) = &read {
            // It is read when it is sealed, and said then.
            tracing::debug!(%failure, "what is dumped could not be read ahead");
        }
        if is_last || read.is_err() {
            return ahead;
        }
        // Over, or a look later: the same is done.
        let _either = tokio::time::timeout(LOOK, is_over.cancelled()).await;
    }
}

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The plan is asked again.
    Goes,
    /// Somebody else has to do something first.
    Waits,
}

impl Hands<'_> {
    /// Does it.
    ///
    /// # Errors
    /// A sentence; it is tried again.
    pub(crate) async fn move_on(
        &self,
        act: Act,
        (record, found): (&Record, &Found),
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<Then, String> {
        let hold = record.hold.as_ref();
        let operation = hold.map(|hold| hold.operation.as_str()).unwrap_or_default();
        let done = match act {
            Act::Change(change) => return self.turn(change, (record, found), memory).await,
            Act::AskReady(..) | Act::AskRevoke(_) => Ok(Then::Waits),
            Act::Guard => {
                let done = self.guard(found, memory).await;
                return self.or_withdraw(done, operation, memory).await;
            }
            Act::Freeze => {
                let done = self.freeze(hold, memory).await;
                return self.or_withdraw(done, operation, memory).await;
            }
            Act::Dump => {
                let done = self.dump_once(record, found, memory, peer).await;
                return self.or_withdraw(done, operation, memory).await;
            }
            Act::Copy => {
                let sent = self.copy(operation, found, memory, peer).await;
                return self.or_too_full(sent, operation, memory).await;
            }
            Act::Release(uid) => {
                self.release((operation, uid.as_deref()), found, memory, peer)
                    .await
            }
            Act::Thaw => self.thaw(hold, memory).await.map(|()| Then::Goes),
            Act::Kill => {
                let cgroups = self.cgroups(hold);
                let kill = move || cgroups.iter().try_for_each(|one| one.kill(KILLING));
                blocking(move || around(&KILL, kill))
                    .await
                    .map(|()| Then::Goes)
            }
        };
        done.map_err(|failure| failure.to_string())
    }

    /// Asks the target's agent what the plan wants to know.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn ask(
        &self,
        act: &Act,
        operation: &str,
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<Then, String> {
        let said = |failure: Failure| failure.to_string();
        match act {
            Act::AskReady(uid, attempt) => {
                let is_ready = peer.ready(operation, uid, *attempt).await.map_err(said)?;
                memory.peer.ready = is_ready.then(|| (uid.clone(), *attempt));
                Ok(if is_ready { Then::Goes } else { Then::Waits })
            }
            Act::AskRevoke(uid) => {
                let pod = peer.revoke(operation, uid).await.map_err(said)?;
                let is_void = pod
                    .as_ref()
                    .is_some_and(|pod| pod.standing == TargetStanding::Revoked);
                if let Some(pod) = pod {
                    memory.peer.pods.retain(|former| former.uid != pod.uid);
                    memory.peer.pods.push(pod);
                }
                Ok(if is_void { Then::Goes } else { Then::Waits })
            }
            _ => Ok(Then::Waits),
        }
    }

    /// Changes the record. Where nothing is left but what was dumped, that is on disk before.
    async fn turn(
        &self,
        change: Change,
        (record, found): (&Record, &Found),
        memory: &mut Memory,
    ) -> Result<Then, String> {
        let Change::Hold { step, .. } = &change else {
            return Ok(Then::Waits);
        };
        let is_all_that_is_left = matches!(step, HoldStep::Home { .. } | HoldStep::Supersede);
        let is_of_this_boot = |found: &Found| match found {
            Found::Cut(manifest) => manifest.boot == self.boot,
            _ => false,
        };
        if is_all_that_is_left && is_of_this_boot(found) {
            let sealed = self.seal(found, memory).await;
            sealed.map_err(|failure| failure.to_string())?;
        }
        self.change(change, record.hold.as_ref(), memory).await?;
        Ok(Then::Goes)
    }

    /// A step that is not tried again: with its failure it is over, and the pod runs on. Where CRIU died, the plan says so first.
    async fn or_withdraw(
        &self,
        done: Result<(), Failure>,
        operation: &str,
        memory: &mut Memory,
    ) -> Result<Then, String> {
        memory.tried(done);
        let Some(failure) = memory.failure.as_ref().filter(|why| !why.has_criu_died) else {
            return Ok(Then::Goes);
        };
        tracing::warn!(
            pod = self.whose.pod,
            why = failure.why,
            "a pod does not go elsewhere, and runs on"
        );
        let withdraw = Change::hold(operation, HoldStep::Withdraw);
        self.change(withdraw, None, memory).await?;
        Ok(Then::Goes)
    }

    /// No pod stands still for a disk that will not be emptier.
    async fn or_too_full(
        &self,
        sent: Result<Sent, Failure>,
        operation: &str,
        memory: &mut Memory,
    ) -> Result<Then, String> {
        match sent {
            Ok(Sent::Whole) => Ok(Then::Goes),
            Ok(Sent::Hopeless(why)) => {
                let done = Err(Failure::new(why));
                self.or_withdraw(done, operation, memory).await
            }
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// What dumps is made ready only where something is to be dumped.
    async fn guard(&self, found: &Found, memory: &mut Memory) -> Result<(), Failure> {
        if *found == Found::Nothing {
            return self.prepare(memory).await;
        }
        let (engine, uid) = (self.engine()?, self.whose.uid.to_string());
        let guard = blocking(move || guard(&engine, &uid)).await?;
        memory.is_guarded_by(guard);
        Ok(())
    }

    /// Dumps. What is there already is sent meanwhile, and read again for its digest.
    async fn dump_once(
        &self,
        record: &Record,
        found: &Found,
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<(), Failure> {
        if *found != Found::Nothing && !memory.is_mine {
            let why = "a former agent ended while it was dumped";
            return Err(Failure::new(why));
        }
        let generation = self.generation;
        let Some(hold) = &record.hold else {
            return Ok(());
        };
        let (is_dumped, is_read) = (CancellationToken::new(), CancellationToken::new());
        let foretold = memory.before.take();
        let ahead = Ahead::of_foretold(generation.part(), foretold.clone());
        let reading = tokio::spawn(read_ahead(ahead, is_dumped.clone()));
        let sending = peer.send_ahead(&hold.operation, generation, foretold, &is_read);
        let mut sending = pin!(sending);
        let mut has_sent = None;
        let done = {
            let mut dumping = pin!(self.dump(record, memory));
            tokio::select! {
                done = &mut dumping => done,
                sent = &mut sending => {
                    has_sent = Some(sent);
                    dumping.await
                }
            }
        };
        is_dumped.cancel();
        let read = async {
            let ahead = joined(reading.await);
            is_read.cancel();
            ahead
        };
        let (ahead, sent) = match has_sent {
            None if done.is_ok() => {
                let (ahead, sent) = tokio::join!(read, sending);
                (ahead, Some(sent))
            }
            sent => (read.await, sent),
        };
        memory.ahead = Some(ahead);
        if let Some(Err(failure)) = sent {
            tracing::debug!(%failure, "nothing was sent while it was dumped");
        }
        done
    }

    async fn copy(
        &self,
        operation: &str,
        found: &Found,
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<Sent, Failure> {
        let noted = match self.noted(found, memory).await {
            // Nothing was lost yet: the pod runs on.
            Err(failure) if matches!(found, Found::Cut(_)) => {
                return Ok(Sent::Hopeless(failure.to_string()));
            }
            noted => noted?,
        };
        let sent = peer.send(operation, self.generation, &noted);
        let sent = crate::process::faults::around(&COPY, sent).await?;
        memory.peer.has_verified = sent == Sent::Whole;
        Ok(sent)
    }

    /// What was dumped, with its digests: read again where this process has not done that.
    async fn noted(&self, found: &Found, memory: &mut Memory) -> Result<Arc<Noted>, Failure> {
        let generation = self.generation.clone();
        let noted = match (found, memory.noted.take()) {
            (Found::Cut(_), Some(noted)) => noted,
            (Found::Cut(manifest), None) => {
                let (manifest, ahead) = ((**manifest).clone(), memory.ahead.take());
                Arc::new(blocking(move || generation.note(manifest, ahead)).await?)
            }
            _ => Arc::new(blocking(move || generation.sealed()).await?),
        };
        memory.noted = Some(Arc::clone(&noted));
        Ok(noted)
    }

    async fn release(
        &self,
        (operation, uid): (&str, Option<&str>),
        found: &Found,
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<Then, Failure> {
        let noted = self.noted(found, memory).await?;
        let digest = digest(&noted.2);
        let sent = peer.release(operation, uid, &digest);
        crate::process::faults::around(&RELEASE, sent).await?;
        match uid {
            Some(uid) => memory.released.pods.push(uid.to_owned()),
            None => memory.released.anybody = true,
        }
        Ok(Then::Goes)
    }
}
