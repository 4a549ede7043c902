//! Where on a host our files lie: the first directory that takes a file and lets it run. Hosts differ: `/opt` may be read-only, `/var`
//! may forbid programs. So it is tried, not guessed.

use super::commands;
use super::disk;
use super::record::{FILE, Record};
use crate::kit::error::{Error, chain};
use std::path::{Path, PathBuf};

/// Where we look, in this order.
pub const PREFIXES: [&str; 5] = [
    "/opt/holdfast",
    "/var/lib/holdfast/host",
    "/home/kubernetes/holdfast",
    "/var/opt/holdfast",
    "/usr/local/lib/holdfast",
];
/// Where programs lie below it.
pub(crate) const PROGRAMS: &str = "bin";
/// The program that the try runs.
const TRIED: &str = "tried";

/// Where an installation is, and what it did.
///
/// # Errors
/// If its record cannot be read.
pub(crate) fn installed(given: Option<&Path>) -> Result<Option<(PathBuf, Record)>, Error> {
    let places = PREFIXES.into_iter().map(Path::new);
    for prefix in given.into_iter().chain(places) {
        let path = prefix.join(FILE);
        if let Some(bytes) = disk::read(&path)? {
            return Ok(Some((prefix.to_owned(), Record::read(&path, &bytes)?)));
        }
    }
    Ok(None)
}

/// Where an installation may be: a prefix that takes this program and lets it run.
///
/// # Errors
/// If none does; with the reason of each.
pub(crate) async fn choose(given: Option<&Path>, program: &[u8]) -> Result<PathBuf, Error> {
    let mut reasons = Vec::new();
    let places: Vec<PathBuf> = match given {
        Some(given) => vec![given.to_owned()],
        None => PREFIXES.into_iter().map(PathBuf::from).collect(),
    };
    for prefix in places {
        match takes(&prefix, program).await {
            Ok(()) => return Ok(prefix),
            Err(error) => reasons.push(format!("{}: {}", prefix.display(), chain(&error))),
        }
    }
    Err(Error::Invalid {
        what: "this host".into(),
        why: format!(
            "no directory takes a program and lets it run ({}); name one with --prefix, or mount one that is neither read-only nor noexec",
            reasons.join("; ")
        ),
    })
}

async fn takes(prefix: &Path, program: &[u8]) -> Result<(), Error> {
    let folder = prefix.join(PROGRAMS);
    let made = disk::missing_folders(&folder);
    let tried = folder.join(TRIED);
    let done = run_there(&folder, &tried, program).await;
    let left = disk::remove(&tried).and_then(|()| disk::remove_empty(&made));
    // On a read-only file system there is nothing to take away again.
    done.and(left)
}

async fn run_there(folder: &Path, tried: &Path, program: &[u8]) -> Result<(), Error> {
    disk::make_folder(folder)?;
    disk::put(tried, program, 0o755)?;
    match commands::run(tried, &["--version"], commands::ANSWER).await {
        // That it ran is enough.
        Ok(_) | Err(Error::TimedOut { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::record::Engine;
    use crate::host::testkit::Folder;

    #[tokio::test]
    async fn a_place_that_takes_a_program_is_found_and_left_as_it_was() {
        let folder = Folder::new("prefix-takes");
        let prefix = folder.path("deeper/holdfast");
        let found = choose(Some(&prefix), b"#!/bin/sh\nexit 1\n").await.unwrap();
        assert_eq!(found, prefix);
        assert!(disk::names(&folder.path("")).unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_place_that_does_not_is_named_with_its_reason() {
        let folder = Folder::new("prefix-refuses");
        let file = folder.write("file", "");
        for (prefix, program) in [
            (file.join("x"), &b"#!/bin/sh\n"[..]),
            (folder.path("y"), b"no program"),
        ] {
            let error = choose(Some(&prefix), program)
                .await
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&prefix.display().to_string()) && error.contains("--prefix"),
                "{error}"
            );
        }
        assert_eq!(disk::names(&folder.path("")).unwrap(), ["file"]);
    }

    #[test]
    fn an_installation_is_found_by_its_record() {
        let folder = Folder::new("prefix-record");
        assert_eq!(
            installed(Some(&folder.path("none")))
                .unwrap()
                .map(|(path, _)| path),
            None
        );
        let record = Record::new(Engine::Crio);
        folder.write(FILE, std::str::from_utf8(&record.text()).unwrap());
        let found = installed(Some(&folder.path(""))).unwrap().unwrap();
        assert_eq!(found, (folder.path(""), record));
        folder.write(FILE, "{");
        assert!(installed(Some(&folder.path(""))).is_err());
    }
}
