//! Nodes in one process, for tests: each with its records, its states and its socket, with orders that a test gives, and a way to the
//! others that needs no network. Everything else is what an agent does.

use crate::agent::answers::Answers;
use crate::agent::api::{
    SourceOrder, SourceReport, StateTask, StateTaskSpec, TargetPod, TargetReport,
};
use crate::agent::hands::Memory;
use crate::agent::host::Host;
use crate::agent::orders::Orders;
use crate::agent::peer::{Asked, Peer, PeerStanding, Peers, Sent};
use crate::agent::records::Records;
use crate::agent::socket;
use crate::agent::store::{Generation, Noted};
use crate::agent::targets::Targets;
use crate::agent::tasks::moving::Tools;
use crate::agent::waiting::Waiting;
use crate::hold::record::Record;
use crate::hold::uid::Uid;
use crate::kit::error::chain;
use crate::oci::failure::Failure;
use crate::oci::files::make_folder;
use crate::process::telemetry::AgentMetrics;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A node.
pub struct Node {
    name: String,
    host: Host,
    records: Records,
    targets: Targets,
    answers: Arc<Answers>,
    orders: Mutex<Writer<StateTask>>,
    memory: tokio::sync::Mutex<Memory>,
    prefixes: &'static [&'static str],
    /// So many questions of others it answers still.
    left: Arc<Mutex<usize>>,
    stop: CancellationToken,
}

/// How an operation stands on a node.
#[derive(Debug, Default)]
pub struct Stands {
    /// Of the pod that is held there.
    pub source: Option<SourceReport>,
    /// Of pods that are to run there.
    pub target: Option<TargetReport>,
    /// Why a pod does not go elsewhere.
    pub why: Option<String>,
}

impl Node {
    /// One of this name, with these folders, and what is installed below one of these prefixes.
    ///
    /// # Errors
    /// The disk says no.
    pub fn open(
        name: &str,
        (run, state): (&Path, &Path),
        prefixes: &'static [&'static str],
    ) -> Result<Self, String> {
        let host = Host::at("/".into()).with_folders(run.to_owned(), state.to_owned());
        let records = Records::open(&host.records()).map_err(|error| chain(&error))?;
        let (reader, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let targets = Targets::new(
            (host.clone(), name.to_owned()),
            records.clone(),
            Orders::of(reader),
            Waiting::default(),
        );
        let answers = Answers::new(
            records.clone(),
            host.clone(),
            AgentMetrics::default(),
            (targets.clone(), prefixes),
        );
        Ok(Self {
            name: name.to_owned(),
            host,
            records,
            targets,
            answers: Arc::new(answers),
            orders: Mutex::new(writer),
            memory: tokio::sync::Mutex::default(),
            prefixes,
            left: Arc::new(Mutex::new(usize::MAX)),
            stop: CancellationToken::new(),
        })
    }

    /// Answers the runtime until the node is dropped.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn serve(&self) -> Result<(), String> {
        let listener = socket::listen(&self.host.run()).map_err(|error| chain(&error))?;
        let (answers, stop) = (Arc::clone(&self.answers), self.stop.clone());
        tokio::spawn(socket::serve(listener, answers, stop));
        Ok(())
    }

    /// The leader's order for this node, as it is from now on.
    pub fn order(&self, namespace: &str, spec: StateTaskSpec) {
        let mut task = StateTask::new(&spec.operation.clone(), spec);
        task.metadata.namespace = Some(namespace.to_owned());
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.apply_watcher_event(&Event::Apply(task));
    }

    /// So many questions of other nodes' agents it answers still; then the way to it is cut.
    pub fn answers(&self, questions: usize) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = questions;
    }

    /// Works at an operation until there is nothing to do at once.
    ///
    /// # Errors
    /// A sentence; an agent would try again.
    pub async fn work(&self, operation: &str, target: &Self) -> Result<Stands, String> {
        let way = Way {
            from: self.name.clone(),
            host: target.host.clone(),
            targets: target.targets.clone(),
            left: Arc::clone(&target.left),
        };
        let tools = Tools {
            node: &self.name,
            host: &self.host,
            records: &self.records,
            prefixes: self.prefixes,
            targets: &self.targets,
            peers: &way,
            metrics: &AgentMetrics::default(),
        };
        let stands = tools
            .work(operation, &mut *self.memory.lock().await)
            .await?;
        if let Some(why) = stands.stuck {
            return Err(why);
        }
        Ok(Stands {
            source: stands.source,
            target: stands.target,
            why: stands.why,
        })
    }

    /// The record of a pod.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn record(&self, uid: &str) -> Result<Option<Record>, String> {
        let uid = Uid::try_from(uid)?;
        let read = self.records.read(&uid).await;
        read.map_err(|error| chain(&error))
    }

    /// Where a generation of a pod lies here once it is whole.
    ///
    /// # Errors
    /// No folder can be named so.
    pub fn generation(&self, place: (&str, &str), name: &str) -> Result<PathBuf, String> {
        let generation = Generation::of(&self.host.checkpoints(), place, name);
        generation
            .map(|generation| generation.whole())
            .map_err(|failure| failure.to_string())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The way from one node to another.
#[derive(Clone)]
struct Way {
    from: String,
    /// Of the target.
    host: Host,
    targets: Targets,
    left: Arc<Mutex<usize>>,
}

impl Way {
    fn ask(&self) -> Result<(), Failure> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(less) = left.checked_sub(1) else {
            return Err(Failure::new("the way there is cut"));
        };
        *left = less;
        Ok(())
    }
}

impl Peers for Way {
    fn to(&self, _order: &SourceOrder) -> Arc<dyn Peer> {
        Arc::new(self.clone())
    }
}

impl Peer for Way {
    fn ready<'a>(&'a self, operation: &'a str, uid: &'a str, attempt: u32) -> Asked<'a, bool> {
        Box::pin(async move {
            self.ask()?;
            Ok(self.targets.is_ready(operation, uid, attempt).await)
        })
    }

    fn standing<'a>(&'a self, operation: &'a str) -> Asked<'a, PeerStanding> {
        Box::pin(async move {
            self.ask()?;
            self.targets.standing(operation).await
        })
    }

    fn send<'a>(
        &'a self,
        operation: &'a str,
        generation: &'a Generation,
        (folder, _, text): &'a Noted,
    ) -> Asked<'a, Sent> {
        let sent = || {
            self.ask()?;
            self.targets.admits(operation, &self.from)?;
            let expected = self.targets.expects(operation, generation.name())?;
            let place = (expected.namespace.as_str(), expected.uid.as_str());
            let root = self.host.checkpoints();
            let there = Generation::of(&root, place, generation.name())?;
            if let Ok((_, _, is_there)) = there.sealed() {
                assert_eq!(is_there, *text, "noted twice, it says the same");
                return Ok(Sent::Whole);
            }
            let (part, whole) = (there.part(), there.whole());
            copy(folder, &part)?;
            let kept = std::fs::rename(&part, &whole);
            kept.map_err(|error| Failure::at("rename", &part, error))?;
            Ok(Sent::Whole)
        };
        Box::pin(std::future::ready(sent()))
    }

    fn release<'a>(
        &'a self,
        operation: &'a str,
        uid: Option<&'a str>,
        manifest_digest: &'a str,
    ) -> Asked<'a, ()> {
        Box::pin(async move {
            self.ask()?;
            self.targets.release(operation, uid, manifest_digest).await
        })
    }

    fn revoke<'a>(&'a self, operation: &'a str, uid: &'a str) -> Asked<'a, Option<TargetPod>> {
        Box::pin(async move {
            self.ask()?;
            self.targets.revoke(operation, uid).await
        })
    }
}

/// A folder and all below it.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::at("copy", from, error);
    make_folder(to)?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let beside = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy(&entry.path(), &beside)?;
        } else {
            std::fs::copy(entry.path(), &beside).map_err(failed)?;
        }
    }
    Ok(())
}
