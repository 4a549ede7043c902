//! Does what was decided about a pod whose state goes elsewhere: one act, on this node, or one question to the target's agent.
//!
//! A dump that went wrong is not tried again, and neither is what comes before it: the pod is withdrawn, and runs on.

use super::{Hands, Memory, guard};
use crate::agent::api::TargetStanding;
use crate::agent::blocking::blocking;
use crate::agent::peer::Peer;
use crate::agent::source::Act;
use crate::agent::store::Found;
use crate::hold::change::{Change, HoldStep};
use crate::hold::record::Record;
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::write_steps;
use std::time::Duration;

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
                let done = self.dump_once(record, found, memory).await;
                return self.or_withdraw(done, operation, memory).await;
            }
            Act::Copy => self.copy(operation, found, memory, peer).await,
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

    /// Changes the record. Where the containers start again from what was dumped, that is on disk before.
    async fn turn(
        &self,
        change: Change,
        (record, found): (&Record, &Found),
        memory: &mut Memory,
    ) -> Result<Then, String> {
        let Change::Hold { step, .. } = &change else {
            return Ok(Then::Waits);
        };
        if matches!(step, HoldStep::Home { .. }) {
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

    async fn dump_once(
        &self,
        record: &Record,
        found: &Found,
        memory: &mut Memory,
    ) -> Result<(), Failure> {
        if *found != Found::Nothing && !memory.is_mine {
            let why = "a former agent ended while it was dumped";
            return Err(Failure::new(why));
        }
        self.dump(record, memory).await
    }

    async fn copy(
        &self,
        operation: &str,
        found: &Found,
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<Then, Failure> {
        if matches!(found, Found::Cut(_)) {
            // On this node's disk before it goes to another's.
            self.seal(found, memory).await?;
            return Ok(Then::Goes);
        }
        crate::process::faults::around(&COPY, peer.send(operation, self.generation)).await?;
        memory.peer.has_verified = true;
        Ok(Then::Goes)
    }

    async fn release(
        &self,
        (operation, uid): (&str, Option<&str>),
        found: &Found,
        memory: &mut Memory,
        peer: &dyn Peer,
    ) -> Result<Then, Failure> {
        let Found::Sealed(_, digest) = found else {
            return Err(Failure::new("what was dumped is not on this node any more"));
        };
        let sent = peer.release(operation, uid, digest);
        crate::process::faults::around(&RELEASE, sent).await?;
        match uid {
            Some(uid) => memory.released.pods.push(uid.to_owned()),
            None => memory.released.anybody = true,
        }
        Ok(Then::Goes)
    }
}
