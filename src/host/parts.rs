//! The programs that we bring for nodes that lack them: a directory with `manifest.json`, which names each file with its digest. All
//! of it is read and checked before anything is written.

use super::disk;
use crate::kit::digest::Digest;
use crate::kit::error::Error;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The list of what is there.
const MANIFEST: &str = "manifest.json";
/// Where a brought runtime and a brought CRIU lie, below the prefix.
pub(crate) const RUNC: &str = "bin/runc";
pub(crate) const CRIU: &str = "bin/criu";
/// Directories that hold nothing but what we brought.
pub(crate) const FOLDERS: [&str; 2] = ["criu", "licences"];

#[derive(Debug, Deserialize)]
struct Manifest {
    runc: Section,
    criu: Section,
}

#[derive(Debug, Deserialize)]
struct Section {
    #[serde(default)]
    loader: Option<PathBuf>,
    #[serde(default)]
    program: Option<PathBuf>,
    files: BTreeMap<PathBuf, Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    sha256: Digest,
    mode: u32,
}

/// A file to be written below the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// What can be brought.
#[derive(Debug)]
pub(crate) struct Parts {
    runc: Vec<Part>,
    criu: Vec<Part>,
    loader: PathBuf,
    program: PathBuf,
}

impl Parts {
    /// Reads a directory; nothing if there is none.
    ///
    /// # Errors
    /// If it is not what its manifest says.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, Error> {
        let Some(bytes) = disk::read(&folder.join(MANIFEST))? else {
            return Ok(None);
        };
        let invalid = |why: String| Error::Invalid {
            what: folder.join(MANIFEST).display().to_string(),
            why,
        };
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        let Manifest { runc, criu } = manifest;
        let (Some(loader), Some(program)) = (&criu.loader, &criu.program) else {
            return Err(invalid(
                "it does not say where CRIU and its loader are: build the image again".into(),
            ));
        };
        Ok(Some(Self {
            loader: loader.clone(),
            program: program.clone(),
            runc: checked(folder, &runc)?,
            criu: checked(folder, &criu)?,
        }))
    }

    /// The runtime's files.
    pub(crate) fn runc(&self) -> Vec<Part> {
        self.runc.clone()
    }

    /// CRIU's files, and a program that starts it with its own loader and libraries: those of the node may be older.
    pub(crate) fn criu(&self, prefix: &Path) -> Vec<Part> {
        let (loader, program) = (prefix.join(&self.loader), prefix.join(&self.program));
        let libraries = loader.parent().unwrap_or(prefix).to_owned();
        let script = format!(
            "#!/bin/sh\n# CRIU with the libraries that it was built for; the node's own stay as they are.\nexec {} --argv0 criu --library-path {} {} \"$@\"\n",
            quoted(&loader),
            quoted(&libraries),
            quoted(&program),
        );
        let mut files = self.criu.clone();
        files.push(Part {
            path: CRIU.into(),
            bytes: script.into_bytes(),
            mode: 0o755,
        });
        files
    }
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn checked(folder: &Path, section: &Section) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for (path, listed) in &section.files {
        let whole = folder.join(path);
        let invalid = |why: &str| Error::Invalid {
            what: whole.display().to_string(),
            why: format!("{why}: take the image anew"),
        };
        if !path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(invalid("its name leads out of its directory"));
        }
        let Some(bytes) = disk::read(&whole)? else {
            return Err(invalid("the manifest names it, and it is not there"));
        };
        if Digest::of(&bytes) != listed.sha256 {
            return Err(invalid("its bytes are not those that the manifest names"));
        }
        parts.push(Part {
            path: path.clone(),
            bytes,
            mode: listed.mode & 0o755,
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testkit::Folder;

    fn manifest(path: &str, content: &str) -> String {
        let digest = Digest::of(content.as_bytes());
        format!(
            r#"{{"runc": {{"files": {{"{path}": {{"sha256": "{}", "mode": 493}}}}}},
                "criu": {{"loader": "criu/lib/ld.so", "program": "criu/criu", "files": {{}}}}}}"#,
            digest.text()
        )
    }

    #[test]
    fn takes_what_is_as_the_manifest_says() {
        let folder = Folder::new("parts-fine");
        assert!(Parts::load(&folder.path("")).unwrap().is_none());
        folder.write("bin/runc", "a program");
        folder.write(MANIFEST, &manifest("bin/runc", "a program"));
        let parts = Parts::load(&folder.path("")).unwrap().unwrap();
        let [runc] = &parts.runc()[..] else {
            panic!("{parts:?}")
        };
        assert_eq!((runc.path.to_str(), runc.mode), (Some(RUNC), 0o755));
        let script = parts.criu(Path::new("/opt/it's")).pop().unwrap();
        let text = String::from_utf8(script.bytes).unwrap();
        assert!(text.contains(r"exec '/opt/it'\''s/criu/lib/ld.so' --argv0 criu --library-path '/opt/it'\''s/criu/lib'"), "{text}");
    }

    #[test]
    fn refuses_what_is_not() {
        let folder = Folder::new("parts-wrong");
        folder.write("bin/runc", "another program");
        for (manifest, says) in [
            (
                manifest("bin/runc", "a program"),
                "not those that the manifest names",
            ),
            (manifest("bin/gone", "a program"), "not there"),
            (manifest("../bin/runc", "a program"), "leads out"),
            (manifest("/bin/runc", "a program"), "leads out"),
            ("{}".to_owned(), "missing field"),
            (
                r#"{"runc": {"files": {}}, "criu": {"files": {}}}"#.to_owned(),
                "loader",
            ),
        ] {
            folder.write(MANIFEST, &manifest);
            let error = Parts::load(&folder.path("")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
