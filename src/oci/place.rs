//! Which pod a container belongs to, by the annotations that containerd and CRI-O give it; and the files that remember it while
//! the container exists.

use super::bundle::Annotations;
use super::failure::Failure;
use super::files;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A pod's annotation that says: something is to be restored here, ask.
pub const EXPECTS: &str = "holdfast.dev/restore";

/// Who a container is, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The runtime's name for it.
    pub id: String,
    /// The runtime's `--root`.
    pub root: PathBuf,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The container's name in the pod; none for the sandbox.
    pub container: Option<String>,
    /// Whether it is the sandbox.
    pub sandbox: bool,
    /// The operation that the pod's annotation names.
    #[serde(default)]
    pub expects: Option<String>,
}

impl Place {
    /// Whose container a bundle is; nothing if its annotations do not say, or say what no file can be named after.
    #[must_use]
    pub fn of(annotations: &Annotations, id: &OsStr, root: &Path, bundle: &Path) -> Option<Self> {
        let id = id.to_str().filter(|id| is_file_name(id))?.to_owned();
        let pod = containerd(annotations).or_else(|| crio(annotations))?;
        if !is_uid(&pod.uid) || pod.namespace.is_empty() || pod.name.is_empty() {
            return None;
        }
        let sandbox = pod.kind == "sandbox";
        let container = pod.container.filter(|name| !sandbox && !name.is_empty());
        if !sandbox && (pod.kind != "container" || container.is_none()) {
            return None;
        }
        Some(Self {
            id,
            root: root.to_owned(),
            bundle: bundle.to_owned(),
            namespace: pod.namespace,
            pod: pod.name,
            uid: pod.uid,
            container,
            sandbox,
            expects: annotations.get(EXPECTS).map(str::to_owned),
        })
    }

    /// What people call it.
    #[must_use]
    pub fn title(&self) -> String {
        let container = self.container.as_deref().unwrap_or("its sandbox");
        format!("{container} of pod {}/{}", self.namespace, self.pod)
    }
}

/// The files of the containers that passed our `create`.
#[derive(Debug, Clone)]
pub struct Places(PathBuf);

impl Places {
    /// Those below `run`, as the settings have it.
    #[must_use]
    pub fn below(run: &Path) -> Self {
        Self(run.join("containers"))
    }

    /// Remembers a container.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, place: &Place) -> Result<(), Failure> {
        let path = self.0.join(&place.id);
        let content =
            serde_json::to_vec(place).map_err(|error| Failure::at("write", &path, error))?;
        files::put(&path, &content)
    }

    /// A container, if it is one of ours.
    ///
    /// # Errors
    /// If it is ours and its file cannot be read.
    pub fn get(&self, id: &OsStr) -> Result<Option<Place>, Failure> {
        if !id.to_str().is_some_and(is_file_name) {
            return Ok(None);
        }
        let path = self.0.join(id);
        let Some(content) = files::read(&path)? else {
            return Ok(None);
        };
        let place = serde_json::from_slice(&content);
        place
            .map(Some)
            .map_err(|error| Failure::at("use", &path, error))
    }

    /// Forgets a container.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn remove(&self, id: &str) -> Result<bool, Failure> {
        files::remove(&self.0.join(id))
    }

    /// All of them; a file that cannot be used is named in its place.
    ///
    /// # Errors
    /// If the directory is there and cannot be read.
    pub fn all(&self) -> Result<Vec<Result<Place, Failure>>, Failure> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::at("list", &self.0, error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry
                .map_err(|error| Failure::at("list", &self.0, error))?
                .file_name();
            found.extend(self.get(&name).transpose());
        }
        Ok(found)
    }
}

/// Whether two roots are one directory.
#[must_use]
pub fn is_same_root(one: &Path, other: &Path) -> bool {
    // Paths compare by their parts: a slash more or less does not matter.
    one == other
        || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

struct Pod {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    container: Option<String>,
}

fn containerd(annotations: &Annotations) -> Option<Pod> {
    let get = |name: &str| annotations.get(&format!("io.kubernetes.cri.{name}"));
    Some(Pod {
        kind: get("container-type")?.to_owned(),
        namespace: get("sandbox-namespace")?.to_owned(),
        name: get("sandbox-name")?.to_owned(),
        uid: get("sandbox-uid")?.to_owned(),
        container: get("container-name").map(str::to_owned),
    })
}

/// CRI-O gives the kubelet's labels as annotations, or all of them in one.
fn crio(annotations: &Annotations) -> Option<Pod> {
    let kind = annotations
        .get("io.kubernetes.cri-o.ContainerType")?
        .to_owned();
    let labels = annotations
        .get("io.kubernetes.cri-o.Labels")
        .unwrap_or_default();
    let labels: serde_json::Value = serde_json::from_str(labels).unwrap_or_default();
    let get = |name: &str| {
        let label = || labels.get(name).and_then(serde_json::Value::as_str);
        annotations.get(name).or_else(label).map(str::to_owned)
    };
    Some(Pod {
        kind,
        namespace: get("io.kubernetes.pod.namespace")?,
        name: get("io.kubernetes.pod.name")?,
        uid: get("io.kubernetes.pod.uid")?,
        container: get("io.kubernetes.container.name"),
    })
}

/// Whether a pod can have this uid: records are named after it.
fn is_uid(uid: &str) -> bool {
    let is_fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=64).contains(&uid.len()) && uid.bytes().all(is_fine)
}

/// Whether files may be named so. No path leads out of a directory by such a name, and none is taken for a file written aside.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    (1..=200).contains(&name.len()) && !name.starts_with('.') && name.chars().all(is_fine)
}

#[cfg(test)]
mod tests;
