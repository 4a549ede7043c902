//! Everything that an installation changes on a host, each between two fault points. What is as it should be is not touched.

use super::disk;
use super::parts::{self, Part};
use super::plan::Content;
use super::prefix::PROGRAMS;
use super::record::{FILE, KEPT, Record};
use super::service::Service;
use crate::kit::digest::Digest;
use crate::kit::error::Error;
use crate::process::faults::around;
use crate::write_steps;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

write_steps! {
    /// Our programs, and those that we bring.
    PROGRAM,
    /// What the runtime is told.
    SETTINGS,
    /// The former configuration's copy.
    KEEP,
    /// What was done, or is about to be.
    RECORD,
    /// The container runtime's configuration.
    CONFIGURE,
    /// The container runtime is started again.
    RESTART,
    /// Our files go.
    REMOVE,
    /// The record goes, and with it the last trace.
    FORGET,
}

/// What the runtime is told, below the prefix.
pub(crate) const SETTINGS_FILE: &str = "runtime.json";

/// Puts a program below the prefix.
pub(crate) async fn put_part(prefix: &Path, part: &Part) -> Result<(), Error> {
    let path = prefix.join(&part.path);
    if disk::holds(&path, &part.bytes, part.mode)? {
        return Ok(());
    }
    around(&PROGRAM, async {
        disk::make_folder(path.parent().unwrap_or(prefix))?;
        disk::put(&path, &part.bytes, part.mode)
    })
    .await
}

/// Tells the runtime where everything is.
pub(crate) async fn put_settings(prefix: &Path, text: &[u8]) -> Result<(), Error> {
    let path = prefix.join(SETTINGS_FILE);
    if disk::holds(&path, text, 0o644)? {
        return Ok(());
    }
    around(&SETTINGS, async { disk::put(&path, text, 0o644) }).await
}

/// Writes down what is about to be done.
pub(crate) async fn put_record(prefix: &Path, record: &Record) -> Result<(), Error> {
    let path = prefix.join(FILE);
    let text = record.text();
    if disk::holds(&path, &text, 0o644)? {
        return Ok(());
    }
    around(&RECORD, async { disk::put(&path, &text, 0o644) }).await
}

/// Keeps a copy of what a configuration was. It may hold secrets, such as a registry's password.
pub(crate) async fn keep(prefix: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = prefix.join(KEPT).join(Digest::of(bytes).text());
    if disk::holds(&path, bytes, 0o600)? {
        return Ok(());
    }
    around(&KEEP, async {
        disk::make_folder(&prefix.join(KEPT))?;
        disk::put(&path, bytes, 0o600)
    })
    .await
}

/// A copy that was kept.
pub(crate) fn kept(prefix: &Path, digest: &Digest) -> Content {
    // One that cannot be read counts as lost: there is another way to undo.
    disk::read(&prefix.join(KEPT).join(digest.text()))
        .ok()
        .flatten()
}

/// Gives a configuration file this content; its mode stays.
pub(crate) async fn configure(path: &Path, content: &Content) -> Result<(), Error> {
    if disk::read(path)? == *content {
        return Ok(());
    }
    around(&CONFIGURE, async {
        let Some(bytes) = content else {
            return disk::remove(path);
        };
        let mode = fs::metadata(path).map_or(0o644, |file| file.permissions().mode() & 0o7777);
        disk::make_folder(path.parent().unwrap_or(Path::new("/")))?;
        disk::put(path, bytes, mode)
    })
    .await
}

/// Starts the container runtime again, and waits until it is ready.
pub(crate) async fn restart(service: &Service, with_handler: bool) -> Result<(), Error> {
    around(&RESTART, async {
        service.begin_again().await?;
        service.until_ready(with_handler).await.map(drop)
    })
    .await
}

/// Removes all that lies below the prefix but the record.
pub(crate) async fn remove_files(prefix: &Path) -> Result<(), Error> {
    around(&REMOVE, async {
        for folder in [KEPT, PROGRAMS].into_iter().chain(parts::FOLDERS) {
            disk::remove_all(&prefix.join(folder))?;
        }
        let settings = prefix.join(SETTINGS_FILE);
        disk::remove(&disk::aside(&settings))?;
        disk::remove(&settings)
    })
    .await
}

/// Removes the record, and the directories if they are empty.
pub(crate) async fn forget(prefix: &Path, folders: &[PathBuf]) -> Result<(), Error> {
    around(&FORGET, async {
        let record = prefix.join(FILE);
        disk::remove(&disk::aside(&record))?;
        disk::remove(&record)?;
        disk::remove_empty(&[prefix.to_owned()])?;
        disk::remove_empty(folders)
    })
    .await
}
