//! What is done before a container is restored: its volumes get what was in them, its own files what it had changed; CRIU a place to
//! work and to log.
//!
//! Volumes are filled before the first container that sees them begins, once in each attempt: what an attempt before it did to them is
//! cleared away. A boot ends every attempt, so what was filled is remembered below `/run`.

use crate::agent::host::Host;
use crate::agent::store::manifest::{Manifest, VolumeNote};
use crate::agent::store::{Found, Generation};
use crate::engine::volumes::{self, Config, Volume};
use crate::engine::{dump, restore};
use crate::kit::faults::around;
use crate::oci::failure::Failure;
use crate::oci::files::make_folder;
use crate::oci::place::Place;
use crate::oci::{bundle, files};
use crate::runtime::api::Restore;
use crate::tree::{Bounds, Kind, unpack};
use crate::write_steps;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

write_steps! {
    /// A volume gets what was in it.
    FILL,
    /// A container's own files get what it had changed.
    LAYER,
}

/// So many files a pod may have.
const MOST_FILES: u64 = 50_000_000;

/// Which volumes of a pod were filled, in which attempt.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Filled {
    attempt: u32,
    volumes: Vec<String>,
}

/// A container that is to be restored.
pub(crate) struct Preparing<'a> {
    pub(crate) host: &'a Host,
    pub(crate) place: &'a Place,
    pub(crate) generation: &'a Generation,
    pub(crate) attempt: u32,
}

impl Preparing<'_> {
    /// Prepares it, and says how it is restored. For a thread of its own; for one container of a pod at a time.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn prepare(&self) -> Result<Restore, Failure> {
        let Found::Sealed(manifest, _) = self.generation.look()? else {
            return Err(Failure::new("its state is not on this node any more"));
        };
        let name = self.place.container.as_deref().unwrap_or_default();
        if !manifest.containers.iter().any(|one| one.name == name) {
            return Err(Failure::new(format!(
                "container {name} is not part of what was dumped of pod {}",
                manifest.pod
            )));
        }
        self.fill(&manifest)?;
        let folder = dump::folder(&self.generation.whole(), name);
        let rootfs = self.host.open(&self.place.bundle.join("rootfs"))?;
        around(&LAYER, || {
            pour(&folder.join("layer.tar"), &rootfs.path(), Kind::Layer)
        })?;
        let work = restore::work(&self.host.run(), &self.place.id);
        make_folder(&work)?;
        let config = work.join("criu.conf");
        files::put(&config, restore::CONFIG.as_bytes())?;
        Ok(Restore {
            image: self.host.without(&folder.join("images")),
            work: self.host.without(&work),
            attempt: self.attempt,
            config: Some(self.host.without(&config)),
            args: restore::arguments(),
        })
    }

    fn fill(&self, manifest: &Manifest) -> Result<(), Failure> {
        let bundle = self.host.path(&self.place.bundle);
        let config: Config = serde_json::from_slice(&bundle::read(&bundle)?)
            .map_err(|error| Failure::at("use", &bundle, error))?;
        let uid = &self.place.uid;
        let path = self.host.run().join("filled").join(uid);
        let mut filled = self.filled(&path)?;
        for Volume { name, source } in volumes::of_pod(std::iter::once(&config), uid) {
            let note = manifest.volumes.iter().find(|note| note.name == name);
            let Some(note) = note.filter(|_| !filled.volumes.contains(&name)) else {
                continue;
            };
            // What a manifest names must be one of the files that were read again with it.
            if !manifest.files.iter().any(|file| file.path == note.file) {
                let why = format!("the archive of its volume {name} is not among its files");
                return Err(Failure::new(why));
            }
            around(&FILL, || self.refill(note, &source))?;
            filled.volumes.push(name);
            let text = serde_json::to_vec(&filled)
                .map_err(|error| Failure::at("describe", &path, error))?;
            files::put(&path, &text)?;
        }
        Ok(())
    }

    fn filled(&self, path: &Path) -> Result<Filled, Failure> {
        let text = files::read(path)?.unwrap_or_default();
        let filled: Filled = serde_json::from_slice(&text).unwrap_or_default();
        if filled.attempt == self.attempt {
            return Ok(filled);
        }
        Ok(Filled {
            attempt: self.attempt,
            volumes: Vec::new(),
        })
    }

    fn refill(&self, note: &VolumeNote, source: &Path) -> Result<(), Failure> {
        let directory = self.host.open(source)?;
        clear(&directory.path())?;
        let archive = self.generation.whole().join(&note.file);
        pour(&archive, &directory.path(), Kind::Volume)
    }
}

/// Empties a directory that stays: something may be mounted there.
fn clear(directory: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error| Failure::at("clear", path, error);
    let entries = std::fs::read_dir(directory).map_err(|error| failed(directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed(directory, error))?;
        let path: PathBuf = entry.path();
        let kind = entry.file_type().map_err(|error| failed(&path, error))?;
        let gone = if kind.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        gone.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// An archive becomes files.
fn pour(archive: &Path, directory: &Path, kind: Kind) -> Result<(), Failure> {
    let file = File::open(archive).map_err(|error| Failure::at("open", archive, error))?;
    let about = file.metadata();
    let bytes = about
        .map_err(|error| Failure::at("look at", archive, error))?
        .len();
    let bounds = Bounds {
        entries: MOST_FILES,
        // What is in an archive is no longer than it.
        bytes,
    };
    let file = BufReader::with_capacity(1 << 20, file);
    let unpacked = unpack(directory, file, kind, bounds);
    unpacked
        .map(drop)
        .map_err(|error| Failure::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    fn place(folder: &Folder) -> Place {
        Place {
            id: "c1".into(),
            root: "/run/runc".into(),
            bundle: folder.path().join("bundle"),
            namespace: "ns".into(),
            pod: "web".into(),
            uid: "u1".into(),
            container: Some("app".into()),
            sandbox: false,
            expects: None,
        }
    }

    #[test]
    fn a_volume_is_filled_once_in_each_attempt() {
        let folder = Folder::new();
        let host = Host::at(folder.path().to_owned()).seen_from(Path::new("/"));
        let root = folder.path().join("states");
        let generation = Generation::of(&root, ("ns", "s1"), "g").unwrap();
        let volume = "pods/u1/volumes/kubernetes.io~empty-dir/cache";
        folder.write("was/kept", "1");
        folder.write(&format!("{volume}/sub/from-before"), "x");
        let source = folder.path().join(volume);
        let mounts =
            serde_json::json!({ "mounts": [{ "destination": "/cache", "source": source }] });
        let bundle = folder.path().join("bundle");
        // The host's paths lie below its root.
        let seen = host.path(&bundle);
        std::fs::create_dir_all(&seen).unwrap();
        std::fs::write(seen.join("config.json"), mounts.to_string()).unwrap();
        let archive = folder.write("states/ns/s1/g/volumes/0.tar", "");
        let packed = File::create(&archive).unwrap();
        crate::tree::pack(&folder.path().join("was"), packed, Kind::Volume).unwrap();
        let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
            "version": 1, "operation": "op", "namespace": "ns", "pod": "web", "uid": "s1", "node": "s", "boot": "b",
            "takenAt": "2026-01-01T00:00:00Z", "frozenMillis": 0, "containers": [],
            "volumes": [{ "name": "cache", "file": "volumes/0.tar", "bytes": 1 }],
        }))
        .unwrap();
        let place = place(&folder);
        let fill = |attempt, manifest: &Manifest| {
            let preparing = Preparing {
                host: &host,
                place: &place,
                generation: &generation,
                attempt,
            };
            preparing.fill(manifest)
        };
        let refused = fill(1, &manifest).unwrap_err();
        assert!(refused.to_string().contains("not among its files"));
        manifest.files = serde_json::from_value(
            serde_json::json!([{ "path": "volumes/0.tar", "bytes": 1, "sha256": "" }]),
        )
        .unwrap();
        let names = || {
            let entries = std::fs::read_dir(&source).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name())
                .collect::<Vec<_>>()
        };
        fill(1, &manifest).unwrap();
        assert_eq!(names(), ["kept"]);
        // What runs then is not cleared away by the pod's next container.
        std::fs::write(source.join("kept"), "2").unwrap();
        fill(1, &manifest).unwrap();
        assert_eq!(std::fs::read_to_string(source.join("kept")).unwrap(), "2");
        fill(2, &manifest).unwrap();
        assert_eq!(std::fs::read_to_string(source.join("kept")).unwrap(), "1");
    }
}
