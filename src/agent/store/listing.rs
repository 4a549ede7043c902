//! All generations of which anything lies on the disk, whoever they are of.

use super::{Found, Generation};
use crate::agent::store::sealing::count;
use crate::oci::failure::Failure;
use crate::oci::place::is_file_name;
use std::collections::BTreeSet;
use std::fs::FileType;
use std::io::ErrorKind;
use std::path::Path;

/// What a generation leaves beside its own folder.
const ENDS: [&str; 5] = [".part", ".incoming", ".why", ".released", ".releasing"];

/// Of which pods, and which.
///
/// # Errors
/// The disk says no.
pub(crate) fn all(root: &Path) -> Result<Vec<Generation>, Failure> {
    let mut found = Vec::new();
    for namespace in names(root, FileType::is_dir)? {
        for uid in names(&root.join(&namespace), FileType::is_dir)? {
            let here = names(&root.join(&namespace).join(&uid), |_| true)?;
            let here: BTreeSet<&str> = here.iter().map(|name| generation(name)).collect();
            for name in here.into_iter().filter(|name| is_file_name(name)) {
                found.push(Generation::of(root, (&namespace, &uid), name)?);
            }
        }
    }
    Ok(found)
}

fn generation(name: &str) -> &str {
    let bare = ENDS.iter().find_map(|end| name.strip_suffix(end));
    bare.unwrap_or(name)
}

/// What is in a folder; nothing where it is not there. Nobody but us writes there.
fn names(folder: &Path, wanted: impl Fn(&FileType) -> bool) -> Result<Vec<String>, Failure> {
    let failed = |error| Failure::at("list", folder, error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_wanted = wanted(&entry.file_type().map_err(failed)?);
        let name = entry.file_name().into_string().ok();
        found.extend(name.filter(|name| is_wanted && is_file_name(name)));
    }
    Ok(found)
}

impl Generation {
    /// What it takes on disk, as far as that can be known.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn bytes(&self, found: &Found) -> Result<i64, Failure> {
        if let Found::Sealed(manifest, _) = found {
            return Ok(manifest.bytes());
        }
        let mut bytes = 0_u64;
        for folder in [self.part(), self.incoming(), self.whole()] {
            if folder.is_dir() {
                bytes = bytes.saturating_add(count(&folder)?.1);
            }
        }
        Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}
