//! To whom a generation that came from another node was released: `<generation>.released`, on disk before anybody is told so.

use super::{Found, Generation, sealing};
use crate::agent::peer::Released;
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::oci::files::{self, make_folder};
use crate::write_steps;
use std::path::{Path, PathBuf};

write_steps! {
    /// A state that came from another node may run here.
    RELEASED,
}

impl Generation {
    /// Where it is written down to whom it was released.
    pub(super) fn released_path(&self) -> PathBuf {
        self.folder.join(format!("{}.released", self.name))
    }

    /// The same, before it counts.
    pub(super) fn releasing_path(&self) -> PathBuf {
        self.released_path().with_extension("releasing")
    }

    /// To whom it was released.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn released(&self) -> Result<Released, Failure> {
        let path = self.released_path();
        let Some(text) = files::read(&path)? else {
            return Ok(Released::default());
        };
        serde_json::from_slice(&text).map_err(|error| Failure::at("use", &path, error))
    }

    /// It may run in this pod; none: in whichever the leader allows. On disk when this comes back.
    ///
    /// # Errors
    /// What is here is not what is meant, or the disk says no.
    pub(crate) fn release(&self, uid: Option<&str>, manifest_digest: &str) -> Result<(), Failure> {
        match self.look()? {
            Found::Sealed(_, digest) if digest == manifest_digest => {}
            Found::Sealed(..) => {
                return Err(Failure::new(
                    "what is here is not what is released: its manifest has another digest",
                ));
            }
            _ => return Err(Failure::new("it is not here, whole and read again")),
        }
        let mut released = self.released()?;
        if released.is_to(uid) {
            return Ok(());
        }
        match uid {
            Some(uid) => released.pods.push(uid.to_owned()),
            None => released.anybody = true,
        }
        let path = self.released_path();
        let text =
            serde_json::to_vec(&released).map_err(|error| Failure::at("describe", &path, error))?;
        make_folder(&self.folder)?;
        let aside = self.releasing_path();
        files::put(&aside, &text)?;
        sealing::sync(&aside)?;
        around(&RELEASED, || {
            std::fs::rename(&aside, &path).map_err(|error| Failure::at("rename", &aside, error))
        })?;
        sealing::sync(&self.folder)
    }

    /// The generation of this name that is here for a pod of this namespace: `uids` are looked at first, then all. A state never
    /// leaves its namespace.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn find(
        root: &Path,
        (namespace, uids): (&str, &[&str]),
        name: &str,
    ) -> Result<Option<(Self, Found)>, Failure> {
        let others = folders(&root.join(namespace))?;
        let all = uids.iter().map(|uid| (*uid).to_owned()).chain(others);
        for uid in all.filter(|uid| !uid.is_empty()) {
            let generation = Self::of(root, (namespace, &uid), name)?;
            let found = generation.look()?;
            if matches!(found, Found::Sealed(..) | Found::Cut(_)) {
                return Ok(Some((generation, found)));
            }
        }
        Ok(None)
    }

    /// The newest generation of the same pod that is whole, but this one.
    ///
    /// # Errors
    /// The disk says no.
    pub(crate) fn older(&self) -> Result<Option<String>, Failure> {
        let mut newest = None;
        for name in folders(&self.folder)?
            .into_iter()
            .filter(|name| *name != self.name)
        {
            let other = Self {
                name: name.clone(),
                ..self.clone()
            };
            if let Found::Sealed(manifest, _) = other.look()? {
                newest = newest.max(Some((manifest.taken_at, name)));
            }
        }
        Ok(newest.map(|(_, name)| name))
    }
}

/// The folders in a folder; none where it is not there. Nobody but us writes there.
fn folders(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::at("list", folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Failure::at("list", folder, error))?;
        let name = entry.file_name().into_string().ok();
        let path = entry.path();
        let is_unfinished = path
            .extension()
            .is_some_and(|end| end == "part" || end == "incoming");
        if path.is_dir() && !is_unfinished {
            found.extend(name);
        }
    }
    found.sort();
    Ok(found)
}
