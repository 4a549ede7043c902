//! Which image a container of this node was made from, and which one this node has under a name. Its container runtime says so, or, of a
//! container that CRI-O is about to make, its bundle.

use crate::agent::blocking::blocking;
use crate::agent::host::Host;
use crate::agent::pods::Living;
use crate::cri::client::Cri;
use crate::cri::images::bare;
use crate::kit::error::{Error, chain};
use crate::oci::bundle::{self, Annotations};
use crate::oci::failure::Failure;
use crate::oci::place::{Place, Places};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What one question may take.
const LIMIT: Duration = Duration::from_secs(5);
/// So many containers are remembered.
const MOST: usize = 1000;
/// Below this folder of its own containerd keeps its bundles.
const TASKS: &str = "io.containerd.runtime.v2.task";
/// Where runtimes are reached usually.
const USUAL: [&str; 3] = [
    "run/containerd/containerd.sock",
    "run/k3s/containerd/containerd.sock",
    "run/crio/crio.sock",
];
/// CRI-O's note on a bundle.
const NOTED: &str = "io.kubernetes.cri-o.ImageRef";

/// The images of a node.
pub(crate) struct Images {
    host: Host,
    /// A container never changes its image.
    known: Mutex<HashMap<String, String>>,
}

impl Images {
    /// Of this node.
    pub(crate) fn of(host: Host) -> Self {
        Self {
            host,
            known: Mutex::default(),
        }
    }

    /// The image that a container was made from.
    ///
    /// # Errors
    /// Nobody says.
    pub(crate) async fn of_container(&self, id: &str, bundle: &Path) -> Result<String, Failure> {
        if let Some(known) = self.known().get(id) {
            return Ok(known.clone());
        }
        let image = match self.noted(bundle).await {
            Some(image) => image,
            None => self.asked(id, bundle).await?,
        };
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id.to_owned(), image.clone());
        Ok(image)
    }

    /// The same of a container that runs.
    ///
    /// # Errors
    /// Nobody says.
    pub(crate) async fn of_living(&self, living: &Living) -> Result<String, Failure> {
        self.of_container(&living.held.id, &living.bundle).await
    }

    /// The image that this node has under a name; none where it has none.
    ///
    /// # Errors
    /// Nobody says.
    pub(crate) async fn named(&self, name: &str) -> Result<Option<String>, Failure> {
        let found = self.runtime(None).await?.image(name).await;
        found.map_err(|error| unsaid(&error))
    }

    async fn asked(&self, id: &str, bundle: &Path) -> Result<String, Failure> {
        let runtime = self.runtime(Some(bundle)).await?;
        let found = runtime.image_of(id).await;
        let found = found.map_err(|error| unsaid(&error))?;
        found.ok_or_else(|| Failure::new(format!("the container runtime knows no container {id}")))
    }

    async fn noted(&self, bundle: &Path) -> Option<String> {
        let bundle = self.host.path(bundle);
        let config = blocking(move || bundle::read(&bundle)).await.ok()?;
        Annotations::of(&config).get(NOTED).map(bare)
    }

    /// Whoever keeps this bundle; or, where none is meant, any that is ours.
    async fn runtime(&self, bundle: Option<&Path>) -> Result<Cri, Failure> {
        let (host, bundle) = (self.host.clone(), bundle.map(Path::to_owned));
        let found = blocking(move || {
            let bundle = bundle.or_else(|| any(&host).map(|place| place.bundle));
            let mut sockets = sockets(bundle.as_deref())
                .into_iter()
                .map(|path| host.path(path));
            sockets.find(|path| path.exists())
        });
        let socket = found.await.ok_or_else(|| {
            Failure::new(
                "the container runtime of this node is not found, and it alone knows its images",
            )
        })?;
        Ok(Cri::new(&socket, LIMIT))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unsaid(error: &Error) -> Failure {
    Failure::new(format!(
        "the container runtime does not say which image it is: {}",
        chain(error)
    ))
}

fn any(host: &Host) -> Option<Place> {
    let places = Places::below(&host.run()).all().ok()?;
    places.into_iter().find_map(Result::ok)
}

/// Where the runtime may be reached that keeps this bundle: beside its own folder, or one above; then the usual ones.
fn sockets(bundle: Option<&Path>) -> Vec<PathBuf> {
    let mut parts = bundle.into_iter().flat_map(Path::ancestors);
    let own = parts.find(|part| part.file_name().is_some_and(|name| name == TASKS));
    let state = own.and_then(Path::parent);
    let near = state
        .into_iter()
        .flat_map(|state| state.ancestors().take(2));
    let near = near.map(|folder| folder.join("containerd.sock"));
    near.chain(USUAL.map(|path| Path::new("/").join(path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn a_bundle_lies_beside_its_runtime() {
        for (bundle, first) in [
            (
                "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/abc",
                "/run/k3s/containerd/containerd.sock",
            ),
            (
                "/var/lib/containers/storage/overlay-containers/abc/userdata",
                "/run/containerd/containerd.sock",
            ),
        ] {
            let found = sockets(Some(Path::new(bundle)));
            assert_eq!(found[0], Path::new(first), "{bundle}");
            assert!(found.contains(&"/run/crio/crio.sock".into()));
        }
        // One whose socket lies above its folder.
        let above = "/var/snap/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc";
        let found = sockets(Some(Path::new(above)));
        assert_eq!(found[1], Path::new("/var/snap/run/containerd.sock"));
    }

    #[tokio::test]
    async fn a_bundle_of_crio_says_it_itself() {
        let folder = Folder::new();
        let images = Images::of(Host::at(folder.path().to_owned()));
        let config = format!(r#"{{"annotations":{{"{NOTED}":"sha256:abc"}}}}"#);
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let image = images.of_container("c", Path::new("/")).await;
        assert_eq!(image.unwrap(), "abc");
        // And what is known of a container is not asked again.
        std::fs::remove_file(folder.path().join("config.json")).unwrap();
        let image = images.of_container("c", Path::new("/")).await;
        assert_eq!(image.unwrap(), "abc");
    }

    #[tokio::test]
    async fn where_nobody_is_reached_nothing_is_said() {
        let folder = Folder::new();
        let images = Images::of(Host::at(folder.path().to_owned()));
        assert!(images.named("web:1").await.is_err());
        assert!(images.of_container("c", Path::new("/")).await.is_err());
    }
}
