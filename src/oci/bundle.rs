//! What a bundle's `config.json` says about whose container it is. Only the annotations are read, and they stay where they are.

use super::failure::Failure;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// The specification in a bundle.
#[must_use]
pub fn config_path(bundle: &Path) -> PathBuf {
    bundle.join("config.json")
}

/// The bytes of a bundle's specification.
///
/// # Errors
/// If it cannot be read.
pub fn read(bundle: &Path) -> Result<Vec<u8>, Failure> {
    let path = config_path(bundle);
    std::fs::read(&path).map_err(|error| Failure::at("read", &path, error))
}

/// The annotations that tell a pod's containers, borrowed from the specification.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Annotations<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Annotations<'a> {
    /// Those of a specification; none if it is not one.
    #[must_use]
    pub fn of(config: &'a [u8]) -> Self {
        let config: Result<Config<'a>, _> = serde_json::from_slice(config);
        config.map(|config| config.annotations).unwrap_or_default()
    }

    /// What one of them says.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_ref())
    }
}

/// Whether the container is to see its own cgroup as the root of all.
#[must_use]
pub fn has_cgroup_namespace(config: &[u8]) -> bool {
    let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    let namespaces = config.pointer("/linux/namespaces");
    let namespaces = namespaces.and_then(serde_json::Value::as_array);
    let mut namespaces = namespaces.into_iter().flatten();
    namespaces.any(|one| one.get("type").is_some_and(|kind| kind == "cgroup"))
}

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, default)]
    annotations: Annotations<'a>,
}

/// Only these are kept.
const PREFIXES: [&str; 3] = ["io.kubernetes.", "holdfast.dev/", "io.container.manager"];

/// A text that is borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kept<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Kept<'a> {
            type Value = Annotations<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Annotations::default())
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut kept = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                        let Text(value) = map.next_value()?;
                        kept.push((name, value));
                    } else {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    }
                }
                Ok(Annotations(kept))
            }
        }
        deserializer.deserialize_any(Kept(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_tells_a_container_and_nothing_else() {
        let config = br#"{"ociVersion":"1.1.0","process":{"args":["a"]},
            "annotations":{"io.kubernetes.cri.container-type":"container","other":"x","holdfast.dev/restore":"u\u0031"}}"#;
        let found = Annotations::of(config);
        assert_eq!(
            found.get("io.kubernetes.cri.container-type"),
            Some("container")
        );
        assert_eq!(found.get("holdfast.dev/restore"), Some("u1"));
        assert_eq!(found.get("other"), None);
        assert!(
            matches!(found.0[0].1, Cow::Borrowed(_)),
            "copied without need"
        );
    }

    #[test]
    fn a_specification_without_annotations_has_none() {
        for config in [
            "{}",
            r#"{"annotations":null}"#,
            "",
            "[]",
            r#"{"annotations":{"a":1}}"#,
        ] {
            assert_eq!(
                Annotations::of(config.as_bytes()),
                Annotations::default(),
                "{config}"
            );
        }
    }
}
