//! The handler gets into the node's configuration, and out of it again: what is to be written is decided by `containerd`, `crio` and
//! `plan`; here it is written down, done, looked at, and undone if it was not what was wanted.

use super::acts;
use super::containerd::{Containerd, Proposal};
use super::crio;
use super::disk;
use super::handler;
use super::node::{Means, Node};
use super::plan::{Content, without_us};
use super::record::{Change, Record};
use crate::kit::digest::Digest;
use crate::kit::error::{Error, chain};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What the node's own handler taught us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// The runtime that it names, if it names one.
    pub(crate) named: Option<PathBuf>,
    /// Whether the runtime makes cgroups through systemd.
    pub(crate) is_systemd: bool,
}

/// One host, and the installation on it.
pub(crate) struct Site<'a> {
    pub(crate) node: &'a Node,
    pub(crate) prefix: &'a Path,
    pub(crate) program: PathBuf,
}

/// What the node's configuration says of its own runtime.
pub(crate) async fn learn(node: &Node, program: &Path) -> Result<Learnt, Error> {
    let (named, is_systemd) = match &node.means {
        Means::Containerd(containerd) => {
            let wanted = handler::wanted(&containerd.effective().await?, program)?;
            (wanted.named, wanted.is_systemd)
        }
        Means::Crio { program, .. } => {
            let effective = Node::crio_config(program.as_ref()).await;
            let defaults = crio::defaults(&effective, &crio::conmon());
            (defaults.named, defaults.is_systemd)
        }
    };
    Ok(Learnt {
        named: named.map(PathBuf::from),
        is_systemd,
    })
}

impl Site<'_> {
    /// Sees to it that the configuration has the handler; the runtime is not started again here.
    pub(crate) async fn add(&self, record: &mut Record) -> Result<(), Error> {
        match &self.node.means {
            Means::Containerd(containerd) => self.add_to_containerd(containerd, record).await,
            Means::Crio { program, drop_in } => {
                let effective = Node::crio_config(program.as_ref()).await;
                let defaults = crio::defaults(&effective, &crio::conmon());
                let proposal = Proposal {
                    path: drop_in.clone(),
                    bytes: crio::drop_in(&self.program, &defaults).into_bytes(),
                    handlers: Vec::new(),
                };
                let former = self.without_us(record.change.as_ref(), &proposal.path)?;
                self.write(record, proposal, former).await
            }
        }
    }

    async fn add_to_containerd(
        &self,
        containerd: &Containerd,
        record: &mut Record,
    ) -> Result<(), Error> {
        let was_due = record.restart;
        let before = containerd.effective().await?;
        let wanted = handler::wanted(&before, &self.program)?;
        let present = handler::present(&before);
        if record.change.is_none()
            && let Some(found) = present
        {
            if !handler::is_ours(found) {
                return Err(foreign());
            }
            record.change = self.adopt(containerd).await?;
            acts::put_record(self.prefix, record).await?;
        }
        if record.change.is_some() && handler::has(&before, &wanted.table) {
            return Ok(());
        }
        self.node.service.refuse_without_a_way().await?;
        let now = self.without_us(record.change.as_ref(), &containerd.config)?;
        let only = record.change.as_ref().map(|change| change.path.clone());
        let proposal = containerd
            .propose(&now, &before, &wanted, only.as_deref())
            .await?;
        let former = self.without_us(record.change.as_ref(), &proposal.path)?;
        self.write(record, proposal, former).await?;
        let after = containerd.effective().await;
        let why = match &after {
            Ok(after)
                if handler::has(after, &wanted.table)
                    && handler::is_same_but_for_ours(&before, after) =>
            {
                record.restart = was_due || before != *after;
                return acts::put_record(self.prefix, record).await;
            }
            Ok(_) => "containerd does not read it as it was tried".to_owned(),
            Err(error) => chain(error),
        };
        self.take_back(record).await?;
        record.restart = was_due;
        acts::put_record(self.prefix, record).await?;
        Err(Error::Invalid {
            what: "the new configuration".into(),
            why: format!("{why}; the former one is in place again"),
        })
    }

    /// What a file would hold without us.
    fn without_us(&self, change: Option<&Change>, path: &Path) -> Result<Content, Error> {
        let now = disk::read(path)?;
        match change {
            Some(change) if change.path == path => {
                without_us(change, &now, |digest| acts::kept(self.prefix, digest))
            }
            _ => Ok(now),
        }
    }

    /// Keeps what was there, writes down what comes, and writes it.
    async fn write(
        &self,
        record: &mut Record,
        proposal: Proposal,
        former: Content,
    ) -> Result<(), Error> {
        let Proposal {
            path,
            bytes,
            handlers,
        } = proposal;
        let is_there = disk::read(&path)?.as_ref() == Some(&bytes);
        if is_there
            && record
                .change
                .as_ref()
                .is_some_and(|change| change.path == path)
        {
            return Ok(());
        }
        if let Some(former) = &former {
            acts::keep(self.prefix, former).await?;
        }
        let before = record.change.as_ref().filter(|change| change.path == path);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folders = before.map_or_else(
            || disk::missing_folders(folder),
            |change| change.folders.clone(),
        );
        record.change = Some(Change {
            former: former.as_deref().map(Digest::of),
            written: Digest::of(&bytes),
            handlers,
            folders,
            path: path.clone(),
        });
        record.restart = true;
        acts::put_record(self.prefix, record).await?;
        acts::configure(&path, &Some(bytes)).await
    }

    /// Undoes the change; whether the file is another one then.
    pub(crate) async fn take_back(&self, record: &mut Record) -> Result<(), Error> {
        let Some(change) = record.change.clone() else {
            return Ok(());
        };
        let content = self.without_us(Some(&change), &change.path)?;
        if disk::read(&change.path)? != content {
            record.restart = true;
            acts::put_record(self.prefix, record).await?;
            acts::configure(&change.path, &content).await?;
        }
        disk::remove(&disk::aside(&change.path))?;
        disk::remove_empty(&change.folders)?;
        record.change = None;
        acts::put_record(self.prefix, record).await
    }

    /// A handler of ours that no record knows: its prefix was wiped, or somebody wrote it by hand.
    async fn adopt(&self, containerd: &Containerd) -> Result<Option<Change>, Error> {
        let main = disk::read(&containerd.config)?;
        for (path, is_drop_in) in containerd.adoptable(&main)? {
            let Some(bytes) = disk::read(&path)? else {
                continue;
            };
            let change = |former| Change {
                path: path.clone(),
                former,
                written: Digest::of(&bytes),
                handlers: vec![handler::NAME.to_owned()],
                folders: Vec::new(),
            };
            if is_drop_in {
                return Ok(Some(change(None)));
            }
            // Any other digest makes the undoing cut our part out.
            let cut = without_us(&change(Some(Digest::of(b""))), &Some(bytes.clone()), |_| {
                None
            })?;
            let Some(cut) = cut.filter(|cut| *cut != bytes) else {
                continue;
            };
            acts::keep(self.prefix, &cut).await?;
            return Ok(Some(change(Some(Digest::of(&cut)))));
        }
        Err(Error::Invalid {
            what: format!("the handler {}", handler::NAME),
            why: "containerd has it from a file that is neither its main one nor one of ours: take it out there, and install again".into(),
        })
    }
}

fn foreign() -> Error {
    Error::Invalid {
        what: format!("the handler {}", handler::NAME),
        why: format!(
            "containerd has one of that name that runs another program than {}: take it out of the configuration, or give it another name, and install again",
            handler::PROGRAM
        ),
    }
}

/// What is in effect, where it can be asked; for the comparison before and after an undoing.
pub(crate) async fn effective(node: &Node) -> Result<Option<Value>, Error> {
    match &node.means {
        Means::Containerd(containerd) => containerd.effective().await.map(Some),
        Means::Crio { .. } => Ok(None),
    }
}

#[cfg(test)]
mod tests;
