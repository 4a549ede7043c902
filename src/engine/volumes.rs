//! What of a container lives on its node and goes along: emptyDir volumes, on disk and in memory, and `/dev/shm`. Volumes of every
//! other kind are the new pod's own.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Where the kubelet keeps a pod's volumes of this kind, below its own directory for the pod.
const EMPTY_DIR: &str = "volumes/kubernetes.io~empty-dir";

/// A directory that goes along.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// Its name in the pod; `/dev/shm` for that.
    pub name: String,
    /// Where it lies on the node.
    pub source: PathBuf,
}

/// The part of a container's configuration that says what is mounted into it.
#[derive(Debug, Default, Deserialize)]
pub struct Config {
    #[serde(default)]
    mounts: Vec<Mount>,
}

#[derive(Debug, Deserialize)]
struct Mount {
    destination: PathBuf,
    #[serde(default)]
    source: PathBuf,
}

/// The volumes of these containers of a pod that live on its node, each once.
#[must_use]
pub fn of_pod<'a>(configs: impl Iterator<Item = &'a Config>, uid: &str) -> Vec<Volume> {
    let mut found = BTreeMap::new();
    for mount in configs.flat_map(|config| &config.mounts) {
        if mount.destination == Path::new("/dev/shm") && mount.source.is_absolute() {
            found.insert("/dev/shm".to_owned(), mount.source.clone());
        } else if let Some((name, source)) = empty_dir(&mount.source, uid) {
            found.insert(name, source);
        }
    }
    let volume = |(name, source)| Volume { name, source };
    found.into_iter().map(volume).collect()
}

/// The emptyDir that a source lies in, if it is one of this pod's: a mount may show a part of it.
fn empty_dir(source: &Path, uid: &str) -> Option<(String, PathBuf)> {
    let pod = source
        .ancestors()
        .find(|path| path.file_name().is_some_and(|name| name == uid))?;
    let below = source.strip_prefix(pod.join(EMPTY_DIR)).ok()?;
    let Some(Component::Normal(name)) = below.components().next() else {
        return None;
    };
    let name = name.to_str()?.to_owned();
    let source = pod.join(EMPTY_DIR).join(&name);
    Some((name, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(mounts: &[(&str, &str)]) -> Config {
        let mounts = mounts.iter().map(|(destination, source)| json!({ "destination": destination, "source": source, "type": "bind" }));
        serde_json::from_value(json!({ "ociVersion": "1", "mounts": mounts.collect::<Vec<_>>() }))
            .unwrap()
    }

    #[test]
    fn what_lives_on_the_node_goes_along_once() {
        let pods = "/var/lib/kubelet/pods/u1";
        let at = |rest: &str| format!("{pods}/{rest}");
        let first = config(&[
            ("/proc", "proc"),
            ("/dev/shm", "/run/sandboxes/s1/shm"),
            ("/cache", &at("volumes/kubernetes.io~empty-dir/cache")),
            (
                "/part",
                &at("volumes/kubernetes.io~empty-dir/cache/sub/dir"),
            ),
            ("/etc/config", &at("volumes/kubernetes.io~configmap/config")),
            ("/etc/hosts", &at("etc-hosts")),
            (
                "/host",
                "/var/lib/kubelet/pods/u2/volumes/kubernetes.io~empty-dir/others",
            ),
        ]);
        let second = config(&[
            ("/data", &at("volumes/kubernetes.io~empty-dir/cache")),
            ("/tmp", &at("volumes/kubernetes.io~empty-dir/tmp")),
        ]);
        let found = of_pod([&first, &second].into_iter(), "u1");
        let volume = |name: &str, source: String| Volume {
            name: name.into(),
            source: source.into(),
        };
        assert_eq!(
            found,
            [
                volume("/dev/shm", "/run/sandboxes/s1/shm".into()),
                volume("cache", at("volumes/kubernetes.io~empty-dir/cache")),
                volume("tmp", at("volumes/kubernetes.io~empty-dir/tmp")),
            ]
        );
    }

    #[test]
    fn a_path_that_climbs_is_none() {
        let climbs = config(&[
            (
                "/x",
                "/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/../../x",
            ),
            ("/y", "/u1/volumes/kubernetes.io~empty-dir"),
        ]);
        assert_eq!(of_pod([&climbs].into_iter(), "u1"), []);
    }
}
