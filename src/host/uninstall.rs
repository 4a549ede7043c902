//! `host uninstall`: the way back, step by step, and only while no pod needs us.

use super::acts;
use super::configure::{Site, effective};
use super::disk;
use super::handler::PROGRAM;
use super::node::{Node, Settings};
use super::prefix::{self, PROGRAMS};
use super::record::Record;
use super::root;
use super::service::knows_handler;
use super::start;
use crate::kit::error::Error;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What the runtime remembers of containers that passed it.
const CONTAINERS: &str = "/run/holdfast/containers";

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uninstalled {
    /// Where our files were; none if nothing was installed.
    pub prefix: Option<PathBuf>,
    /// Whether the container runtime was started again.
    pub restarted: bool,
}

/// Takes everything away that an installation brought.
///
/// # Errors
/// A pod still needs it, or what could not be done.
pub async fn uninstall(settings: &Settings) -> Result<Uninstalled, Error> {
    let entered = root::enter(&settings.root)?;
    let done = uninstall_here(settings).await;
    entered.leave()?;
    done
}

async fn uninstall_here(settings: &Settings) -> Result<Uninstalled, Error> {
    let Some((prefix, mut record)) = prefix::installed(settings.prefix.as_deref())? else {
        return Ok(Uninstalled {
            prefix: None,
            restarted: false,
        });
    };
    let settings = Settings {
        engine: settings.engine.or(Some(record.engine)),
        ..settings.clone()
    };
    let node = Node::find(&settings)?;
    node.service.until_it_answers().await?;
    refuse_while_needed(&node).await?;
    let site = Site {
        node: &node,
        prefix: &prefix,
        program: prefix.join(PROGRAMS).join(PROGRAM),
    };
    let restarted = take_out(&site, &mut record).await?;
    acts::remove_files(&prefix).await?;
    acts::forget(&prefix, &record.folders).await?;
    Ok(Uninstalled {
        prefix: Some(prefix),
        restarted,
    })
}

async fn refuse_while_needed(node: &Node) -> Result<(), Error> {
    start::remove_tried(&node.service.cri).await?;
    let mut needed = start::pods(&node.service.cri).await?;
    let remembered = disk::names(Path::new(CONTAINERS))?;
    needed.extend(remembered.into_iter().map(|id| format!("container {id}")));
    if needed.is_empty() {
        return Ok(());
    }
    let more = needed.len().saturating_sub(5);
    needed.truncate(5);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Err(Error::Invalid {
        what: "the installation".into(),
        why: format!(
            "pods still run under it ({}{more}): delete them or move them away, and run this again",
            needed.join(", ")
        ),
    })
}

/// The handler goes, and the runtime is started again if that makes a difference to it.
async fn take_out(site: &Site<'_>, record: &mut Record) -> Result<bool, Error> {
    if record.change.is_some() {
        site.node.service.refuse_without_a_way().await?;
    }
    let was_due = record.restart;
    let before = effective(site.node).await?;
    site.take_back(record).await?;
    let after = effective(site.node).await?;
    if !was_due && before.is_some() && before == after {
        record.restart = false;
    }
    if record.restart && knows_handler(&site.node.service.cri.status().await?) == Some(false) {
        record.restart = false;
    }
    let restarted = record.restart;
    if restarted {
        acts::restart(&site.node.service, false).await?;
        record.restart = false;
    }
    acts::put_record(site.prefix, record).await?;
    Ok(restarted)
}
