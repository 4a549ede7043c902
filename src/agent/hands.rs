//! Does what was decided about a checkpoint: one act, on this node.

use crate::agent::checkpoint::Act;
use crate::agent::cut::{Dumpers, Engine, NoCut};
use crate::agent::pods::{self, Living};
use crate::agent::records::Records;
use crate::agent::store::manifest::{Manifest, VERSION};
use crate::agent::store::{Found, Generation};
use crate::hold::change::{Change, HoldStep};
use crate::hold::record::{Hold, Record};
use crate::hold::shelf::Whose;
use crate::kit::error::chain;
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::process::clock;
use crate::write_steps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

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

/// What this process remembers of a checkpoint that it takes.
#[derive(Default)]
pub(crate) struct Memory {
    guard: Option<Child>,
    dumpers: Dumpers,
    /// When everything stood still.
    pub(crate) frozen: Option<(Instant, Timestamp)>,
    /// For how long.
    pub(crate) frozen_for: Option<Duration>,
    /// It dumped it itself, or is about to.
    pub(crate) is_mine: bool,
    pub(crate) failure: Option<NoCut>,
    /// What was said last of why it does not go on.
    pub(crate) said: Option<String>,
}

impl Memory {
    /// What was frozen runs: how long that took is known.
    fn runs_again(&mut self) {
        if let Some((since, _)) = self.frozen {
            self.frozen_for.get_or_insert_with(|| since.elapsed());
        }
    }

    /// The hold is over: what waited for a word ends, and so does the guard, by itself.
    fn lets_go(&mut self) {
        let (dumpers, guard) = (std::mem::take(&mut self.dumpers), self.guard.take());
        tokio::task::spawn_blocking(move || {
            drop(dumpers);
            // Not to leave a zombie.
            guard.map(|mut guard| guard.wait())
        });
    }

    /// Whether the guard lives.
    pub(crate) fn is_guarded(&mut self) -> bool {
        let lives = |guard: &mut Child| matches!(guard.try_wait(), Ok(None));
        self.guard.as_mut().is_some_and(lives)
    }
}

/// What an act is done with.
pub(crate) struct Hands<'a> {
    pub(crate) engine: &'a Engine,
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
        let done = match act {
            Act::Change(change) => {
                if let Some(hold) = hold.filter(|_| is_end(&change)) {
                    // Its guard may have thawed it before we looked.
                    memory.runs_again();
                    self.deliver(hold).await;
                }
                let changed = self.records.change(self.whose, &change).await;
                if is_end(&change) && changed.is_ok() {
                    memory.lets_go();
                }
                return changed.map(drop).map_err(|error| chain(&error));
            }
            Act::Guard => {
                self.prepare(memory).await;
                around(&GUARD, || self.guard(memory))
            }
            Act::Freeze => {
                self.freeze(hold, memory);
                Ok(())
            }
            Act::Dump => {
                self.dump(record, memory).await;
                Ok(())
            }
            Act::Thaw => self.thaw(hold, memory),
            Act::Seal => match found {
                Found::Cut(manifest) => {
                    let (generation, mut manifest) =
                        (self.generation.clone(), (**manifest).clone());
                    let frozen = memory.frozen_for.unwrap_or_default();
                    manifest.frozen_millis = i64::try_from(frozen.as_millis()).unwrap_or(i64::MAX);
                    blocking(move || around(&SEAL, || generation.seal(manifest))).await
                }
                _ => Ok(()),
            },
            Act::Fail(why) => around(&FAIL, || self.generation.fail(&why)),
            Act::Forget => {
                let generation = self.generation.clone();
                blocking(move || around(&FORGET, || generation.forget())).await
            }
        };
        done.map_err(|failure| failure.to_string())
    }

    /// Everything that takes time and can be done before anything stands still.
    async fn prepare(&self, memory: &mut Memory) {
        memory.is_mine = true;
        let (engine, generation) = (self.engine.clone(), self.generation.clone());
        let containers = self.containers.to_vec();
        let work = tokio::task::spawn_blocking(move || engine.prepare(&generation, &containers));
        match work.await {
            Ok(Ok(dumpers)) => memory.dumpers = dumpers,
            Ok(Err(failure)) => memory.failure = Some(failure.into()),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn guard(&self, memory: &mut Memory) -> Result<(), Failure> {
        let program = &self.engine.runtime;
        let mut command = self.engine.on_host();
        command.arg(program).args(["guard", "--record"]);
        command.arg(self.whose.uid.as_str());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let guard = command
            .spawn()
            .map_err(|error| Failure::at("run", program, error))?;
        memory.guard = Some(guard);
        Ok(())
    }

    /// All at once: what was born while the first one froze is in one of the others at most.
    fn freeze(&self, hold: Option<&Hold>, memory: &mut Memory) {
        memory.is_mine = true;
        let containers = hold.map(|hold| hold.containers.as_slice());
        let frozen = around(&FREEZE, || {
            for held in containers.unwrap_or_default() {
                pods::cgroups(&self.engine.host, held).freeze(FREEZING)?;
            }
            Ok::<(), Failure>(())
        });
        if let Err(failure) = frozen {
            memory.failure = Some(failure.into());
            return;
        }
        memory.frozen.get_or_insert_with(now);
    }

    async fn dump(&self, record: &Record, memory: &mut Memory) {
        memory.is_mine = true;
        let (_, taken_at) = *memory.frozen.get_or_insert_with(now);
        let hold = record.hold.as_ref();
        let manifest = Manifest {
            version: VERSION,
            operation: hold.map_or_else(String::new, |hold| hold.operation.clone()),
            namespace: self.whose.namespace.clone(),
            pod: self.whose.pod.clone(),
            uid: self.whose.uid.to_string(),
            node: self.node.to_owned(),
            boot: self.boot.to_owned(),
            taken_at: Time(taken_at),
            frozen_millis: 0,
            containers: Vec::new(),
            volumes: Vec::new(),
            files: Vec::new(),
        };
        let (engine, generation) = (self.engine.clone(), self.generation.clone());
        let (containers, dumpers) = (
            self.containers.to_vec(),
            std::mem::take(&mut memory.dumpers),
        );
        let cut = tokio::task::spawn_blocking(move || {
            around(&DUMP, || {
                engine.cut(&generation, &containers, manifest, dumpers)
            })
        });
        match cut.await {
            Ok(Ok(())) => {}
            Ok(Err(no_cut)) => memory.failure = Some(no_cut),
            // A panic of ours is not an answer.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// What is frozen runs, and hears what it was to be told while it could not.
    fn thaw(&self, hold: Option<&Hold>, memory: &mut Memory) -> Result<(), Failure> {
        let Some(hold) = hold else { return Ok(()) };
        around(&THAW, || {
            for held in &hold.containers {
                pods::cgroups(&self.engine.host, held).thaw()?;
            }
            Ok::<(), Failure>(())
        })?;
        memory.runs_again();
        Ok(())
    }

    /// Signals that were asked for while it was frozen.
    async fn deliver(&self, hold: &Hold) {
        for held in &hold.containers {
            for signal in &hold.wishes {
                let mut command = self.engine.on_host();
                command.arg(&self.engine.real).args(["--root", &held.root]);
                command.args(["kill", &held.id, signal]);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let ended = tokio::process::Command::from(command).status().await;
                if !ended.is_ok_and(|status| status.success()) {
                    tracing::warn!(
                        container = held.name,
                        signal,
                        "a signal that was asked for while the pod was frozen was not delivered"
                    );
                }
            }
        }
    }
}

fn is_end(change: &Change) -> bool {
    let Change::Hold { step, .. } = change else {
        return false;
    };
    *step == HoldStep::End
}

fn now() -> (Instant, Timestamp) {
    (Instant::now(), clock::now())
}

async fn blocking(
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
