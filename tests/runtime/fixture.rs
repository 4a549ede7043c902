//! A node with our runtime on it: an installed program with its settings, bundles, and the real runtime to compare with.

use crate::lab::{lab, scratch};
use crate::parts::busybox;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One installation of our runtime, with containers of its own. All of it goes with the test.
pub(crate) struct Node {
    pub(crate) folder: PathBuf,
    pub(crate) real: &'static str,
    cgroup: String,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Did {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Did {
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert!(self.status.success(), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn badly(self, why: &str) -> Self {
        assert!(
            !self.status.success() && self.err.contains(why),
            "{why}: {self:?}"
        );
        self
    }
}

impl Node {
    pub(crate) fn new(real: &'static str) -> Self {
        Self::with(&program(), real)
    }

    /// With the program that has fault points.
    #[cfg(feature = "faults")]
    pub(crate) fn with_faults(real: &'static str) -> Self {
        Self::with(Path::new(env!("CARGO_BIN_EXE_holdfast-runtime")), real)
    }

    fn with(program: &Path, real: &'static str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "n{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = scratch().join(&name);
        for part in ["bin", "run", "state", "records", "bundles"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        std::fs::copy(program, folder.join("bin/holdfast-runtime")).unwrap();
        let node = Self {
            folder,
            real,
            cgroup: format!("/holdfast-runtime-{name}"),
        };
        let settings = json!({
            "real": real,
            "criu": "/usr/local/sbin/criu",
            "socket": node.socket(),
            "run": node.path("run"),
            "records": node.path("records"),
            "patience": 1,
        });
        std::fs::write(node.path("runtime.json"), settings.to_string()).unwrap();
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program of the node, for its shell.
    pub(crate) fn write_program(&self, name: &str, script: &str) {
        let path = self.path(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/agent.sock")
    }

    /// Our runtime, with these arguments.
    pub(crate) fn ours<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = lab().command(self.path("bin/holdfast-runtime"));
        command.args(arguments);
        command
    }

    /// The real one.
    pub(crate) fn real<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = lab().command(self.real);
        command.args(arguments);
        command
    }

    /// What stands before each verb.
    pub(crate) fn globals(&self) -> Vec<String> {
        ["--root".into(), self.path("state").display().to_string()].into()
    }

    /// A verb, of our runtime, on this node's containers.
    pub(crate) fn verb(&self, words: &[&str]) -> Command {
        let mut arguments = self.globals();
        arguments.extend(words.iter().map(|word| (*word).to_owned()));
        self.ours(&arguments)
    }

    /// The same verb of the real runtime.
    pub(crate) fn real_verb(&self, words: &[&str]) -> Command {
        let mut arguments = self.globals();
        arguments.extend(words.iter().map(|word| (*word).to_owned()));
        self.real(&arguments)
    }

    /// `create` of a bundle, as containerd says it.
    pub(crate) fn create(&self, id: &str) -> Command {
        let log = self.path(&format!("{id}.log"));
        let mut arguments = self.globals();
        for word in [
            "--log",
            log.to_str().unwrap(),
            "--log-format",
            "json",
            "create",
            "--bundle",
        ] {
            arguments.push(word.into());
        }
        arguments.push(self.bundle(id).display().to_string());
        arguments.push("--pid-file".into());
        arguments.push(self.path(&format!("{id}.pid")).display().to_string());
        arguments.push(id.into());
        self.ours(&arguments)
    }

    pub(crate) fn bundle(&self, id: &str) -> PathBuf {
        self.path("bundles").join(id)
    }

    /// Writes a bundle whose container runs this script of busybox; `change` has the last word on the specification.
    pub(crate) fn make_bundle(&self, id: &str, script: &str, change: impl FnOnce(&mut Value)) {
        let bundle = self.bundle(id);
        let rootfs = bundle.join("rootfs");
        std::fs::create_dir_all(rootfs.join("bin")).unwrap();
        std::fs::create_dir_all(self.path("witness")).unwrap();
        std::fs::copy(busybox(), rootfs.join("bin/busybox")).unwrap();
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                "args": ["/bin/busybox", "sh", "-c", script],
            },
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
                {"destination": "/w", "type": "bind", "source": self.path("witness"), "options": ["rbind", "rw"]},
            ],
            "annotations": {},
            "linux": {
                "cgroupsPath": format!("{}/{id}", self.cgroup),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            },
        });
        change(&mut config);
        std::fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    }

    /// The same, as containerd makes it for a container of a pod.
    pub(crate) fn make_pod_bundle(&self, id: &str, script: &str) {
        self.make_bundle(id, script, |config| {
            config["annotations"] = annotations("container");
        });
    }

    pub(crate) fn config(&self, id: &str) -> Value {
        let text = std::fs::read(self.bundle(id).join("config.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// What the log of a `create` says last.
    pub(crate) fn logged(&self, id: &str) -> Value {
        let text = std::fs::read_to_string(self.path(&format!("{id}.log"))).unwrap_or_default();
        text.lines()
            .last()
            .map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
    }

    /// What the real runtime says of a container: `created`, `running`, `stopped`; nothing if there is none.
    pub(crate) fn status(&self, id: &str) -> Option<String> {
        let did = run(&mut self.real_verb(&["state", id]));
        let state: Value = serde_json::from_str(&did.out).ok()?;
        state["status"].as_str().map(str::to_owned)
    }

    /// The container's directories of cgroups.
    pub(crate) fn cgroups(&self, id: &str) -> Vec<PathBuf> {
        let name = format!("{}/{id}", &self.cgroup[1..]);
        let mut found: Vec<_> = hierarchies().iter().map(|path| path.join(&name)).collect();
        found.retain(|path| path.exists());
        found
    }

    pub(crate) fn witness(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("witness").join(name)).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.path("bundles"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let id = entry.file_name();
            let id = id.to_str().unwrap();
            for cgroup in self.cgroups(id) {
                std::fs::write(cgroup.join("freezer.state"), "THAWED").ok();
                std::fs::write(cgroup.join("cgroup.freeze"), "0").ok();
            }
            run(&mut self.real_verb(&["delete", "--force", id]));
        }
        for hierarchy in hierarchies() {
            std::fs::remove_dir(hierarchy.join(&self.cgroup[1..])).ok();
        }
        if std::thread::panicking() {
            eprintln!("left behind for you to look at: {}", self.folder.display());
        } else {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// What containerd says of a pod's container or sandbox.
pub(crate) fn annotations(kind: &str) -> Value {
    json!({
        "io.kubernetes.cri.container-type": kind,
        "io.kubernetes.cri.container-name": "app",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-name": "cart-0",
        "io.kubernetes.cri.sandbox-uid": "11-22",
    })
}

/// Runs a program to its end. Its output goes through files: a container would hold a pipe open.
pub(crate) fn run(command: &mut Command) -> Did {
    let outputs = Outputs::new();
    let status = command
        .stdin(Stdio::null())
        .stdout(outputs.file("out"))
        .stderr(outputs.file("err"))
        .status();
    outputs.did(status.unwrap())
}

/// A program that a test has started and that ends with it at the latest.
pub(crate) struct Started(pub(crate) Child);

impl Started {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Where a program's output goes.
pub(crate) struct Outputs(PathBuf);

impl Outputs {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "o{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = scratch().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> File {
        File::create(self.0.join(name)).unwrap()
    }

    pub(crate) fn did(self, status: ExitStatus) -> Did {
        let read =
            |name| String::from_utf8_lossy(&std::fs::read(self.0.join(name)).unwrap()).into_owned();
        let did = Did {
            status,
            out: read("out"),
            err: read("err"),
        };
        std::fs::remove_dir_all(&self.0).unwrap();
        did
    }
}

/// Waits until something is so; a test that waits in vain says for what.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The mounted hierarchies.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_cgroup = |line: &&str| line.contains(" - cgroup");
    let point = |line: &str| PathBuf::from(line.split(' ').nth(4).unwrap());
    mounts.lines().filter(is_cgroup).map(point).collect()
}

/// The program that is tested.
pub(crate) fn program() -> PathBuf {
    let usual = || env!("CARGO_BIN_EXE_holdfast-runtime").into();
    let given = std::env::var_os("HOLDFAST_RUNTIME").filter(|path| !path.is_empty());
    given.map_or_else(usual, |path| Path::new(&path).to_owned())
}
