//! What a user names with `-f`: files, directories, standard input.

use crate::kit::documents::{Unreadable, values};
use crate::kit::error::{Error, chain};
use crate::sizing::snapshot::Snapshot;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file of this size is none that was written for a cluster.
const LARGEST: u64 = 1 << 30;

/// A file as it was named, and what is in it.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Reads files; of directories, all YAML and JSON in them and below, by name; `-` is standard input.
///
/// # Errors
/// A file cannot be read, or a directory has none.
pub(crate) fn read(names: &[PathBuf]) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            files.push(load("standard input", std::io::stdin().lock())?);
            continue;
        }
        let mut paths = Vec::new();
        find(name, &mut paths)?;
        if paths.is_empty() {
            return Err(Error::Invalid {
                what: format!("directory {}", name.display()),
                why: "there is no .yaml, .yml or .json file in it".into(),
            });
        }
        for path in paths {
            let told = path.display().to_string();
            let file = std::fs::File::open(&path);
            files.push(load(
                &told,
                file.map_err(|source| Error::io("open", &told, source))?,
            )?);
        }
    }
    Ok(files)
}

/// A snapshot from files that list the objects of a cluster.
///
/// # Errors
/// A file or an object in it cannot be read.
pub(crate) fn cluster(names: &[PathBuf]) -> Result<Snapshot, Error> {
    let mut seen = Snapshot::default();
    for file in read(names)? {
        let all = values(&file.text).map_err(|unreadable| file.unreadable(&unreadable))?;
        for value in all {
            seen.add(value).map_err(|why| Error::Invalid {
                what: file.name.clone(),
                why,
            })?;
        }
    }
    if seen.nodes().next().is_none() {
        return Err(Error::Invalid {
            what: "the cluster in these files".into(),
            why: format!(
                "it has no nodes, and {} objects of other kinds; write one down with: kubectl get nodes,daemonsets,fdt,limitranges,namespaces -A -o json",
                seen.ignored()
            ),
        });
    }
    Ok(seen)
}

/// What a person can do about a cluster that does not answer.
pub(crate) fn told(error: Error) -> Error {
    match error.class() {
        "unreachable" | "timed_out" => Error::Invalid {
            what: "the cluster of this kubeconfig".into(),
            why: format!(
                "{}; see whether kubectl get nodes answers, or name objects that were written down with --cluster FILE",
                chain(&error)
            ),
        },
        "forbidden" => Error::Invalid {
            what: "the cluster of this kubeconfig".into(),
            why: format!(
                "you lack a right: {}; ask for it, or name objects that somebody else wrote down with --cluster FILE",
                chain(&error)
            ),
        },
        _ => error,
    }
}

impl File {
    /// That a document of it cannot be read.
    pub(crate) fn unreadable(&self, unreadable: &Unreadable) -> Error {
        let line = unreadable.line.map(|line| format!(":{line}"));
        Error::Invalid {
            what: format!("{}{}", self.name, line.unwrap_or_default()),
            why: unreadable.why.clone(),
        }
    }
}

fn find(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::io("read", path.display().to_string(), source);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let mut paths: Vec<_> = entries
        .map_err(failed)?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        let is_ours = |ending| ["yaml", "yml", "json"].contains(&ending);
        let ending = path.extension().and_then(|ending| ending.to_str());
        // A link to a directory could lead back here.
        let is_folder = path.is_dir() && !path.is_symlink();
        if is_folder || (path.is_file() && ending.is_some_and(is_ours)) {
            find(&path, found)?;
        }
    }
    Ok(())
}

fn load(name: &str, from: impl Read) -> Result<File, Error> {
    let mut text = String::new();
    from.take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|source| Error::io("read", name, source))?;
    Ok(File {
        name: name.to_owned(),
        text,
    })
}
