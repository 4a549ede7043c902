//! What the installer tells the runtime: `runtime.json`, two levels above the program.

use super::failure::Failure;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FILE: &str = "runtime.json";
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Where everything is on this host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The real runtime; looked for if it is not said.
    pub real: Option<PathBuf>,
    /// The CRIU that a restore uses, if it is not the one of the PATH.
    pub criu: Option<PathBuf>,
    /// Where the agent listens.
    pub socket: PathBuf,
    /// What does not outlive a reboot.
    pub run: PathBuf,
    /// Holds, admission records and tokens.
    pub records: PathBuf,
    /// For how many seconds the `create` of a sandbox may wait. It then fails and is tried again by the kubelet, which leaves no exit
    /// code; the failure of a container would.
    pub patience: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            real: None,
            criu: None,
            socket: "/run/holdfast/agent.sock".into(),
            run: "/run/holdfast".into(),
            records: "/var/lib/holdfast/records".into(),
            patience: 60,
        }
    }
}

impl Settings {
    /// Those that belong to this program; the defaults if there is no file.
    ///
    /// # Errors
    /// If there is a file that cannot be read: guessing could start what must wait.
    pub fn of_program(program: &Path) -> Result<Self, Failure> {
        let Some(prefix) = program.parent().and_then(Path::parent) else {
            return Ok(Self::default());
        };
        let path = prefix.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| Failure::at("use", &path, error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::at("read", &path, error)),
        }
    }

    /// The real runtime.
    ///
    /// # Errors
    /// If there is none, or it is this very program.
    pub fn real_runtime(&self, program: &Path) -> Result<PathBuf, Failure> {
        let found = match &self.real {
            Some(path) => Some(path.clone()),
            None => ["runc", "crun"]
                .iter()
                .flat_map(|name| FOLDERS.map(|folder| Path::new(folder).join(name)))
                .find(|path| path.exists()),
        };
        let Some(found) = found else {
            return Err(Failure::new(format!(
                "no real container runtime was found: install runc or crun, or name it as \"real\" in {FILE}"
            )));
        };
        if found.file_name() == program.file_name() && is_same(&found, program) {
            return Err(Failure::new(format!(
                "\"real\" in {FILE} names this program itself ({}): name runc or crun",
                found.display()
            )));
        }
        Ok(found)
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn what_is_not_said_has_its_default() {
        let folder = Folder::new();
        folder.write("runtime.json", r#"{"real":"/opt/runc","news":1}"#);
        let settings = Settings::of_program(&folder.path().join("bin/holdfast-runtime")).unwrap();
        assert_eq!(
            settings,
            Settings {
                real: Some("/opt/runc".into()),
                ..Settings::default()
            }
        );
    }

    #[test]
    fn without_a_file_all_are_defaults() {
        let folder = Folder::new();
        let program = folder.path().join("bin/holdfast-runtime");
        assert_eq!(Settings::of_program(&program).unwrap(), Settings::default());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_passed_over() {
        let folder = Folder::new();
        folder.write("runtime.json", "{");
        let error = Settings::of_program(&folder.path().join("bin/x")).unwrap_err();
        assert!(error.to_string().contains("runtime.json"), "{error}");
    }

    #[test]
    fn the_runtime_does_not_run_itself() {
        let folder = Folder::new();
        folder.write("bin/holdfast-runtime", "");
        let program = folder.path().join("bin/holdfast-runtime");
        let settings = Settings {
            real: Some(program.clone()),
            ..Settings::default()
        };
        assert!(settings.real_runtime(&program).is_err());
    }
}
