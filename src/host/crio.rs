//! CRI-O's handler: a drop-in of our own, which all its versions read. Pure but for [`conmon`].

use super::commands;
use super::handler::{NAME, PROGRAM};
use super::values::{at, text};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the drop-in goes.
pub(crate) const DROP_IN: &str = "/etc/crio/crio.conf.d/90-holdfast.conf";
pub(crate) const SOCKET: &str = "/run/crio/crio.sock";
const HANDLERS: [&str; 3] = ["crio", "runtime", "runtimes"];
/// Where conmon is, where CRI-O does not say.
const CONMON: &str = "/usr/bin/conmon";
/// Pod annotations that the runtime may see.
const ANNOTATION: &str = "holdfast.dev/restore";

/// What CRI-O itself would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) monitor: String,
    pub(crate) monitor_cgroup: String,
    pub(crate) root: String,
    pub(crate) named: Option<String>,
    pub(crate) is_systemd: bool,
}

/// Reads them from what `crio config` prints.
pub(crate) fn defaults(effective: &Value, conmon: &Path) -> Defaults {
    let name = match text(effective, &["crio", "runtime", "default_runtime"]) {
        "" | NAME => "runc",
        name => name,
    };
    let handler = at(effective, &HANDLERS)
        .and_then(|all| all.get(name))
        .unwrap_or(&Value::Null);
    let or = |found: &str, other: &str| {
        if found.is_empty() {
            other.to_owned()
        } else {
            found.to_owned()
        }
    };
    let path = text(handler, &["runtime_path"]);
    let is_ours = Path::new(path)
        .file_name()
        .is_some_and(|name| name == PROGRAM);
    Defaults {
        monitor: or(
            text(handler, &["monitor_path"]),
            &conmon.display().to_string(),
        ),
        monitor_cgroup: or(text(handler, &["monitor_cgroup"]), "system.slice"),
        root: or(text(handler, &["runtime_root"]), &format!("/run/{name}")),
        named: Some(path)
            .filter(|path| !path.is_empty() && !is_ours)
            .map(str::to_owned),
        is_systemd: text(effective, &["crio", "runtime", "cgroup_manager"]) != "cgroupfs",
    }
}

/// The drop-in.
pub(crate) fn drop_in(program: &Path, defaults: &Defaults) -> String {
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let Defaults {
        monitor,
        monitor_cgroup,
        root,
        ..
    } = defaults;
    format!(
        "# Written by `holdfast host install`, removed by `holdfast host uninstall`.\n\
         [crio.runtime.runtimes.{NAME}]\n\
         runtime_path = {}\n\
         runtime_type = \"oci\"\n\
         runtime_root = {}\n\
         monitor_path = {}\n\
         monitor_cgroup = {}\n\
         allowed_annotations = [{}]\n",
        quoted(&program.display().to_string()),
        quoted(root),
        quoted(monitor),
        quoted(monitor_cgroup),
        quoted(ANNOTATION),
    )
}

/// Where conmon is.
pub(crate) fn conmon() -> PathBuf {
    commands::find("conmon").unwrap_or_else(|| CONMON.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::values::read;
    use serde_json::json;

    #[test]
    fn the_drop_in_follows_what_the_node_uses() {
        let effective = json!({"crio": {"runtime": {
            "default_runtime": "crun", "cgroup_manager": "systemd",
            "runtimes": {"crun": {
                "runtime_path": "/usr/libexec/crio/crun", "runtime_root": "/run/crun", "monitor_path": "/usr/libexec/crio/conmon",
                "monitor_cgroup": "pod", "runtime_type": "",
            }},
        }}});
        let defaults = defaults(&effective, Path::new("/usr/bin/conmon"));
        assert_eq!(defaults.named.as_deref(), Some("/usr/libexec/crio/crun"));
        assert!(defaults.is_systemd);
        let text = drop_in(Path::new("/opt/holdfast/bin/holdfast-runtime"), &defaults);
        assert_eq!(
            read(DROP_IN, &text).unwrap(),
            json!({"crio": {"runtime": {"runtimes": {"holdfast": {
                "runtime_path": "/opt/holdfast/bin/holdfast-runtime", "runtime_type": "oci", "runtime_root": "/run/crun",
                "monitor_path": "/usr/libexec/crio/conmon", "monitor_cgroup": "pod", "allowed_annotations": ["holdfast.dev/restore"],
            }}}}})
        );
    }

    #[test]
    fn a_node_that_says_nothing_gets_what_is_usual() {
        let defaults = defaults(&Value::Null, Path::new("/usr/bin/conmon"));
        let text = drop_in(Path::new("/a \"b\"/holdfast-runtime"), &defaults);
        let value = read(DROP_IN, &text).unwrap();
        let handler = at(&value, &HANDLERS).unwrap().get(NAME).unwrap();
        assert_eq!(handler["runtime_path"], "/a \"b\"/holdfast-runtime");
        assert_eq!(
            (&handler["monitor_path"], &handler["runtime_root"]),
            (&json!("/usr/bin/conmon"), &json!("/run/runc"))
        );
        assert_eq!(defaults.named, None);
    }
}
