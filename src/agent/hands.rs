//! Does what was decided about a checkpoint, or about a pod that goes elsewhere: one act, on this node.

pub(crate) mod foretelling;
mod memory;
pub(crate) mod source;

use crate::agent::blocking::blocking;
use crate::agent::checkpoint::Act;
use crate::agent::cut::Engine;
use crate::agent::host::Host;
use crate::agent::pods::{self, Living};
use crate::agent::poised::{Poised, on_host};
use crate::agent::records::Records;
use crate::agent::store::manifest::{Manifest, VERSION};
use crate::agent::store::{Found, Generation};
use crate::hold::change::{Change, HoldStep};
use crate::hold::record::{Held, Hold, Record};
use crate::hold::shelf::Whose;
use crate::hold::signal::wishes;
use crate::kit::error::chain;
use crate::kit::faults::around;
use crate::oci::cgroups::Cgroups;
use crate::oci::failure::Failure;
use crate::write_steps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub(crate) use memory::Memory;
use std::ffi::OsString;
use std::process::{Child, Stdio};
use std::time::Duration;

write_steps! {
    /// The guard is started.
    GUARD,
    /// All containers are frozen.
    FREEZE,
    /// They are dumped.
    DUMP,
    /// They run again.
    THAW,
    /// What was dumped is read again and gets its name.
    SEAL,
    /// It is given up.
    FAIL,
    /// It is deleted.
    FORGET,
}

/// A freeze may take so long.
const FREEZING: Duration = Duration::from_secs(10);

/// What an act is done with.
pub(crate) struct Hands<'a> {
    pub(crate) host: &'a Host,
    /// What is installed here; to let a pod go nothing of it is needed.
    pub(crate) engine: Option<&'a Engine>,
    pub(crate) records: &'a Records,
    pub(crate) whose: &'a Whose,
    pub(crate) node: &'a str,
    pub(crate) boot: &'a str,
    pub(crate) generation: &'a Generation,
    /// The containers that are wanted.
    pub(crate) containers: &'a [Living],
}

impl Hands<'_> {
    /// Does it. What went wrong in a way that ends the checkpoint is remembered; everything else is tried again.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) async fn act(
        &self,
        act: Act,
        record: &Record,
        found: &Found,
        memory: &mut Memory,
    ) -> Result<(), String> {
        let hold = record.hold.as_ref();
        let generation = self.generation.clone();
        let done = match act {
            Act::Change(change) => return self.change(change, hold, memory).await,
            Act::Guard => {
                let done = self.prepare(memory).await;
                memory.tried(done);
                Ok(())
            }
            Act::Freeze => {
                let done = self.freeze(hold, memory).await;
                memory.tried(done);
                Ok(())
            }
            Act::Dump => self.dump(record, memory).await,
            Act::Thaw => self.thaw(hold, memory).await,
            Act::Seal => {
                let done = self.seal(found, memory).await;
                memory.tried(done);
                Ok(())
            }
            Act::Fail(why) => blocking(move || around(&FAIL, || generation.fail(&why))).await,
            Act::Forget => blocking(move || around(&FORGET, || generation.forget())).await,
        };
        done.map_err(|failure| failure.to_string())
    }

    async fn change(
        &self,
        change: Change,
        hold: Option<&Hold>,
        memory: &mut Memory,
    ) -> Result<(), String> {
        let step = match &change {
            Change::Hold { step, .. } => Some(step),
            Change::Note { .. } | Change::Admit { .. } => None,
        };
        let is_end = step == Some(&HoldStep::End);
        let is_over = is_end || matches!(step, Some(HoldStep::Kill | HoldStep::Home { .. }));
        if let Some(hold) = hold.filter(|_| is_end) {
            // Its guard may have thawed it before we looked.
            memory.runs_again();
            self.deliver(hold).await;
        }
        let changed = self.records.change(self.whose, &change).await;
        if is_over && changed.is_ok() {
            memory.lets_go();
        }
        changed.map(drop).map_err(|error| chain(&error))
    }

    fn engine(&self) -> Result<Engine, Failure> {
        let missing = || Failure::new("what dumps is not installed on this node any more");
        self.engine.cloned().ok_or_else(missing)
    }

    /// Everything that takes time and can be done before anything stands still; and the guard, which is there before this ends.
    async fn prepare(&self, memory: &mut Memory) -> Result<(), Failure> {
        memory.is_mine = true;
        let (engine, generation) = (self.engine()?, self.generation.clone());
        let containers = self.containers.to_vec();
        let uid = self.whose.uid.to_string();
        let (dumpers, guard) = blocking(move || {
            let dumpers = engine.prepare(&generation, &containers)?;
            Ok((dumpers, guard(&engine, &uid)?))
        })
        .await?;
        memory.is_ready(dumpers, guard);
        Ok(())
    }

    async fn freeze(&self, hold: Option<&Hold>, memory: &mut Memory) -> Result<(), Failure> {
        let cgroups = self.cgroups(hold);
        blocking(move || {
            around(&FREEZE, || {
                let frozen = cgroups.iter().try_for_each(|one| one.freeze(FREEZING));
                if frozen.is_err() {
                    // What is on its way would stand still some time.
                    cgroups.iter().try_for_each(Cgroups::thaw)?;
                }
                frozen
            })
        })
        .await?;
        memory.stands_still();
        Ok(())
    }

    async fn dump(&self, record: &Record, memory: &mut Memory) -> Result<(), Failure> {
        let Some(hold) = &record.hold else {
            return Ok(());
        };
        let manifest = Manifest {
            version: VERSION,
            operation: hold.operation.clone(),
            role: hold.role,
            namespace: self.whose.namespace.clone(),
            pod: self.whose.pod.clone(),
            uid: self.whose.uid.to_string(),
            node: self.node.to_owned(),
            boot: self.boot.to_owned(),
            taken_at: Time(memory.stands_still()),
            frozen_millis: 0,
            containers: Vec::new(),
            volumes: Vec::new(),
            files: Vec::new(),
        };
        let (engine, generation) = (self.engine()?, self.generation.clone());
        let (containers, dumpers) = (self.containers.to_vec(), memory.take_dumpers());
        let (records, uid, operation) = (
            self.records.clone(),
            self.whose.uid.clone(),
            hold.operation.clone(),
        );
        let cut = blocking(move || {
            let is_still = || records.is_frozen(&uid, &operation);
            let cut = around(&DUMP, || {
                engine.cut(&generation, &containers, (manifest, dumpers), is_still)
            });
            // The pod is let go next, and that is written down: there must be room for it.
            cut.map_err(|no_cut| (no_cut, generation.empty()))
        });
        match cut.await {
            Ok(()) => Ok(()),
            Err((no_cut, emptied)) => {
                memory.failure = Some(no_cut);
                emptied
            }
        }
    }

    async fn thaw(&self, hold: Option<&Hold>, memory: &mut Memory) -> Result<(), Failure> {
        let cgroups = self.cgroups(hold);
        blocking(move || around(&THAW, || cgroups.iter().try_for_each(Cgroups::thaw))).await?;
        memory.runs_again();
        Ok(())
    }

    async fn seal(&self, found: &Found, memory: &mut Memory) -> Result<(), Failure> {
        let Found::Cut(manifest) = found else {
            return Ok(());
        };
        if let Some(settled) = memory.settled().await {
            return settled;
        }
        let (generation, mut manifest) = (self.generation.clone(), (**manifest).clone());
        manifest.frozen_millis = memory.frozen_millis();
        let ahead = memory.ahead.take();
        blocking(move || around(&SEAL, || generation.seal(manifest, ahead))).await
    }

    fn cgroups(&self, hold: Option<&Hold>) -> Vec<Cgroups> {
        let containers = hold.map(|hold| hold.containers.as_slice());
        let all = containers.unwrap_or_default().iter();
        all.map(|held| pods::cgroups(self.host, held)).collect()
    }

    /// Signals that were asked for while it was frozen.
    async fn deliver(&self, hold: &Hold) {
        for held in &hold.containers {
            for signal in wishes(hold, &held.id) {
                if !self.send(held, signal).await {
                    tracing::warn!(
                        container = held.name,
                        signal,
                        "a signal that was asked for while the pod was frozen was not delivered"
                    );
                }
            }
        }
    }

    async fn send(&self, held: &Held, signal: &str) -> bool {
        let Some(engine) = self.engine else {
            return false;
        };
        let mut command = on_host(&engine.enter, &[]);
        command.arg(&engine.real).args(["--root", &held.root]);
        command.args(["kill", &held.id, signal]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let ended = tokio::process::Command::from(command).status().await;
        ended.is_ok_and(|status| status.success())
    }
}

/// Starts the guard of a pod.
fn guard(engine: &Engine, uid: &str) -> Result<Child, Failure> {
    let words = [
        engine.runtime.as_os_str(),
        "guard".as_ref(),
        "--record".as_ref(),
        uid.as_ref(),
    ];
    let words: Vec<_> = words.into_iter().map(OsString::from).collect();
    let mut guard = Poised::begin(&engine.enter, &words)?;
    guard.is_there()?;
    let guard = around(&GUARD, || guard.release());
    guard.map_err(|error| Failure::at("run", &engine.runtime, error))
}
