//! A container that ends with 0 at once, in the place of an init container that had finished before the pod was moved. Its image may
//! hold no program, its volumes may not be what they were: so it runs this very program, which is bound into it read-only, and
//! everything that could fail is taken out of the bundle. Namespaces, cgroup and terminal stay: others look at them.

use crate::oci::failure::Failure;
use crate::oci::files;
use rustix::fs::Mode;
use serde_json::{Map, Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Under this name this program does nothing, and says that it went well.
pub(super) const NAME: &str = "holdfast-no-op";

/// Where it is in the container. `/dev` is always a file system of the container's own: nothing is left in its writable layer.
const INSIDE: &str = "/dev/holdfast-no-op";

/// Parts of `linux` that name what may be absent here, or set what the kernel may refuse.
const LINUX: [&str; 13] = [
    "devices",
    "sysctl",
    "seccomp",
    "rootfsPropagation",
    "mountLabel",
    "intelRdt",
    "personality",
    "netDevices",
    "memoryPolicy",
    "maskedPaths",
    "readonlyPaths",
    "timeOffsets",
    "resources",
];

/// Rewrites the specification of a bundle.
///
/// # Errors
/// If it cannot be read, is none, or cannot be written.
pub(super) fn prepare(config: &Path, program: &Path) -> Result<(), Failure> {
    let content = std::fs::read(config).map_err(|error| Failure::at("read", config, error))?;
    let mode = std::fs::metadata(config).map_or(0o600, |metadata| metadata.permissions().mode());
    let mut spec: Value =
        serde_json::from_slice(&content).map_err(|error| Failure::at("use", config, error))?;
    let Some(spec) = spec.as_object_mut() else {
        return Err(Failure::at("use", config, "it is not an object"));
    };
    rewrite(spec, program);
    let text = serde_json::to_vec(spec).map_err(|error| Failure::at("write", config, error))?;
    files::put_with_mode(config, &text, Mode::from_raw_mode(mode & 0o777))
}

fn rewrite(spec: &mut Map<String, Value>, program: &Path) {
    spec.remove("hooks");
    let process = spec.get("process");
    let terminal = process.and_then(|process| process.get("terminal")).cloned();
    let has_terminal = terminal == Some(Value::Bool(true));
    spec.insert("process".into(), process_of(terminal));
    let mounts = spec.get("mounts").and_then(Value::as_array);
    let mounts = mounts_of(mounts.map_or(&[][..], Vec::as_slice), program, has_terminal);
    spec.insert("mounts".into(), mounts);
    let Some(linux) = spec.get_mut("linux").and_then(Value::as_object_mut) else {
        return;
    };
    // Which devices may be used is said by the caller; all other limits are the pod's own.
    let devices = linux
        .get("resources")
        .and_then(|r| r.get("devices"))
        .cloned();
    for name in LINUX {
        linux.remove(name);
    }
    if let Some(devices) = devices {
        linux.insert("resources".into(), json!({ "devices": devices }));
    }
}

/// Root, since it is root's program; but with no capability, and with no way to any.
fn process_of(terminal: Option<Value>) -> Value {
    json!({
        "terminal": terminal.unwrap_or(Value::Bool(false)),
        "user": { "uid": 0, "gid": 0 },
        "args": [INSIDE],
        "env": ["PATH=/dev"],
        "cwd": "/",
        "capabilities": { "bounding": [], "effective": [], "permitted": [] },
        "noNewPrivileges": true,
    })
}

/// What a container needs to come up at all, and the program.
fn mounts_of(given: &[Value], program: &Path, has_terminal: bool) -> Value {
    let usual = |destination: &str| {
        let is_it = |mount: &&Value| {
            let is_file_system = mount.get("type").is_some_and(|kind| kind != "bind");
            mount
                .get("destination")
                .is_some_and(|path| path == destination)
                && is_file_system
        };
        given.iter().find(is_it).cloned()
    };
    let proc = usual("/proc").unwrap_or_else(|| {
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] })
    });
    let dev = usual("/dev").unwrap_or_else(|| {
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] })
    });
    let mut mounts = vec![proc, dev];
    if has_terminal {
        mounts.extend(usual("/dev/pts"));
    }
    mounts.push(json!({
        "destination": INSIDE, "type": "bind", "source": program, "options": ["bind", "ro", "nosuid", "nodev"]
    }));
    Value::Array(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(mut spec: Value) -> Value {
        rewrite(spec.as_object_mut().unwrap(), Path::new("/opt/hf"));
        spec
    }

    fn pod_container() -> Value {
        json!({
            "ociVersion": "1.1.0",
            "process": {
                "terminal": true, "user": {"uid": 1000, "gid": 1, "additionalGids": [5]}, "args": ["/app"], "cwd": "/data",
                "capabilities": {"bounding": ["CAP_KILL"]}, "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 9, "soft": 9}],
                "apparmorProfile": "cri", "selinuxLabel": "x", "oomScoreAdj": -999,
            },
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["hidepid=2"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
                {"destination": "/data", "type": "bind", "source": "/var/lib/kubelet/x"},
            ],
            "hooks": {"prestart": [{"path": "/hook"}]},
            "annotations": {"a": "b"},
            "linux": {
                "cgroupsPath": "/kubepods/c1", "namespaces": [{"type": "network", "path": "/p"}], "uidMappings": [],
                "resources": {"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 1}},
                "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}, "sysctl": {"a": "b"}, "maskedPaths": ["/proc/x"],
            },
        })
    }

    #[test]
    fn takes_out_what_could_fail() {
        let spec = rewritten(pod_container());
        assert_eq!(spec["process"]["args"], json!([INSIDE]));
        assert_eq!(spec["process"]["user"], json!({"uid": 0, "gid": 0}));
        assert_eq!(spec["process"]["cwd"], "/");
        assert_eq!(spec.get("hooks"), None);
        for gone in ["rlimits", "apparmorProfile", "selinuxLabel", "oomScoreAdj"] {
            assert_eq!(spec["process"].get(gone), None, "{gone}");
        }
        for gone in ["seccomp", "sysctl", "maskedPaths"] {
            assert_eq!(spec["linux"].get(gone), None, "{gone}");
        }
        let destinations: Vec<_> = spec["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| &m["destination"])
            .collect();
        assert_eq!(destinations, ["/proc", "/dev", "/dev/pts", INSIDE]);
    }

    #[test]
    fn leaves_what_others_look_at() {
        let (before, after) = (pod_container(), rewritten(pod_container()));
        for kept in ["root", "annotations", "ociVersion"] {
            assert_eq!(after[kept], before[kept], "{kept}");
        }
        for kept in ["cgroupsPath", "namespaces", "uidMappings"] {
            assert_eq!(after["linux"][kept], before["linux"][kept], "{kept}");
        }
        assert_eq!(after["process"]["terminal"], true);
        assert_eq!(
            after["linux"]["resources"],
            json!({"devices": [{"allow": false, "access": "rwm"}]})
        );
        assert_eq!(after["mounts"][0], before["mounts"][0]);
    }

    #[test]
    fn what_is_bound_over_dev_is_not_taken_for_the_containers_own() {
        let mut spec = pod_container();
        spec["mounts"] = json!([{"destination": "/dev", "type": "bind", "source": "/dev"}]);
        let spec = rewritten(spec);
        assert_eq!(spec["mounts"][0]["type"], "proc");
        assert_eq!(spec["mounts"][1]["type"], "tmpfs");
        assert_eq!(spec["process"]["terminal"], true);
    }

    #[test]
    fn a_bare_specification_will_do() {
        let spec = rewritten(json!({"ociVersion": "1.0.0"}));
        assert_eq!(spec["mounts"].as_array().unwrap().len(), 3);
        assert_eq!(spec["process"]["terminal"], false);
    }
}
